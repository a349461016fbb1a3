// Package callback makes and checks the address at which a running job may say
// something of its own: /callback/RUN/EXPIRY/SIGNATURE below the base address of
// slack-ingress.
//
// The runner makes one for each attempt and puts it into the job's environment;
// slack-ingress checks it. Both hold the same key; neither stores addresses.
// What is said there becomes a note of the run (orchestrator), which the
// notifier posts.
//
// Invariants: an address speaks for one run until one moment and for nothing
// else; nothing in it is believed before the signature holds, and the signature
// is compared in constant time; a key never appears in an error.
package callback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/identity"
)

// Prefix is how every path begins.
const Prefix = "/callback/"

// scope keeps a signature apart from whatever else the same key might sign.
const scope = "slipway callback v1"

// The reasons to refuse an address.
var (
	// ErrMalformed: it has not the form of an address of ours.
	ErrMalformed = errors.New("this is not an address for messages of a job")
	// ErrBad: it has the form, but we did not make it, or not with this key.
	ErrBad = errors.New("the signature of this address is wrong")
	// ErrExpired: we made it, and its time is over.
	ErrExpired = errors.New("this address has expired")
)

// Path is the address, below a base, at which a run may speak until expiry,
// which counts in whole seconds. key must not be empty, or everybody could make
// one.
func Path(key []byte, run string, expiry time.Time) string {
	until := strconv.FormatInt(expiry.Unix(), 10)
	return Prefix + run + "/" + until + "/" + sign(key, run, until)
}

// Verify returns the run that a path speaks for. The error is ErrMalformed,
// ErrBad or ErrExpired; an empty key accepts nothing.
func Verify(key []byte, path string, now time.Time) (run string, err error) {
	rest, ok := strings.CutPrefix(path, Prefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || !identity.IsRunID(parts[0]) {
		return "", ErrMalformed
	}
	run, until, signature := parts[0], parts[1], parts[2]
	expiry, err := strconv.ParseInt(until, 10, 64)
	if err != nil || expiry < 0 || len(signature) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return "", ErrMalformed
	}
	if len(key) == 0 || !hmac.Equal([]byte(signature), []byte(sign(key, run, until))) {
		return "", ErrBad
	}
	if now.Unix() >= expiry {
		return "", ErrExpired
	}
	return run, nil
}

// sign covers run and expiry as they are written: neither can hold a line end.
func sign(key []byte, run, until string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(scope + "\n" + run + "\n" + until))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
