package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxChanges is how far back a page may resume its stream before it has to load everything again.
const maxChanges = 2048

// Kinds of changes that the page's stream carries.
const (
	changeMessage = "message" // a message or an ephemeral appeared or changed
	changeRemoved = "removed"
	changeJournal = "journal"
	changeFaults  = "faults"
	changeView    = "view"
	changeChannel = "channel"
	changeUser    = "user"
)

type change struct {
	seq  uint64
	kind string
	data any
}

// changes is a bounded tail of what happened, and a channel that closes at the next thing.
type changes struct {
	tail   []change
	seq    uint64
	notify chan struct{}
}

// init begins the count at the present moment, so that a page of an earlier process notices that it has to load again.
func (c *changes) init() {
	c.notify = make(chan struct{})
	c.seq = uint64(max(0, time.Now().UnixMilli()))
}

// changed appends a change and wakes everybody who waits. The server's lock is held.
func (s *Server) changed(kind string, data any) {
	c := &s.changes
	c.seq++
	if len(c.tail) >= maxChanges {
		c.tail = slices.Delete(c.tail, 0, maxChanges/4)
	}
	c.tail = append(c.tail, change{seq: c.seq, kind: kind, data: data})
	close(c.notify)
	c.notify = make(chan struct{})
}

// messageChanged announces a message as it is now. The server's lock is held.
func (s *Server) messageChanged(m *Message) { s.changed(changeMessage, m.clone()) }

// since returns the changes after seq, and false when they are no longer all there.
func (c *changes) since(seq uint64) ([]change, bool) {
	if seq >= c.seq {
		return nil, seq == c.seq
	}
	if len(c.tail) == 0 || c.tail[0].seq > seq+1 {
		return nil, false
	}
	i, _ := slices.BinarySearchFunc(c.tail, seq+1, func(e change, want uint64) int { return cmp.Compare(e.seq, want) })
	return slices.Clone(c.tail[i:]), true
}

// State is what people see, read at one moment. Its methods take copies.
type State struct{ s *Server }

// Messages of a channel as its readers see them, oldest first: no replies (unless broadcast), no ephemerals.
func (v State) Messages(channel string) []Message { return v.s.Messages(channel) }

// Thread under ts: the parent first, then its replies.
func (v State) Thread(channel, ts string) []Message { return v.s.Thread(channel, ts) }

// Ephemerals that the user sees in the channel.
func (v State) Ephemerals(user, channel string) []Message { return v.s.Ephemerals(user, channel) }

// Reactions on a message: name to users.
func (v State) Reactions(channel, ts string) map[string][]string { return v.s.Reactions(channel, ts) }

// Journal so far.
func (v State) Journal() []Entry { return v.s.Journal() }

// Wait returns as soon as cond holds, and otherwise with ctx's error. cond is asked again after every change, never
// under a lock.
func (s *Server) Wait(ctx context.Context, cond func(State) bool) error {
	for {
		s.mu.Lock()
		next := s.changes.notify
		s.mu.Unlock()
		if cond(State{s}) {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("sandbox: wait: %w", ctx.Err())
		}
	}
}

// Messages of a channel as its readers see them, oldest first: no replies (unless broadcast), no ephemerals.
func (s *Server) Messages(channel string) []Message {
	return s.pick(channel, (*Message).inChannel)
}

// AllMessages of a channel including replies, oldest first.
func (s *Server) AllMessages(channel string) []Message {
	return s.pick(channel, func(*Message) bool { return true })
}

// Thread under ts: the parent first, then its replies. Empty when there is no such message.
func (s *Server) Thread(channel, ts string) []Message {
	return s.pick(channel, func(m *Message) bool { return m.TS == ts || (m.reply() && m.ThreadTS == ts) })
}

func (s *Server) pick(channel string, want func(*Message) bool) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.world.messages[channel] {
		if want(m) {
			out = append(out, m.clone())
		}
	}
	return out
}

// Ephemerals that the user sees in the channel, oldest first.
func (s *Server) Ephemerals(user, channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.world.ephemerals {
		if m.For == user && m.Channel == channel {
			out = append(out, m.clone())
		}
	}
	return out
}

// Reactions on a message: name to the users who gave it. Nil when there is no such message.
func (s *Server) Reactions(channel, ts string) map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.find(channel, ts)
	if m == nil {
		return nil
	}
	return m.clone().Reactions
}

// PinnedBy is who pinned a message; empty when nobody did, or there is no such message.
func (s *Server) PinnedBy(channel, ts string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.world.find(channel, ts); m != nil {
		return m.PinnedBy
	}
	return ""
}

func sortedKeys[M ~map[string]V, V any](m M) []string { return slices.Sorted(maps.Keys(m)) }
