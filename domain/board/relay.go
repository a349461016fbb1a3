package board

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/relay"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// FoldRelay folds a commit of a relay's subject and returns the relay's name;
// empty when it has only events that this version does not know.
func (b *Board) FoldRelay(sequence uint64, c *eventv1.Commit) string {
	b.sequence = max(b.sequence, sequence)
	name := relayOf(c)
	if name != "" {
		b.relays[name] = relay.FoldCommit(b.relays[name], sequence, c)
	}
	return name
}

func relayOf(c *eventv1.Commit) string {
	for _, e := range c.GetEvents() {
		for _, name := range []string{e.GetMessageRelayed().GetRelay(), e.GetAwaySet().GetRelay(), e.GetAwayCleared().GetRelay()} {
			if name != "" {
				return name
			}
		}
	}
	return ""
}

// Relay is the state of one; false: nothing ever happened there.
func (b *Board) Relay(name string) (relay.State, bool) {
	s, ok := b.relays[name]
	return s, ok
}

// Relays are the names of those where something happened, sorted.
func (b *Board) Relays() []string { return slices.Sorted(maps.Keys(b.relays)) }

// sameRelay compares what is decided from; who said so follows from sequences.
func sameRelay(a, b relay.State) bool {
	sameAway := (a.Away == nil) == (b.Away == nil) && (a.Away == nil || a.Away.From == b.Away.From && a.Away.Until == b.Away.Until)
	return sameAway && a.Name == b.Name && slices.EqualFunc(a.Relayed, b.Relayed, func(x, y relay.Relayed) bool {
		return x.Sequence == y.Sequence && proto.Equal(x.Event, y.Event)
	})
}
