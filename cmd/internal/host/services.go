package host

import (
	"context"
	"fmt"
	"path/filepath"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/services/notifier"
	"github.com/slipway-hq/slipway/services/orchestrator"
	"github.com/slipway-hq/slipway/services/runner"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

// Orchestrator adds the orchestrator and mounts the API.
func (h *Host) Orchestrator(cfg orchestrator.Config, checks ...func(context.Context) []*apiv1.Check) (*orchestrator.Orchestrator, error) {
	conn, err := h.Conn("orchestrator")
	if err != nil {
		return nil, err
	}
	cfg.Replicas = h.Replicas
	o, err := orchestrator.New(cfg, orchestrator.Deps{
		Log: h.Log, Conn: conn, Holder: h.Name, Timing: lease.DefaultTiming(), Logger: h.Logger, Checks: checks,
	})
	if err != nil {
		return nil, err
	}
	for path, handler := range o.Handlers() {
		h.Handle(path, handler)
	}
	h.Add("orchestrator", o.Run)
	return o, nil
}

// Ingress adds slack-ingress and mounts its doors.
func (h *Host) Ingress(cfg ingress.Config) error {
	conn, err := h.Conn("slack-ingress")
	if err != nil {
		return err
	}
	s, err := ingress.New(cfg, ingress.Deps{Conn: conn, Logger: h.Logger})
	if err != nil {
		return err
	}
	doors := s.Handler()
	for _, path := range ingress.Paths() {
		h.Handle(path, doors)
	}
	h.ingress = s
	h.Health.Add("slack-ingress", s.Ready)
	h.Add("slack-ingress", s.Run)
	return nil
}

// IngressChecks lets doctor tell what slack-ingress lacks, where it is part of
// this process.
func (h *Host) IngressChecks(context.Context) []*apiv1.Check {
	if h.ingress == nil {
		return nil
	}
	var out []*apiv1.Check
	for _, f := range h.ingress.Findings() {
		out = append(out, &apiv1.Check{Name: f.Name, Level: apiv1.Check_LEVEL_WARNING, Finding: f.Finding, Remedy: f.Remedy})
	}
	return out
}

// Notifier adds the notifier. In one process with an orchestrator the two share
// a fold of the log; o is nil for a notifier alone.
func (h *Host) Notifier(cfg notifier.Config, o *orchestrator.Orchestrator) error {
	conn, err := h.Conn("notifier")
	if err != nil {
		return err
	}
	deps := notifier.Deps{Log: h.Log, Conn: conn, Logger: h.Logger, Holder: h.Name, Replicas: h.Replicas}
	if o != nil {
		deps.Projection, deps.Runners = o.Projection(), o.Runners
	}
	n, err := notifier.New(cfg, deps)
	if err != nil {
		return err
	}
	h.Add("notifier", n.Run)
	return nil
}

// SyncUnseen is doctor's word on servers that are not ours: their setting is not
// told to clients.
func SyncUnseen(context.Context) []*apiv1.Check {
	return []*apiv1.Check{{
		Name: "sync", Level: apiv1.Check_LEVEL_WARNING, Finding: "the servers' sync setting cannot be seen from here",
		Remedy: "make sure that jetstream { sync_interval: always } is set on each",
	}}
}

// SlackChecks lets doctor ask Slack whether the token is good.
func SlackChecks(cfg notifier.Config) func(context.Context) []*apiv1.Check {
	return func(ctx context.Context) []*apiv1.Check {
		var out []*apiv1.Check
		for _, f := range notifier.Check(ctx, cfg) {
			level := apiv1.Check_LEVEL_OK
			if !f.OK {
				level = apiv1.Check_LEVEL_ERROR
			}
			out = append(out, &apiv1.Check{Name: f.Name, Level: level, Finding: f.Finding, Remedy: f.Remedy})
		}
		return out
	}
}

// MessageChecks lets doctor tell which messages Slack would not take.
func (h *Host) MessageChecks() (func(context.Context) []*apiv1.Check, error) {
	conn, err := h.Conn("doctor")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) []*apiv1.Check {
		var out []*apiv1.Check
		for _, f := range notifier.CheckMessages(ctx, conn) {
			level := apiv1.Check_LEVEL_OK
			if !f.OK {
				level = apiv1.Check_LEVEL_WARNING
			}
			out = append(out, &apiv1.Check{Name: f.Name, Level: level, Finding: f.Finding, Remedy: f.Remedy})
		}
		return out
	}, nil
}

// Runner adds a runner that keeps its things in dir.
func (h *Host) Runner(cfg runner.Config, dir string, deps runner.Deps) (*runner.Runner, error) {
	conn, err := h.Conn("runner")
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("find the runner's folder: %w", err)
	}
	deps.Log, deps.Conn, deps.Logger, deps.Replicas, deps.Version = h.Log, conn, h.Logger, h.Replicas, Version()
	r, err := runner.New(cfg, deps)
	if err != nil {
		return nil, err
	}
	h.Add("runner", r.Run)
	return r, nil
}
