package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// desk is where every request is decided, whichever door it came through: it
// resolves against the adopted configuration, authorises, decides and appends.
type desk struct {
	log    eventlog.Log
	view   *view
	config func() *adopted
	nudge  func(incarnation, run string)
	now    func() time.Time
	logger *slog.Logger
}

// asker is who stands at the desk.
type asker struct {
	principal *eventv1.Principal
	subject   policy.Subject
	origin    *eventv1.Origin
	// command identifies the request: the same in every delivery, empty when it
	// is delivered once.
	command string
}

// deployment is a wish for a run.
type deployment struct {
	identity                      string
	service, environment, version string
	parameters                    map[string]string
	// record says that a refusal is stored as the run's end, so that every
	// delivery of the request gets the same answer.
	record bool
}

// errNoConfig: nothing was adopted yet.
var errNoConfig = &run.Refusal{Code: "E-CONFIG-NONE", Sentence: "There is no configuration yet: give one with --config, or write a slipway.yaml (slipway init makes one)."}

// start opens a run, or returns the refusal. The same identity always means the
// same run.
func (d *desk) start(ctx context.Context, who asker, want deployment) (run.State, error) {
	w := opening{kind: identity.Deployment, identity: want.identity, digest: digest(want), record: want.record}
	return d.request(ctx, who, w, func(cfg *adopted, event *eventv1.RunRequested) error {
		event.Service, event.Environment, event.Version, event.Parameters = want.service, want.environment, want.version, want.parameters
		plan, target, err := pipeline.Resolve(cfg.config, pipeline.Request{
			Service: want.service, Environment: want.environment, Version: want.version, Parameters: want.parameters,
		})
		if err != nil {
			return err
		}
		d.view.proj.Read(func(b *board.Board) { plan.PreviousVersion = b.Version(target.Service, target.Environment) })
		event.Plan, event.Service, event.Environment, event.Version = plan, target.Service, target.Environment, target.Version
		return d.authorise(cfg, who, target.Environment)
	})
}

// opening is what every request for a run has.
type opening struct {
	kind     identity.Kind
	identity string
	digest   []byte
	record   bool // see deployment.record
}

// request opens the run of an opening with what plan fills in, or returns the
// refusal.
func (d *desk) request(ctx context.Context, who asker, w opening, plan func(*adopted, *eventv1.RunRequested) error) (run.State, error) {
	id := identity.RunID(w.kind, w.identity)
	if d.view.known(id) {
		s, err := d.view.state(ctx, id)
		if err != nil {
			return s, err
		}
		return d.repeated(s, w)
	}
	cfg := d.config()
	if cfg == nil {
		return run.State{}, errNoConfig
	}
	event := &eventv1.RunRequested{Run: id, Identity: w.identity, Digest: w.digest, Origin: who.origin, ConfigSequence: cfg.sequence}
	if err := plan(cfg, event); err != nil {
		return d.refused(ctx, id, who, event, w.record, err)
	}
	s, err := d.append(ctx, id, who, run.Request{Event: event})
	if err == nil && s.Status == run.Refused {
		return s, &run.Refusal{Code: s.Code, Sentence: s.Reason} // another replica was first
	}
	return s, err
}

// repeated answers a request whose run exists.
func (d *desk) repeated(s run.State, w opening) (run.State, error) {
	if s.Identity != w.identity || string(s.Digest) != string(w.digest) {
		_, err := run.Decide(s, run.Request{Event: &eventv1.RunRequested{Identity: w.identity, Digest: w.digest}})
		return s, err
	}
	if s.Status == run.Refused {
		return s, &run.Refusal{Code: s.Code, Sentence: s.Reason}
	}
	return s, nil
}

// refused stores a refusal as the end of the run when the door wants that, and
// returns it.
func (d *desk) refused(ctx context.Context, id string, who asker, event *eventv1.RunRequested, record bool, cause error) (run.State, error) {
	refusal, ok := refusalOf(cause)
	if !ok || !record {
		return run.State{}, cause
	}
	event.Plan = nil
	s, err := d.append(ctx, id, who, run.Request{Event: event, Refusal: refusal})
	switch {
	case err != nil:
		return s, err
	case s.Status != run.Refused: // an earlier delivery was accepted, and this view is behind
		return s, nil
	case s.Code != refusal.Code:
		return s, &run.Refusal{Code: s.Code, Sentence: s.Reason}
	}
	return s, cause
}

func (d *desk) append(ctx context.Context, id string, who asker, c run.Command) (run.State, error) {
	h := engine.Fresh(d.log, topology.RunSubject(id), run.State{}, foldRun)
	s, err := d.do(ctx, h, who, c)
	if err != nil {
		s.ID = id // not confirmed: if it got through, it is this one
	}
	return s, err
}

func (d *desk) do(ctx context.Context, h *engine.Handle[run.State], who asker, c run.Command) (run.State, error) {
	res, err := h.Do(ctx, engine.Meta{CommandID: who.command, Actor: who.principal, Time: d.now()}, func(s run.State) ([]*eventv1.Event, error) {
		return run.Decide(s, c)
	})
	if err != nil {
		return h.State(), err
	}
	return res.State, nil
}

// authorise asks the policy whether the asker may start something there.
func (d *desk) authorise(cfg *adopted, who asker, environment string) error {
	if _, ok := cfg.config.Environments[environment]; !ok {
		return &run.Refusal{Code: "E-ENV-GONE", Sentence: fmt.Sprintf("*%s* is not in the configuration any more.", environment)}
	}
	if denial := policy.MayStart(cfg.rule(environment), who.subject, who.origin.GetChannel()); denial != nil {
		return denial
	}
	return nil
}

// steer checks whether the asker may cancel, retry or answer for a run. An
// environment that left the configuration is nobody's but the requester's.
func (d *desk) steer(who asker, s run.State) error {
	cfg := d.config()
	if cfg == nil {
		return errNoConfig
	}
	if s.IsJob() {
		return d.steerJob(cfg, who, s)
	}
	rule := cfg.rule(s.Environment)
	if _, ok := cfg.config.Environments[s.Environment]; !ok {
		rule = policy.Rule{Environment: s.Environment, Protected: s.Plan.GetProtected()}
	}
	owner := policy.Owner{Team: s.Requester.GetTeam(), User: s.Requester.GetUser()}
	if denial := policy.MaySteer(rule, who.subject, who.origin.GetChannel(), owner); denial != nil {
		return denial
	}
	return nil
}

// steerJob checks the same for a job: whoever may run it may steer it.
func (d *desk) steerJob(cfg *adopted, who asker, s run.State) error {
	rule := cfg.jobRule(s.Namespace, s.Job)
	rule.Restricted = rule.Restricted || s.Plan.GetRestricted()
	if denial := policy.MayRunJob(rule, who.subject, who.origin.GetChannel()); denial != nil {
		return denial
	}
	return nil
}

// cancel asks for the end of a run.
func (d *desk) cancel(ctx context.Context, who asker, id, reason string) (run.State, error) {
	return d.change(ctx, who, id, run.RequestCancel{Reason: reason})
}

// answer gives a person's word on the open question. seen is the sequence of the
// run on the card that was pressed; 0: there was none.
func (d *desk) answer(ctx context.Context, who asker, id string, word eventv1.StepAnswered_Answer, seen uint64) (run.State, error) {
	s, err := d.view.state(ctx, id)
	if err != nil {
		return s, err
	}
	if s.Question == nil {
		return s, run.ErrNoAsk
	}
	return d.change(ctx, who, id, run.Answer{Step: s.Question.Step, Answer: word, Seen: seen})
}

func (d *desk) change(ctx context.Context, who asker, id string, c run.Command) (run.State, error) {
	h, err := engine.Open(ctx, d.log, topology.RunSubject(id), run.State{}, foldRun)
	if err != nil {
		return run.State{}, err
	}
	if err := d.steer(who, h.State()); err != nil {
		return h.State(), err
	}
	s, err := d.do(ctx, h, who, c)
	if err == nil && s.Claimed() {
		d.nudge(s.Claim.Incarnation, id)
	}
	return s, err
}

// retry starts a new run that carries the finished steps of an ended one over.
// Without a key of the caller's own a run has one retry, that one the next, and
// so on: asking again while it is under way answers with it, so that a second
// click starts nothing, and asking after it failed retries the newest. One
// request delivered again means the retry that it started, whatever became of it.
func (d *desk) retry(ctx context.Context, who asker, old, key string) (run.State, error) {
	request := "retry|" + old + "|" + key
	if key == "" {
		var started run.State
		var err error
		if old, request, started, err = d.newest(ctx, old, who.command); err != nil || started.ID != "" {
			return started, err
		}
	}
	kind := identity.KindOf(old)
	if id := identity.RunID(kind, request); d.view.known(id) {
		return d.view.state(ctx, id)
	}
	s, err := d.view.state(ctx, old)
	if err != nil {
		return s, err
	}
	cfg := d.config()
	if cfg == nil {
		return s, errNoConfig
	}
	if err := d.mayRetry(cfg, who, s); err != nil {
		return s, err
	}
	underway := s.RetryOf != "" && !s.Status.Ended() && key == ""
	if underway {
		return s, nil
	}
	if err := retriable(s); err != nil {
		return s, err
	}
	id := identity.RunID(kind, request)
	return d.append(ctx, id, who, run.Request{Event: retryOf(s, id, request, cfg.sequence, who.origin)})
}

// newest follows the chain of retries from a run to its last, and names the
// request for the next; or it finds the one that command has started.
func (d *desk) newest(ctx context.Context, id, command string) (last, request string, started run.State, err error) {
	for {
		request = "retry|" + id + "|"
		next := identity.RunID(identity.KindOf(id), request)
		if !d.view.known(next) {
			return id, request, run.State{}, nil
		}
		id = next
		if command == "" {
			continue
		}
		if started, err = d.view.state(ctx, id); err != nil || started.Command == command {
			return id, request, started, err
		}
	}
}

// mayRetry asks the policy whether the asker may start the run again.
func (d *desk) mayRetry(cfg *adopted, who asker, s run.State) error {
	if s.IsJob() {
		return d.steerJob(cfg, who, s)
	}
	return d.authorise(cfg, who, s.Environment)
}

func retriable(s run.State) error {
	switch {
	case !s.Status.Ended():
		return &run.Refusal{Code: run.ErrRetryLive.Code, Sentence: "The run has not ended yet: cancel it first, or wait. Nothing was changed."}
	case s.Status == run.Succeeded:
		return &run.Refusal{Code: "E-RUN-SUCCEEDED", Sentence: "The run succeeded; there is nothing to retry. Deploy again to repeat it."}
	case s.Status == run.Merged:
		return &run.Refusal{Code: "E-RUN-MERGED", Sentence: fmt.Sprintf("Another run executed for this one: retry `%s` instead.", identity.Short(s.MergedInto))}
	case s.Status == run.Refused:
		return &run.Refusal{Code: "E-RUN-REFUSED", Sentence: "The run was refused: " + s.Reason}
	}
	return nil
}

// retryOf is the request for a run that goes on where s ended: the same pinned
// plan, built from what was really checked out.
func retryOf(s run.State, id, requestIdentity string, config uint64, origin *eventv1.Origin) *eventv1.RunRequested {
	plan, _ := proto.Clone(s.Plan).(*eventv1.Plan)
	plan.Dedupe, plan.Delay = nil, nil // it skips what is finished, so it is like no other request
	if git := plan.GetSource().GetGit(); git != nil && s.Commit != "" {
		git.Ref = s.Commit
	}
	if origin.GetChannel() == "" && s.Origin.GetChannel() != "" {
		origin, _ = proto.Clone(origin).(*eventv1.Origin)
		if origin == nil {
			origin = &eventv1.Origin{}
		}
		origin.Team, origin.Channel = s.Origin.GetTeam(), s.Origin.GetChannel()
	}
	event := &eventv1.RunRequested{
		Run: id, Identity: requestIdentity, Digest: digest(deployment{identity: requestIdentity, service: s.Service, environment: s.Environment, version: s.Version, parameters: s.Parameters}),
		Plan: plan, Service: s.Service, Environment: s.Environment, Version: s.Version, Parameters: s.Parameters,
		Origin: origin, RetryOf: s.ID, ConfigSequence: config, Namespace: s.Namespace, Job: s.Job, Said: s.Said,
	}
	for i := range s.Steps {
		if st := &s.Steps[i]; st.Status.Done() {
			from := s.ID
			if st.CarriedFrom != "" {
				from = st.CarriedFrom
			}
			event.Carried = append(event.Carried, &eventv1.CarriedStep{Step: uint32(i), Run: from, Artefacts: st.Artefacts}) //nolint:gosec // at most pipeline.MaxSteps
		}
	}
	return event
}

// digest covers what was asked, in the person's own words, so that it does not
// change with the configuration.
func digest(want deployment) []byte {
	h := sha256.New()
	write := func(text string) {
		_ = binary.Write(h, binary.BigEndian, uint32(len(text))) //nolint:gosec // far below 4 GiB; a hash never fails
		h.Write([]byte(text))
	}
	write(want.service)
	write(want.environment)
	write(want.version)
	writeParameters(write, want.parameters)
	return h.Sum(nil)
}

func writeParameters(write func(string), parameters map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(parameters)) {
		write(k)
		write(parameters[k])
	}
}

// refusalOf finds the refusal in an error, whichever room it came from.
func refusalOf(err error) (*run.Refusal, bool) {
	var r *run.Refusal
	var p *pipeline.Refusal
	var d *policy.Denial
	switch {
	case errors.As(err, &r):
		return r, true
	case errors.As(err, &p):
		return &run.Refusal{Code: p.Code, Sentence: p.Sentence}, true
	case errors.As(err, &d):
		return &run.Refusal{Code: d.Code, Sentence: d.Sentence}, true
	}
	return nil, false
}
