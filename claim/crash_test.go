package claim_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/claim"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

func TestTheClaimOfTheDeadGoesOnAfterALease(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	a := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
	b := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
	dead := mustClaim(t, a, "k")
	dead.Die()
	begin := time.Now()
	held := takeOver(t, b, "k")
	if took := time.Since(begin); took < short {
		t.Errorf("taken over after %s, a lease is %s", took, short)
	}
	if held.Fence() <= dead.Fence() {
		t.Errorf("fence %d after %d", held.Fence(), dead.Fence())
	}
	if err := dead.Done(t.Context()); !errors.Is(err, claim.ErrFenced) {
		t.Errorf("done by the dead: %v", err)
	}
}

// Who is alive keeps its claim for as long as it likes.
func TestTheLivingKeepTheirClaims(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	a := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
	b := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
	held := mustClaim(t, a, "k")
	for begin := time.Now(); time.Since(begin) < 2*short; <-time.After(50 * time.Millisecond) {
		if _, err := b.Claim(t.Context(), "k"); !errors.Is(err, claim.ErrTaken) || lost(held) {
			t.Fatalf("after %s: %v, lost %v", time.Since(begin), err, lost(held))
		}
	}
	if err := held.Done(t.Context()); err != nil {
		t.Error(err)
	}
}

// The process that is frozen past its lease wakes up fenced.
func TestAFrozenHolderIsFenced(t *testing.T) {
	t.Parallel()
	node := listening(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderOf+"="+node.ClientURL())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := bufio.NewScanner(out)
	var fence uint64
	if _, err := fmt.Sscanf(next(lines), "held %d", &fence); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	held := takeOver(t, open(t, connect(t, node.ClientURL()), claim.Options{Lease: short}), "k")
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	if a, b := next(lines), next(lines); a != "lost" || b != "fenced" || held.Fence() <= fence {
		t.Errorf("%q, %q; fence %d after %d", a, b, held.Fence(), fence)
	}
	if err := held.Done(t.Context()); err != nil {
		t.Error(err)
	}
}

func next(lines *bufio.Scanner) string {
	lines.Scan()
	return lines.Text()
}

// A holder that is cut off knows before anybody else has its claim.
func TestWhoIsCutOffLosesItsClaimFirst(t *testing.T) {
	t.Parallel()
	node := listening(t)
	p := newProxy(t, node.ClientURL())
	a := open(t, connect(t, p.url()), claim.Options{Lease: short})
	b := open(t, connect(t, node.ClientURL()), claim.Options{Lease: short})
	held := mustClaim(t, a, "k")
	ctx, cancel := held.Context(t.Context())
	defer cancel()
	p.silence()
	won := takeOver(t, b, "k")
	if !lost(held) || ctx.Err() == nil || !errors.Is(context.Cause(ctx), claim.ErrLost) {
		t.Errorf("somebody else has it: lost %v, context %v", lost(held), context.Cause(ctx))
	}
	p.restore()
	if err := held.Done(t.Context()); !errors.Is(err, claim.ErrFenced) {
		t.Errorf("done: %v", err)
	}
	if err := won.Renew(t.Context()); err != nil {
		t.Error(err)
	}
}

// Who lost its claim and was followed by nobody may still say that it was done.
func TestDoneAfterLostCountsWhenNobodyFollowed(t *testing.T) {
	t.Parallel()
	guard := open(t, natsnodetest.Connect(t, natsnodetest.One(t)), claim.Options{Lease: short})
	held := mustClaim(t, guard, "k")
	held.Die()
	if err := held.Renew(t.Context()); !errors.Is(err, claim.ErrLost) {
		t.Errorf("renew: %v", err)
	}
	if err := held.Done(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := guard.Claim(t.Context(), "k"); !errors.Is(err, claim.ErrDone) {
		t.Errorf("claim: %v", err)
	}
}

// A machine that was asleep, or whose clock was set ahead, gives its claims up; a
// clock that was set back changes nothing. Takers do not look at the wall clock.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	var clock, other claim.Clock
	guard := func(clock *claim.Clock) *claim.Guard {
		g, err := claim.OpenAt(t.Context(), js, claim.Options{Lease: short}, clock)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a, b := guard(&clock), guard(&other)
	held := mustClaim(t, a, "k")
	clock.Jump(-time.Hour)
	if err := held.Renew(t.Context()); err != nil {
		t.Errorf("set back: %v", err)
	}
	for range 3 {
		other.Jump(time.Hour)
		if _, err := b.Claim(t.Context(), "k"); !errors.Is(err, claim.ErrTaken) {
			t.Fatalf("a taker whose clock jumps: %v", err)
		}
	}
	clock.Jump(time.Hour)
	within(t, "lost by itself", held.Lost())
}

func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	a := open(t, natsnodetest.Connect(t, node), claim.Options{})
	b := open(t, natsnodetest.Connect(t, node), claim.Options{})
	held, done := mustClaim(t, a, "held"), mustClaim(t, a, "done")
	if err := done.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := held.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Claim(t.Context(), "held"); !errors.Is(err, claim.ErrTaken) {
		t.Errorf("held: %v", err)
	}
	if _, err := b.Claim(t.Context(), "done"); !errors.Is(err, claim.ErrDone) {
		t.Errorf("done: %v", err)
	}
	if later := mustClaim(t, b, "later"); later.Fence() <= done.Fence() {
		t.Errorf("fence %d after %d", later.Fence(), done.Fence())
	}
	if err := held.Done(t.Context()); err != nil {
		t.Error(err)
	}
}
