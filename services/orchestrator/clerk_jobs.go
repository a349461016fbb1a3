package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// This file is what people do with jobs by a sentence.

// job handles a sentence that begins with a namespace.
func (c *clerk) job(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) (*commandv1.Answer, error) {
	cfg := c.desk.config()
	if cfg == nil {
		return c.refuse(errNoConfig, "", s)
	}
	name, ok := cfg.namespace(s.Namespace)
	if !ok {
		return c.aloud(e, unknownNamespace(cfg, s.Namespace)), nil
	}
	ns := cfg.config.Namespaces[name]
	if s.Text == "" || strings.EqualFold(s.Text, "help") {
		return namespaceAnswer(name, ns), nil
	}
	command, arguments, ok := cfg.phrases[name].find(s.Text)
	if !ok {
		return c.aloud(e, unknownCommand(cfg, name, s.Text)), nil
	}
	job := board.JobName(name, command.Job)
	var answer *commandv1.Answer
	var err error
	switch command.Action {
	case pipeline.ActionCancel:
		answer, err = c.cancelWaiting(ctx, e, name, command.Job)
	case pipeline.ActionHold:
		answer, err = c.holdJob(ctx, e, job, arguments["start"]+" to "+arguments["end"], "")
	case pipeline.ActionRelease:
		answer, err = c.releaseJob(ctx, e, job, "")
	default:
		answer, err = c.runJob(ctx, e, s, name, command, arguments)
	}
	return c.aloud(e, answer), err
}

// aloud makes an answer to a reminder public: nobody would see a private one.
func (c *clerk) aloud(e *commandv1.Envelope, a *commandv1.Answer) *commandv1.Answer {
	if a != nil && e.GetStanding().GetReminder() {
		a.Visibility = commandv1.Answer_VISIBILITY_PUBLIC
	}
	return a
}

func (c *clerk) runJob(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence, namespace string, command pipeline.Command, arguments map[string]string) (*commandv1.Answer, error) {
	want := jobWish{
		identity: e.GetIdentity(), namespace: namespace, job: command.Job, parameters: map[string]string{}, said: s.Text,
		delay: command.Delay, despiteHold: s.DespiteHold, record: true,
	}
	for k, v := range command.Values {
		want.parameters[k] = v
	}
	for k, v := range arguments {
		want.parameters[k] = v
	}
	if s.In > 0 {
		want.delay = s.In
	}
	if s.At != "" {
		at, err := grammar.ParseMoment(s.At, e.GetReceived().AsTime(), zoneOf(e))
		if err != nil {
			return parseAnswer(err), nil
		}
		want.startAfter = at
	}
	st, err := c.desk.startJob(ctx, askerOf(e), want)
	if err != nil {
		return c.refuse(err, st.ID, grammar.Sentence{})
	}
	if e.GetOrigin().GetMessageTs() != "" {
		return &commandv1.Answer{Run: st.ID}, nil // the emoji on the message says so, and a card if it waits
	}
	return c.accepted(ctx, st, nil, grammar.Sentence{})
}

// zoneOf is the person's time zone; UTC when it is not known.
func zoneOf(e *commandv1.Envelope) *time.Location {
	zone, err := time.LoadLocation(e.GetStanding().GetZone())
	if err != nil {
		return time.UTC
	}
	return zone
}

// cancelWaiting takes every waiting run of a job out of its queue; what runs
// goes on.
func (c *clerk) cancelWaiting(ctx context.Context, e *commandv1.Envelope, namespace, job string) (*commandv1.Answer, error) {
	who := askerOf(e)
	if _, err := c.desk.holdable(who, board.JobName(namespace, job)); err != nil {
		return c.refuse(err, "", grammar.Sentence{})
	}
	waiting := c.all(&apiv1.ListRunsRequest{Namespace: namespace, Job: job, Active: true, Statuses: []apiv1.RunStatus{apiv1.RunStatus_RUN_STATUS_QUEUED}, PageSize: maxPage})
	var ids []string
	for _, r := range waiting {
		st, err := c.desk.cancel(ctx, who, r.GetId(), "")
		switch {
		case transient(err):
			return nil, err
		case err == nil && st.Status == run.Cancelled:
			ids = append(ids, "`"+r.GetShortId()+"`")
		}
	}
	if len(ids) == 0 {
		return private("", fmt.Sprintf("Nothing of *%s %s* waits. What runs is stopped by `cancel ID`; `status` shows the ids.", grammar.Escape(namespace), grammar.Escape(job))), nil
	}
	slices.Reverse(ids)
	return said(fmt.Sprintf("%s took %s of *%s %s* out of the queue: %s.", personMention(e), count(len(ids), "run"), grammar.Escape(namespace), grammar.Escape(job), strings.Join(ids[:min(len(ids), maxListed)], ", "))), nil
}

// said is public, and in a thread only if that is where it was asked.
func said(text string) *commandv1.Answer {
	return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PUBLIC, Text: text}
}

func (c *clerk) holdJob(ctx context.Context, e *commandv1.Envelope, job, window, reason string) (*commandv1.Answer, error) {
	from, until, err := grammar.ParseWindow(window, e.GetReceived().AsTime(), zoneOf(e))
	if err != nil {
		return parseAnswer(err), nil
	}
	_, h, err := c.desk.hold(ctx, askerOf(e), job, lane.Hold{From: from, Until: until, Reason: reason})
	if err != nil {
		return c.refuse(err, "", grammar.Sentence{})
	}
	return public("", fmt.Sprintf("*%s* is held %s by %s%s. What runs goes on; what is asked for waits. `release %s` ends it.",
		grammar.Escape(jobWords(h.Job)), windowWords(h, zoneOf(e)), personMention(e), grammar.Escape(reasonAfter(reason)), grammar.Escape(h.Job))), nil
}

func windowWords(h lane.Hold, zone *time.Location) string {
	from, until := h.From.In(zone), h.Until.In(zone)
	if from.YearDay() == until.YearDay() && from.Year() == until.Year() {
		return fmt.Sprintf("from %s to %s", from.Format("2006-01-02 15:04"), until.Format("15:04 MST"))
	}
	return fmt.Sprintf("from %s to %s", from.Format("2006-01-02 15:04"), until.Format("2006-01-02 15:04 MST"))
}

func (c *clerk) releaseJob(ctx context.Context, e *commandv1.Envelope, job, reason string) (*commandv1.Answer, error) {
	_, released, err := c.desk.releaseHolds(ctx, askerOf(e), job, "", reason)
	if err != nil {
		return c.refuse(err, "", grammar.Sentence{})
	}
	name := job
	if len(released) > 0 {
		name = released[0].Job
	}
	return public("", fmt.Sprintf("%s released %s of *%s*. What waits may start.", personMention(e), count(len(released), "hold"), grammar.Escape(jobWords(name)))), nil
}

func jobWords(job string) string { return strings.Replace(job, "/", " ", 1) }

// namespace finds a namespace by the word that a person typed.
func (a *adopted) namespace(word string) (string, bool) {
	name, refusal := a.config.FindNamespace(word)
	return name, refusal == nil
}

// sees tells what an asker may look at. Guests see what is not restricted, and
// no deployments; everybody else sees all.
func (c *clerk) sees(e *commandv1.Envelope) func(*apiv1.Run) bool {
	subject := subjectOf(e)
	full := policy.MayAsk(subject) == nil
	return func(r *apiv1.Run) bool {
		if r.GetJob() == "" {
			return full
		}
		rule := policy.JobRule{Namespace: r.GetNamespace(), Job: r.GetJob(), Restricted: r.GetRestricted()}
		if cfg := c.desk.config(); cfg != nil {
			rule.Restricted = rule.Restricted || cfg.restricted(r.GetNamespace(), r.GetJob())
		}
		return policy.MaySeeJob(rule, subject) == nil
	}
}

// restricted tells whether the configuration in force keeps guests from a job, and
// from what a namespace left behind that is not there any more.
func (a *adopted) restricted(namespace, job string) bool {
	ns, ok := a.config.Namespaces[namespace]
	return !ok || ns.Restricted || ns.Jobs[job].Restricted
}

// mayLook is the answer for who may not see a run; nil when he may.
func (c *clerk) mayLook(e *commandv1.Envelope, st run.State) *commandv1.Answer {
	subject := subjectOf(e)
	denial := policy.MayAsk(subject)
	if st.IsJob() {
		rule := policy.JobRule{Namespace: st.Namespace, Job: st.Job, Restricted: st.Plan.GetRestricted()}
		if cfg := c.desk.config(); cfg != nil {
			rule.Restricted = rule.Restricted || cfg.restricted(st.Namespace, st.Job)
		}
		denial = policy.MaySeeJob(rule, subject)
	}
	if denial == nil {
		return nil
	}
	return refusalAnswer(denial.Code, denial.Sentence, nil)
}

// history lists ended and live runs of jobs, the newest first.
func (c *clerk) history(e *commandv1.Envelope, s grammar.Sentence) *commandv1.Answer {
	q, refusal := c.historyQuery(e, s)
	if refusal != nil {
		return refusal
	}
	runs := slices.DeleteFunc(c.list(q), func(r *apiv1.Run) bool { return !c.sees(e)(r) })
	if len(runs) == 0 {
		return private("", "I find no such run.")
	}
	more := len(runs) > maxListed
	runs = runs[:min(maxListed, len(runs))]
	lines := []string{"The newest first:"}
	for _, r := range runs {
		lines = append(lines, line(r, c.now()))
	}
	if more {
		lines = append(lines, "… older ones: `slipway history` in a terminal lists all of them.")
	}
	return private("", strings.Join(lines, "\n"))
}

var outcomes = map[string]apiv1.RunStatus{
	"succeeded": apiv1.RunStatus_RUN_STATUS_SUCCEEDED, "failed": apiv1.RunStatus_RUN_STATUS_FAILED, "cancelled": apiv1.RunStatus_RUN_STATUS_CANCELLED,
	"timed out": apiv1.RunStatus_RUN_STATUS_TIMED_OUT, "refused": apiv1.RunStatus_RUN_STATUS_REFUSED, "merged": apiv1.RunStatus_RUN_STATUS_MERGED,
}

func (c *clerk) historyQuery(e *commandv1.Envelope, s grammar.Sentence) (*apiv1.ListRunsRequest, *commandv1.Answer) {
	q := &apiv1.ListRunsRequest{PageSize: maxPage, Requester: s.By}
	if s.Since != "" {
		since, err := grammar.ParseSince(s.Since, e.GetReceived().AsTime(), zoneOf(e))
		if err != nil {
			return nil, parseAnswer(err)
		}
		q.Since = stamp(since)
	}
	if s.Outcome != "" {
		q.Statuses = []apiv1.RunStatus{outcomes[s.Outcome]}
	}
	namespace, job, qualified := strings.Cut(s.Job, "/")
	cfg := c.desk.config()
	switch {
	case s.Job == "":
		q.Kind = "job"
	case qualified:
		q.Namespace, q.Job = namespace, job
	case cfg == nil:
		q.Namespace = s.Job
	default:
		if name, ok := cfg.namespace(s.Job); ok {
			q.Namespace = name
		} else if _, ok := cfg.config.Services[s.Job]; ok {
			q.Service = s.Job
		} else if q.Namespace = cfg.onlyJob(s.Job); q.Namespace != "" {
			q.Job = s.Job
		} else {
			return nil, unknownNamespace(cfg, s.Job)
		}
	}
	return q, nil
}

// activeHolds are the holds that have not ended, of what the asker may see.
func (c *clerk) activeHolds(e *commandv1.Envelope) []*apiv1.Hold {
	sees := c.sees(e)
	return slices.DeleteFunc(c.view.holds(), func(h *apiv1.Hold) bool {
		namespace, job, ok := strings.Cut(h.GetJob(), "/")
		return ok && !sees(&apiv1.Run{Namespace: namespace, Job: job})
	})
}
