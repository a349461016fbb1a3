package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/listen"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// codeNoRunner is the code of a request for a runner that is not there.
const codeNoRunner = "E-RUNNER-404"

// caught starts the job of a listener for a message that its match fits, by the
// configuration in force: on one runner, on a named one, or on each that is alive.
func (c *clerk) caught(ctx context.Context, e *commandv1.Envelope) (*commandv1.Answer, error) {
	got := e.GetCaught()
	cfg := c.desk.config()
	if cfg == nil {
		return nil, fmt.Errorf("start the job of a listener: no configuration yet: %w", eventlog.ErrUnavailable)
	}
	l, ok := cfg.config.Namespaces[got.GetNamespace()].Listen[got.GetListener()]
	if (!ok || l.Match != got.GetMatch()) && c.now().Sub(e.GetReceived().AsTime()) < configLag {
		return nil, fmt.Errorf("start the job of a listener: the configuration is behind its door's: %w", eventlog.ErrUnavailable)
	}
	m := listen.Message{Bot: got.GetBot(), App: got.GetApp(), Edited: got.GetEdited(), Deleted: got.GetDeleted()}
	if !ok || l.Match != got.GetMatch() || !listen.Allows(l, m) || got.GetAttachment() && !l.Attachments {
		c.desk.logger.Warn("a message starts nothing: its listener has changed since", "identity", e.GetIdentity())
		return private("", ""), nil
	}
	h := hearing{envelope: e, name: got.GetNamespace() + "/" + got.GetListener(), listener: l, who: hearer(e)}
	h.want = jobWish{identity: e.GetIdentity(), namespace: got.GetNamespace(), job: l.Job, parameters: h.parameters(cfg), record: h.bot()}
	return c.hear(ctx, cfg, h)
}

// hearing is a message that a listener waits for.
type hearing struct {
	envelope *commandv1.Envelope
	name     string // of the listener
	listener pipeline.Listener
	who      asker
	want     jobWish
}

// bot tells whether no person is there to be told what becomes of it.
func (h hearing) bot() bool { return h.who.subject.Kind == policy.KindSystem }

// parameters are those of the job: what the listener fixes, and the parts of the
// match that have the name of one.
func (h hearing) parameters(cfg *adopted) map[string]string {
	got := h.envelope.GetCaught()
	declared := cfg.config.Namespaces[got.GetNamespace()].Jobs[h.listener.Job].Params
	out := map[string]string{}
	maps.Copy(out, h.listener.Values)
	for name, value := range got.GetParts() {
		if _, ok := declared[name]; ok {
			out[name] = value
		}
	}
	return out
}

// hearer is who stands behind a message: a person, with the rights of a person; or
// a bot, for which whoever wrote the listener has decided.
func hearer(e *commandv1.Envelope) asker {
	if e.GetCaught().GetBot() == "" && e.GetCaught().GetApp() == "" {
		return askerOf(e)
	}
	return asker{principal: e.GetPrincipal(), subject: policy.Subject{Kind: policy.KindSystem}, origin: e.GetOrigin(), command: e.GetIdentity()}
}

// hear decides on whom the job runs and starts it.
func (c *clerk) hear(ctx context.Context, cfg *adopted, h hearing) (*commandv1.Answer, error) {
	rule := cfg.jobRule(h.want.namespace, h.want.job)
	if denial := policy.MayRunJob(rule, h.who.subject, h.who.origin.GetChannel()); denial != nil {
		return refusalAnswer(denial.Code, denial.Sentence, nil), nil // chatter of who may not leaves no run behind
	}
	if h.listener.Every() {
		return c.every(ctx, cfg, h)
	}
	if name, byMessage := h.listener.Only(h.envelope.GetCaught().GetParts()); name != "" {
		var refusal *commandv1.Answer
		if h.want.runner, refusal = c.called(name, byMessage); refusal != nil {
			return refusal, nil
		}
	}
	st, err := c.desk.startJob(ctx, h.who, h.want)
	return c.heard(h, st, err)
}

// heard answers for one run: the emoji on the message says that it was accepted.
func (c *clerk) heard(h hearing, st run.State, err error) (*commandv1.Answer, error) {
	if refusal, refused := refusalOf(err); refused {
		c.desk.logger.Warn("a listener's job was refused", "identity", h.envelope.GetIdentity(), "listener", h.name, "code", refusal.Code, "reason", refusal.Sentence)
		return refusalAnswer(refusal.Code, refusal.Sentence, nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("start %s/%s for a message: %w", h.want.namespace, h.want.job, err)
	}
	return &commandv1.Answer{Run: st.ID}, nil
}

// called finds the runner that a message names. One that the configuration names
// need not be there yet: the run waits for it.
func (c *clerk) called(name string, byMessage bool) (string, *commandv1.Answer) {
	alive, known := c.alive()
	if !known || !byMessage {
		return name, nil
	}
	var names []string
	for _, r := range alive {
		if r.Called(name) {
			return r.Name, nil
		}
		names = append(names, r.Name)
	}
	slices.Sort(names)
	sentence := fmt.Sprintf("No runner %s is connected.", grammar.Quote(name))
	switch near := grammar.Suggest(name, names, maxSuggested); {
	case len(near) > 0:
		sentence += didYouMean(near)
	case len(names) > 0:
		sentence += " There are " + strings.Join(slices.Compact(names), ", ") + "."
	}
	return "", refusalAnswer(codeNoRunner, sentence+" Nothing was started.", nil)
}

func (c *clerk) alive() (alive []roster.Runner, known bool) {
	if c.runners == nil {
		return nil, false
	}
	return c.runners()
}

// every starts the job on each runner that is alive and may take it. Which ones is
// one commit on the listener's subject: whoever gets the message again starts
// exactly those runs.
func (c *clerk) every(ctx context.Context, cfg *adopted, h hearing) (*commandv1.Answer, error) {
	plan, _, err := pipeline.ResolveJob(cfg.config, pipeline.JobRequest{Namespace: h.want.namespace, Job: h.want.job, Params: h.want.parameters})
	if err != nil {
		return c.heard(h, run.State{}, err)
	}
	decided, err := c.decideEvery(ctx, h, roster.Of(plan))
	if err != nil {
		return c.heard(h, run.State{}, err)
	}
	if len(decided.GetRuns()) == 0 {
		return refusalAnswer(codeNoRunner, fmt.Sprintf("Nobody answers: no runner of %s is connected.", roster.Of(plan)), nil), nil
	}
	answer := &commandv1.Answer{}
	for _, r := range decided.GetRuns() {
		want := h.want
		want.identity, want.runner, want.wait = listen.RunIdentity(decided.GetKey(), r.GetRunner()), r.GetCalled(), pipeline.DefaultEveryTimeout
		st, err := c.desk.startJob(ctx, h.who, want)
		if answer, err = c.heard(h, st, err); err != nil { // a refusal of one keeps no other from answering
			return nil, err
		}
	}
	return answer, nil
}

// decideEvery returns what was decided about the message, now or before.
func (c *clerk) decideEvery(ctx context.Context, h hearing, needs roster.Needs) (*eventv1.MessageHeard, error) {
	o := h.who.origin
	ask := listen.Ask{Event: &eventv1.MessageHeard{
		Listener: h.name, Key: h.envelope.GetIdentity(), Team: o.GetTeam(), Channel: o.GetChannel(), MessageTs: o.GetMessageTs(),
	}}
	handle, err := engine.Open(ctx, c.desk.log, topology.ListenSubject(h.name), listen.State{}, foldListen)
	if err != nil {
		return nil, err
	}
	if before := handle.State().Of(ask.Event.GetKey()); before != nil {
		return before, nil
	}
	alive, known := c.alive()
	if !known {
		return nil, fmt.Errorf("ask every runner: this replica does not see the leases yet: %w", eventlog.ErrUnavailable)
	}
	ask.Alive = slices.DeleteFunc(alive, func(r roster.Runner) bool { return r.Draining || !r.Fits(needs) })
	res, err := handle.Do(ctx, engine.Meta{CommandID: h.envelope.GetIdentity(), Actor: h.who.principal, Time: c.now()}, func(s listen.State) ([]*eventv1.Event, error) {
		return listen.Decide(s, ask)
	})
	if err != nil {
		return nil, err
	}
	return res.State.Of(ask.Event.GetKey()), nil
}

func foldListen(s listen.State, rec eventlog.Record) listen.State {
	return listen.FoldCommit(s, rec.Commit)
}
