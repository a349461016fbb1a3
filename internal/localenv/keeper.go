package localenv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	// firstBackoff to slowestBackoff is the wait before a service that ended is
	// started again; one that ran for calm starts over with the first.
	firstBackoff   = 100 * time.Millisecond
	slowestBackoff = 10 * time.Second
	calm           = 10 * time.Second
	// healthTimeout bounds one health check, healthPoll spaces those of a new
	// release, sickChecks in a row restart a running one.
	healthTimeout = 2 * time.Second
	healthPoll    = 20 * time.Millisecond
	sickChecks    = 3
	stateName     = "state.json"
	pidName       = "pid.json"
	logName       = "service.log"
)

// State is how an environment's service is doing.
type State string

// The states. Empty is an environment that nothing was deployed to.
const (
	Empty    State = "empty"
	Starting State = "starting"
	Running  State = "running"
	Down     State = "down"
)

// Status is what an environment serves.
type Status struct {
	Environment string    `json:"environment"`
	URL         string    `json:"url"`
	State       State     `json:"state"`
	Service     string    `json:"service,omitempty"`
	Version     string    `json:"version,omitempty"`
	Release     string    `json:"release,omitempty"`
	Run         string    `json:"run,omitempty"`
	Fence       uint64    `json:"fence,omitempty"`
	PID         int       `json:"pid,omitempty"`
	Restarts    int       `json:"restarts,omitempty"` // since the release was started first
	Since       time.Time `json:"since,omitzero"`     // of the running process
	Log         string    `json:"log"`
	Unchanged   bool      `json:"unchanged,omitempty"` // the answer to a release that was already served
}

// order is a deploy request on its way to the keeper.
type order struct {
	ctx   context.Context //nolint:containedctx // the request's, carried to the goroutine that serves it
	req   Request
	reply chan<- answer
}

type answer struct {
	status Status
	err    error
}

// keeper serves one environment. Everything but orders and shown belongs to the
// goroutine of run.
type keeper struct {
	cfg     Config
	env     Environment
	shelf   shelf
	log     *slog.Logger
	client  *http.Client
	starter *starter
	orders  chan order
	shown   atomic.Pointer[Status]

	state   state
	serving release
	proc    *process
	backoff time.Duration
	again   *time.Timer // the next start of a service that ended
	soon    *time.Timer // the next look at a service that was started
	sick    int
	started int
}

func newKeeper(cfg Config, e Environment) (*keeper, error) {
	k := &keeper{cfg: cfg, env: e, shelf: shelf{dir: filepath.Join(cfg.Dir, e.Name)}, orders: make(chan order), backoff: firstBackoff,
		log: cfg.Logger.With("environment", e.Name),
		client: &http.Client{Timeout: healthTimeout, Transport: &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	k.again, k.soon = time.NewTimer(0), time.NewTimer(0)
	k.again.Stop()
	k.soon.Stop()
	if err := k.shelf.prepare(); err != nil {
		return nil, err
	}
	if err := k.shelf.load(&k.state, stateName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := k.endLeftover(); err != nil {
		return nil, err
	}
	var err error
	if k.env.Listen, err = fixPort(e.Listen); err != nil {
		return nil, err
	}
	k.show(Empty)
	return k, nil
}

// fixPort replaces port 0 by a free one, and refuses what is not loopback.
func fixPort(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", fmt.Errorf("%s is not a loopback address", listen)
	}
	if port != "0" {
		return listen, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// endLeftover ends a service process of an earlier keeper that was killed.
func (k *keeper) endLeftover() error {
	var old identity
	if err := k.shelf.load(&old, pidName); err != nil {
		return nil //nolint:nilerr // none, or half a file of a crash: then the process died with its keeper
	}
	if old.alive() {
		k.log.Warn("ending a service process left over from before", "pid", old.PID)
		if err := old.end(k.cfg.Grace); err != nil {
			return err
		}
	}
	return os.Remove(k.shelf.file(pidName))
}

// run starts what was confirmed last and keeps it alive until ctx ends.
func (k *keeper) run(ctx context.Context) {
	k.resume()
	check := time.NewTicker(k.cfg.Interval)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			k.stop()
			return
		case o := <-k.orders:
			status, err := k.deploy(ctx, o)
			o.reply <- answer{status, err}
		case <-k.proc.exited():
			k.died()
		case <-k.again.C:
			k.restart()
		case <-k.soon.C:
			k.look(ctx)
		case <-check.C:
			k.check(ctx)
		}
	}
}

// resume goes back to the confirmed release: one that was being deployed when the
// process was killed is not trusted until its deployment is repeated.
func (k *keeper) resume() {
	if k.state.Confirmed == "" {
		return
	}
	r, err := k.shelf.info(k.state.Confirmed)
	if err == nil {
		err = k.shelf.switchTo(r.ID)
	}
	if err != nil {
		k.log.Error("the confirmed release cannot be served", "release", k.state.Confirmed, "error", err)
		return
	}
	k.serving = r
	k.restart()
}

func (k *keeper) restart() {
	if k.serving.ID == "" {
		return
	}
	if err := k.start(k.serving); err != nil {
		k.log.Error("service does not start", "release", k.serving.ID, "error", err)
		k.later()
		return
	}
	k.show(Starting)
	k.soon.Reset(healthPoll)
}

// look waits for a started service's first good answer.
func (k *keeper) look(ctx context.Context) {
	switch {
	case k.proc == nil || k.shown.Load().State != Starting:
	case k.healthy(ctx):
		k.show(Running)
	default:
		k.soon.Reset(k.backoff)
	}
}

func (k *keeper) later() {
	k.show(Down)
	k.again.Reset(k.backoff)
	k.backoff = min(2*k.backoff, slowestBackoff)
}

// died notes that the service ended by itself and plans its next start.
func (k *keeper) died() {
	k.log.Warn("service ended", "release", k.serving.ID, "pid", k.proc.id.PID, "outcome", k.proc.outcome())
	if time.Since(k.proc.started) > calm {
		k.backoff = firstBackoff
	}
	k.forget()
	k.later()
}

// check restarts a service that stopped answering.
func (k *keeper) check(ctx context.Context) {
	if k.proc == nil {
		return
	}
	if k.healthy(ctx) {
		k.sick = 0
		k.show(Running)
		return
	}
	if k.sick++; k.sick < sickChecks || ctx.Err() != nil {
		return
	}
	k.log.Warn("service does not answer; restarting it", "release", k.serving.ID, "pid", k.proc.id.PID)
	k.stop()
	k.later()
}

func (k *keeper) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+k.env.Listen+"/healthz", nil)
	if err != nil {
		return false
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// start runs a release's program. The port must be free: an answer from somebody
// else's program must never pass for its health.
func (k *keeper) start(r release) error {
	l, err := net.Listen("tcp", k.env.Listen)
	if err != nil {
		return fmt.Errorf("the address %s is taken by another program: %w", k.env.Listen, err)
	}
	if err := l.Close(); err != nil {
		return err
	}
	p, err := k.starter.start(launch{
		program: k.shelf.program(r.ID), dir: k.shelf.folder(r.ID), log: k.shelf.file(logName),
		env: serviceEnv(k.env, r),
	})
	if err != nil {
		return err
	}
	k.proc, k.sick = p, 0
	k.started++
	if err := k.shelf.save(p.id, pidName); err != nil {
		k.stop()
		return err
	}
	return nil
}

// serviceEnv is all that a service gets: nothing of Slipway's own environment.
func serviceEnv(e Environment, r release) []string {
	_, port, _ := net.SplitHostPort(e.Listen)
	return []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "ADDR=" + e.Listen, "PORT=" + port,
		"ENVIRONMENT=" + e.Name, "VERSION=" + r.Version, "RELEASE=" + r.ID}
}

// stop ends the process and waits for it.
func (k *keeper) stop() {
	if k.proc == nil {
		return
	}
	k.proc.end(k.cfg.Grace)
	k.forget()
}

func (k *keeper) forget() {
	k.proc = nil
	if err := os.Remove(k.shelf.file(pidName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Warn("pid file stays", "error", err)
	}
}

func (k *keeper) show(s State) Status {
	out := Status{Environment: k.env.Name, URL: "http://" + k.env.Listen, State: s, Service: k.serving.Service, Version: k.serving.Version,
		Release: k.serving.ID, Run: k.serving.Run, Fence: k.state.Fence, Log: k.shelf.file(logName), Restarts: max(k.started-1, 0)}
	if k.proc != nil {
		out.PID, out.Since = k.proc.id.PID, k.proc.started
	}
	k.shown.Store(&out)
	return out
}
