package localenv

import (
	"context"
	"fmt"
	"os"
	"time"
)

// deploy replaces the served release, or says why not. It can be repeated after a
// crash at any point: every step of it is either repeated or already done.
func (k *keeper) deploy(ctx context.Context, o order) (Status, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)() //nolint:contextcheck // a caller that is gone wants it no more
	if err := k.admit(o.req); err != nil {
		return Status{}, err
	}
	r := release{ID: releaseID(o.req.Version, o.req.Run), Service: o.req.Service, Version: o.req.Version, Run: o.req.Run}
	if k.state.Confirmed == r.ID && k.serving.ID == r.ID && k.proc != nil && k.healthy(ctx) {
		out := k.show(Running)
		out.Unchanged = true
		return out, nil
	}
	if err := k.shelf.add(r, o.req.Artefact); err != nil {
		return Status{}, fmt.Errorf("%w: take over the artefact: %w", ErrInvalid, err)
	}
	return k.replace(ctx, r)
}

// admit lets a request in and remembers its fence before anything is done.
func (k *keeper) admit(req Request) error {
	if req.Fence < k.state.Fence {
		return fmt.Errorf("%w: %d after %d; a newer run deployed to %s meanwhile", ErrFence, req.Fence, k.state.Fence, k.env.Name)
	}
	if k.serving.Service != "" && k.serving.Service != req.Service {
		return fmt.Errorf("%w: %s serves %s; a local environment has room for one service", ErrInvalid, k.env.Name, k.serving.Service)
	}
	next := k.state
	next.Fence = req.Fence
	if err := k.shelf.save(next, stateName); err != nil {
		return fmt.Errorf("%w: remember the fence: %w", ErrFailed, err)
	}
	k.state = next
	return nil
}

// replace switches to a release, and back if it does not get healthy.
func (k *keeper) replace(ctx context.Context, r release) (Status, error) {
	old := k.serving
	k.again.Stop()
	k.stop()
	if err := k.bringUp(ctx, r); err != nil {
		k.goBack(ctx, old)
		return Status{}, err
	}
	next := k.state
	next.Confirmed = r.ID
	if err := k.shelf.save(next, stateName); err != nil {
		k.goBack(ctx, old)
		return Status{}, fmt.Errorf("%w: remember the release: %w", ErrFailed, err)
	}
	k.state, k.backoff = next, firstBackoff
	if err := k.shelf.prune(r.ID, old.ID); err != nil {
		k.log.Warn("old releases stay", "error", err)
	}
	k.log.Info("release deployed", "release", r.ID, "service", r.Service, "version", r.Version, "url", "http://"+k.env.Listen)
	return k.show(Running), nil
}

func (k *keeper) bringUp(ctx context.Context, r release) error {
	if err := k.shelf.switchTo(r.ID); err != nil {
		return fmt.Errorf("%w: switch to %s: %w", ErrFailed, r.ID, err)
	}
	k.serving, k.started = r, 0
	if err := k.start(r); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnhealthy, r.ID, err)
	}
	k.show(Starting)
	return k.awaitHealth(ctx)
}

// awaitHealth returns when the process just started answers, or cannot any more.
func (k *keeper) awaitHealth(ctx context.Context) error {
	limit := time.NewTimer(k.cfg.Healthy)
	defer limit.Stop()
	poll := time.NewTicker(healthPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s: given up before it was healthy: %w", ErrFailed, k.serving.ID, context.Cause(ctx))
		case <-k.proc.exited():
			return k.unhealthy("it ended: " + k.proc.outcome())
		case <-limit.C:
			return k.unhealthy(fmt.Sprintf("/healthz did not answer 200 within %v", k.cfg.Healthy))
		case <-poll.C:
			if k.healthy(ctx) && !k.proc.over() {
				return nil
			}
		}
	}
}

func (k *keeper) unhealthy(why string) error {
	if said := k.proc.tail(); said != "" {
		return fmt.Errorf("%w: %s: %s; its last words:\n%s", ErrUnhealthy, k.serving.ID, why, said)
	}
	return fmt.Errorf("%w: %s: %s; it said nothing", ErrUnhealthy, k.serving.ID, why)
}

// goBack serves what was served before. When the whole keeper is ending, the next
// start does that, by what is confirmed.
func (k *keeper) goBack(ctx context.Context, old release) {
	failed := k.serving.ID
	k.stop()
	k.serving, k.started = old, 0
	if old.ID == "" {
		if err := os.Remove(k.shelf.currentLink()); err != nil {
			k.log.Warn("the link to the failed release stays", "error", err)
		}
		k.show(Empty)
		return
	}
	if err := k.shelf.switchTo(old.ID); err != nil {
		k.log.Error("the release before cannot be served", "release", old.ID, "error", err)
		k.show(Down)
		return
	}
	k.log.Warn("went back to the release before", "release", old.ID, "failed", failed, "cancelled", ctx.Err() != nil)
	k.restart()
	if k.proc != nil && k.awaitHealth(ctx) == nil { // else the keeper goes on trying
		k.show(Running)
	}
}
