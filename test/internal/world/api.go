package world

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// lookAgain bounds one long poll: positions and reasons change without a commit
// of the run itself.
const lookAgain = 200 * time.Millisecond

// callTime bounds one call of the API.
const callTime = 20 * time.Second

// Deploy starts a run over the API and returns its id.
func (w *World) Deploy(service, environment, version, key string) string {
	w.T.Helper()
	r, err := w.TryDeploy(service, environment, version, key)
	if err != nil {
		w.T.Fatalf("deploy %s to %s: %v", service, environment, err)
	}
	return r.GetId()
}

// TryDeploy is Deploy whose refusal is of interest.
func (w *World) TryDeploy(service, environment, version, key string) (*apiv1.Run, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	answer, err := w.Runs.StartRun(ctx, &apiv1.StartRunRequest{Service: service, Environment: environment, Version: version, IdempotencyKey: key})
	return answer.GetRun(), err
}

// Get returns a run by its id or prefix; an API that is away is waited for.
func (w *World) Get(id string) *apiv1.Run {
	w.T.Helper()
	return w.get(&apiv1.GetRunRequest{Id: id}, time.Now().Add(Patience))
}

func (w *World) get(req *apiv1.GetRunRequest, deadline time.Time) *apiv1.Run {
	w.T.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		answer, err := w.Runs.GetRun(ctx, req)
		cancel()
		if err == nil {
			return answer.GetRun()
		}
		if !Away(err) || time.Now().After(deadline) {
			w.T.Fatalf("get run %s: %v", req.GetId(), err)
		}
		w.pause()
	}
}

// Away tells whether an error means that nobody answered.
func Away(err error) bool {
	code := connect.CodeOf(err)
	return code == connect.CodeUnavailable || code == connect.CodeDeadlineExceeded || code == connect.CodeCanceled || strings.Contains(err.Error(), "EOF")
}

// Await waits until a run is as wanted.
func (w *World) Await(id, what string, ok func(*apiv1.Run) bool) *apiv1.Run {
	w.T.Helper()
	deadline := time.Now().Add(Patience)
	r := w.get(&apiv1.GetRunRequest{Id: id}, deadline)
	for !ok(r) {
		if time.Now().After(deadline) {
			w.T.Fatalf("run %s never showed %s; it is %s: %s", id, what, r.GetStatus(), r.GetReason())
		}
		r = w.get(&apiv1.GetRunRequest{Id: id, AfterSequence: r.GetSequence(), Wait: durationpb.New(lookAgain)}, deadline)
	}
	return r
}

// Ended waits for the end of a run and checks how it ended.
func (w *World) Ended(id string, want apiv1.RunStatus) *apiv1.Run {
	w.T.Helper()
	r := w.Await(id, "its end", func(r *apiv1.Run) bool { return Terminal(r.GetStatus()) })
	if r.GetStatus() != want {
		w.T.Fatalf("run %s ended as %s, not %s: %s", id, r.GetStatus(), want, r.GetReason())
	}
	return r
}

// Succeeded waits for a good end.
func (w *World) Succeeded(id string) *apiv1.Run {
	w.T.Helper()
	return w.Ended(id, apiv1.RunStatus_RUN_STATUS_SUCCEEDED)
}

// Running waits until a step of a run is executed.
func (w *World) Running(id, step string) *apiv1.Run {
	w.T.Helper()
	return w.Await(id, "step "+step+" running", func(r *apiv1.Run) bool {
		s := StepOf(r, step)
		return s.GetStatus() == apiv1.StepStatus_STEP_STATUS_RUNNING
	})
}

// StepOf is the step of that name, or nil.
func StepOf(r *apiv1.Run, name string) *apiv1.Step {
	for _, s := range r.GetSteps() {
		if s.GetName() == name {
			return s
		}
	}
	return nil
}

// Terminal tells whether a run has ended.
func Terminal(s apiv1.RunStatus) bool { return s >= apiv1.RunStatus_RUN_STATUS_SUCCEEDED }

// Cancel asks for the end of a run.
func (w *World) Cancel(id string) {
	w.T.Helper()
	if _, err := w.Runs.CancelRun(w.T.Context(), &apiv1.CancelRunRequest{Id: id}); err != nil {
		w.T.Fatalf("cancel %s: %v", id, err)
	}
}

// All lists every run there is, newest first.
func (w *World) All() []*apiv1.Run {
	w.T.Helper()
	var all []*apiv1.Run
	req := &apiv1.ListRunsRequest{PageSize: 200}
	for {
		answer, err := w.Runs.ListRuns(context.Background(), req)
		if err != nil {
			w.T.Fatalf("list runs: %v", err)
		}
		all = append(all, answer.GetRuns()...)
		if req.PageToken = answer.GetNextPageToken(); req.PageToken == "" {
			return all
		}
	}
}

// Events is the history of a run.
func (w *World) Events(id string) []*apiv1.RunEvent {
	w.T.Helper()
	events, err := w.events(id)
	if err != nil {
		w.T.Fatalf("events of %s: %v", id, err)
	}
	return events
}

func (w *World) events(id string) ([]*apiv1.RunEvent, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	answer, err := w.Runs.GetRunEvents(ctx, &apiv1.GetRunEventsRequest{Id: id})
	return answer.GetEvents(), err
}

// Logs is everything that a step printed, all attempts together.
func (w *World) Logs(id, step string) string {
	w.T.Helper()
	answer, err := w.Runs.GetLogs(context.Background(), &apiv1.GetLogsRequest{Id: id, Step: step})
	if err != nil {
		w.T.Fatalf("logs of %s: %v", id, err)
	}
	var text strings.Builder
	for _, e := range answer.GetEntries() {
		text.WriteString(e.GetText())
	}
	return text.String()
}

// told bounds the histories that a failing test prints.
const told = 8

// tell prints what the API knows, for a test that failed.
func (w *World) tell() {
	if !w.T.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := w.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{PageSize: told})
	if err != nil {
		w.T.Logf("the API tells nothing: %v", err)
		return
	}
	for _, r := range answer.GetRuns() {
		var text strings.Builder
		fmt.Fprintf(&text, "--- %s %s to %s %q: %s, %s\n", r.GetId(), r.GetService(), r.GetEnvironment(), r.GetVersion(), r.GetStatus(), r.GetReason())
		events, err := w.events(r.GetId())
		if err != nil {
			fmt.Fprintf(&text, "%v\n", err)
		}
		for _, e := range events {
			fmt.Fprintf(&text, "%6d %s %-16s fence %d %s: %s\n", e.GetSequence(), e.GetTime().AsTime().Format("15:04:05.000"), e.GetName(), e.GetFence(), e.GetActor(), e.GetSentence())
		}
		w.T.Log(text.String())
	}
	w.T.Logf("--- effects:\n%s", w.effects())
}
