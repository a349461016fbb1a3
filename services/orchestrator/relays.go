package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/relay"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// defaultReaction is on a message that was passed on.
const defaultReaction = "sos"

// overheard passes a message on for each relay whose keyword it holds. A relay
// that left the configuration passes nothing on.
func (c *clerk) overheard(ctx context.Context, e *commandv1.Envelope) (*commandv1.Answer, error) {
	cfg := c.desk.config()
	if cfg == nil {
		return nil, fmt.Errorf("pass a message on: no configuration yet: %w", eventlog.ErrUnavailable)
	}
	if e.GetOverheard().GetDirect() {
		return private("", ""), nil // what is said in private is passed on to nobody
	}
	for _, name := range e.GetOverheard().GetRelays() {
		settings, ok := cfg.config.Relays[name]
		if !ok {
			continue
		}
		if err := c.pass(ctx, e, name, settings); err != nil {
			return nil, fmt.Errorf("pass a message on by the relay %s: %w", name, err)
		}
	}
	return private("", ""), nil
}

func (c *clerk) pass(ctx context.Context, e *commandv1.Envelope, name string, settings pipeline.Relay) error {
	o := e.GetOrigin()
	_, err := c.relay(ctx, e, name, relay.Pass{
		Day: today(e, c.now()),
		Event: &eventv1.MessageRelayed{
			Relay: name, Team: o.GetTeam(), Channel: o.GetChannel(), ThreadTs: o.GetThreadTs(), MessageTs: o.GetMessageTs(), User: e.GetPrincipal().GetUser(),
			ToChannel: settings.Channel, Reaction: cmp.Or(settings.Reaction, defaultReaction),
		},
		Notice: func(a relay.Away) string { return awayNotice(settings, a) },
	})
	return err
}

// relay decides on a relay's own subject.
func (c *clerk) relay(ctx context.Context, e *commandv1.Envelope, name string, command relay.Command) (relay.State, error) {
	h, err := engine.Open(ctx, c.desk.log, topology.RelaySubject(name), relay.State{}, foldRelay)
	if err != nil {
		return relay.State{}, err
	}
	meta := engine.Meta{CommandID: e.GetIdentity(), Actor: e.GetPrincipal(), Time: c.now()}
	res, err := h.Do(ctx, meta, func(s relay.State) ([]*eventv1.Event, error) { return relay.Decide(s, command) })
	if err != nil {
		return h.State(), err
	}
	return res.State, nil
}

func foldRelay(s relay.State, rec eventlog.Record) relay.State {
	return relay.FoldCommit(s, rec.Sequence, rec.Commit)
}

// awayNotice is what somebody is told who calls while nobody is there.
func awayNotice(settings pipeline.Relay, a relay.Away) string {
	if settings.Away != "" {
		return settings.Away
	}
	return fmt.Sprintf("Nobody is there to answer from %s to %s, both included. Your message was passed on all the same, and will be read after that.", a.From, a.Until)
}

// today is the day where the person is; where that is not known, in UTC.
func today(e *commandv1.Envelope, now time.Time) string {
	zone, err := time.LoadLocation(e.GetStanding().GetZone())
	if err != nil {
		zone = time.UTC
	}
	return now.In(zone).Format(time.DateOnly)
}

// away says on which days nobody watches a relay's channel, takes that back, or
// tells.
func (c *clerk) away(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) (*commandv1.Answer, error) {
	if denial := policy.MayAsk(subjectOf(e)); denial != nil {
		return refusalAnswer(denial.Code, denial.Sentence, nil), nil
	}
	name, err := c.whichRelay(s.Relay)
	if err != nil {
		return c.refuse(err, "", s)
	}
	day := today(e, c.now())
	switch s.Action {
	case "on":
		if _, err := c.relay(ctx, e, name, relay.GoAway{Relay: name, From: s.From, Until: s.Until, Today: day}); err != nil {
			return c.refuse(err, "", s)
		}
		return public("", fmt.Sprintf("Noted: nobody is there for *%s* from %s to %s, both included. Who calls is told so.", grammar.Escape(name), s.From, s.Until)), nil
	case "off":
		if _, err := c.relay(ctx, e, name, relay.ComeBack{Relay: name}); err != nil {
			return c.refuse(err, "", s)
		}
		return public("", fmt.Sprintf("Noted: *%s* is answered as usual.", grammar.Escape(name))), nil
	}
	h, err := engine.Open(ctx, c.desk.log, topology.RelaySubject(name), relay.State{}, foldRelay)
	if err != nil {
		return nil, err
	}
	return private("", awayStatus(name, h.State().Away, day)), nil
}

func awayStatus(name string, a *relay.Away, day string) string {
	name = grammar.Escape(name)
	switch {
	case a == nil || a.Until < day:
		return fmt.Sprintf("*%s* is answered as usual; nobody said otherwise.", name)
	case a.On(day):
		return fmt.Sprintf("Nobody is there for *%s* until %s, that day included.", name, a.Until)
	}
	return fmt.Sprintf("*%s* is answered as usual; from %s to %s, both included, nobody will be there.", name, a.From, a.Until)
}

// whichRelay finds a relay by its name; without one, the only one.
func (c *clerk) whichRelay(name string) (string, error) {
	cfg := c.desk.config()
	if cfg == nil {
		return "", errNoConfig
	}
	names := slices.Sorted(maps.Keys(cfg.config.Relays))
	switch {
	case slices.Contains(names, name):
		return name, nil
	case len(names) == 0:
		return "", &run.Refusal{Code: relay.CodeRelay, Sentence: "There are no relays in the configuration, so nobody can be missed."}
	case name == "" && len(names) == 1:
		return names[0], nil
	case name == "":
		return "", &run.Refusal{Code: relay.CodeRelay, Sentence: "Which one? There are " + strings.Join(names, ", ") + "."}
	}
	return "", &run.Refusal{Code: relay.CodeRelay, Sentence: fmt.Sprintf("I know no relay %s.%s", grammar.Quote(name), didYouMean(grammar.Suggest(name, names, maxSuggested)))}
}
