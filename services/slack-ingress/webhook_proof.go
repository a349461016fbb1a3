package ingress

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub's old header, for projects that allow it
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/webhook"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const (
	// maxHookBody is the most that GitHub sends.
	maxHookBody = 25 << 20
	// smallHookBody is what nearly every delivery fits into. Of those maxOpen are
	// read side by side, and of longer ones maxBigBodies, so that unknown senders
	// can make us hold 228 MiB and no more.
	smallHookBody = 1 << 20
	maxBigBodies  = 4
	// hookReadTimeout is for the body: GitHub itself gives up after ten seconds.
	hookReadTimeout = 10 * time.Second
	// hookTurn is how long a delivery waits for its turn to be read.
	hookTurn = 5 * time.Second

	headerGitHub256  = "X-Hub-Signature-256"
	headerGitHub1    = "X-Hub-Signature"
	headerGeneric    = "X-Slipway-Signature-256"
	headerGenericID  = "X-Slipway-Delivery"
	headerGenericNow = "X-Slipway-Timestamp"
)

// errBusy: too much is under way at once.
var errBusy = errors.New("too many requests at once")

// claim is what a sender says of a delivery, before anything is proved.
type claim struct {
	// id of the delivery; empty: stamp and the digest of the body.
	id    string
	stamp string
	event string
	// signature over prefix and body, by algorithm.
	signature []byte
	algorithm func() hash.Hash
	prefix    string
}

// claimOf reads the headers. What is missing there costs no secret and no body.
func claimOf(h http.Header, at webhook.Address, now time.Time) (claim, *outcome) {
	if at.Kind() == pipeline.WebhookGeneric {
		return genericClaim(h, now)
	}
	c := claim{id: h.Get(headerDeliveryID), event: h.Get(headerEvent), algorithm: sha256.New}
	var ok bool
	switch c.signature, ok = signature(h.Get(headerGitHub256), "sha256=", sha256.Size); {
	case ok:
	case h.Get(headerGitHub256) == "" && h.Get(headerGitHub1) != "" && at.Webhook.AllowSHA1:
		c.algorithm = sha1.New
		if c.signature, ok = signature(h.Get(headerGitHub1), "sha1=", sha1.Size); !ok {
			return c, unsigned("the header " + headerGitHub1 + " is malformed")
		}
	default:
		return c, unsigned("the header " + headerGitHub256 + " is missing or malformed")
	}
	if !deliveryID.MatchString(c.id) {
		return c, &outcome{status: http.StatusBadRequest, word: "malformed", text: "the header " + headerDeliveryID + " is missing or malformed"}
	}
	return c, nil
}

// genericClaim: the signature covers the body alone, and then the body is the
// delivery; or time, id and body, and then the time must be now. Either way a
// recorded delivery that is sent again means the same runs, or nothing.
func genericClaim(h http.Header, now time.Time) (claim, *outcome) {
	c := claim{algorithm: sha256.New}
	var ok bool
	if c.signature, ok = signature(h.Get(headerGeneric), "sha256=", sha256.Size); !ok {
		return c, unsigned("the header " + headerGeneric + " is missing or malformed")
	}
	id, stamp := h.Get(headerGenericID), h.Get(headerGenericNow)
	if id != "" && !deliveryID.MatchString(id) {
		return c, &outcome{status: http.StatusBadRequest, word: "malformed", text: "the header " + headerGenericID + " is malformed"}
	}
	if stamp == "" {
		if id != "" {
			return c, &outcome{status: http.StatusBadRequest, word: "malformed", text: headerGenericID + " counts only with " + headerGenericNow + ", for then it is signed"}
		}
		return c, nil
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	skew := int64(request.MaxSkew / time.Second)
	if err != nil || seconds < now.Unix()-skew || seconds > now.Unix()+skew {
		return c, unsigned("the header " + headerGenericNow + " is malformed or not within five minutes of now")
	}
	c.id, c.stamp, c.prefix = id, "at:"+stamp+":", stamp+"."+id+"."
	return c, nil
}

func unsigned(why string) *outcome {
	return &outcome{status: http.StatusForbidden, word: "unsigned", text: why}
}

func signature(header, prefix string, size int) ([]byte, bool) {
	text, ok := strings.CutPrefix(header, prefix)
	if !ok {
		return nil, false
	}
	sum, err := hex.DecodeString(text)
	return sum, err == nil && len(sum) == size
}

// bodyID names a delivery by what was signed.
func bodyID(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// hookBody reads a body and proves it, in one pass over the wire.
func (s *Service) hookBody(w http.ResponseWriter, r *http.Request, c claim, at webhook.Address) ([]byte, *outcome) {
	keys, troubles := s.hookKeys(at)
	if len(keys) == 0 {
		return nil, &outcome{status: http.StatusServiceUnavailable, word: "no_secret", text: "the secret of this webhook cannot be read here; nothing is accepted until it can"}
	}
	macs := make([]hash.Hash, len(keys))
	writers := make([]io.Writer, len(keys))
	for i, key := range keys {
		macs[i] = hmac.New(c.algorithm, key)
		_, _ = macs[i].Write([]byte(c.prefix)) // a hash never fails
		writers[i] = macs[i]
	}
	body, refused := s.readHook(w, r, io.MultiWriter(writers...))
	if refused != nil {
		return nil, refused
	}
	proved := false
	for _, mac := range macs {
		proved = hmac.Equal(c.signature, mac.Sum(nil)) || proved
	}
	switch {
	case proved:
		return body, nil
	case len(troubles) > 0: // it may be right by the one that we cannot read
		return nil, &outcome{status: http.StatusServiceUnavailable, word: "no_secret", text: "a secret of this webhook cannot be read here, and the signature is not by the other"}
	}
	return nil, unsigned("the signature is wrong")
}

// readHook reads a body within size and time, and passes it through sum.
func (s *Service) readHook(w http.ResponseWriter, r *http.Request, sum io.Writer) ([]byte, *outcome) {
	if r.ContentLength > maxHookBody {
		return nil, tooLarge()
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(hookReadTimeout)) // not every writer can; the server's own bounds remain
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	select {
	case s.smallBodies <- struct{}{}:
		defer func() { <-s.smallBodies }()
	case <-time.After(hookTurn):
		return nil, &outcome{status: http.StatusServiceUnavailable, word: "busy", text: "too many deliveries at once; deliver it again"}
	case <-r.Context().Done():
		return nil, &outcome{status: http.StatusBadRequest, word: "unread", text: "the sender went away"}
	}
	from := io.TeeReader(http.MaxBytesReader(w, r.Body, maxHookBody), sum)
	var body bytes.Buffer
	n, err := io.CopyN(&body, from, smallHookBody)
	if err == nil && n == smallHookBody {
		select {
		case s.bigBodies <- struct{}{}:
			defer func() { <-s.bigBodies }()
		default:
			return nil, &outcome{status: http.StatusServiceUnavailable, word: "busy", text: "too many large deliveries at once; deliver it again"}
		}
		_, err = io.Copy(&body, from)
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, tooLarge()
	case err != nil && !errors.Is(err, io.EOF):
		return nil, &outcome{status: http.StatusBadRequest, word: "unread", text: "the body cannot be read"}
	}
	return body.Bytes(), nil
}

func tooLarge() *outcome {
	return &outcome{status: http.StatusRequestEntityTooLarge, word: "too_large", text: fmt.Sprintf("the body is over %d MiB", maxHookBody>>20)}
}
