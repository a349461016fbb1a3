package orchestrator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-hq/slipway/domain/pipeline"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
)

// jobAPI serves JobService.
type jobAPI struct {
	apiv1connect.UnimplementedJobServiceHandler
	run  *runAPI
	desk *desk
}

// ListJobs lists what the configuration offers, restricted namespaces marked: the
// API's token opens them all.
func (a *jobAPI) ListJobs(_ context.Context, req *apiv1.ListJobsRequest) (*apiv1.ListJobsResponse, error) {
	cfg := a.desk.config()
	if cfg == nil {
		return nil, apiError(errNoConfig, "")
	}
	names := slices.Sorted(maps.Keys(cfg.config.Namespaces))
	if req.GetNamespace() != "" {
		name, refusal := cfg.config.FindNamespace(req.GetNamespace())
		if refusal != nil {
			return nil, apiError(refusal, "")
		}
		names = []string{name}
	}
	out := &apiv1.ListJobsResponse{}
	for _, name := range names {
		out.Namespaces = append(out.Namespaces, shownNamespace(name, cfg.config.Namespaces[name]))
	}
	return out, nil
}

func shownNamespace(name string, ns pipeline.Namespace) *apiv1.Namespace {
	out := &apiv1.Namespace{Name: name, Description: ns.Description, Restricted: ns.Restricted}
	for _, job := range slices.Sorted(maps.Keys(ns.Jobs)) {
		out.Jobs = append(out.Jobs, shownJob(name, job, ns))
	}
	for _, c := range ns.Commands {
		action := c.Action
		if action == "" {
			action = pipeline.ActionRun
		}
		shown := &apiv1.JobCommand{Match: c.Match, Help: c.Help, Action: action, Job: c.Job, Aliases: c.Aliases}
		if c.Delay > 0 {
			shown.Delay = durationpb.New(c.Delay)
		}
		out.Commands = append(out.Commands, shown)
	}
	return out
}

func shownJob(namespace, name string, ns pipeline.Namespace) *apiv1.Job {
	j := ns.Jobs[name]
	lane, dedupe := j.Lane, j.Dedupe.Policy
	if lane == "" {
		lane = pipeline.DefaultJobLane
	}
	if dedupe == "" {
		dedupe = pipeline.DedupeMerge
	}
	out := &apiv1.Job{
		Name: name, Help: j.Help, Restricted: ns.Restricted || j.Restricted, Dedupe: string(dedupe),
		Lane: strings.NewReplacer("{namespace}", namespace, "{job}", name).Replace(lane),
	}
	for _, param := range slices.Sorted(maps.Keys(j.Params)) {
		p := j.Params[param]
		if p.Type == pipeline.TypeSecret {
			continue // a request never gives it
		}
		shown := &apiv1.JobParameter{Name: param, Type: string(cmp.Or(p.Type, pipeline.TypeString)), Help: p.Help, Required: p.Default == nil, Values: p.Values}
		if p.Default != nil {
			shown.Default = *p.Default
		}
		out.Parameters = append(out.Parameters, shown)
	}
	return out
}

// RunJob asks for a run of a job.
func (a *jobAPI) RunJob(ctx context.Context, req *apiv1.RunJobRequest) (*apiv1.RunJobResponse, error) {
	key, err := keyOf(req.GetIdempotencyKey())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	who := a.run.asker()
	wish := jobWish{
		identity:  "api|" + who.principal.GetName() + "|" + key,
		namespace: req.GetNamespace(), job: req.GetJob(), parameters: req.GetParameters(), despiteHold: req.GetDespiteHold(),
	}
	if req.GetStartAfter() != nil {
		wish.startAfter = req.GetStartAfter().AsTime()
		wish.pinned = "start after " + wish.startAfter.Format(time.RFC3339Nano)
	}
	if wish.despiteHold != "" {
		wish.pinned += " despite " + wish.despiteHold
	}
	s, err := a.desk.startJob(ctx, who, wish)
	if err != nil {
		return nil, apiError(err, s.ID)
	}
	out, err := a.run.shown(ctx, s)
	return &apiv1.RunJobResponse{Run: out}, err
}

// keyOf is the caller's idempotency key, or one of our own.
func keyOf(given string) (string, error) {
	switch {
	case len(given) > maxKey:
		return "", connect.NewError(connect.CodeInvalidArgument, errors.New("the idempotency key is longer than 200 bytes"))
	case given == "":
		return rand.Text(), nil
	}
	return given, nil
}

// ListSchedules lists every schedule with its last and next tick.
func (a *jobAPI) ListSchedules(context.Context, *apiv1.ListSchedulesRequest) (*apiv1.ListSchedulesResponse, error) {
	return &apiv1.ListSchedulesResponse{Schedules: a.desk.schedules(a.run.asker().subject)}, nil
}

// PauseSchedule stops the clock for one schedule.
func (a *jobAPI) PauseSchedule(ctx context.Context, req *apiv1.PauseScheduleRequest) (*apiv1.PauseScheduleResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	s, err := a.desk.pauseSchedule(ctx, a.run.asker(), req.GetName(), req.GetReason())
	return &apiv1.PauseScheduleResponse{Schedule: s}, apiError(err, "")
}

// ResumeSchedule starts the clock again.
func (a *jobAPI) ResumeSchedule(ctx context.Context, req *apiv1.ResumeScheduleRequest) (*apiv1.ResumeScheduleResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	s, err := a.desk.resumeSchedule(ctx, a.run.asker(), req.GetName(), req.GetReason())
	return &apiv1.ResumeScheduleResponse{Schedule: s}, apiError(err, "")
}

// TriggerSchedule runs it once now.
func (a *jobAPI) TriggerSchedule(ctx context.Context, req *apiv1.TriggerScheduleRequest) (*apiv1.TriggerScheduleResponse, error) {
	key, err := keyOf(req.GetIdempotencyKey())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	who := a.run.asker()
	who.command = "api|" + who.principal.GetName() + "|" + key
	s, err := a.desk.triggerSchedule(ctx, who, req.GetName())
	if err != nil {
		return nil, apiError(err, s.ID)
	}
	out, err := a.run.shown(ctx, s)
	return &apiv1.TriggerScheduleResponse{Run: out}, err
}

// BackfillSchedule runs the ticks of a time that passed.
func (a *jobAPI) BackfillSchedule(ctx context.Context, req *apiv1.BackfillScheduleRequest) (*apiv1.BackfillScheduleResponse, error) {
	if req.GetSince() == nil || req.GetUntil() == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("name both since and until"))
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	runs, err := a.desk.backfillSchedule(ctx, a.run.asker(), req.GetName(), req.GetSince().AsTime(), req.GetUntil().AsTime())
	return &apiv1.BackfillScheduleResponse{Runs: runs}, apiError(err, "")
}
