package relay

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/refusal"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// MaxAway is how long nobody can be there at a stretch: longer is a mistake in
// the year.
const MaxAway = 366 * 24 * time.Hour

// Codes of refusals.
const (
	CodeDay      = "E-AWAY-DAY"
	CodeReversed = "E-AWAY-REVERSED"
	CodePast     = "E-AWAY-PAST"
	CodeLong     = "E-AWAY-LONG"
	CodeRelay    = "E-RELAY"
)

// Refusal says why a command causes nothing.
type Refusal = refusal.Refusal

// Command is Pass, GoAway or ComeBack.
type Command interface{ command() }

// Pass passes a message on. Its event is complete but for the notice.
type Pass struct {
	Event *eventv1.MessageRelayed
	// Day on which it was heard, "2026-12-24".
	Day string
	// Notice is said while nobody is there.
	Notice func(Away) string
}

// GoAway says on which days nobody is there, in place of what was said before.
type GoAway struct{ Relay, From, Until, Today string }

// ComeBack takes that back.
type ComeBack struct{ Relay string }

func (Pass) command()     {}
func (GoAway) command()   {}
func (ComeBack) command() {}

// Decide returns the events that a command causes. One that changes nothing
// causes none; the error is always a *Refusal.
func Decide(s State, c Command) ([]*eventv1.Event, error) {
	switch c := c.(type) {
	case Pass:
		return pass(s, c)
	case GoAway:
		return goAway(s, c)
	case ComeBack:
		if s.Away == nil {
			return nil, nil
		}
		return []*eventv1.Event{{Kind: &eventv1.Event_AwayCleared{AwayCleared: &eventv1.AwayCleared{Relay: c.Relay}}}}, nil
	}
	return nil, &Refusal{Code: CodeRelay, Sentence: "A relay cannot do that."}
}

func pass(s State, c Pass) ([]*eventv1.Event, error) {
	if s.Has(Key(c.Event.GetTeam(), c.Event.GetChannel(), c.Event.GetMessageTs())) {
		return nil, nil
	}
	event := proto.CloneOf(c.Event) // the command may be decided again
	if s.Away.On(c.Day) && c.Notice != nil {
		event.AwayNotice = c.Notice(*s.Away)
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_MessageRelayed{MessageRelayed: event}}}, nil
}

func goAway(s State, c GoAway) ([]*eventv1.Event, error) {
	if err := Window(c.From, c.Until, c.Today); err != nil {
		return nil, err
	}
	if s.Away != nil && s.Away.From == c.From && s.Away.Until == c.Until {
		return nil, nil
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_AwaySet{AwaySet: &eventv1.AwaySet{Relay: c.Relay, From: c.From, Until: c.Until}}}}, nil
}

// Window checks days as people write them, "2026-12-24", both included. today is
// one, too. The error is a *Refusal.
func Window(from, until, today string) error {
	first, err := day(from)
	if err != nil {
		return err
	}
	last, err := day(until)
	switch {
	case err != nil:
		return err
	case last.Before(first):
		return &Refusal{Code: CodeReversed, Sentence: fmt.Sprintf("%s is before %s: the first day comes first.", until, from)}
	case until < today:
		return &Refusal{Code: CodePast, Sentence: fmt.Sprintf("%s is over already: today is %s.", until, today)}
	case last.Sub(first) > MaxAway:
		return &Refusal{Code: CodeLong, Sentence: "That is more than a year; please check the years."}
	}
	return nil
}

func day(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, &Refusal{Code: CodeDay, Sentence: fmt.Sprintf("%q is no day of the calendar; write it as 2026-12-24.", text[:min(len(text), 40)])}
	}
	return t, nil
}
