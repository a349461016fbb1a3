package run

import (
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// This file is what only jobs do: yield to an equal request, and speak.

// yield ends a run that has no slot of its own and therefore no claim.
func yield(s State, c Yield) ([]*eventv1.Event, error) {
	switch {
	case s.Status.Ended():
		return nil, nil
	case s.Status != Queued || s.ID == c.Into:
		return nil, refuse(ErrClaimed, "the run has started and executes itself")
	}
	var ended *eventv1.Event
	switch c.Kind {
	case eventv1.Absorbed_KIND_REJECTED:
		return []*eventv1.Event{{Kind: &eventv1.Event_RunRefused{RunRefused: &eventv1.RunRefused{Code: ErrDouble.Code, Sentence: c.Reason}}}}, nil
	case eventv1.Absorbed_KIND_SUPERSEDED:
		ended = end(0, eventv1.RunEnded_OUTCOME_CANCELLED, c.Reason, 0)
	case eventv1.Absorbed_KIND_UNSPECIFIED, eventv1.Absorbed_KIND_MERGED:
		ended = end(0, eventv1.RunEnded_OUTCOME_MERGED, c.Reason, 0)
	}
	ended.GetRunEnded().MergedInto = c.Into
	return []*eventv1.Event{ended}, nil
}

// Bounds of what a job may say while it runs.
const (
	// MaxNotes keeps a run's commits, and a channel's patience, bounded.
	MaxNotes = 100
	// MaxNote is in bytes: what one section of a message holds.
	MaxNote = 12_000
	// MaxNoted is in bytes, of all notes of a run: every view holds them.
	MaxNoted = 64 << 10
	// noteGrace is how far the clocks of the door and of the runner may differ for
	// a job's last words to count as said before its end.
	noteGrace = time.Minute
)

func say(s State, c Say) ([]*eventv1.Event, error) {
	said := len(c.Text)
	for _, n := range s.Notes {
		if n.ID == c.ID {
			return nil, nil
		}
		said += len(n.Text)
	}
	late := c.Received.IsZero() || c.Received.After(s.Finished.Add(noteGrace))
	switch {
	case s.Status.Ended() && late:
		return nil, refuse(ErrEnded, "the run has already ended: %s. Nothing was posted", s.Status)
	case s.Started.IsZero():
		return nil, refuse(ErrNotOpen, "the run has not started. Nothing was posted")
	case len(s.Notes) >= MaxNotes:
		return nil, refuse(ErrNotes, "a run may post %d messages, and this one has. Nothing was posted", MaxNotes)
	case said > MaxNoted:
		return nil, refuse(ErrNotes, "a run may post %d bytes in all. Nothing was posted; write the rest to its output", MaxNoted)
	case len(c.Text) > MaxNote:
		return nil, refuse(ErrNotes, "a message may have %d bytes and this one has %d. Nothing was posted", MaxNote, len(c.Text))
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_RunNoted{RunNoted: &eventv1.RunNoted{Id: c.ID, Text: c.Text, Format: c.Format}}}}, nil
}
