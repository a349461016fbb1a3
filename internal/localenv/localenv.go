// Package localenv is a deployment target on this machine: environments such as
// staging and production, each one service process on a loopback port, kept alive
// and replaced release by release.
//
// It is what the example deploys to, owned by `slipway up`; it is not a way to run
// services for others, and Slipway itself knows nothing of it: the example's
// pipeline reaches it by `slipway env deploy`, over a socket that only this user
// may open.
//
// Invariants: a release is served only after it answered its health check, and one
// that does not is replaced by the release before; deploying a release again
// changes nothing; a request with an older fence than one seen before is refused,
// so a stale runner can not undo a newer run; after a crash at any point the next
// start serves the last release that was confirmed.
package localenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Answers to a deploy request, kept across the socket; compare with errors.Is.
var (
	ErrFence       = errors.New("an older fence than the last one")
	ErrUnhealthy   = errors.New("the release is not healthy")
	ErrInvalid     = errors.New("invalid request")
	ErrUnavailable = errors.New("the local environment does not answer; is `slipway up` running?")
	ErrFailed      = errors.New("the local environment failed")
)

// Names of the variables by which a step finds its target: where the socket is, and
// the slipway program itself. `slipway up` sets them for its runner's steps.
const (
	URLVariable = "SLIPWAY_LOCALENV_URL"
	BinVariable = "SLIPWAY_BIN"
)

// socketPath is the longest path every system takes for a socket (macOS: 104).
const socketPath = 100

// Environment is one place to deploy to.
type Environment struct {
	Name   string
	Listen string // host:port on loopback; port 0 picks a free one
}

// Defaults are the example's environments.
func Defaults() []Environment {
	return []Environment{{Name: "staging", Listen: "127.0.0.1:8091"}, {Name: "production", Listen: "127.0.0.1:8092"}}
}

// Config is what New needs. The timings are for tests; zero means the default.
type Config struct {
	Dir          string // absolute; releases, logs and state live here
	Environments []Environment
	Logger       *slog.Logger

	Healthy  time.Duration // how long a new release may take to be healthy: 15 s
	Grace    time.Duration // between SIGTERM and SIGKILL: 5 s
	Interval time.Duration // between health checks of a running service: 5 s
}

// Server serves the environments.
type Server struct {
	cfg      Config
	listener net.Listener
	url      string
	extraDir string // of the socket, when Dir is too deep for one
	keepers  map[string]*keeper
	order    []string
}

var envName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

// New prepares the folder, ends what an earlier process left running and opens the
// socket; requests wait there until Run. The caller holds the lock on the data.
func New(cfg Config) (*Server, error) {
	setDefault(&cfg.Healthy, 15*time.Second)
	setDefault(&cfg.Grace, 5*time.Second)
	setDefault(&cfg.Interval, 5*time.Second)
	s := &Server{cfg: cfg, keepers: map[string]*keeper{}}
	for _, e := range cfg.Environments {
		if !envName.MatchString(e.Name) || s.keepers[e.Name] != nil {
			return nil, fmt.Errorf("local environment: %q is not a name, or there twice", e.Name)
		}
		k, err := newKeeper(cfg, e)
		if err != nil {
			return nil, fmt.Errorf("local environment %s: %w", e.Name, err)
		}
		s.keepers[e.Name] = k
		s.order = append(s.order, e.Name)
	}
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("local environment: %w", err)
	}
	return s, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

func (s *Server) listen() error {
	path := filepath.Join(s.cfg.Dir, "control.sock")
	if len(path) > socketPath {
		dir, err := os.MkdirTemp("", "slipway-") // mode 0700
		if err != nil {
			return err
		}
		s.extraDir, path = dir, filepath.Join(dir, "control.sock")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	s.listener, s.url = l, "unix://"+path
	return os.Chmod(path, 0o600)
}

// URL is where Deploy and List find this server.
func (s *Server) URL() string { return s.url }

// Run serves until ctx ends, then stops every service. Once it has returned no
// process it started is alive.
func (s *Server) Run(ctx context.Context) error {
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	start := newStarter()
	defer start.close()
	var keepers sync.WaitGroup
	for _, k := range s.keepers {
		k.starter = start
		keepers.Go(func() { k.run(run) })
	}
	srv := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return run }}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(s.listener) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	keepers.Wait()
	closing := srv.Close()
	if s.extraDir != "" {
		_ = os.RemoveAll(s.extraDir)
	}
	if err != nil {
		return fmt.Errorf("local environment: %w", err)
	}
	if closing != nil && !errors.Is(closing, net.ErrClosed) {
		return fmt.Errorf("close local environment: %w", closing)
	}
	return nil
}

// copyFile copies a program into a new file.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from) //nolint:gosec // named by a caller who is this user
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > maxArtefact {
		return fmt.Errorf("%s is not a file of at most %d bytes", from, int64(maxArtefact))
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700) //nolint:gosec // a program
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
