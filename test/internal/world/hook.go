package world

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
)

// Deliver calls a door as another system does: the body signed with a secret,
// and more headers, name and value in turn.
func (w *World) Deliver(path, secret, body string, headers ...string) (status int, answer string) {
	w.T.Helper()
	req, err := http.NewRequestWithContext(w.T.Context(), http.MethodPost, "http://"+w.Address()+path, strings.NewReader(body))
	if err != nil {
		w.T.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body)) // never fails, by its documentation
	signature := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", signature)
	req.Header.Set("X-Slipway-Signature-256", signature)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
