package reply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

const (
	// maxDrain is how much of an answer to a post is read so that the
	// connection can be used again.
	maxDrain = 4 << 10
	// defaultRetryAfter is for a 429 that does not say when.
	defaultRetryAfter = time.Second
)

// errURLUnusable says that a response URL is not to be used, or that Slack
// refused it: nothing was posted.
var errURLUnusable = errors.New("response URL unusable")

// postURL posts an answer to the response URL: one use of the five that Slack
// allows within half an hour. A ticket is answered at most twice.
func (t *Teller) postURL(ctx context.Context, j job) error {
	if !Allowed(j.to.ResponseURL, t.cfg.APIURL) {
		return errURLUnusable
	}
	message := Render(j.answer)
	if public(j.answer) {
		message.ThreadTS = j.to.Thread
	}
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.to.ResponseURL, bytes.NewReader(body))
	if err != nil {
		return errURLUnusable // the error would name the URL
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := t.http.Do(req)
	if err != nil {
		return fmt.Errorf("post to the response URL: %w", plain(err))
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	return verdict(resp)
}

func verdict(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &slack.RateLimitedError{RetryAfter: retryAfter(resp.Header)}
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 500:
		return fmt.Errorf("%w: HTTP status %d", errURLUnusable, code)
	default:
		return fmt.Errorf("post to the response URL: HTTP status %d", code)
	}
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return defaultRetryAfter
	}
	return time.Duration(seconds) * time.Second
}

// Allowed tells whether a response URL may be posted to: over https anywhere,
// since Slack signed it; over http only to the very host of the Web API, or
// within this machine when the Web API is.
func Allowed(responseURL, apiURL string) bool {
	to, err := url.Parse(responseURL)
	if err != nil || to.Host == "" || to.User != nil {
		return false
	}
	if to.Scheme == "https" {
		return true
	}
	api, err := url.Parse(apiURL)
	if err != nil || to.Scheme != "http" || api.Scheme != "http" || api.Host == "" {
		return false
	}
	return strings.EqualFold(to.Host, api.Host) || loopback(to.Hostname()) && loopback(api.Hostname())
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// plain strips the address from an error of net/http: it may be a secret.
func plain(err error) error {
	var addressed *url.Error
	if errors.As(err, &addressed) {
		return addressed.Err
	}
	return err
}
