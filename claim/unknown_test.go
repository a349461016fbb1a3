package claim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/claim"
)

// stored waits until the bucket holds n writes.
func stored(t *testing.T, js jetstream.JetStream, n uint64) {
	t.Helper()
	for begin := time.Now(); ; <-time.After(5 * time.Millisecond) {
		stream, err := js.Stream(t.Context(), "KV_"+claim.DefaultBucket)
		if err != nil {
			t.Fatal(err)
		}
		switch got := stream.CachedInfo().State.LastSeq; {
		case got == n:
			return
		case got > n, time.Since(begin) > patience:
			t.Fatalf("%d writes, want %d", got, n)
		}
	}
}

// A claim whose answer got lost is found to be held, once.
func TestAClaimWhoseAnswerGotLostIsSettled(t *testing.T) {
	t.Parallel()
	node := listening(t)
	p := newProxy(t, node.ClientURL())
	direct := connect(t, node.ClientURL())
	a, b := open(t, connect(t, p.url()), claim.Options{}), open(t, direct, claim.Options{})
	cut := p.swallowAnswerTo("PUB $KV.claims.key.k ")
	result := make(chan error, 1)
	var held *claim.Held
	go func() {
		var err error
		held, err = a.Claim(t.Context(), "k")
		result <- err
	}()
	within(t, "the claim was sent", cut)
	stored(t, direct, 1)
	if _, err := b.Claim(t.Context(), "k"); !errors.Is(err, claim.ErrTaken) {
		t.Errorf("meanwhile: %v", err)
	}
	p.restore()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if held.Fence() != 1 {
		t.Errorf("fence %d", held.Fence())
	}
	stored(t, direct, 1)
	if err := held.Done(t.Context()); err != nil {
		t.Error(err)
	}
}

// When the answer never comes, the claim is not held: others have it after a
// lease, the same Guard at once.
func TestAClaimThatCannotBeSettledIsNotHeld(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"others", "the same"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			node := listening(t)
			p := newProxy(t, node.ClientURL())
			a := open(t, connect(t, p.url()), claim.Options{Lease: short})
			b := open(t, connect(t, node.ClientURL()), claim.Options{Lease: short})
			p.swallowAnswerTo("PUB $KV.claims.key.k ")
			_, err := a.Claim(t.Context(), "k")
			if err == nil || errors.Is(err, claim.ErrTaken) || errors.Is(err, claim.ErrDone) {
				t.Fatalf("unsettled: %v", err)
			}
			p.restore()
			begin := time.Now()
			if who == "the same" {
				if mustClaim(t, a, "k"); time.Since(begin) > short {
					t.Errorf("took %s", time.Since(begin))
				}
				return
			}
			held := takeOver(t, b, "k")
			if held.Fence() < 2 {
				t.Errorf("fence %d", held.Fence())
			}
			if _, err := a.Claim(t.Context(), "k"); !errors.Is(err, claim.ErrTaken) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// Done and Renew, too, find that they got through.
func TestWritesOfAHolderWhoseAnswersGotLostAreSettled(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*claim.Held, context.Context) error{
		"renew": (*claim.Held).Renew, "done": (*claim.Held).Done, "release": (*claim.Held).Release,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := listening(t)
			p := newProxy(t, node.ClientURL())
			direct := connect(t, node.ClientURL())
			held := mustClaim(t, open(t, connect(t, p.url()), claim.Options{}), "k")
			cut := p.swallowAnswerTo("PUB $KV.claims.key.k ")
			result := make(chan error, 1)
			go func() { result <- write(held, t.Context()) }()
			within(t, "the write was sent", cut)
			stored(t, direct, 2)
			p.restore()
			if err := <-result; err != nil {
				t.Error(err)
			}
			stored(t, direct, 2)
			want := map[string]string{"renew": "held", "done": "done", "release": "released"}[name]
			kv, err := direct.KeyValue(t.Context(), claim.DefaultBucket)
			if err != nil {
				t.Fatal(err)
			}
			entry, err := kv.Get(t.Context(), "key.k")
			if err != nil {
				t.Fatal(err)
			}
			if got := string(entry.Value()); entry.Revision() != 2 || !strings.HasPrefix(got, `{"state":"`+want+`"`) {
				t.Errorf("%d: %s", entry.Revision(), got)
			}
		})
	}
}
