package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// jobWish is a wish for a run of a job.
type jobWish struct {
	identity       string
	namespace, job string
	parameters     map[string]string
	// said is what was typed after the namespace, for people.
	said string
	// delay is the command's; startAfter, when set, wins over it.
	delay      time.Duration
	startAfter time.Time
	// despiteHold is the reason why holds shall not stop it.
	despiteHold string
	// runner is the only one that may take it; wait is the longest wait for it where
	// the job does not say.
	runner string
	wait   time.Duration
	// record: see deployment.record.
	record bool
	// pinned is what else was asked, in words that every delivery of the request
	// has in common.
	pinned string
}

// startJob opens a run of a job, or returns the refusal. The same identity always
// means the same run.
func (d *desk) startJob(ctx context.Context, who asker, want jobWish) (run.State, error) {
	w := opening{kind: identity.Job, identity: want.identity, digest: want.digest(), record: want.record}
	return d.request(ctx, who, w, func(cfg *adopted, event *eventv1.RunRequested) error {
		event.Namespace, event.Job, event.Parameters = want.namespace, want.job, want.parameters
		event.Said, event.DespiteHold = clip(want.said), clip(want.despiteHold)
		return d.plan(cfg, who, want, event)
	})
}

// plan completes the event with the pinned plan, or says why there is none.
func (d *desk) plan(cfg *adopted, who asker, want jobWish, event *eventv1.RunRequested) error {
	plan, target, err := pipeline.ResolveJob(cfg.config, pipeline.JobRequest{Namespace: want.namespace, Job: want.job, Params: want.parameters, Delay: want.delay, Runner: want.runner, Wait: want.wait})
	if err != nil {
		return err
	}
	event.Plan, event.Namespace, event.Job, event.Parameters = plan, target.Namespace, target.Job, target.Params
	rule := cfg.jobRule(target.Namespace, target.Job)
	if denial := policy.MayRunJob(rule, who.subject, who.origin.GetChannel()); denial != nil {
		return denial
	}
	if want.despiteHold != "" {
		if denial := policy.MayOverride(rule, who.subject, who.origin.GetChannel()); denial != nil {
			return denial
		}
	}
	if plan.GetDedupe().GetPolicy() == eventv1.Dedupe_POLICY_REJECT {
		if double := d.double(plan); double != "" {
			return &run.Refusal{Code: run.ErrDouble.Code, Sentence: fmt.Sprintf("The same job with the same arguments waits or runs already as `%s`. Nothing was started.", double)}
		}
	}
	return want.when(d.now(), event)
}

// when sets the earliest start.
func (w jobWish) when(now time.Time, event *eventv1.RunRequested) error {
	start := w.startAfter
	if start.IsZero() && w.delay > 0 {
		start = now.Add(w.delay)
	}
	switch {
	case start.Sub(now) > pipeline.MaxStartDelay:
		return &run.Refusal{Code: "E-START-FAR", Sentence: fmt.Sprintf("A job can be put off by %d days at most. Nothing was started; a schedule can wait longer.", int(pipeline.MaxStartDelay.Hours()/24))}
	case start.After(now):
		event.StartAfter = timestamppb.New(start)
		event.Plan.Delay = durationpb.New(start.Sub(now))
	}
	return nil
}

// double is the short id of a run that waits or runs with the same key. It is
// for a quick answer: the lane decides.
func (d *desk) double(plan *eventv1.Plan) (id string) {
	d.view.proj.Read(func(b *board.Board) {
		if ln, ok := b.Lane(plan.GetLane()); ok {
			if found := b.Equal(ln, plan.GetDedupe().GetKey()); found != "" {
				id = b.Short(found)
			}
		}
	})
	return id
}

// digest covers what was asked, in the asker's own words.
func (w jobWish) digest() []byte {
	h := sha256.New()
	write := func(text string) {
		_ = binary.Write(h, binary.BigEndian, uint32(len(text))) //nolint:gosec // far below 4 GiB; a hash never fails
		h.Write([]byte(text))
	}
	write(w.namespace)
	write(w.job)
	writeParameters(write, w.parameters)
	if w.pinned != "" {
		write(w.pinned)
	}
	if w.runner != "" {
		write("on " + w.runner)
	}
	return h.Sum(nil)
}

// jobRule is what a job allows; one that left the configuration is nobody's but
// full members'.
func (a *adopted) jobRule(namespace, job string) policy.JobRule {
	ns, known := a.config.Namespaces[namespace]
	j := ns.Jobs[job]
	allow, override := j.Allow, j.Override
	if allow.Empty() {
		allow = ns.Allow
	}
	if override.Empty() {
		override = ns.Override
	}
	return policy.JobRule{
		Namespace: namespace, Job: job, Restricted: !known || ns.Restricted || j.Restricted, Reminders: ns.Reminders,
		Users: allow.Users, Channels: allow.Channels, OverrideUsers: override.Users, OverrideChannels: override.Channels,
	}
}
