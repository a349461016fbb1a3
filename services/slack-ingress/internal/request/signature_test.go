package request_test

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"crypto/hmac"
	"crypto/sha256"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

// Slack's documented example, from the page "Verifying requests from Slack".
const (
	docSecret    = "8f742231b10e8888abcd99yyyzzz85a5" //nolint:gosec // Slack's placeholder
	docStamp     = "1531420618"
	docSignature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
	docBody      = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)

func headers(stamp, signature string) http.Header {
	h := http.Header{}
	if stamp != "" {
		h.Set(request.HeaderTimestamp, stamp)
	}
	if signature != "" {
		h.Set(request.HeaderSignature, signature)
	}
	return h
}

func signed(secret, stamp, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

func TestSlacksDocumentedVectorHolds(t *testing.T) {
	now := time.Unix(1531420618, 0)
	h := headers(docStamp, docSignature)
	if err := request.Verify(h, []byte(docBody), now, docSecret); err != nil {
		t.Fatalf("Verify = %v", err)
	}
	if err := request.Verify(h, []byte(docBody), now, "another", docSecret); err != nil {
		t.Errorf("with a second secret: %v", err)
	}
	for _, lower := range []string{"x-slack-signature", "X-SLACK-SIGNATURE"} {
		h := http.Header{}
		h.Set(request.HeaderTimestamp, docStamp)
		h.Set(lower, docSignature)
		if err := request.Verify(h, []byte(docBody), now, docSecret); err != nil {
			t.Errorf("%s: %v", lower, err)
		}
	}
}

func TestSignaturesThatAreRefused(t *testing.T) {
	at := time.Unix(1531420618, 0)
	for name, c := range map[string]struct {
		header  http.Header
		body    string
		now     time.Time
		secrets []string
	}{
		"nothing":               {headers("", ""), docBody, at, []string{docSecret}},
		"no signature":          {headers(docStamp, ""), docBody, at, []string{docSecret}},
		"no timestamp":          {headers("", docSignature), docBody, at, []string{docSecret}},
		"timestamp no number":   {headers("soon", docSignature), docBody, at, []string{docSecret}},
		"timestamp beyond int":  {headers("99999999999999999999", docSignature), docBody, at, []string{docSecret}},
		"timestamp at the edge": {headers("-9223372036854775808", docSignature), docBody, at, []string{docSecret}},
		"far future":            {headers("9223372036854775807", docSignature), docBody, at, []string{docSecret}},
		"too old":               {headers(docStamp, docSignature), docBody, at.Add(request.MaxSkew + time.Second), []string{docSecret}},
		"too new":               {headers(docStamp, docSignature), docBody, at.Add(-request.MaxSkew - time.Second), []string{docSecret}},
		"tampered body":         {headers(docStamp, docSignature), docBody + "&x=1", at, []string{docSecret}},
		"empty body":            {headers(docStamp, docSignature), "", at, []string{docSecret}},
		"other timestamp":       {headers("1531420619", docSignature), docBody, at, []string{docSecret}},
		"wrong secret":          {headers(docStamp, docSignature), docBody, at, []string{"no"}},
		"no secret":             {headers(docStamp, docSignature), docBody, at, nil},
		"empty secret":          {headers(docStamp, signed("", docStamp, docBody)), docBody, at, []string{""}},
		"short":                 {headers(docStamp, docSignature[:20]), docBody, at, []string{docSecret}},
		"without version":       {headers(docStamp, strings.TrimPrefix(docSignature, "v0=")), docBody, at, []string{docSecret}},
		"other version":         {headers(docStamp, "v1="+strings.TrimPrefix(docSignature, "v0=")), docBody, at, []string{docSecret}},
		"not hex":               {headers(docStamp, "v0="+strings.Repeat("z", 64)), docBody, at, []string{docSecret}},
		"too long":              {headers(docStamp, docSignature+"00"), docBody, at, []string{docSecret}},
	} {
		err := request.Verify(c.header, []byte(c.body), c.now, c.secrets...)
		if !errors.Is(err, request.ErrSignature) {
			t.Errorf("%s: Verify = %v, want ErrSignature", name, err)
		}
	}
}

func TestSkewOfFiveMinutesIsStillTaken(t *testing.T) {
	at := time.Unix(1531420618, 0)
	for _, now := range []time.Time{at.Add(request.MaxSkew), at.Add(-request.MaxSkew)} {
		if err := request.Verify(headers(docStamp, docSignature), []byte(docBody), now, docSecret); err != nil {
			t.Errorf("at %v: %v", now.Sub(at), err)
		}
	}
}

// slack-go's verifier is a second opinion: both must say the same.
func TestVerifyAgreesWithSlackGo(t *testing.T) {
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	for _, body := range []string{"", "a=b", `{"type":"x"}`, "\x00\xff", strings.Repeat("x", 1<<16)} {
		for _, secret := range []string{docSecret, "other"} {
			h := headers(stamp, signed(secret, stamp, body))
			ours := request.Verify(h, []byte(body), time.Now(), docSecret) == nil
			theirs := false
			if v, err := slack.NewSecretsVerifier(h, docSecret); err == nil {
				_, _ = v.Write([]byte(body))
				theirs = v.Ensure() == nil
			}
			if ours != theirs {
				t.Errorf("body of %d bytes, secret %q: we say %v, slack-go says %v", len(body), secret, ours, theirs)
			}
		}
	}
}
