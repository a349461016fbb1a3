package listen

import (
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/refusal"
	"github.com/slipway-hq/slipway/domain/roster"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// MaxRemembered is how many messages a listener remembers, the newest. An older
	// one is not delivered again: Slack repeats an event for minutes, and INBOX
	// until it was handled.
	MaxRemembered = 200
	// MaxRunners that one message asks: their names fit into one commit.
	MaxRunners = 300
	// CodeTooMany is the code of a message that would ask more.
	CodeTooMany = "E-LISTEN-MANY"
)

// RunIdentity is the identity of the run that a listener starts for what it heard;
// runner is the id of the one that it asks, empty when it asks any.
func RunIdentity(key, runner string) string {
	if runner == "" {
		return key
	}
	return key + "|" + runner
}

// Ask asks every runner that is alive, once for each message.
type Ask struct {
	// Event is complete but for its runs.
	Event *eventv1.MessageHeard
	// Alive are the runners that are, and fit.
	Alive []roster.Runner
}

// State is one listener.
type State struct {
	// Heard are the messages that asked every runner, oldest first, at most
	// MaxRemembered.
	Heard []*eventv1.MessageHeard
}

// Of returns what was decided about a message; nil: nothing yet.
func (s State) Of(key string) *eventv1.MessageHeard {
	for _, h := range s.Heard {
		if h.GetKey() == key {
			return h
		}
	}
	return nil
}

// Decide returns the event that asking causes: none when the message has asked
// already. The error is always a refusal.
func Decide(s State, a Ask) ([]*eventv1.Event, error) {
	if s.Of(a.Event.GetKey()) != nil {
		return nil, nil
	}
	runs := asked(a.Event.GetKey(), a.Alive)
	if len(runs) > MaxRunners {
		return nil, &refusal.Refusal{Code: CodeTooMany, Sentence: "There are more runners than one message can ask. Nothing was started."}
	}
	event := &eventv1.MessageHeard{
		Listener: a.Event.GetListener(), Key: a.Event.GetKey(), Team: a.Event.GetTeam(), Channel: a.Event.GetChannel(), MessageTs: a.Event.GetMessageTs(), Runs: runs,
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_MessageHeard{MessageHeard: event}}}, nil
}

// asked is one run for each runner, in the order of their names. An incarnation
// whose lease has not lapsed yet and its successor are one runner.
func asked(key string, alive []roster.Runner) []*eventv1.HeardRun {
	called, byID := map[string]int{}, map[string]roster.Runner{}
	for _, r := range alive {
		if _, known := byID[r.ID]; r.ID != "" && !known {
			byID[r.ID] = r
			called[strings.ToLower(r.Name)]++
		}
	}
	var out []*eventv1.HeardRun
	for id, r := range byID {
		h := &eventv1.HeardRun{Runner: id, Called: id, Run: identity.RunID(identity.Job, RunIdentity(key, id))}
		if name := strings.ToLower(r.Name); name != "" && called[name] == 1 {
			h.Called = r.Name
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *eventv1.HeardRun) int {
		return strings.Compare(a.GetCalled()+" "+a.GetRunner(), b.GetCalled()+" "+b.GetRunner())
	})
	return out
}

// FoldCommit applies a commit of the listener's subject. It leaves what s shares
// with older states alone.
func FoldCommit(s State, c *eventv1.Commit) State {
	for _, e := range c.GetEvents() {
		if h := e.GetMessageHeard(); h != nil {
			kept := s.Heard[max(0, len(s.Heard)+1-MaxRemembered):]
			s.Heard = append(slices.Clone(kept), h)
		}
	}
	return s
}
