package claim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/claim"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	contract(t, 1, func(t *testing.T) jetstream.JetStream { return natsnodetest.Connect(t, node) })
}

func TestContractOnACluster(t *testing.T) {
	t.Parallel()
	nodes, next := natsnodetest.Three(t), 0
	contract(t, 3, func(t *testing.T) jetstream.JetStream {
		next++
		return natsnodetest.Connect(t, nodes[next%len(nodes)])
	})
}

// contract is what holds on one server and on three. Each call of connect is
// another replica.
func contract(t *testing.T, replicas int, connect func(*testing.T) jetstream.JetStream) {
	guard := func(t *testing.T, name string) *claim.Guard {
		t.Helper()
		return open(t, connect(t), claim.Options{Holder: name, Replicas: replicas})
	}
	t.Run("of fifty claimers one wins, and the others know who", func(t *testing.T) { race(t, guard) })
	t.Run("who is late is told who has it and until when", func(t *testing.T) {
		a, b := guard(t, "a"), guard(t, "b")
		held := mustClaim(t, a, "told")
		_, err := b.Claim(t.Context(), "told")
		var taken *claim.TakenError
		if !errors.Is(err, claim.ErrTaken) || !errors.As(err, &taken) {
			t.Fatal(err)
		}
		if left := time.Until(taken.Until); taken.Holder != "a" || taken.Fence != held.Fence() || left < claim.DefaultLease/2 || left > claim.DefaultLease {
			t.Errorf("%+v", taken)
		}
		if _, err := a.Claim(t.Context(), "told"); !errors.Is(err, claim.ErrTaken) {
			t.Errorf("the same process twice: %v", err)
		}
	})
	t.Run("what is done stays done", func(t *testing.T) {
		a, b := guard(t, "a"), guard(t, "b")
		held := mustClaim(t, a, "done")
		if err := errors.Join(held.Done(t.Context()), held.Done(t.Context()), held.Release(t.Context())); err != nil {
			t.Fatal(err)
		}
		for _, g := range []*claim.Guard{a, b} {
			_, err := g.Claim(t.Context(), "done")
			var done *claim.DoneError
			if !errors.Is(err, claim.ErrDone) || !errors.As(err, &done) {
				t.Fatal(err)
			}
			if done.Holder != "a" || done.Fence != held.Fence() || time.Since(done.At) > patience {
				t.Errorf("%+v", done)
			}
		}
		if !lost(held) {
			t.Error("Lost stays open")
		}
	})
	t.Run("what is released is free at once, under a higher fence", func(t *testing.T) {
		a, b := guard(t, "a"), guard(t, "b")
		other := mustClaim(t, a, "another key")
		first := mustClaim(t, a, "free")
		if err := errors.Join(first.Renew(t.Context()), first.Release(t.Context()), first.Release(t.Context())); err != nil {
			t.Fatal(err)
		}
		if !lost(first) {
			t.Error("Lost stays open")
		}
		second := takeOver(t, b, "free")
		if second.Fence() <= first.Fence() || first.Fence() <= other.Fence() {
			t.Errorf("fences %d, %d, %d", other.Fence(), first.Fence(), second.Fence())
		}
		if err := first.Done(t.Context()); !errors.Is(err, claim.ErrFenced) {
			t.Errorf("a stale Done: %v", err)
		}
		if err := first.Renew(t.Context()); err == nil {
			t.Error("a stale Renew succeeds")
		}
		if err := errors.Join(first.Release(t.Context()), second.Renew(t.Context()), second.Done(t.Context())); err != nil {
			t.Errorf("the new holder: %v", err)
		}
	})
	t.Run("work runs once, wherever it is asked for", func(t *testing.T) {
		guards := []*claim.Guard{guard(t, "a"), guard(t, "b"), guard(t, "c")}
		var all sync.WaitGroup
		ran := make(chan string, 30)
		for i := range cap(ran) {
			all.Go(func() {
				err := guards[i%len(guards)].Do(t.Context(), "work", func(_ context.Context, held *claim.Held) error {
					ran <- fmt.Sprint(held.Key(), held.Fence())
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(ran) != 1 {
			t.Errorf("ran %d times", len(ran))
		}
	})
}

func race(t *testing.T, guard func(*testing.T, string) *claim.Guard) {
	const rounds, crowd, replicas = 5, 50, 5
	var guards []*claim.Guard
	for i := range replicas {
		guards = append(guards, guard(t, fmt.Sprint("bot-", i)))
	}
	for round := range rounds {
		key := fmt.Sprint("race-", round)
		won, taken := make(chan *claim.Held, crowd), make(chan uint64, crowd)
		var all sync.WaitGroup
		for i := range crowd {
			all.Go(func() {
				held, err := guards[i%replicas].Claim(t.Context(), key)
				var other *claim.TakenError
				switch {
				case err == nil:
					won <- held
				case errors.As(err, &other):
					taken <- other.Fence
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 || len(taken) != crowd-1 {
			t.Fatalf("%d won, %d lost", len(won), len(taken))
		}
		held := <-won
		for range len(taken) {
			if fence := <-taken; fence != held.Fence() {
				t.Errorf("told of fence %d, want %d", fence, held.Fence())
			}
		}
		if err := held.Renew(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestABucketThatIsSetUpDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "mine", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if _, err := claim.Open(t.Context(), js, claim.Options{Bucket: "mine"}); !errors.Is(err, claim.ErrMismatch) {
		t.Errorf("another kind of bucket: %v", err)
	}
	open(t, js, claim.Options{})
	if _, err := claim.Open(t.Context(), js, claim.Options{Replicas: 3}); !errors.Is(err, claim.ErrMismatch) {
		t.Errorf("other replicas: %v", err)
	}
	if _, err := claim.Open(t.Context(), js, claim.Options{Lease: time.Millisecond}); err == nil {
		t.Error("a lease that nobody can keep is accepted")
	}
}

// What nats shows is what there is: the bucket is an ordinary one, and an operator
// who deletes a key takes it from its holder, but gives it to nobody before the
// holder must have noticed.
func TestAnOperatorSeesAndFreesClaims(t *testing.T) {
	t.Parallel()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	a, b := open(t, js, claim.Options{Holder: "a", Lease: short}), open(t, js, claim.Options{Lease: short})
	held := mustClaim(t, a, "C1/17.5")
	kv, err := js.KeyValue(t.Context(), claim.DefaultBucket)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), "key.C1/17.5")
	if err != nil || !strings.Contains(string(entry.Value()), `"holder":"a"`) {
		t.Fatalf("%v %v", entry, err)
	}
	if err := kv.Delete(t.Context(), "key.C1/17.5"); err != nil {
		t.Fatal(err)
	}
	takeOver(t, b, "C1/17.5")
	if !lost(held) {
		t.Error("somebody else has it and Lost is open")
	}
}

func TestAFailureIsNoLostRace(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	js := natsnodetest.Connect(t, node)
	guard := open(t, js, claim.Options{Lease: short})
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Claim(t.Context(), "k"); err == nil || errors.Is(err, claim.ErrTaken) || errors.Is(err, claim.ErrDone) {
		t.Errorf("without a broker: %v", err)
	}
	if err := node.Resume(); err != nil {
		t.Fatal(err)
	}
	takeOver(t, guard, "k")
	kv, err := js.KeyValue(t.Context(), claim.DefaultBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "key.foreign", "not ours"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "foreign", strings.Repeat("x", claim.MaxKey)} {
		if _, err := guard.Claim(t.Context(), key); err == nil || errors.Is(err, claim.ErrTaken) || errors.Is(err, claim.ErrDone) {
			t.Errorf("%.10q: %v", key, err)
		}
	}
	js.Conn().Close()
	if _, err := guard.Claim(t.Context(), "k"); err == nil || errors.Is(err, claim.ErrTaken) {
		t.Errorf("without a connection: %v", err)
	}
}

// A full bucket refuses; it forgets nobody's claim.
func TestAFullBucketRefuses(t *testing.T) {
	t.Parallel()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	guard := open(t, js, claim.Options{MaxBytes: 8 << 10})
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		_, err = guard.Claim(t.Context(), fmt.Sprint(n))
	}
	if err == nil || errors.Is(err, claim.ErrTaken) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("after %d: %v", n, err)
	}
	if _, err := guard.Claim(t.Context(), "0"); !errors.Is(err, claim.ErrTaken) {
		t.Errorf("the first one: %v", err)
	}
}

func TestDoneIsForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	guard := open(t, natsnodetest.Connect(t, natsnodetest.One(t)), claim.Options{Remember: time.Second})
	first := mustClaim(t, guard, "k")
	if err := first.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; <-time.After(20 * time.Millisecond) {
		second, err := guard.Claim(t.Context(), "k")
		if err == nil {
			if second.Fence() <= first.Fence() {
				t.Errorf("fence %d after %d", second.Fence(), first.Fence())
			}
			return
		}
		if !errors.Is(err, claim.ErrDone) || time.Since(begin) > patience {
			t.Fatal(err)
		}
	}
}

// Two keys never share a name in the bucket, and every name is one of NATS.
func TestKeysStayApart(t *testing.T) {
	t.Parallel()
	name := func(t *rapid.T, key string) string {
		token, err := claim.Encode(key)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(token, " *>\t\n\x00") || strings.Contains(token, "..") || strings.HasSuffix(token, ".") {
			t.Errorf("%q becomes %q", key, token)
		}
		return token
	}
	keys := rapid.OneOf(rapid.StringN(1, 20, 100), rapid.StringMatching(`[a.=2E*]{1,6}`))
	rapid.Check(t, func(t *rapid.T) {
		a, b := keys.Draw(t, "a"), keys.Draw(t, "b")
		if (name(t, a) == name(t, b)) != (a == b) {
			t.Errorf("%q and %q", a, b)
		}
	})
}
