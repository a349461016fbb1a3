package slackapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// DefaultURL is the base of Slack's Web API.
	DefaultURL = "https://slack.com/api/"
	// maxAnswer bounds an answer: 200 messages of history with metadata.
	maxAnswer = 8 << 20
	// defaultRest is how long a method rests after a 429 that says no time.
	defaultRest = 5 * time.Second
	// maxRest is the longest rest that is believed.
	maxRest = 10 * time.Minute
	// idleConnections is enough for one worker and its looks.
	idleConnections = 4
)

// Client calls one workspace.
type Client struct {
	base  string
	token string
	plain bool // the base is not https: a stand-in on this machine
	http  *http.Client
}

// New returns a client of the Web API at base (empty: Slack's own).
func New(base, token string) (*Client, error) {
	if base == "" {
		base = DefaultURL
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the Slack API URL must be like https://slack.com/api/")
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		transport = &http.Transport{}
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = idleConnections
	return &Client{
		base: strings.TrimSuffix(base, "/") + "/", token: token, plain: u.Scheme == "http",
		http: &http.Client{
			Transport: transport,
			// A redirect would repeat the call, and hand the token to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// answer is what every answer of Slack has.
type answer struct {
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	Needed string `json:"needed"`
}

// call does one call and decodes its answer into out (may be nil). Every error
// is an *Error. ctx bounds it; without a deadline it may take for ever.
func (c *Client) call(ctx context.Context, method string, form url.Values, out any) (http.Header, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+method, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, lost(method, false, errors.New("the request cannot be made"))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, lost(method, connected.Load(), err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end already, or abandoned
	if err := checkStatus(method, resp); err != nil {
		return resp.Header, err
	}
	return resp.Header, c.read(method, resp.Body, out)
}

func checkStatus(method string, resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests:
		return &Error{Method: method, Outcome: Limited, Code: "ratelimited", After: rest(resp.Header.Get("Retry-After"))}
	case resp.StatusCode >= http.StatusInternalServerError:
		return &Error{Method: method, Outcome: Unknown, Code: fmt.Sprintf("status %d", resp.StatusCode)}
	}
	return &Error{Method: method, Outcome: Unsent, Code: fmt.Sprintf("status %d: something before Slack answered", resp.StatusCode)}
}

func rest(header string) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(header))
	if err != nil || seconds <= 0 {
		return defaultRest
	}
	return min(time.Duration(seconds)*time.Second, maxRest)
}

func (c *Client) read(method string, body io.Reader, out any) error {
	data, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return lost(method, true, err)
	}
	var verdict answer
	if err := json.Unmarshal(data, &verdict); err != nil {
		return &Error{Method: method, Outcome: Unknown, Code: "an answer that is not JSON"}
	}
	if !verdict.OK {
		return c.refused(method, verdict)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return &Error{Method: method, Outcome: Unknown, Code: "an answer of another shape", cause: err}
	}
	return nil
}
