package desk_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// simMessage is one message in the simulated Slack.
type simMessage struct {
	slackapi.Outgoing
	at   time.Time
	by   string
	late bool
}

// simSlack is a Slack in memory that keeps its promises and no others: a call
// whose answer is lost takes effect at once, later but within the window, or
// never; what was posted is in the history a little later.
type simSlack struct {
	*notifierSim
	by *simDesk
}

// landing is an effect that is still on its way.
type landing struct {
	at     time.Time
	effect func()
}

// call lets fate decide how a call ends.
func (s *simSlack) call(method string, effect func() error) error {
	began := s.now
	s.pass(time.Duration(s.rng.IntN(3)) * callTimeout / 4)
	n := s.rng.IntN(100)
	switch fault := s.mishaps; {
	case s.healed || n >= 6*fault:
		return s.answer(method, effect)
	case n < fault:
		s.note("%s %s: a limit", s.by.name, method)
		return &slackapi.Error{Method: method, Outcome: slackapi.Limited, Code: "ratelimited", After: time.Duration(1+s.rng.IntN(10)) * time.Second}
	case n < 2*fault:
		s.note("%s %s: not sent", s.by.name, method)
		return &slackapi.Error{Method: method, Outcome: slackapi.Unsent, Code: "connection refused"}
	case n < 3*fault:
		s.note("%s %s: done, and the answer is lost", s.by.name, method)
		_ = effect() // nobody hears what Slack says
	case n < 4*fault:
		late := began.Add(time.Duration(s.rng.Int64N(int64(window - 2*callTimeout))))
		s.note("%s %s: done at %s, and the answer is lost", s.by.name, method, late.Format(simTime))
		s.landings = append(s.landings, landing{late, func() { _ = effect() }})
	case n < 5*fault:
		s.note("%s %s: lost", s.by.name, method)
	default:
		if s.chance(50) {
			_ = effect()
		}
		s.note("%s dies in %s", s.by.name, method)
		panic(crash{})
	}
	return &slackapi.Error{Method: method, Outcome: slackapi.Unknown, Code: "status 503"}
}

func (s *simSlack) answer(method string, effect func() error) error {
	err := effect()
	s.note("%s %s: %s", s.by.name, method, said(err))
	s.interlude(s.by, callTimeout)
	return err
}

func said(err error) string {
	if err == nil {
		return "done"
	}
	return err.Error()
}

func refused(method, code string) error {
	return &slackapi.Error{Method: method, Outcome: slackapi.Refused, Code: code}
}

func (s *simSlack) find(channel, ts string) *simMessage {
	for _, m := range s.messages {
		if m.Channel == channel && m.TS == ts {
			return m
		}
	}
	return nil
}

// Post implements desk.Slack.
func (s *simSlack) Post(_ context.Context, o slackapi.Outgoing) (slackapi.Posted, error) {
	ts := ""
	err := s.call(slackapi.MethodPost, func() error {
		ts = fmt.Sprintf("%d.%06d", s.now.Unix(), len(s.messages))
		m := &simMessage{Outgoing: o, at: s.now, by: s.by.name, late: s.late}
		m.TS = ts
		s.messages = append(s.messages, m)
		s.note("  %s %s of %s is in %s", ts, o.Marker.Milestone, o.Marker.Run, o.Channel)
		return nil
	})
	if err != nil {
		return slackapi.Posted{}, err
	}
	return slackapi.Posted{Channel: o.Channel, TS: ts}, nil
}

// Update implements desk.Slack.
func (s *simSlack) Update(_ context.Context, o slackapi.Outgoing) error {
	return s.call(slackapi.MethodUpdate, func() error {
		m := s.find(o.Channel, o.TS)
		if m == nil {
			return refused(slackapi.MethodUpdate, "message_not_found")
		}
		m.Text, m.Blocks = o.Text, o.Blocks
		s.note("  %s shows %q", o.TS, o.Text)
		return nil
	})
}

// historyLag is how much later than posted a message is in the history, at most.
const historyLag = 3 * time.Second

// Find implements desk.Slack.
func (s *simSlack) Find(_ context.Context, q slackapi.Search) (found string, err error) {
	lag := time.Duration(s.rng.Int64N(int64(historyLag)))
	err = s.call(slackapi.MethodHistory, func() error {
		for _, m := range s.messages {
			if m.Channel == q.Channel && m.Thread == q.Thread && m.Marker == q.Marker &&
				!m.at.Before(q.Oldest.Truncate(time.Second)) && (s.healed || !m.at.Add(lag).After(s.now)) && (found == "" || m.TS < found) {
				found = m.TS
			}
		}
		return nil
	})
	return found, err
}

// React implements desk.Slack.
func (s *simSlack) React(_ context.Context, channel, ts, emoji string) error {
	return s.call(slackapi.MethodReact, func() error {
		s.marks[channel+"/"+ts+" "+emoji] = true
		return nil
	})
}

// Unreact implements desk.Slack.
func (s *simSlack) Unreact(_ context.Context, channel, ts, emoji string) error {
	return s.call(slackapi.MethodUnreact, func() error {
		delete(s.marks, channel+"/"+ts+" "+emoji)
		return nil
	})
}

// Pin implements desk.Slack.
func (s *simSlack) Pin(_ context.Context, channel, ts string) error {
	return s.call(slackapi.MethodPin, func() error {
		if s.pins[channel+"/"+ts] != "" {
			return refused(slackapi.MethodPin, slackapi.AlreadyPinned)
		}
		s.pins[channel+"/"+ts] = simBot
		s.kinds["pins"]++
		return nil
	})
}

// Unpin implements desk.Slack.
func (s *simSlack) Unpin(_ context.Context, channel, ts string) error {
	return s.call(slackapi.MethodUnpin, func() error {
		delete(s.pins, channel+"/"+ts)
		return nil
	})
}

// PinnedBy implements desk.Slack.
func (s *simSlack) PinnedBy(_ context.Context, channel, ts string) (by string, err error) {
	err = s.call(slackapi.MethodPins, func() error {
		by = s.pins[channel+"/"+ts]
		return nil
	})
	return by, err
}

// Permalink implements desk.Slack.
func (s *simSlack) Permalink(_ context.Context, channel, ts string) (string, error) {
	err := s.call(slackapi.MethodPermalink, func() error { return nil })
	return "https://example.org/" + channel + "/" + ts, err
}

// OpenDirect implements desk.Slack.
func (s *simSlack) OpenDirect(_ context.Context, user string) (string, error) {
	err := s.call(slackapi.MethodOpen, func() error { return nil })
	return "D" + user, err
}

// Channels implements desk.Slack; the simulated requests name ids.
func (s *simSlack) Channels(context.Context, string, bool) ([]slackapi.Channel, string, error) {
	return nil, "", nil
}

// UploadURL implements desk.Slack; the simulated reports are no files.
func (s *simSlack) UploadURL(context.Context, string, string, int) (slackapi.Upload, error) {
	return slackapi.Upload{}, refused(slackapi.MethodUploadURL, "not_simulated")
}

// Upload implements desk.Slack.
func (s *simSlack) Upload(context.Context, slackapi.Upload, []byte) error {
	return refused(slackapi.MethodUpload, "not_simulated")
}

// Complete implements desk.Slack.
func (s *simSlack) Complete(context.Context, slackapi.Share) error {
	return refused(slackapi.MethodComplete, "not_simulated")
}

// stored is a value of the simulated CARDS.
type stored struct {
	data     []byte
	revision uint64
	at       time.Time
}

// simLedger is CARDS in memory, as one process sees it.
type simLedger struct {
	*notifierSim
	by *simDesk
}

func (l *simLedger) key(run, milestone string) string { return run + "." + milestone }

// Get implements desk.Ledger; a replica may answer with the value before (P9).
func (l *simLedger) Get(_ context.Context, run, milestone string) (*commandv1.Card, uint64, error) {
	if l.unlucky() {
		return nil, 0, fmt.Errorf("read card: %w", errSim)
	}
	versions := l.cards[l.key(run, milestone)]
	if len(versions) > 0 && !l.healed && l.chance(2) {
		versions = versions[:len(versions)-1]
	}
	if len(versions) == 0 {
		return nil, 0, nil
	}
	v := versions[len(versions)-1]
	c := &commandv1.Card{}
	if err := proto.Unmarshal(v.data, c); err != nil {
		return nil, 0, err
	}
	return c, v.revision, nil
}

// Put implements desk.Ledger.
func (l *simLedger) Put(_ context.Context, c *commandv1.Card, revision uint64) (uint64, error) {
	if l.unlucky() {
		return 0, fmt.Errorf("write card: %w", errSim)
	}
	at := l.key(c.GetRun(), c.GetMilestone())
	last := uint64(0)
	if versions := l.cards[at]; len(versions) > 0 {
		last = versions[len(versions)-1].revision
	}
	if last != revision {
		l.note("%s loses the write of %s", l.by.name, at)
		return 0, desk.ErrConflict
	}
	data, err := proto.Marshal(c)
	if err != nil {
		return 0, err
	}
	l.revision++
	l.cards[at] = append(l.cards[at], stored{data, l.revision, l.now})
	l.note("%s writes %s: %s shown %d editing %d", l.by.name, at, c.GetState(), c.GetShown(), c.GetEditing())
	if l.unlucky() {
		return 0, fmt.Errorf("write card: %w", errSim) // stored, and nobody hears of it
	}
	revision = l.revision
	l.interlude(l.by, frozen)
	return revision, nil
}

func (l *simLedger) unlucky() bool { return !l.healed && l.chance(min(l.mishaps, 3)) }

func (l *simLedger) each(f func(*commandv1.Card, time.Time)) error {
	if l.unlucky() {
		return errSim
	}
	keys := make([]string, 0, len(l.cards))
	for k := range l.cards {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		c, v := &commandv1.Card{}, l.cards[k][len(l.cards[k])-1]
		if err := proto.Unmarshal(v.data, c); err != nil {
			return err
		}
		f(c, v.at)
	}
	return nil
}

// Each implements desk.Ledger.
func (l *simLedger) Each(_ context.Context, f func(*commandv1.Card, time.Time)) error {
	return l.each(func(c *commandv1.Card, at time.Time) {
		if c.GetMilestone() == "card" {
			f(c, at)
		}
	})
}

// Undelivered implements desk.Ledger.
func (l *simLedger) Undelivered(_ context.Context, f func(*commandv1.Card, time.Time)) error {
	return l.each(func(c *commandv1.Card, at time.Time) {
		if c.GetState() == commandv1.Card_STATE_UNDELIVERED {
			f(c, at)
		}
	})
}

// Forget implements desk.Ledger; no simulated history is long enough for it.
func (l *simLedger) Forget(context.Context, string) error { return errSim }
