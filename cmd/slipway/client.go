package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
)

// callTimeout bounds one question to the API: twice what its slowest unary
// method, the doctor, allows itself.
const callTimeout = 30 * time.Second

// client speaks to one Slipway.
type client struct {
	runs   apiv1connect.RunServiceClient
	lanes  apiv1connect.LaneServiceClient
	jobs   apiv1connect.JobServiceClient
	system apiv1connect.SystemServiceClient
	server string
}

// connect prepares a client; nothing is sent yet.
func (g *Globals) connect() (*client, error) {
	server, err := serverURL(g.Server)
	if err != nil {
		return nil, err
	}
	token, _, err := settings.LookupSecret("SLIPWAY_API_TOKEN")
	if err != nil {
		return nil, &failure{code: exitUsage, message: err.Error()}
	}
	web := &http.Client{
		Transport: bearer{token: token, next: http.DefaultTransport},
		// A token must not follow a redirect to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	calls := connect.WithInterceptors(connect.UnaryInterceptorFunc(g.logCalls))
	return &client{
		runs:   apiv1connect.NewRunServiceClient(web, server, calls),
		lanes:  apiv1connect.NewLaneServiceClient(web, server, calls),
		jobs:   apiv1connect.NewJobServiceClient(web, server, calls),
		system: apiv1connect.NewSystemServiceClient(web, server, calls),
		server: server,
	}, nil
}

// logCalls tells, at level debug, what is asked and how long the answer took.
func (g *Globals) logCalls(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		began := time.Now()
		resp, err := next(ctx, req)
		code := "ok"
		if err != nil {
			code = connect.CodeOf(err).String()
		}
		g.log.DebugContext(ctx, "api call", "procedure", req.Spec().Procedure, "code", code, "took", time.Since(began))
		return resp, err
	}
}

// defaultServer is where `slipway up` listens.
const defaultServer = "http://127.0.0.1:8080"

// serverURL accepts host:port for http://host:port; an empty variable is none.
func serverURL(text string) (string, error) {
	if text == "" {
		return defaultServer, nil
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", &failure{code: exitUsage, message: fmt.Sprintf("%q is not the address of a server", text), next: "write --server http://HOST:PORT"}
	}
	if u.User != nil {
		return "", &failure{code: exitUsage, message: "the address of the server holds a password", next: "set SLIPWAY_API_TOKEN instead"}
	}
	return strings.TrimRight(text, "/"), nil
}

// bearer adds the token to every request.
type bearer struct {
	token telemetry.Secret
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(b.token))
	}
	return b.next.RoundTrip(r)
}

// ask calls do with a client and explains its error. The context ends with
// Ctrl-C and after callTimeout.
func (g *Globals) ask(do func(context.Context, *client) error) error {
	return g.follow(func(ctx context.Context, c *client) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return do(ctx, c)
	})
}

// follow is ask for what may go on for long.
func (g *Globals) follow(do func(context.Context, *client) error) error {
	c, err := g.connect()
	if err != nil {
		return err
	}
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	if err = do(ctx, c); err != nil && ctx.Err() != nil {
		return &failure{code: exitInterrupted, message: "interrupted", quiet: true}
	}
	return explain(c.server, err)
}

// explain turns an error of a call into words. What the API said is shown as it
// said it.
func explain(server string, err error) error {
	var answer *connect.Error
	if err == nil || !errors.As(err, &answer) {
		return err
	}
	if !connect.IsWireError(err) {
		return unanswered(server, answer)
	}
	code, known := exitByCode[answer.Code()]
	if !known {
		code = exitFailed
	}
	return &failure{code: code, message: answer.Message(), next: nextByCode[answer.Code()]}
}

// nextByCode is what to do about an answer that does not say it itself.
var nextByCode = map[connect.Code]string{
	connect.CodeUnauthenticated: "set SLIPWAY_API_TOKEN, or SLIPWAY_API_TOKEN_FILE, to the token of the server",
}

// unanswered explains an error that no API answered.
func unanswered(server string, err *connect.Error) error {
	switch err.Code() {
	case connect.CodeDeadlineExceeded:
		return &failure{code: exitUnavailable, message: fmt.Sprintf("%s took the question and did not answer in %s", server, lasting(callTimeout)), next: "its /readyz and its log say what it waits for"}
	case connect.CodeUnavailable, connect.CodeCanceled:
		why := ""
		if !errors.Is(err, syscall.ECONNREFUSED) {
			why = " (" + root(err).Error() + ")"
		}
		return &failure{code: exitUnavailable, message: fmt.Sprintf("no Slipway answers at %s%s: start one with `slipway up`, or name another with --server / SLIPWAY_API_URL", server, why)}
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return &failure{code: exitRefused, message: fmt.Sprintf("the API at %s refuses this caller (%s)", server, err.Message()), next: nextByCode[connect.CodeUnauthenticated]}
	default:
		return &failure{code: exitFailed, message: fmt.Sprintf("what answers at %s is not a Slipway API (%s)", server, err.Message()), next: "name the right one with --server / SLIPWAY_API_URL"}
	}
}

// root is the innermost cause.
func root(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
