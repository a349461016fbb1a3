package localenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
)

// maxBody bounds requests and answers on the socket.
const maxBody = 256 << 10

// Request asks for a release. Version and Run together name it: asking again for
// the same one changes nothing.
type Request struct {
	Environment string `json:"environment"`
	Service     string `json:"service"`
	Version     string `json:"version"` // may be empty
	Run         string `json:"run"`
	Fence       uint64 `json:"fence"`    // SLIPWAY_FENCE of the step
	Artefact    string `json:"artefact"` // absolute path of the program
}

func (r Request) check() error {
	switch {
	case r.Environment == "" || r.Service == "" || r.Run == "":
		return fmt.Errorf("%w: environment, service and run are needed", ErrInvalid)
	case !filepath.IsAbs(r.Artefact):
		return fmt.Errorf("%w: the artefact's path %q is not absolute", ErrInvalid, r.Artefact)
	}
	return nil
}

// failure is how an error crosses the socket.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// codes are the errors that keep their identity, with their HTTP status.
var codes = []struct {
	code string
	err  error
	http int
}{
	{"fence", ErrFence, http.StatusConflict},
	{"unhealthy", ErrUnhealthy, http.StatusUnprocessableEntity},
	{"invalid", ErrInvalid, http.StatusBadRequest},
	{"failed", ErrFailed, http.StatusInternalServerError},
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		out := make([]Status, 0, len(s.order))
		for _, name := range s.order {
			out = append(out, *s.keepers[name].shown.Load())
		}
		answerJSON(w, http.StatusOK, out)
	})
	mux.HandleFunc("POST /deploy", func(w http.ResponseWriter, r *http.Request) {
		var req Request
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&req)
		if err != nil {
			refuse(w, fmt.Errorf("%w: %w", ErrInvalid, err))
			return
		}
		status, err := s.deploy(r.Context(), req)
		if err != nil {
			refuse(w, err)
			return
		}
		answerJSON(w, http.StatusOK, status)
	})
	return mux
}

// deploy hands the request to the environment's keeper and waits for its turn.
func (s *Server) deploy(ctx context.Context, req Request) (Status, error) {
	if err := req.check(); err != nil {
		return Status{}, err
	}
	k := s.keepers[req.Environment]
	if k == nil {
		return Status{}, fmt.Errorf("%w: there is no environment %q; there are: %s", ErrInvalid, req.Environment, strings.Join(s.order, ", "))
	}
	reply := make(chan answer, 1)
	select {
	case k.orders <- order{ctx, req, reply}:
	case <-ctx.Done():
		return Status{}, fmt.Errorf("%w: %w", ErrFailed, context.Cause(ctx))
	}
	a := <-reply // the keeper always answers, soon after ctx ends
	return a.status, a.err
}

func refuse(w http.ResponseWriter, err error) {
	status, code := http.StatusInternalServerError, "failed"
	for _, c := range codes {
		if errors.Is(err, c.err) {
			status, code = c.http, c.code
			break
		}
	}
	answerJSON(w, status, failure{Code: code, Message: err.Error()})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone if this fails
}

// Deploy asks the server at url for a release and waits until it is served. The
// error is one of this package's, with a sentence for a person.
func Deploy(ctx context.Context, url string, req Request) (Status, error) {
	if err := req.check(); err != nil {
		return Status{}, err
	}
	b, err := json.Marshal(req)
	if err != nil {
		return Status{}, fmt.Errorf("deploy: %w", err)
	}
	var out Status
	err = call(ctx, url, http.MethodPost, "/deploy", b, &out)
	return out, err
}

// List says what every environment of the server at url serves.
func List(ctx context.Context, url string) ([]Status, error) {
	var out []Status
	err := call(ctx, url, http.MethodGet, "/status", nil, &out)
	return out, err
}

func call(ctx context.Context, url, method, path string, body []byte, out any) error {
	socket, ok := strings.CutPrefix(url, "unix://")
	if !ok {
		return fmt.Errorf("%w: %q is not unix://PATH (set %s)", ErrInvalid, url, URLVariable)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://localenv"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call local environment: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("%w (%w)", ErrUnavailable, err)
	}
	if resp.StatusCode == http.StatusOK {
		return json.Unmarshal(b, out)
	}
	return asError(b)
}

// remote is an error of the server, with its sentence and its identity.
type remote struct {
	message string
	kind    error
}

func (r remote) Error() string { return r.message }
func (r remote) Unwrap() error { return r.kind }

func asError(b []byte) error {
	var f failure
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	for _, c := range codes {
		if c.code == f.Code {
			return remote{f.Message, c.err}
		}
	}
	return remote{f.Message, ErrFailed}
}
