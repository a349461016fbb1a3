package projection_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// world is a projection that follows a log in memory.
type world struct {
	t    *testing.T
	log  *memlog.Log
	ends map[string]eventlog.Position
	seen []projection.Change
	*projection.Projection
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, log: memlog.New(), ends: map[string]eventlog.Position{}}
		w.Projection = projection.New(w.log, func(c projection.Change) { w.seen = append(w.seen, c) })
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = w.Run(ctx, func() {}) // it ends with ctx
		}()
		test(w)
		cancel()
		<-done
	})
}

// append stores a commit; spoil may damage it first.
func (w *world) append(subject string, spoil func(*eventv1.Commit), events ...*eventv1.Event) uint64 {
	w.t.Helper()
	c := &eventv1.Commit{Id: "x", Time: timestamppb.New(time.Now()), Events: events}
	end := w.ends[subject]
	end.Chain(c)
	if spoil != nil {
		spoil(c)
	}
	data, err := proto.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	at, err := w.log.Append(w.t.Context(), subject, end.Sequence, data)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ends[subject] = eventlog.Decode(subject, at, time.Now(), data).Position()
	synctest.Wait()
	return at
}

func (w *world) request(name string) string {
	id := identity.RunID(identity.Deployment, name)
	w.append(topology.RunSubject(id), nil, &eventv1.Event{Kind: &eventv1.Event_RunRequested{RunRequested: &eventv1.RunRequested{
		Run: id, Identity: name, Plan: &eventv1.Plan{Lane: "a lane", Pool: "default", Steps: []*eventv1.Step{{Name: "s"}}},
	}}})
	return id
}

func (w *world) live(id string) (out board.Live) {
	w.t.Helper()
	w.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok {
			out = *l
		}
	})
	return out
}

func cancelEvent() *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{}}}
}

func TestABrokenChainQuarantinesThatRunAlone(t *testing.T) {
	for name, spoil := range map[string]func(*eventv1.Commit){
		"another hash":      func(c *eventv1.Commit) { c.PrevHash = []byte("other") },
		"a missing commit":  func(c *eventv1.Commit) { c.Version++ },
		"a repeated commit": func(c *eventv1.Commit) { c.Version-- },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				bad, good := w.request("bad"), w.request("good")
				w.append(topology.RunSubject(bad), spoil, cancelEvent())
				w.append(topology.RunSubject(good), nil, cancelEvent())
				if l := w.live(bad); !strings.Contains(l.Quarantined, "chain of commits is broken") || l.State.Cancel != nil {
					t.Errorf("the damaged run: %+v", l)
				}
				if l := w.live(good); l.Quarantined != "" || l.State.Cancel == nil {
					t.Errorf("its neighbour: %+v", l)
				}
				w.Read(func(b *board.Board) {
					ln, _ := b.Lane("a lane")
					if waiting := slices.Collect(ln.Queue.Runs()); !slices.Equal(waiting, []string{good}) {
						t.Errorf("the queue still holds the damaged run: %v", waiting)
					}
				})
			})
		})
	}
}

func TestABrokenLaneGrantsNothingMore(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.request("a")
		grant := &eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: &eventv1.LaneGranted{Lane: "a lane", Runs: []string{id}}}}
		w.append(topology.LaneSubject("a lane"), func(c *eventv1.Commit) { c.PrevHash = []byte("other") }, grant)
		if l := w.live(id); l.Grant != 0 {
			t.Error("a grant outside the chain counts")
		}
		w.Read(func(b *board.Board) {
			if ln, _ := b.Lane("a lane"); ln.Quarantined == "" {
				t.Error("the lane is not quarantined")
			}
		})
	})
}

func TestUndecodableBytesAndUnknownSubjectsStopNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.log.Append(w.t.Context(), topology.RunSubject("d-x"), 0, []byte{0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
		w.append("ev.future.thing", nil, cancelEvent())
		w.append(topology.RunSubject(w.request("a")), nil, &eventv1.Event{})
		if w.Sequence() != 4 {
			t.Errorf("folded up to %d of 4", w.Sequence())
		}
	})
}

func TestWaitForReturnsWhenItIsFolded(t *testing.T) {
	inWorld(t, func(w *world) {
		done := make(chan error, 1)
		go func() { done <- w.WaitFor(w.t.Context(), 2) }()
		w.request("a")
		select {
		case <-done:
			t.Fatal("returned after one of two commits")
		default:
		}
		w.request("b")
		if err := <-done; err != nil {
			t.Error(err)
		}
		late, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if err := w.WaitFor(late, 99); err == nil {
			t.Error("returned for a sequence that never came")
		}
	})
}

func TestWatchersWakeForTheirOwn(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.request("a"), w.request("b")
		wakeA, stopA := w.WatchRun(a)
		defer stopA()
		wakeB, stopB := w.WatchRun(b)
		w.append(topology.RunSubject(a), nil, cancelEvent())
		if len(wakeA) != 1 || len(wakeB) != 0 {
			t.Errorf("woken: a %d, b %d", len(wakeA), len(wakeB))
		}
		stopB()
		w.append(topology.RunSubject(b), nil, cancelEvent())
		if len(wakeB) != 0 {
			t.Error("woken after stop")
		}
		if last := w.seen[len(w.seen)-1]; last.Run != b || last.Lane != "a lane" {
			t.Errorf("observed %+v", last)
		}
	})
}

func TestNothingFollowsAnEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.request("a")
		ended := &eventv1.Event{Kind: &eventv1.Event_RunEnded{RunEnded: &eventv1.RunEnded{Outcome: eventv1.RunEnded_OUTCOME_CANCELLED}}}
		w.append(topology.RunSubject(id), nil, ended)
		w.append(topology.RunSubject(id), nil, cancelEvent())
		if l := w.live(id); l.State.Status != run.Cancelled || l.State.Cancel != nil || l.Quarantined != "" {
			t.Errorf("%+v", l)
		}
	})
}

// A newer version may have written kinds of events that this one does not know.
func TestCommitsThatThisVersionDoesNotUnderstandStopNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		id := w.request("good")
		w.append(topology.LaneSubject("a lane"), nil)
		w.append(topology.LaneSubject("a lane"), nil, &eventv1.Event{})
		w.append(topology.RunSubject("d-new"), nil, &eventv1.Event{})
		w.append(topology.SubjectConfig, nil)
		released := &eventv1.Event{Kind: &eventv1.Event_SlotReleased{SlotReleased: &eventv1.SlotReleased{Lane: "a lane", Run: id}}}
		w.append(topology.LaneSubject("a lane"), nil, &eventv1.Event{}, released)
		if last := w.seen[len(w.seen)-1]; last.Lane != "a lane" {
			t.Errorf("nobody is told about the lane: %+v", last)
		}
		// A run whose events name no id is the one of its subject.
		w.append(topology.RunSubject("d-odd"), nil,
			&eventv1.Event{Kind: &eventv1.Event_RunRequested{RunRequested: &eventv1.RunRequested{}}},
			&eventv1.Event{Kind: &eventv1.Event_RunRefused{RunRefused: &eventv1.RunRefused{Code: "E", Sentence: "no"}}})
		if l := w.live("d-odd"); l.State.ID != "d-odd" || l.State.Status != run.Refused {
			t.Errorf("%+v", l.State)
		}
	})
}

// A record that is gone from the middle of a chain is known to be that chain's;
// one from the end is known by its sequence alone.
func TestMissingRecordsAreNamed(t *testing.T) {
	inWorld(t, func(w *world) {
		bad, quiet := w.request("bad"), w.request("quiet")
		lost := w.append(topology.RunSubject(bad), nil, cancelEvent())
		w.append(topology.RunSubject(bad), nil, cancelEvent())
		last := w.append(topology.RunSubject(quiet), nil, cancelEvent())
		w.request("later")
		w.log.Lose(lost)
		w.log.Lose(last)
		again := projection.New(w.log, nil)
		ctx, cancel := context.WithCancel(w.t.Context())
		done := make(chan error, 1)
		go func() { done <- again.Run(ctx, func() {}) }()
		<-again.CaughtUp()
		damage := again.Damage()
		if len(damage.Missing) != 1 || damage.Missing[0] != (projection.Range{First: last, Last: last}) || len(damage.Broken) != 0 {
			t.Errorf("missing: %+v", damage)
		}
		again.Read(func(b *board.Board) {
			if l, _ := b.Live(bad); l.Quarantined == "" {
				t.Error("a run with a hole in its chain is not quarantined")
			}
			if l, _ := b.Live(quiet); l.Quarantined != "" {
				t.Errorf("its neighbour: %s", l.Quarantined)
			}
		})
		cancel()
		<-done
	})
}

// A lane is quarantined although its name comes later, and what is neither a run
// nor a lane is named by its subject.
func TestDamageOfOtherSubjectsIsNamed(t *testing.T) {
	inWorld(t, func(w *world) {
		spoil := func(c *eventv1.Commit) { c.PrevHash = []byte("other") }
		w.append(topology.LaneSubject("a lane"), spoil, &eventv1.Event{})
		w.append(topology.SubjectConfig, spoil, &eventv1.Event{})
		w.request("a")
		w.Read(func(b *board.Board) {
			if ln, _ := b.Lane("a lane"); ln.Quarantined == "" {
				t.Error("the lane is not quarantined")
			}
		})
		if d := w.Damage(); d.Broken[topology.SubjectConfig] == "" {
			t.Errorf("the configuration's damage is not named: %+v", d)
		}
	})
}
