package claim_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/claim"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

const (
	// long: nothing happens by itself, time goes on by ticks.
	long = time.Hour
	// leaseTicks and keepTicks are the lease, and how long its holder trusts it.
	leaseTicks, keepTicks = 3, 2
)

// handle is what somebody knows of his claim.
type handle struct {
	held    *claim.Held
	key     int
	renewed int  // tick
	over    bool // Lost is closed
	done    bool
}

// slot is what a key holds. write tells its writes apart; 0: nothing.
type slot struct {
	write int
	state string
	by    *handle
	owner int
}

type view struct{ write, tick int }

// model says what each call has to answer.
type model struct {
	guards  []*claim.Guard
	clock   *claim.Clock
	run     string
	tick    int
	writes  int
	fence   uint64 // the highest
	slots   []slot
	seen    map[[2]int]view // guard, key
	handles []*handle
}

func newModel(t *rapid.T, js jetstream.JetStream, run int) *model {
	m := &model{clock: &claim.Clock{}, run: fmt.Sprint(run), slots: make([]slot, 2), seen: map[[2]int]view{}}
	for range 3 {
		g, err := claim.OpenAt(t.Context(), js, claim.Options{Lease: long}, m.clock)
		if err != nil {
			t.Fatal(err)
		}
		m.guards = append(m.guards, g)
	}
	return m
}

func (m *model) set(key int, state string, by *handle) {
	m.writes++
	m.slots[key].write, m.slots[key].state, m.slots[key].by = m.writes, state, by
}

// expected is what g has to be told when it claims key now: nil, ErrTaken or ErrDone.
func (m *model) expected(g, key int) error {
	s, at := m.slots[key], [2]int{g, key}
	switch {
	case s.state == "done":
		return claim.ErrDone
	case s.state != "held", s.owner == g && s.by.over:
		return nil
	}
	if m.seen[at].write != s.write {
		m.seen[at] = view{s.write, m.tick}
	}
	if m.tick-m.seen[at].tick >= leaseTicks {
		return nil
	}
	return claim.ErrTaken
}

func (m *model) claim(t *rapid.T) {
	g, key := rapid.IntRange(0, len(m.guards)-1).Draw(t, "guard"), rapid.IntRange(0, len(m.slots)-1).Draw(t, "key")
	want := m.expected(g, key)
	held, err := m.guards[g].Claim(t.Context(), fmt.Sprint(m.run, "-", key))
	if !errors.Is(err, want) {
		t.Fatalf("claim of %d by %d: %v, want %v", key, g, err, want)
	}
	if err != nil {
		return
	}
	if held.Fence() <= m.fence {
		t.Fatalf("fence %d after %d", held.Fence(), m.fence)
	}
	for _, h := range m.handles {
		if h.key == key && !h.over && m.tick-h.renewed < keepTicks {
			t.Fatalf("two hold %d, fences %d and %d", key, h.held.Fence(), held.Fence())
		}
	}
	m.fence = held.Fence()
	h := &handle{held: held, key: key, renewed: m.tick}
	m.handles = append(m.handles, h)
	m.set(key, "held", h)
	m.slots[key].owner = g
}

func (m *model) current(h *handle) bool {
	s := m.slots[h.key]
	return s.by == h && s.state == "held"
}

func (m *model) renew(t *rapid.T) { m.renewOne(t, m.draw(t)) }

func (m *model) renewOne(t *rapid.T, h *handle) {
	late := m.tick-h.renewed >= keepTicks
	good := !h.over && !late && m.current(h)
	err := h.held.Renew(t.Context())
	if (err == nil) != good || good == lost(h.held) {
		t.Fatalf("renew under %d: %v, lost %v; over %v, late %v", h.held.Fence(), err, lost(h.held), h.over, late)
	}
	if h.over = !good; good {
		h.renewed = m.tick
		m.set(h.key, "held", h)
	}
}

func (m *model) done(t *rapid.T) {
	h := m.draw(t)
	good := h.done || m.current(h)
	err := h.held.Done(t.Context())
	if good != (err == nil) || !good && !errors.Is(err, claim.ErrFenced) {
		t.Fatalf("done under %d: %v, want good %v", h.held.Fence(), err, good)
	}
	if h.over = true; m.current(h) {
		h.done = true
		m.set(h.key, "done", h)
	}
}

func (m *model) release(t *rapid.T) {
	h := m.draw(t)
	if err := h.held.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.over = true; m.current(h) {
		m.set(h.key, "released", h)
	}
}

// pass lets a third of a lease go by, in which those renew who are awake.
func (m *model) pass(t *rapid.T) {
	m.tick++
	m.clock.Advance(long / leaseTicks)
	for _, h := range m.handles {
		if !h.over && rapid.IntRange(0, 3).Draw(t, "awake") > 0 {
			m.renewOne(t, h)
		}
	}
}

func (m *model) draw(t *rapid.T) *handle {
	if len(m.handles) == 0 {
		m.claim(t) // nobody holds anything, so it succeeds
	}
	return rapid.SampledFrom(m.handles).Draw(t, "claim")
}

func TestAnyOrderOfCallsAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		m := newModel(t, js, run)
		t.Repeat(map[string]func(*rapid.T){
			"claim": m.claim, "claim again": m.claim, "renew": m.renew, "done": m.done, "release": m.release,
			"pass": m.pass, "pass again": m.pass,
		})
		for _, h := range m.handles {
			h.held.Die()
		}
	})
}
