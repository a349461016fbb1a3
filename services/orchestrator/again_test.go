package orchestrator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// fail ends a claimed run in its first step.
func (h *house) fail(id string) {
	h.do(id, func(s run.State) run.Command {
		at := s.Current()
		return run.FailStep{Fence: s.Claim.Fence, Step: at, Attempt: s.Steps[at].Attempts, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1"}
	})
}

// A press whose acknowledgement was lost comes again, perhaps long after the
// retry that it started has failed.
func TestARetryDeliveredAgainStartsNothing(t *testing.T) {
	inHouse(t, 2, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		h.claim(h.hinted()[0], "r1")
		h.fail(id)
		press := member("U1")
		press.command = "press|T1|C1|1.2"
		first, err := h.first().desk.retry(h.ctx, press, id, "")
		if err != nil {
			t.Fatal(err)
		}
		h.claim(h.hinted()[0], "r1")
		h.fail(first.ID)
		again, err := h.replicas[1].desk.retry(h.ctx, press, id, "")
		if err != nil || again.ID != first.ID || !again.Status.Ended() {
			t.Errorf("the same press started %s: %v", again.ID, err)
		}
		press.command = "press|T1|C1|3.4"
		if second, err := h.first().desk.retry(h.ctx, press, id, ""); err != nil || second.RetryOf != first.ID {
			t.Errorf("another press: %s, %v", second.RetryOf, err)
		}
	})
}

func TestAGuestDoesNotEvenRetryWhatIsUnderWay(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		h.claim(h.hinted()[0], "r1")
		h.fail(id)
		if _, err := h.first().desk.retry(h.ctx, member("U1"), id, ""); err != nil {
			t.Fatal(err)
		}
		h.hinted()
		guest := member("U2")
		guest.subject.Guest = true
		var denial *policy.Denial
		if _, err := h.first().desk.retry(h.ctx, guest, id, ""); !errors.As(err, &denial) {
			t.Errorf("a guest was answered %v", err)
		}
	})
}

// The view of a replica may be behind and its configuration newer: what an
// earlier delivery was told stands.
func TestARequestThatWasAcceptedIsNotRefusedLater(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		want := deployment{identity: "slash|T1|x", service: "checkout", environment: "staging", record: true}
		first, err := h.first().desk.start(h.ctx, member("U1"), want)
		if err != nil {
			t.Fatal(err)
		}
		event := &eventv1.RunRequested{Run: first.ID, Identity: want.identity, Digest: digest(want)}
		s, err := h.first().desk.refused(h.ctx, first.ID, member("U1"), event, true, &run.Refusal{Code: "E-SERVICE-UNKNOWN", Sentence: "no such service"})
		if err != nil || s.Status != run.Queued {
			t.Errorf("%s, %v", s.Status, err)
		}
	})
}

// unsure is a log that never says what became of an append, and is full later.
type unsure struct {
	eventlog.Log
	n int
}

func (u *unsure) Append(context.Context, string, uint64, []byte) (uint64, error) {
	if u.n++; u.n == 1 {
		return 0, eventlog.ErrUnknown
	}
	return 0, eventlog.ErrFull
}

func TestAnUnknownOutcomeIsNeverToldAsNothing(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		h.first().desk.log = &unsure{Log: h.log}
		ctx, cancel := context.WithTimeout(h.ctx, commandWait)
		defer cancel()
		s, err := h.first().desk.start(ctx, local(), deployment{identity: "api|local|k", service: "checkout", environment: "staging"})
		var unsettled *engine.Unsettled
		if !errors.As(err, &unsettled) || s.ID == "" {
			t.Fatalf("%q, %v", s.ID, err)
		}
		told := apiError(err, s.ID)
		if connect.CodeOf(told) != connect.CodeUnavailable || !strings.Contains(told.Error(), s.ID[:7]) || strings.Contains(told.Error(), "Nothing was changed") {
			t.Error(told)
		}
	})
}

// Another replica may adopt its own file before this one has taken its own.
func TestTheStartDoesNotWaitForAConfigurationThatIsPast(t *testing.T) {
	o := &Orchestrator{taken: make(chan struct{}, 1)}
	o.adopted.Store(&adopted{digest: "theirs", sequence: 7})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := o.awaitConfig(ctx, 6); err != nil {
		t.Error(err)
	}
}
