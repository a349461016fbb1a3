package desk

import (
	"time"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// badge is one kind of mark that mirrors a claim, and how Slack is asked for it.
type badge struct {
	name        string // of its key in CARDS
	add, remove string // methods
	emoji       string // empty: a pin
}

// badges are the marks that the track's plan asks for.
func (t *track) badges() []badge {
	m := t.story.State.Plan.GetMirror()
	var out []badge
	if m.GetReaction() != "" {
		out = append(out, badge{name: card.NameReaction, add: slackapi.MethodReact, remove: slackapi.MethodUnreact, emoji: m.GetReaction()})
	}
	if m.GetPin() {
		out = append(out, badge{name: card.NamePin, add: slackapi.MethodPin, remove: slackapi.MethodUnpin})
	}
	return out
}

// move is the next thing to do for a badge.
type move uint8

const (
	moveRest move = iota
	// moveAdd asks Slack for the mark.
	moveAdd
	// moveAsk asks whose pin it is that may be ours: who pins again is told that it
	// is pinned, and not by whom. A reaction is each user's own, so there the second
	// attempt answers.
	moveAsk
	// moveRemove takes away what is ours, or may be.
	moveRemove
	// moveSeal closes the key, so that no desk that is behind adds the mark after
	// the end.
	moveSeal
)

// phase is how far the run is that a badge stands for.
type phase uint8

const (
	phaseBefore phase = iota // nothing is to be seen yet
	phaseLive
	phaseOver
)

// due says what to do next for a badge, and from when on; a zero time with
// moveRest: nothing until something changes. What an attempt of unknown outcome
// may still do is waited for: it is over at late.
func (b badge) due(e *entry, p phase, late, now time.Time) (move, time.Time) {
	state := e.card.GetState()
	open := state == commandv1.Card_STATE_PENDING && !e.unsent // may have been done, or may be done until late
	maybe := open || e.card.GetAmbiguous() > 0
	waits := maybe && now.Before(late)
	switch {
	case e.card.GetFinal():
		return moveRest, time.Time{}
	case p == phaseBefore:
		return moveRest, time.Time{}
	case state == commandv1.Card_STATE_POSTED && p == phaseLive, state == commandv1.Card_STATE_UNDELIVERED && p == phaseLive:
		return moveRest, time.Time{}
	case open && b.emoji == "" && waits, p == phaseOver && waits:
		return moveRest, late
	case open && b.emoji == "":
		return moveAsk, now
	case p == phaseLive:
		return moveAdd, now
	case state == commandv1.Card_STATE_POSTED, b.emoji != "" && maybe:
		return moveRemove, now
	case state == commandv1.Card_STATE_UNDELIVERED:
		return moveRest, time.Time{}
	}
	return moveSeal, now
}
