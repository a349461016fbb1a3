package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// WatchCmd follows a run.
type WatchCmd struct {
	ID    string `arg:"" help:"Id of the run, or its unique beginning."`
	After uint64 `placeholder:"SEQUENCE" help:"Show only states after this sequence."`
}

// Help shows examples.
func (WatchCmd) Help() string {
	return "A lost connection is taken up where it broke. The exit code tells the outcome.\n\nExamples:\n\n  slipway watch d-4f7kq\n  slipway watch d-4f7kq --json | jq -r .status"
}

// Run shows the run until it ends.
func (w *WatchCmd) Run(g *Globals) error {
	return g.follow(func(ctx context.Context, c *client) error {
		last, err := g.show(ctx, c, w.ID, w.After, false)
		if err != nil {
			return err
		}
		if last == nil { // ended before After: nothing is sent, but it has an outcome
			resp, err := c.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: w.ID})
			if err != nil {
				return err
			}
			last = resp.GetRun()
		}
		return outcome(last)
	})
}

// redrawEvery is how often the seconds on a terminal move.
const redrawEvery = 200 * time.Millisecond

// show prints a run's progress until it ends, and returns how it ended: lines
// for people, or one line of JSON per change. A run that was just accepted is
// not streamed as JSON, and a server lost right after is waited for as well.
func (g *Globals) show(ctx context.Context, c *client, id string, after uint64, accepted bool) (*apiv1.Run, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates := make(chan *apiv1.Run)
	done := make(chan error, 1)
	f := &follower{lost: g.lost}
	if accepted {
		f.heard = time.Now()
	}
	go func() {
		done <- f.runs(ctx, c, id, after, func(r *apiv1.Run) {
			select {
			case updates <- r:
			case <-ctx.Done():
			}
		})
	}()
	view := newProgress(g)
	defer view.clear()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	var last *apiv1.Run
	for {
		select {
		case last = <-updates:
			if err := g.showOne(view, last, !accepted); err != nil {
				return last, err
			}
		case <-tick.C:
			if !g.JSON {
				view.redraw(time.Now())
			}
		case err := <-done:
			return last, err
		}
	}
}

func (g *Globals) showOne(view *progress, r *apiv1.Run, stream bool) error {
	switch {
	case !g.JSON:
		view.update(r, time.Now())
	case stream:
		return g.printProto(r)
	}
	return nil
}

// lost tells that the connection broke and is taken up again.
func (g *Globals) lost(err error) {
	if !g.JSON {
		g.notef("the connection was lost (%s); asking again\n", clean(root(err).Error()))
	}
}

const (
	// patience is how long a lost server is waited for: longer than a restart
	// with a large log, shorter than a forgotten terminal.
	patience = 5 * time.Minute
	// firstPause doubles up to lastPause between two tries.
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
	// firstTries is how often a server is asked that takes the question and hangs
	// up before it says anything: a replica on its way out, which a balancer still
	// chose. One that takes no question at all is not there.
	firstTries = 4
)

// follower takes a stream up again where it broke.
type follower struct {
	lost  func(error)
	heard time.Time // when the server was heard last
}

// runs calls on with each state after the sequence, until the run has ended.
func (f *follower) runs(ctx context.Context, c *client, id string, after uint64, on func(*apiv1.Run)) error {
	over := false
	return f.follow(ctx, func(ctx context.Context, heard func()) (bool, error) {
		stream, err := c.runs.WatchRun(ctx, &apiv1.WatchRunRequest{Id: id, AfterSequence: after})
		if err != nil {
			return false, err
		}
		defer func() { _ = stream.Close() }() // the answer is complete or broken by now
		received := false
		for stream.Receive() {
			r := stream.Msg().GetRun()
			heard()
			received = true
			after, over = max(after, r.GetSequence()), ended(r.GetStatus())
			id = r.GetId() // a beginning may become ambiguous, the whole id never
			on(r)
		}
		if err := stream.Err(); err != nil {
			return over, err
		}
		return over || !received && endedBefore(ctx, c, id, after), nil
	})
}

// endedBefore tells whether nothing came because nothing will: the run ended at
// or before the sequence.
func endedBefore(ctx context.Context, c *client, id string, after uint64) bool {
	resp, err := c.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: id})
	return err == nil && ended(resp.GetRun().GetStatus()) && resp.GetRun().GetSequence() <= after
}

// follow repeats once until it says that all is told. Before anything was heard
// nearly every error ends it; later only those that another try can not mend.
func (f *follower) follow(ctx context.Context, once func(ctx context.Context, heard func()) (over bool, err error)) error {
	pause := firstPause
	for tries := 1; ; tries++ {
		over, err := once(ctx, func() { f.heard, pause = time.Now(), firstPause })
		switch {
		case over:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !mendable(err):
			return err
		case err != nil && f.heard.IsZero() && (tries >= firstTries || !brokeOff(err)):
			return err
		case err != nil && !f.heard.IsZero() && time.Since(f.heard) > patience:
			return fmt.Errorf("gave up after %s: %w", lasting(patience), err)
		}
		if err != nil {
			f.lost(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

// brokeOff tells whether somebody took the question and hung up.
func brokeOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// mendable tells whether a broken stream may go on: the server restarts, a
// replica went away, the network has a hole.
func mendable(err error) bool {
	var answer *connect.Error
	if !errors.As(err, &answer) {
		return true
	}
	switch answer.Code() {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeAborted, connect.CodeCanceled:
		return true
	default:
		return !connect.IsWireError(err)
	}
}
