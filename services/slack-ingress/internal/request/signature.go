package request

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// HeaderSignature is the MAC that Slack signs a request with.
	HeaderSignature = "X-Slack-Signature"
	// HeaderTimestamp is when it was signed, in Unix seconds.
	HeaderTimestamp = "X-Slack-Request-Timestamp"

	// MaxSkew is how far Slack's clock and ours may differ, either way: the
	// five minutes of Slack's documentation.
	MaxSkew = 5 * time.Minute

	signatureVersion = "v0="
)

// ErrSignature says that a request does not prove that Slack sent it.
var ErrSignature = errors.New("signature refused")

// Verify checks Slack's v0 signature over the raw body, in constant time,
// against each of the secrets: two while one is being rotated. The error wraps
// ErrSignature and says no more than the caller may log.
func Verify(header http.Header, body []byte, now time.Time, secrets ...string) error {
	stamp := header.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return refusal("timestamp missing or malformed")
	}
	// Compared as seconds: a Duration would overflow for a far-off stamp.
	skew := int64(MaxSkew / time.Second)
	if unix := now.Unix(); seconds < unix-skew || seconds > unix+skew {
		return refusal("timestamp outside five minutes")
	}
	given, err := hex.DecodeString(strings.TrimPrefix(header.Get(HeaderSignature), signatureVersion))
	if err != nil || len(given) != sha256.Size || !strings.HasPrefix(header.Get(HeaderSignature), signatureVersion) {
		return refusal("signature missing or malformed")
	}
	ok := false
	for _, secret := range secrets {
		if secret != "" && hmac.Equal(given, sign(secret, stamp, body)) {
			ok = true
		}
	}
	if !ok {
		return refusal("signature wrong")
	}
	return nil
}

// sign is HMAC-SHA256 over "v0:timestamp:body", as in Slack's page "Verifying
// requests from Slack".
func sign(secret, stamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	return mac.Sum(nil)
}

type signatureError struct{ why string }

func refusal(why string) error                { return signatureError{why} }
func (e signatureError) Error() string        { return ErrSignature.Error() + ": " + e.why }
func (e signatureError) Is(target error) bool { return target == ErrSignature }
