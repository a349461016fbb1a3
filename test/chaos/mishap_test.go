package chaos

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/wire"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// luck lets everything of a plan happen at its time.
type luck struct {
	*town
	begin time.Time

	mu     sync.Mutex
	diary  []string
	counts map[kind]int
	states map[way]map[int]wire.State // what each mishap does to a link
	weak   string                     // the server that lost its disk and is not whole again
	next   int
}

func newLuck(c *town) *luck {
	return &luck{town: c, counts: map[kind]int{}, states: map[way]map[int]wire.State{}}
}

// note writes the diary, which a failure prints.
func (l *luck) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.diary = append(l.diary, fmt.Sprintf("%s %6.2fs ", time.Now().Format("15:04:05.000"), time.Since(l.begin).Seconds())+fmt.Sprintf(format, args...))
}

// happen plays the plan until ctx ends; then all is as it was before.
func (l *luck) happen(ctx context.Context, plan []mishap) {
	l.begin = time.Now()
	var all sync.WaitGroup
	for _, m := range plan {
		all.Go(func() {
			if !pause(ctx, time.Until(l.begin.Add(m.at))) {
				return
			}
			l.one(ctx, m)
		})
	}
	all.Wait()
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// enter tells whether a mishap may strike a server now: while one has lost its
// disk the others are left alone.
func (l *luck) enter(m mishap) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.weak != "" && strings.HasPrefix(m.on, "nats") {
		return false
	}
	l.counts[m.kind]++
	return true
}

func (l *luck) one(ctx context.Context, m mishap) {
	if !l.enter(m) {
		l.note("left out, a server has lost its disk: %s", m)
		return
	}
	l.note("%s", m)
	h := l.hosts[m.on]
	switch m.kind {
	case killed:
		h.kill(m.lasts)
	case allKilled:
		for _, name := range l.of(m.on) {
			l.hosts[name].kill(m.lasts)
		}
	case restarted:
		h.term()
	case frozen, asleep:
		h.freeze()
		pause(ctx, m.lasts)
		h.thaw()
		l.note("thawed: %s", m.on)
	case cutOff, oneWay, refused, delayed, isolated:
		l.onLinks(ctx, m)
	case slowDisk:
		l.stutter(ctx, h, m.lasts)
	case fullDisk:
		l.full(ctx, m)
	case wiped:
		l.wipe(ctx, m)
	case clockJump:
		h.clock(m.by)
		pause(ctx, m.lasts)
		h.clock(0)
		l.note("the clock of %s is right again", m.on)
	case slackErr:
		l.Slack.Faults().Set(m.trouble)
	case refreshed:
		l.Slack.DisconnectSockets(sandbox.DisconnectRefresh)
	}
}

// onLinks makes links bad for a while. Several mishaps on one link add up.
func (l *luck) onLinks(ctx context.Context, m mishap) {
	l.mu.Lock()
	l.next++
	id := l.next
	l.mu.Unlock()
	set := func(on bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for w, link := range l.ways {
			if w.from != m.on && w.to != m.on || m.with != "" && w.from != m.with && w.to != m.with {
				continue
			}
			if l.states[w] == nil {
				l.states[w] = map[int]wire.State{}
			}
			if on {
				l.states[w][id] = m.state(w.from == m.on)
			} else {
				delete(l.states[w], id)
			}
			link.Set(sum(l.states[w]))
		}
	}
	set(true)
	pause(ctx, m.lasts)
	set(false)
	l.note("well again: %s of %s %s", m.kind, m.on, m.with)
}

// state is what a mishap makes of a link; dials: the first party does.
func (m mishap) state(dials bool) wire.State {
	held := wire.Flow{Held: true}
	switch {
	case m.kind == refused:
		return wire.State{Refuse: true}
	case m.kind == delayed:
		return wire.State{Forth: wire.Flow{Delay: m.by}, Back: wire.Flow{Delay: m.by}}
	case m.kind == oneWay && dials:
		return wire.State{Forth: held}
	case m.kind == oneWay:
		return wire.State{Back: held}
	}
	return wire.State{Forth: held, Back: held}
}

func sum(all map[int]wire.State) (s wire.State) {
	for _, one := range all {
		s.Refuse = s.Refuse || one.Refuse
		s.Forth.Held, s.Back.Held = s.Forth.Held || one.Forth.Held, s.Back.Held || one.Back.Held
		s.Forth.Delay, s.Back.Delay = max(s.Forth.Delay, one.Forth.Delay), max(s.Back.Delay, one.Back.Delay)
	}
	return s
}

// stutter makes everything that a server does slow, its disk as well.
func (l *luck) stutter(ctx context.Context, h *keeper, lasts time.Duration) {
	const stands, goes = 150 * time.Millisecond, 50 * time.Millisecond
	for end := time.Now().Add(lasts); time.Now().Before(end) && ctx.Err() == nil; {
		h.freeze()
		pause(ctx, stands)
		h.thaw()
		pause(ctx, goes)
	}
	l.note("as quick as before: %s", h.name)
}

// full leaves no room on a server's disk. Afterwards it is started again, as
// docs/runbook/store-full.md says.
func (l *luck) full(ctx context.Context, m mishap) {
	if !mayMount() {
		l.note("without root no disk can be filled")
		return
	}
	if err := l.fill(m.on, true); err != nil {
		l.note("%v", err)
	}
	pause(ctx, m.lasts)
	if err := l.fill(m.on, false); err != nil {
		l.T.Errorf("heal: %v", err)
	}
	l.hosts[m.on].kill(0)
	l.note("there is room for %s, which is started again", m.on)
}

// wipe takes everything from a server that is down, when the other two have
// all there is; it comes back empty under its name.
func (l *luck) wipe(ctx context.Context, m mishap) {
	h := l.hosts[m.on]
	l.mu.Lock()
	l.weak = m.on
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.weak = ""
	}()
	long, cancel := context.WithTimeout(context.Background(), world.Patience)
	defer cancel()
	defer h.resume()
	well, over := context.WithTimeout(ctx, wipeNeeds/2)
	defer over()
	if err := l.copies(well); err != nil {
		l.note("not wiped: %v", err)
		return
	}
	if err := h.stop(long); err != nil {
		l.T.Errorf("wipe: %v", err)
		return
	}
	short, stop := context.WithTimeout(ctx, wipeNeeds)
	defer stop()
	if err := l.copies(short, m.on); err != nil {
		l.note("not wiped: %v", err)
		return
	}
	if err := os.RemoveAll(l.disks[m.on]); err != nil {
		l.T.Errorf("wipe: %v", err)
	}
	h.resume()
	l.note("%s has lost its disk and starts", m.on)
	if err := l.copies(long); err != nil {
		l.note("%s: %v", m.on, err)
		return
	}
	l.note("%s has everything again", m.on)
}
