package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
)

// fake answers as a Slipway does. The name of the service decides what becomes
// of a run: "hello" succeeds, "broken" fails, "late" times out, "slow" waits in
// the queue until it is cancelled.
type fake struct {
	apiv1connect.UnimplementedLaneServiceHandler
	apiv1connect.UnimplementedJobServiceHandler
	apiv1connect.UnimplementedSystemServiceHandler

	mu   sync.Mutex
	runs []*fakeRun
	keys map[string]string // idempotency key → id
	// refusals is how often StartRun says unavailable before it works.
	refusals int
	// cuts is how often a watch breaks off after its first state.
	cuts int
	// holds that were set.
	holds []*apiv1.Hold
	// differs makes replay and doctor find something.
	differs bool
}

// fakeRun is every state that a run goes through; now is the current one.
type fakeRun struct {
	states []*apiv1.Run
	now    int
}

func (r *fakeRun) state() *apiv1.Run { return r.states[r.now] }

// noon is when everything in the fake's world happens.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func after(seconds float64) *timestamppb.Timestamp {
	return timestamppb.New(noon.Add(time.Duration(seconds * float64(time.Second))))
}

func startFake(t testing.TB, f *fake, token string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(apiv1connect.NewRunServiceHandler(f))
	mux.Handle(apiv1connect.NewLaneServiceHandler(f))
	mux.Handle(apiv1connect.NewJobServiceHandler(f))
	mux.Handle(apiv1connect.NewSystemServiceHandler(f))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"code":"unauthenticated","message":"this API wants a token"}`)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// begin makes a run with all states that lie before it.
func begin(n int, req *apiv1.StartRunRequest) *fakeRun {
	base := &apiv1.Run{
		Id: fmt.Sprintf("d-%05d00000000", n), ShortId: fmt.Sprintf("d-%05d", n), Kind: "deployment",
		Service: req.GetService(), Environment: req.GetEnvironment(), Version: req.GetVersion(), Parameters: req.GetParameters(),
		Status: apiv1.RunStatus_RUN_STATUS_QUEUED, Lane: req.GetService() + "/" + req.GetEnvironment(), Requester: "api:local",
		Created: after(0), Sequence: 100, Pipeline: "go-service", Pool: "default", TraceId: "4bf92f3577b34da6a3ce929d0e0e4736",
		Steps: []*apiv1.Step{
			{Name: "build", Status: apiv1.StepStatus_STEP_STATUS_PENDING, MaxAttempts: 1},
			{Name: "test", Status: apiv1.StepStatus_STEP_STATUS_PENDING, MaxAttempts: 3},
		},
	}
	r := &fakeRun{states: []*apiv1.Run{base}}
	if req.GetService() == "slow" {
		base.Position, base.Reason = 2, "waits for d-00007 in lane slow/staging"
		return r
	}
	r.then(func(s *apiv1.Run) {
		s.Status, s.Started, s.Runner, s.Fence = apiv1.RunStatus_RUN_STATUS_RUNNING, after(1), "vm-1", 101
		s.Steps[0].Status, s.Steps[0].Started, s.Steps[0].Attempts = apiv1.StepStatus_STEP_STATUS_RUNNING, after(1), 1
	})
	r.then(func(s *apiv1.Run) {
		s.Steps[0].Status, s.Steps[0].Finished = apiv1.StepStatus_STEP_STATUS_SUCCEEDED, after(3.5)
		s.Steps[1].Status, s.Steps[1].Started, s.Steps[1].Attempts = apiv1.StepStatus_STEP_STATUS_RUNNING, after(3.5), 1
	})
	r.then(func(s *apiv1.Run) {
		s.Status, s.Reason = apiv1.RunStatus_RUN_STATUS_WAITING, "test is tried again soon"
		s.Steps[1].Status, s.Steps[1].Finished, s.Steps[1].Error, s.Steps[1].ExitCode, s.Steps[1].RetryAt = apiv1.StepStatus_STEP_STATUS_WAITING, after(5), "exit 1", 1, after(10)
	})
	r.then(func(s *apiv1.Run) {
		s.Status, s.Reason = apiv1.RunStatus_RUN_STATUS_RUNNING, ""
		s.Steps[1].Status, s.Steps[1].Attempts, s.Steps[1].Finished, s.Steps[1].Error, s.Steps[1].RetryAt = apiv1.StepStatus_STEP_STATUS_RUNNING, 2, nil, "", nil
	})
	r.then(func(s *apiv1.Run) { s.Finished = after(75); conclude(s) })
	return r
}

// conclude ends a run as its service wants it.
func conclude(s *apiv1.Run) {
	step := s.GetSteps()[1]
	step.Finished = after(74)
	switch s.GetService() {
	case "broken":
		s.Status, s.Reason = apiv1.RunStatus_RUN_STATUS_FAILED, "test failed: exit 1"
		step.Status, step.Error, step.ExitCode, step.Tail = apiv1.StepStatus_STEP_STATUS_FAILED, "exit 1", 1, "--- FAIL: TestSum\n    got 3, want 4\x1b]0;owned\x07\n"
	case "late":
		s.Status, s.Reason = apiv1.RunStatus_RUN_STATUS_TIMED_OUT, "the limit of 1m passed"
		step.Status, step.Error = apiv1.StepStatus_STEP_STATUS_FAILED, "stopped"
	default:
		s.Status = apiv1.RunStatus_RUN_STATUS_SUCCEEDED
		step.Status = apiv1.StepStatus_STEP_STATUS_SUCCEEDED
	}
}

// then adds a state that differs from the last one by change.
func (r *fakeRun) then(change func(*apiv1.Run)) {
	s := proto.CloneOf(r.states[len(r.states)-1])
	s.Sequence++
	change(s)
	r.states = append(r.states, s)
}

func (f *fake) find(id string) (*fakeRun, error) {
	var found *fakeRun
	for _, r := range f.runs {
		if strings.HasPrefix(r.state().GetId(), id) {
			found = r
		}
	}
	if found == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("I know no run "+id+"."))
	}
	return found, nil
}

func (f *fake) StartRun(_ context.Context, req *apiv1.StartRunRequest) (*apiv1.StartRunResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch req.GetService() {
	case "":
		req.Service, req.Environment = "hello", "staging"
	case "helo":
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("I do not know `helo`. Did you mean `hello`?"))
	}
	if req.GetEnvironment() == "production" {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("production is protected, and the API may not deploy there."))
	}
	id, known := f.keys[req.GetIdempotencyKey()]
	if !known {
		f.runs = append(f.runs, begin(len(f.runs)+1, req))
		id = f.runs[len(f.runs)-1].state().GetId()
		f.keys[req.GetIdempotencyKey()] = id
	}
	if f.refusals > 0 { // it did happen, only nobody knows
		f.refusals--
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("not confirmed: ask again with the same key"))
	}
	r, err := f.find(id)
	return &apiv1.StartRunResponse{Run: r.state()}, err
}

func (f *fake) GetRun(_ context.Context, req *apiv1.GetRunRequest) (*apiv1.GetRunResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	return &apiv1.GetRunResponse{Run: r.state()}, nil
}

func (f *fake) ListRuns(_ context.Context, req *apiv1.ListRunsRequest) (*apiv1.ListRunsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &apiv1.ListRunsResponse{}
	for _, r := range slices.Backward(f.runs) {
		s := proto.CloneOf(r.state())
		s.Created = timestamppb.New(time.Now().Add(-330 * time.Second)) // five minutes and a half ago
		if req.GetActive() && ended(s.GetStatus()) || req.GetService() != "" && req.GetService() != s.GetService() ||
			len(req.GetStatuses()) > 0 && !slices.Contains(req.GetStatuses(), s.GetStatus()) || !searched(req, s) {
			continue
		}
		if len(out.GetRuns()) == int(req.GetPageSize()) {
			out.NextPageToken = "next-" + s.GetId()
			break
		}
		out.Runs = append(out.Runs, s)
	}
	return out, nil
}

// searched says whether a run is what a history asks for.
func searched(req *apiv1.ListRunsRequest, s *apiv1.Run) bool {
	created := s.GetCreated().AsTime()
	for name, value := range req.GetParameters() {
		if s.GetParameters()[name] != value {
			return false
		}
	}
	return (req.GetKind() == "" || req.GetKind() == s.GetKind()) && (req.GetNamespace() == "" || req.GetNamespace() == s.GetNamespace()) &&
		(req.GetJob() == "" || req.GetJob() == s.GetJob()) && (req.GetRequester() == "" || req.GetRequester() == s.GetRequester()) &&
		(req.GetSince() == nil || !created.Before(req.GetSince().AsTime())) && (req.GetUntil() == nil || created.Before(req.GetUntil().AsTime()))
}

// WatchRun moves the run on as it tells of it.
func (f *fake) WatchRun(_ context.Context, req *apiv1.WatchRunRequest, stream *connect.ServerStream[apiv1.WatchRunResponse]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(req.GetId())
	if err != nil {
		return err
	}
	for ; ; r.now++ {
		s := r.state()
		if s.GetSequence() > req.GetAfterSequence() {
			if err := stream.Send(&apiv1.WatchRunResponse{Run: s}); err != nil {
				return err
			}
			if f.cuts > 0 {
				f.cuts--
				return connect.NewError(connect.CodeUnavailable, errors.New("going down"))
			}
		}
		if ended(s.GetStatus()) || r.now == len(r.states)-1 {
			return nil
		}
	}
}

func (f *fake) CancelRun(_ context.Context, req *apiv1.CancelRunRequest) (*apiv1.CancelRunResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	if ended(r.state().GetStatus()) {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New(r.state().GetShortId()+" has ended; nothing was changed."))
	}
	r.states = r.states[:r.now+1]
	r.then(func(s *apiv1.Run) {
		s.Status, s.Position, s.Finished = apiv1.RunStatus_RUN_STATUS_CANCELLED, 0, after(60)
		s.Reason = strings.TrimSuffix("cancelled by api:local: "+req.GetReason(), ": ")
		for _, step := range s.GetSteps() {
			step.Status = apiv1.StepStatus_STEP_STATUS_SKIPPED
		}
	})
	r.now++
	return &apiv1.CancelRunResponse{Run: r.state()}, nil
}

func (f *fake) RetryRun(_ context.Context, req *apiv1.RetryRunRequest) (*apiv1.RetryRunResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	if !ended(old.state().GetStatus()) {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("it has not ended."))
	}
	s := old.state()
	r := begin(len(f.runs)+1, &apiv1.StartRunRequest{Service: "hello", Environment: s.GetEnvironment(), Version: s.GetVersion()})
	for _, state := range r.states {
		state.RetryOf, state.Steps[0].Status = s.GetId(), apiv1.StepStatus_STEP_STATUS_CARRIED
	}
	f.runs = append(f.runs, r)
	return &apiv1.RetryRunResponse{Run: r.state()}, nil
}

func (f *fake) AnswerRun(_ context.Context, req *apiv1.AnswerRunRequest) (*apiv1.AnswerRunResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	if r.state().GetQuestion() == "" {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("it asks nothing."))
	}
	r.then(func(s *apiv1.Run) {
		s.Question, s.Reason, s.Status = "", "answered "+req.GetAnswer(), apiv1.RunStatus_RUN_STATUS_RUNNING
	})
	r.now++
	return &apiv1.AnswerRunResponse{Run: r.state()}, nil
}

func (f *fake) GetRunEvents(_ context.Context, req *apiv1.GetRunEventsRequest) (*apiv1.GetRunEventsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(req.GetId()); err != nil {
		return nil, err
	}
	return &apiv1.GetRunEventsResponse{Events: []*apiv1.RunEvent{
		{Sequence: 100, Version: 1, Time: after(0), Actor: "api:local", Name: "RunRequested", Sentence: "asked for hello to staging", Json: `{"runRequested":{}}`},
		{Sequence: 101, Version: 2, Time: after(1), Actor: "runner", Name: "RunClaimed", Sentence: "runner vm-1 claimed the run", Fence: 101, Json: `{"runClaimed":{}}`},
	}}, nil
}

// output is what every run of the fake printed.
func output() []*apiv1.LogEntry {
	return []*apiv1.LogEntry{
		{Step: "build", Attempt: 1, Stream: "stdout", Time: after(1), Text: "compiling\nlinking", Sequence: 1},
		{Step: "build", Attempt: 1, Stream: "stdout", Time: after(2), Text: " done\n", Sequence: 2},
		{Step: "test", Attempt: 1, Stream: "stderr", Time: after(4), Text: "FAIL\n", Sequence: 3},
		{Step: "test", Attempt: 1, Stream: "note", Time: after(5), Text: "output was cut", Sequence: 4},
	}
}

func (f *fake) chosen(id, step, stream string, attempt uint32) ([]*apiv1.LogEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(id)
	if err != nil {
		return nil, err
	}
	if step != "" && !slices.ContainsFunc(r.state().GetSteps(), func(s *apiv1.Step) bool { return s.GetName() == step }) {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("the run has no step %q; it has build, test", step))
	}
	return slices.DeleteFunc(output(), func(e *apiv1.LogEntry) bool {
		return step != "" && e.GetStep() != step || stream != "" && e.GetStream() != stream || attempt > 0 && e.GetAttempt() != attempt
	}), nil
}

func (f *fake) GetLogs(_ context.Context, req *apiv1.GetLogsRequest) (*apiv1.GetLogsResponse, error) {
	entries, err := f.chosen(req.GetId(), req.GetStep(), req.GetStream(), req.GetAttempt())
	if n := int(req.GetTailLines()); n > 0 {
		entries = entries[max(0, len(entries)-n):]
	}
	if n := int(req.GetHeadLines()); n > 0 {
		entries = entries[:min(len(entries), n)]
	}
	return &apiv1.GetLogsResponse{Entries: entries, Truncated: req.GetAttempt() > 0}, err
}

func (f *fake) StreamLogs(_ context.Context, req *apiv1.StreamLogsRequest, stream *connect.ServerStream[apiv1.StreamLogsResponse]) error {
	entries, err := f.chosen(req.GetId(), req.GetStep(), req.GetStream(), 0)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.GetSequence() <= req.GetAfterSequence() {
			continue
		}
		if err := stream.Send(&apiv1.StreamLogsResponse{Entry: e}); err != nil {
			return err
		}
		f.mu.Lock()
		cut := f.cuts > 0
		f.cuts = max(0, f.cuts-1)
		f.mu.Unlock()
		if cut {
			return connect.NewError(connect.CodeUnavailable, errors.New("going down"))
		}
	}
	return nil
}

func (f *fake) ListLanes(context.Context, *apiv1.ListLanesRequest) (*apiv1.ListLanesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lane := &apiv1.Lane{Name: "slow/staging", Limit: 1, RateLimit: 3, RatePeriod: durationpb.New(time.Minute)}
	for _, r := range f.runs {
		switch s := r.state(); s.GetStatus() {
		case apiv1.RunStatus_RUN_STATUS_QUEUED:
			lane.Queued = append(lane.Queued, s)
		case apiv1.RunStatus_RUN_STATUS_RUNNING:
			lane.Occupied = append(lane.Occupied, s)
		}
	}
	return &apiv1.ListLanesResponse{Lanes: []*apiv1.Lane{lane, {Name: "shop/production", Limit: 2, Reason: "held until 14:00", Holds: f.holds}}, Sequence: 7}, nil
}

// WatchLanes tells twice and then refuses, so that the watcher ends.
func (f *fake) WatchLanes(ctx context.Context, _ *apiv1.WatchLanesRequest, stream *connect.ServerStream[apiv1.WatchLanesResponse]) error {
	all, err := f.ListLanes(ctx, nil)
	for n := uint64(0); err == nil && n < 2; n++ {
		err = stream.Send(&apiv1.WatchLanesResponse{Lanes: all.GetLanes()[1:], Sequence: 7 + n})
	}
	if err != nil {
		return err
	}
	return connect.NewError(connect.CodePermissionDenied, errors.New("the token was withdrawn"))
}

func (f *fake) ReleaseSlot(_ context.Context, req *apiv1.ReleaseSlotRequest) (*apiv1.ReleaseSlotResponse, error) {
	r, err := f.find(req.GetId())
	if err != nil {
		return nil, err
	}
	if !strings.Contains(r.state().GetReason(), "quarantined") {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("the history of this run is whole"))
	}
	return &apiv1.ReleaseSlotResponse{Lane: r.state().GetLane()}, nil
}

func (f *fake) Doctor(context.Context, *apiv1.DoctorRequest) (*apiv1.DoctorResponse, error) {
	out := &apiv1.DoctorResponse{Checks: []*apiv1.Check{
		{Name: "streams", Level: apiv1.Check_LEVEL_OK, Finding: "7 streams as they should be"},
		{Name: "dead", Level: apiv1.Check_LEVEL_WARNING, Finding: "1 dead message", Remedy: "look: slipway dead list"},
	}}
	if f.differs {
		out.Checks = append(out.Checks, &apiv1.Check{Name: "sync", Level: apiv1.Check_LEVEL_ERROR, Finding: "writes are not flushed", Remedy: "set sync_interval: always"})
	}
	return out, nil
}

func (f *fake) Replay(_ context.Context, _ *apiv1.ReplayRequest, stream *connect.ServerStream[apiv1.ReplayResponse]) error {
	if err := stream.Send(&apiv1.ReplayResponse{Records: 500, Runs: 50, Sequence: 500, TargetSequence: 1000}); err != nil {
		return err
	}
	last := &apiv1.ReplayResponse{Records: 1000, Runs: 100, Sequence: 1000, TargetSequence: 1000, Done: true}
	if f.differs {
		last.Differences = []string{"d-00001 is running here and succeeded in the log"}
	}
	return stream.Send(last)
}

func (f *fake) ListDead(context.Context, *apiv1.ListDeadRequest) (*apiv1.ListDeadResponse, error) {
	return &apiv1.ListDeadResponse{Messages: []*apiv1.DeadMessage{
		{Sequence: 3, Service: "orchestrator", Reason: "undecodable", Subject: "in.slash.T1", Time: after(0), Text: "kind: slash\ntext: \x1b[2Jdeploy"},
	}}, nil
}

func (f *fake) ReplayDead(_ context.Context, req *apiv1.ReplayDeadRequest) (*apiv1.ReplayDeadResponse, error) {
	if req.GetSequence() != 3 {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("there is no such message"))
	}
	return &apiv1.ReplayDeadResponse{Subject: "in.slash.T1"}, nil
}
