package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// offered are the namespaces of the fake.
func offered() []*apiv1.Namespace {
	return []*apiv1.Namespace{
		{
			Name: "op", Description: "Prescribing", Restricted: true,
			Jobs: []*apiv1.Job{
				{Name: "deploy", Lane: "op:deploy", Dedupe: "merge", Help: "to production"},
				{Name: "measure", Lane: "op:measure", Dedupe: "newest", Parameters: []*apiv1.JobParameter{
					{Name: "id", Type: "string", Required: true, Help: "of the measure"},
					{Name: "env", Type: "enum", Default: "staging", Values: []string{"staging", "production"}},
				}},
			},
			Commands: []*apiv1.JobCommand{
				{Match: "deploy", Help: "deploy after a minute", Action: "run", Job: "deploy", Delay: durationpb.New(time.Minute), Aliases: []string{"ship"}},
				{Match: "deploy cancel", Help: "stop what waits", Action: "cancel", Job: "deploy"},
			},
		},
		{Name: "test", Jobs: []*apiv1.Job{{Name: "hello"}, {Name: "broken"}, {Name: "slow", Restricted: true}, {Name: "twice"}}},
	}
}

func (f *fake) ListJobs(_ context.Context, req *apiv1.ListJobsRequest) (*apiv1.ListJobsResponse, error) {
	out := &apiv1.ListJobsResponse{}
	for _, n := range offered() {
		if req.GetNamespace() == "" || req.GetNamespace() == n.GetName() {
			out.Namespaces = append(out.Namespaces, n)
		}
	}
	if len(out.GetNamespaces()) == 0 {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("I do not know the namespace `"+req.GetNamespace()+"`."))
	}
	return out, nil
}

// RunJob starts what StartRun would for a service of that name; "twice" merges
// into the first run.
func (f *fake) RunJob(ctx context.Context, req *apiv1.RunJobRequest) (*apiv1.RunJobResponse, error) {
	if req.GetJob() == "deploy" && req.GetDespiteHold() == "" {
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("op is for full members only."))
	}
	resp, err := f.StartRun(ctx, &apiv1.StartRunRequest{Service: req.GetJob(), Parameters: req.GetParameters(), IdempotencyKey: req.GetIdempotencyKey()})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(resp.GetRun().GetId())
	if err != nil {
		return nil, err
	}
	if r.state().GetKind() != "job" {
		r.asJob(req)
		f.keys[req.GetIdempotencyKey()] = r.state().GetId()
	}
	return &apiv1.RunJobResponse{Run: r.state()}, nil
}

// asJob turns the states of a deployment into those of a job.
func (r *fakeRun) asJob(req *apiv1.RunJobRequest) {
	for _, s := range r.states {
		s.Id, s.ShortId = "j"+s.GetId()[1:], "j"+s.GetShortId()[1:]
		s.Kind, s.Service, s.Environment, s.Pipeline = "job", "", "", ""
		s.Namespace, s.Job, s.Lane = req.GetNamespace(), req.GetJob(), req.GetNamespace()+":"+req.GetJob()
		s.StartAfter, s.DespiteHold = req.GetStartAfter(), req.GetDespiteHold()
		if req.GetJob() == "hello" {
			s.Merged = []string{"j-0000700000000"}
		}
	}
	if req.GetJob() == "twice" {
		r.states = r.states[:1]
		r.then(func(s *apiv1.Run) {
			s.Status, s.MergedInto, s.Finished = apiv1.RunStatus_RUN_STATUS_MERGED, "j-0000100000000", after(2)
		})
	}
}

func (f *fake) schedule(name string) (*apiv1.Schedule, error) {
	if name != "test/monday" {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("I know no schedule "+name+"."))
	}
	return &apiv1.Schedule{Name: name, Job: "test/hello", Spec: "0 9 * * 1", Zone: "Europe/London", Next: after(3600), Last: after(-3600), LastRun: "j-00001"}, nil
}

func (f *fake) ListSchedules(context.Context, *apiv1.ListSchedulesRequest) (*apiv1.ListSchedulesResponse, error) {
	one, err := f.schedule("test/monday")
	return &apiv1.ListSchedulesResponse{Schedules: []*apiv1.Schedule{one, {Name: "op/once", Job: "op/deploy", Spec: "2026-12-24 18:00", Zone: "UTC", Paused: true, PausedBy: "U012ABC", Reason: "holidays"}}}, err
}

func (f *fake) PauseSchedule(_ context.Context, req *apiv1.PauseScheduleRequest) (*apiv1.PauseScheduleResponse, error) {
	s, err := f.schedule(req.GetName())
	if err != nil {
		return nil, err
	}
	s.Paused, s.Reason = true, req.GetReason()
	return &apiv1.PauseScheduleResponse{Schedule: s}, nil
}

func (f *fake) ResumeSchedule(_ context.Context, req *apiv1.ResumeScheduleRequest) (*apiv1.ResumeScheduleResponse, error) {
	s, err := f.schedule(req.GetName())
	return &apiv1.ResumeScheduleResponse{Schedule: s}, err
}

func (f *fake) TriggerSchedule(ctx context.Context, req *apiv1.TriggerScheduleRequest) (*apiv1.TriggerScheduleResponse, error) {
	if _, err := f.schedule(req.GetName()); err != nil {
		return nil, err
	}
	resp, err := f.RunJob(ctx, &apiv1.RunJobRequest{Namespace: "test", Job: "hello", IdempotencyKey: req.GetIdempotencyKey()})
	return &apiv1.TriggerScheduleResponse{Run: resp.GetRun()}, err
}

func (f *fake) BackfillSchedule(_ context.Context, req *apiv1.BackfillScheduleRequest) (*apiv1.BackfillScheduleResponse, error) {
	if _, err := f.schedule(req.GetName()); err != nil {
		return nil, err
	}
	if req.GetUntil().AsTime().Sub(req.GetSince().AsTime()) > 100*24*time.Hour {
		return nil, connect.NewError(connect.CodeOutOfRange, errors.New("that is more than 100 ticks"))
	}
	return &apiv1.BackfillScheduleResponse{Runs: []string{"j-0000500000000", "j-0000600000000"}}, nil
}

func (f *fake) SetLane(_ context.Context, req *apiv1.SetLaneRequest) (*apiv1.SetLaneResponse, error) {
	l := &apiv1.Lane{Name: req.GetLane(), Limit: max(req.GetConcurrency(), 1), Paused: req.GetPaused(), PerJob: 1}
	if req.GetConcurrency() > 0 || req.GetPaused() {
		l.Change = &apiv1.LaneChange{Concurrency: req.GetConcurrency(), By: "api:local", Reason: req.GetReason(), At: after(0)}
	}
	return &apiv1.SetLaneResponse{Lane: l}, nil
}

func (f *fake) HoldJob(_ context.Context, req *apiv1.HoldJobRequest) (*apiv1.HoldJobResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &apiv1.Hold{Id: fmt.Sprintf("h-%d", len(f.holds)+1), Lane: "op:deploy", Job: req.GetJob(), From: req.GetFrom(), Until: req.GetUntil(), Reason: req.GetReason(), By: "api:local", Active: len(f.holds) == 0}
	f.holds = append(f.holds, h)
	return &apiv1.HoldJobResponse{Hold: h}, nil
}

func (f *fake) ReleaseHolds(_ context.Context, req *apiv1.ReleaseHoldsRequest) (*apiv1.ReleaseHoldsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &apiv1.ReleaseHoldsResponse{}
	var kept []*apiv1.Hold
	for _, h := range f.holds {
		if h.GetJob() == req.GetJob() && (req.GetHold() == "" || req.GetHold() == h.GetId()) {
			out.Released = append(out.Released, h)
		} else {
			kept = append(kept, h)
		}
	}
	f.holds = kept
	return out, nil
}
