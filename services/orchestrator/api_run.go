package orchestrator

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/projection"
)

const (
	// maxWait bounds every long poll.
	maxWait = time.Minute
	// defaultWait is a long poll's when the caller names none.
	defaultWait = 30 * time.Second
	// commandWait bounds how long a command waits for the log.
	commandWait = 10 * time.Second
)

// runAPI serves RunService.
type runAPI struct {
	desk  *desk
	view  *view
	proj  *projection.Projection
	logs  *logReader
	guard guard
}

func (a *runAPI) asker() asker {
	return asker{principal: a.guard.principal(), subject: policy.Subject{Kind: policy.KindAPI}, origin: &eventv1.Origin{Door: eventv1.Origin_DOOR_API}}
}

// maxKey bounds an idempotency key.
const maxKey = 200

// StartRun asks for a run.
func (a *runAPI) StartRun(ctx context.Context, req *apiv1.StartRunRequest) (*apiv1.StartRunResponse, error) {
	key := req.GetIdempotencyKey()
	if len(key) > maxKey {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the idempotency key is longer than 200 bytes"))
	}
	if key == "" {
		key = rand.Text()
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	who := a.asker()
	s, err := a.desk.start(ctx, who, deployment{
		identity: "api|" + who.principal.GetName() + "|" + key,
		service:  req.GetService(), environment: req.GetEnvironment(), version: req.GetVersion(), parameters: req.GetParameters(),
	})
	if err != nil {
		return nil, apiError(err, s.ID)
	}
	out, err := a.shown(ctx, s)
	return &apiv1.StartRunResponse{Run: out}, err
}

// shown is the run as of s or later.
func (a *runAPI) shown(ctx context.Context, s run.State) (*apiv1.Run, error) {
	if err := a.proj.WaitFor(ctx, s.Sequence); err != nil {
		return wholeRun(&s, a.view.short(s.ID)), nil // done, only not yet visible here
	}
	out, err := a.view.get(ctx, s.ID)
	return out, apiError(err, s.ID)
}

// GetRun answers for one run, and may wait for a change.
func (a *runAPI) GetRun(ctx context.Context, req *apiv1.GetRunRequest) (*apiv1.GetRunResponse, error) {
	if err := a.await(ctx, max(req.GetMinSequence(), req.GetAfterSequence())); err != nil {
		return nil, err
	}
	id, err := a.view.find(ctx, req.GetId())
	if err != nil {
		return nil, apiError(err, req.GetId())
	}
	if req.GetAfterSequence() > 0 {
		a.awaitChange(ctx, id, req)
	}
	out, err := a.view.get(ctx, id)
	if err != nil {
		return nil, apiError(err, req.GetId())
	}
	return &apiv1.GetRunResponse{Run: out}, nil
}

// await returns when this replica has folded sequence.
func (a *runAPI) await(ctx context.Context, sequence uint64) error {
	if sequence == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, defaultWait)
	defer cancel()
	if err := a.proj.WaitFor(ctx, sequence); err != nil {
		return connect.NewError(connect.CodeUnavailable, errors.New("this replica has not seen that sequence yet: ask again"))
	}
	return nil
}

// awaitChange returns when the run has moved past after_sequence, has ended, or
// the wait is over.
func (a *runAPI) awaitChange(ctx context.Context, id string, req *apiv1.GetRunRequest) {
	wait := min(req.GetWait().AsDuration(), maxWait)
	if wait <= 0 {
		wait = defaultWait
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	wake, stop := a.proj.WatchRun(id)
	defer stop()
	for !a.moved(id, req.GetAfterSequence()) {
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

func (a *runAPI) moved(id string, after uint64) (moved bool) {
	a.proj.Read(func(b *board.Board) {
		l, ok := b.Live(id)
		moved = !ok || l.State.Sequence > after || l.State.Status.Ended()
	})
	return moved
}

// ListRuns lists newest first.
func (a *runAPI) ListRuns(ctx context.Context, req *apiv1.ListRunsRequest) (*apiv1.ListRunsResponse, error) {
	if err := a.await(ctx, req.GetMinSequence()); err != nil {
		return nil, err
	}
	runs, next, err := a.view.list(req)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return &apiv1.ListRunsResponse{Runs: runs, NextPageToken: next}, nil
}

// WatchRun streams a snapshot, then every change, until the run ended. What
// changes around the run (its place in the queue) is sent as well.
func (a *runAPI) WatchRun(ctx context.Context, req *apiv1.WatchRunRequest, stream *connect.ServerStream[apiv1.WatchRunResponse]) error {
	return a.watch(ctx, req.GetId(), req.GetAfterSequence(), func(r *apiv1.Run) error {
		return stream.Send(&apiv1.WatchRunResponse{Run: r})
	})
}

// watch sends what WatchRun streams.
func (a *runAPI) watch(ctx context.Context, prefix string, after uint64, send func(*apiv1.Run) error) error {
	// What another replica has told must not be followed by what was before.
	if err := a.await(ctx, after); err != nil {
		return err
	}
	id, err := a.view.find(ctx, prefix)
	if err != nil {
		return apiError(err, prefix)
	}
	wake, stop := a.proj.WatchRun(id)
	defer stop()
	first, err := a.view.get(ctx, id)
	if err != nil {
		return apiError(err, id)
	}
	around, stopLane := a.proj.WatchLane(first.GetLane())
	defer stopLane()
	var last *apiv1.Run
	if first.GetSequence() <= after {
		last = first // the caller has seen that already, but not what changes around it
	}
	for {
		now, err := a.view.get(ctx, id)
		if err != nil {
			return apiError(err, id)
		}
		if differs(last, now) {
			if err := send(now); err != nil {
				return err
			}
			last = now
		}
		if ended(now.GetStatus()) {
			return nil
		}
		select {
		case <-wake:
		case <-around:
		case <-ctx.Done():
			return nil
		}
	}
}

func differs(a, b *apiv1.Run) bool {
	return a == nil || a.GetSequence() != b.GetSequence() || a.GetStatus() != b.GetStatus() || a.GetReason() != b.GetReason() || a.GetPosition() != b.GetPosition()
}

func ended(s apiv1.RunStatus) bool { return s >= apiv1.RunStatus_RUN_STATUS_SUCCEEDED }

// CancelRun asks for the end of a run.
func (a *runAPI) CancelRun(ctx context.Context, req *apiv1.CancelRunRequest) (*apiv1.CancelRunResponse, error) {
	out, err := a.steer(ctx, req.GetId(), func(ctx context.Context, id string) (run.State, error) {
		return a.desk.cancel(ctx, a.asker(), id, clip(req.GetReason()))
	})
	return &apiv1.CancelRunResponse{Run: out}, err
}

// RetryRun starts a new run that carries the finished steps over.
func (a *runAPI) RetryRun(ctx context.Context, req *apiv1.RetryRunRequest) (*apiv1.RetryRunResponse, error) {
	out, err := a.steer(ctx, req.GetId(), func(ctx context.Context, id string) (run.State, error) {
		return a.desk.retry(ctx, a.asker(), id, req.GetIdempotencyKey())
	})
	return &apiv1.RetryRunResponse{Run: out}, err
}

var answers = map[string]eventv1.StepAnswered_Answer{
	"repeat": eventv1.StepAnswered_ANSWER_REPEAT,
	"done":   eventv1.StepAnswered_ANSWER_DONE,
	"fail":   eventv1.StepAnswered_ANSWER_FAIL,
}

// AnswerRun answers the question that a run waits with.
func (a *runAPI) AnswerRun(ctx context.Context, req *apiv1.AnswerRunRequest) (*apiv1.AnswerRunResponse, error) {
	word, ok := answers[req.GetAnswer()]
	if !ok {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("answer repeat, done or fail"))
	}
	out, err := a.steer(ctx, req.GetId(), func(ctx context.Context, id string) (run.State, error) {
		return a.desk.answer(ctx, a.asker(), id, word, 0)
	})
	return &apiv1.AnswerRunResponse{Run: out}, err
}

func (a *runAPI) steer(ctx context.Context, prefix string, do func(context.Context, string) (run.State, error)) (*apiv1.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	id, err := a.view.find(ctx, prefix)
	if err != nil {
		return nil, apiError(err, prefix)
	}
	s, err := do(ctx, id)
	if err != nil {
		return nil, apiError(err, id)
	}
	return a.shown(ctx, s)
}

// maxReason bounds what a person may give as a reason, in bytes.
const maxReason = 500

func clip(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return string([]rune(text[:maxReason]))
}

// GetRunEvents returns the history of one run.
func (a *runAPI) GetRunEvents(ctx context.Context, req *apiv1.GetRunEventsRequest) (*apiv1.GetRunEventsResponse, error) {
	id, err := a.view.find(ctx, req.GetId())
	if err != nil {
		return nil, apiError(err, req.GetId())
	}
	records, err := a.view.records(ctx, id)
	if err != nil {
		return nil, apiError(err, id)
	}
	out, tell := &apiv1.GetRunEventsResponse{}, narrator{}
	for _, rec := range records {
		out.Events = append(out.Events, tell.record(rec)...)
	}
	return out, nil
}

// GetLogs returns stored output.
func (a *runAPI) GetLogs(ctx context.Context, req *apiv1.GetLogsRequest) (*apiv1.GetLogsResponse, error) {
	s, err := a.named(ctx, req.GetId(), req.GetStep())
	if err != nil {
		return nil, err
	}
	entries, cut, err := a.logs.query(ctx, s, logQuery{
		step: req.GetStep(), attempt: req.GetAttempt(), stream: req.GetStream(), head: int(req.GetHeadLines()), tail: int(req.GetTailLines()),
	})
	if errors.Is(err, errLogQuery) {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if err != nil {
		return nil, apiError(err, s.ID)
	}
	return &apiv1.GetLogsResponse{Entries: entries, Truncated: cut}, nil
}

// StreamLogs streams output.
func (a *runAPI) StreamLogs(ctx context.Context, req *apiv1.StreamLogsRequest, stream *connect.ServerStream[apiv1.StreamLogsResponse]) error {
	s, err := a.named(ctx, req.GetId(), req.GetStep())
	if err != nil {
		return err
	}
	var done func() bool
	if req.GetFollow() {
		done = func() bool { return a.moved(s.ID, ^uint64(0)) }
	}
	wake, stop := a.proj.WatchRun(s.ID)
	defer stop()
	err = a.logs.stream(ctx, s, logQuery{step: req.GetStep(), stream: req.GetStream()}, req.GetAfterSequence(), done, wake, func(e *apiv1.LogEntry) error {
		return stream.Send(&apiv1.StreamLogsResponse{Entry: e})
	})
	if errors.Is(err, errLogQuery) {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	return apiError(err, s.ID)
}

// named finds a run, and checks that it has the step.
func (a *runAPI) named(ctx context.Context, prefix, step string) (run.State, error) {
	id, err := a.view.find(ctx, prefix)
	if err != nil {
		return run.State{}, apiError(err, prefix)
	}
	s, err := a.view.state(ctx, id)
	if err != nil {
		return s, apiError(err, id)
	}
	if step != "" && !hasStep(s, step) {
		return s, connect.NewError(connect.CodeNotFound, errors.New(noStep(s, step)))
	}
	return s, nil
}
