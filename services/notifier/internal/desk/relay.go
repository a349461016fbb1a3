package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/relay"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

// relayed is a message that is passed on: a track of its own kind.
type relayed struct {
	event  *eventv1.MessageRelayed
	signal signal
	link   link
}

// relayID is the key of a message that is passed on, in the place of a run's id.
func relayID(m *eventv1.MessageRelayed) string {
	sum := sha256.Sum256([]byte(m.GetRelay() + "\x00" + relay.Key(m.GetTeam(), m.GetChannel(), m.GetMessageTs())))
	return "m-" + hex.EncodeToString(sum[:10])
}

// relays follows what was passed on since it last looked. skip tells of what is
// settled.
func (d *Desk) relays(names map[string]bool, skip func(id string) bool) {
	for name := range names {
		var s relay.State
		d.board.Read(func(b *board.Board) { s, _ = b.Relay(name) })
		for _, r := range s.Relayed {
			if r.Sequence <= d.passed[name] {
				continue
			}
			id := relayID(r.Event)
			if d.tracks[id] != nil || skip(id) || !d.timely(r.Event) {
				continue
			}
			t := &track{id: id, entries: map[string]*entry{}, relay: &relayed{event: r.Event}}
			d.tracks[id] = t
			d.soon(t)
		}
		d.passed[name] = max(d.passed[name], s.Sequence)
	}
}

// timely tells whether a message is ours to pass on, and not so old that nobody
// waits for it any more.
func (d *Desk) timely(m *eventv1.MessageRelayed) bool {
	if m.GetTeam() != "" && d.cfg.Identity.Team != "" && m.GetTeam() != d.cfg.Identity.Team {
		return false
	}
	seconds, _, _ := strings.Cut(m.GetMessageTs(), ".")
	at, err := strconv.ParseInt(seconds, 10, 64)
	return err == nil && time.Unix(at, 0).After(d.cfg.Now().Add(-d.cfg.CatchUp))
}

// actRelay is act for a message that is passed on: the reaction, its address in
// the relay's channel, and in its thread the notice that nobody is there.
func (d *Desk) actRelay(ctx context.Context, t *track) (time.Time, error) {
	e, err := t.entry(ctx, d.ledger, card.NameCard)
	if err != nil {
		return time.Time{}, err
	}
	if e.card.GetFinal() {
		t.settled = true
		return time.Time{}, nil
	}
	m := t.relay.event
	if at := d.signal(ctx, t, &t.relay.signal, mark{m.GetChannel(), m.GetMessageTs(), m.GetReaction()}, earlyTries); !at.IsZero() {
		return at, nil
	}
	for _, pass := range []func(context.Context, *track) (time.Time, error){d.passOn, d.sayAway} {
		if at, err := pass(ctx, t); err != nil || !at.IsZero() {
			return at, err
		}
	}
	return d.settle(ctx, t, e)
}

// passOn posts the address of the message in the relay's channel.
func (d *Desk) passOn(ctx context.Context, t *track) (time.Time, error) {
	e, err := t.entry(ctx, d.ledger, card.NameRelay)
	if err != nil || told(e) {
		return time.Time{}, err
	}
	m := t.relay.event
	channel, at, err := d.find(ctx, t, m.GetToChannel())
	if err != nil || !at.IsZero() {
		return at, err
	}
	if at := d.permalink(ctx, t, &t.relay.link, m.GetChannel(), m.GetMessageTs()); !at.IsZero() {
		return at, nil
	}
	return d.deliver(ctx, t, e, letter{channel: channel, message: card.Relay(m, t.relay.link.address)})
}

// sayAway says in the message's thread that nobody is there.
func (d *Desk) sayAway(ctx context.Context, t *track) (time.Time, error) {
	m := t.relay.event
	if m.GetAwayNotice() == "" {
		return time.Time{}, nil
	}
	e, err := t.entry(ctx, d.ledger, card.NameAway)
	if err != nil || told(e) {
		return time.Time{}, err
	}
	thread := m.GetThreadTs()
	if thread == "" {
		thread = m.GetMessageTs()
	}
	return d.deliver(ctx, t, e, letter{channel: m.GetChannel(), thread: thread, message: card.Away(m)})
}
