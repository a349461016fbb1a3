package relay

import (
	"slices"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// MaxRemembered is how many messages a relay remembers, the newest: weeks of
// calls for help, in less than 200 KiB. An older one that is edited may be
// passed on again; its reaction tells people that it was.
const MaxRemembered = 500

// State is one relay.
type State struct {
	Name string
	// Away is when nobody is there; nil: nobody said so.
	Away *Away
	// Relayed are the messages passed on, oldest first, at most MaxRemembered.
	Relayed []Relayed
	// Sequence of the last commit.
	Sequence uint64
}

// Away are days on which nobody watches the relay's channel: the first and the
// last, as "2026-12-24".
type Away struct {
	From, Until string
	// Sequence of the commit that said so.
	Sequence uint64
	By       *eventv1.Principal
}

// On tells whether a day is one of them.
func (a *Away) On(day string) bool { return a != nil && a.From <= day && day <= a.Until }

// Relayed is one message that was passed on.
type Relayed struct {
	// Sequence of the commit that decided it.
	Sequence uint64
	Event    *eventv1.MessageRelayed
}

// Key is the identity of a message in Slack.
func Key(team, channel, ts string) string { return team + "|" + channel + "|" + ts }

// Has tells whether a message was passed on.
func (s State) Has(key string) bool {
	return slices.ContainsFunc(s.Relayed, func(r Relayed) bool {
		return Key(r.Event.GetTeam(), r.Event.GetChannel(), r.Event.GetMessageTs()) == key
	})
}

// FoldCommit applies a commit of the relay's subject.
func FoldCommit(s State, sequence uint64, c *eventv1.Commit) State {
	s.Sequence = sequence
	for _, e := range c.GetEvents() {
		s = Fold(s, e)
		if set := e.GetAwaySet(); set != nil {
			s.Away.By = c.GetActor()
		}
	}
	return s
}

// Fold applies one event, which belongs to the commit of s.Sequence. It leaves
// what s shares with older states alone.
func Fold(s State, e *eventv1.Event) State {
	switch {
	case e.GetMessageRelayed() != nil:
		m := e.GetMessageRelayed()
		s.Name = m.GetRelay()
		kept := s.Relayed[max(0, len(s.Relayed)+1-MaxRemembered):]
		s.Relayed = append(slices.Clone(kept), Relayed{Sequence: s.Sequence, Event: m})
	case e.GetAwaySet() != nil:
		a := e.GetAwaySet()
		s.Name, s.Away = a.GetRelay(), &Away{From: a.GetFrom(), Until: a.GetUntil(), Sequence: s.Sequence}
	case e.GetAwayCleared() != nil:
		s.Name, s.Away = e.GetAwayCleared().GetRelay(), nil
	}
	return s
}
