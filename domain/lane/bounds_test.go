package lane_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/lane"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// message is what fits the log in one commit; envelope is what a commit has
	// beside its events: ids, a hash, an actor, trace context.
	message  = 64 << 10
	envelope = 1 << 10
	// longName and longLane are the longest that a configuration may have.
	longName = 63
	longLane = 4 * longName
)

// However much waits, ends and merges at once, a grant fits one message.
func TestAGrantFitsOneMessageWhateverWaits(t *testing.T) {
	const many = 1500
	merge, reject, newest := eventv1.Dedupe_POLICY_MERGE, eventv1.Dedupe_POLICY_REJECT, eventv1.Dedupe_POLICY_NEWEST
	for _, policies := range [][]eventv1.Dedupe_Policy{{merge}, {merge, reject, newest}} {
		for _, turns := range []bool{false, true} {
			w := newWorld()
			w.settings = &eventv1.LaneSettings{Concurrency: 2 * many, Turns: turns}
			ask := func(c lane.Candidate) {
				c.Run = identity.RunID(identity.Job, fmt.Sprint("r", w.sequence))
				c.Namespace = fmt.Sprintf("%0*d", longName, w.sequence%20)
				c.Job = c.Namespace + "/" + strings.Repeat("j", longName)
				w.ask(c)
			}
			for range many {
				ask(lane.Candidate{})
			}
			largest := 0
			for range 2 {
				for i, policy := range policies {
					for range lane.MaxAbsorbs + 1 {
						ask(lane.Candidate{Policy: policy, Key: fmt.Sprint(i)})
					}
				}
				e := w.tick(t)
				if e != nil {
					e.Lane = strings.Repeat("l", longLane)
				}
				largest = max(largest, proto.Size(&eventv1.Commit{Events: []*eventv1.Event{{Kind: &eventv1.Event_LaneGranted{LaneGranted: e}}}}))
				for _, r := range w.granted {
					w.ended[r] = true
				}
			}
			if largest > message-envelope || largest < message/3 {
				t.Errorf("%v, turns %t: the largest grant has %d bytes", policies, turns, largest)
			}
		}
	}
}

// The queue is in the order that sorting everything anew gives, whatever came
// and went.
func TestTheQueueIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q lane.Queue
		var waiting []lane.Candidate
		now := newWorld().now
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			now = now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "minutes")) * time.Minute)
			if n := len(waiting); n > 0 && rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				at := rapid.IntRange(0, n-1).Draw(t, "removed")
				q.Remove(waiting[at].Run)
				waiting = slices.Delete(waiting, at, at+1)
			} else {
				c := lane.Candidate{Run: fmt.Sprint("r", i), Sequence: uint64(i + 1), Asked: now, Priority: int32(rapid.IntRange(-1, 1).Draw(t, "priority"))} //nolint:gosec // small
				if delay := rapid.IntRange(0, 5).Draw(t, "delay"); delay > 0 {
					c.Start = now.Add(time.Duration(delay) * time.Minute)
				}
				q.Add(c)
				waiting = append(waiting, c)
			}
			sorted := slices.SortedStableFunc(slices.Values(waiting), func(a, b lane.Candidate) int {
				return cmp.Or(cmp.Compare(a.Priority, b.Priority), since(a).Compare(since(b)), cmp.Compare(a.Sequence, b.Sequence))
			})
			i := 0
			for run := range q.Runs() {
				if _, at, ok := q.Find(run); i >= len(sorted) || run != sorted[i].Run || !ok || at != i {
					t.Fatalf("%v\nwant %v", slices.Collect(q.Runs()), sorted)
				}
				i++
			}
			if i != len(waiting) || q.Len() != i {
				t.Fatalf("%d in the queue, and its length is %d; want %d", i, q.Len(), len(waiting))
			}
		}
	})
}

func since(c lane.Candidate) time.Time {
	if c.Start.After(c.Asked) {
		return c.Start
	}
	return c.Asked
}

// Where namespaces take turns, one that always has work gets its share of the
// starts, but for one, however much more the others ask for.
func TestTurnsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		slots, namespaces := rapid.IntRange(1, 5).Draw(t, "slots"), rapid.IntRange(2, 6).Draw(t, "namespaces")
		w.settings = &eventv1.LaneSettings{Concurrency: uint32(slots), Turns: true} //nolint:gosec // small
		n, waiting, starts := 0, map[string]int{}, map[string]int{}
		space := map[string]string{}
		ask := func(namespace string) {
			n++
			run := fmt.Sprint("r", n)
			space[run] = namespace
			waiting[namespace]++
			w.ask(lane.Candidate{Run: run, Namespace: namespace, Job: namespace + "/x"})
		}
		greed := map[string]int{}
		for i := range namespaces {
			greed[fmt.Sprint("n", i)] = rapid.IntRange(1, 40).Draw(t, "greed")
		}
		for range rapid.IntRange(20, 60).Draw(t, "rounds") {
			for _, namespace := range slices.Sorted(maps.Keys(greed)) {
				for waiting[namespace] < slots+greed[namespace] {
					ask(namespace)
				}
			}
			for _, run := range w.tick(t).GetRuns() {
				starts[space[run]]++
				waiting[space[run]]--
			}
			var active []string
			for _, run := range w.granted {
				if !w.ended[run] {
					active = append(active, run)
				}
			}
			w.ended[active[0]] = true // all take as long
		}
		for namespace := range greed {
			if share := len(w.granted) / namespaces; starts[namespace] < share-1 {
				t.Fatalf("%s got %d of %d starts among %d: %v", namespace, starts[namespace], len(w.granted), namespaces, starts)
			}
		}
	})
}
