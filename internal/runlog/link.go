package runlog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// PagePath is where the page of a run's output is; its id follows.
	PagePath = "/logs/"
	// linkLife is how long an address is good after the run was asked for: longer
	// than a run waits and its output is kept by default.
	linkLife = 30 * 24 * time.Hour
	// linkScope keeps a signature apart from whatever else the same key signs.
	linkScope = "slipway logs v1"

	paramUntil     = "until"
	paramSignature = "signature"
)

// Link makes and checks addresses of the page that shows a run's output. A
// browser cannot send the API's token, so the address itself carries the right
// to read this one run for a time. The notifier makes them, the orchestrator
// checks them; both hold the same key. The zero Link makes and accepts none.
type Link struct {
	// Base is how people reach the API, for example https://slipway.example.com
	Base string
	// Key signs; without one addresses carry no right, and only callers on the
	// orchestrator's machine, or with the token, are answered.
	Key []byte
}

// URL is the address for a run that was asked for at created: always the same
// one, so that a message that shows it need not change. Empty without a base.
func (l Link) URL(run string, created time.Time) string {
	if l.Base == "" {
		return ""
	}
	page := strings.TrimRight(l.Base, "/") + PagePath + url.PathEscape(run)
	if len(l.Key) == 0 {
		return page
	}
	until := strconv.FormatInt(created.Add(linkLife).Unix(), 10)
	return page + "?" + url.Values{paramUntil: {until}, paramSignature: {l.sign(run, until)}}.Encode()
}

// Verify tells whether the query of an address gives the right to read the run's
// output now.
func (l Link) Verify(run string, query url.Values, now time.Time) bool {
	until := query.Get(paramUntil)
	expiry, err := strconv.ParseInt(until, 10, 64)
	return len(l.Key) > 0 && err == nil && now.Unix() < expiry &&
		hmac.Equal([]byte(query.Get(paramSignature)), []byte(l.sign(run, until)))
}

// Right is the part of a query that gives the right, to be kept in the links of
// the page itself.
func Right(query url.Values) url.Values {
	out := url.Values{}
	for _, name := range []string{paramUntil, paramSignature} {
		if v := query.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	return out
}

func (l Link) sign(run, until string) string {
	mac := hmac.New(sha256.New, l.Key)
	mac.Write([]byte(linkScope + "\n" + run + "\n" + until))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
