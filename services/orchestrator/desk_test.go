package orchestrator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
)

func TestOneIdentityIsOneRunOnEveryReplica(t *testing.T) {
	inHouse(t, 3, func(h *house) {
		want := deployment{identity: "slash|T1|x", service: "checkout", environment: "staging", record: true}
		done := make(chan run.State)
		for i := range 30 {
			go func() {
				s, err := h.replicas[i%3].desk.start(h.ctx, member("U1"), want)
				if err != nil {
					t.Error(err)
				}
				done <- s
			}()
		}
		first := <-done
		for range 29 {
			if s := <-done; s.ID != first.ID {
				t.Errorf("got %s and %s", first.ID, s.ID)
			}
		}
		synctest.Wait()
		if got := len(h.first().clerk.list(&apiv1.ListRunsRequest{})); got != 1 {
			t.Errorf("%d runs", got)
		}
	})
}

func TestAnIdentityNeverMeansTwoThings(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		h.deploy("k", "checkout", "staging")
		_, err := h.first().desk.start(h.ctx, local(), deployment{identity: "api|local|k", service: "search", environment: "staging", version: "k"})
		if !errors.Is(err, run.ErrIdentity) || apiCode(err) != connect.CodeAlreadyExists {
			t.Errorf("%v, %s", err, apiCode(err))
		}
	})
}

func TestARefusalFromSlackIsStoredAndRepeated(t *testing.T) {
	inHouse(t, 2, func(h *house) {
		want := deployment{identity: "slash|T1|no", service: "checkout", environment: "production", record: true}
		_, first := h.first().desk.start(h.ctx, member("U0NOBODY"), want)
		var denial *policy.Denial
		if !errors.As(first, &denial) {
			t.Fatal(first)
		}
		synctest.Wait()
		s, again := h.replicas[1].desk.start(h.ctx, member("U0NOBODY"), want)
		if again == nil || again.Error() != first.Error() || s.Status != run.Refused {
			t.Errorf("again: %v, %s", again, s.Status)
		}
		if hints := h.hinted(); len(hints) > 0 {
			t.Errorf("a refused run was started: %v", hints)
		}
	})
}

func TestARefusalOfTheAPIIsNotStored(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		_, err := h.first().desk.start(h.ctx, local(), deployment{identity: "api|local|k", service: "chekout"})
		if apiCode(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "checkout") {
			t.Errorf("%s: %v", apiCode(err), err)
		}
		h.deploy("k", "checkout", "staging") // the key is still free
	})
}

func TestRetryCarriesFinishedStepsAndAsksOnce(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		h.claim(h.hinted()[0], "r1")
		h.do(id, func(s run.State) run.Command { return run.FinishStep{Fence: s.Claim.Fence, Attempt: 1} })
		h.do(id, func(s run.State) run.Command {
			return run.FailStep{Fence: s.Claim.Fence, Step: 1, Attempt: 1, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1"}
		})
		first, err := h.first().desk.retry(h.ctx, local(), id, "")
		if err != nil {
			t.Fatal(err)
		}
		if first.RetryOf != id || first.Steps[0].Status != run.StepCarried || first.Steps[1].Status != run.StepPending {
			t.Fatalf("%+v", first)
		}
		synctest.Wait()
		second, err := h.first().desk.retry(h.ctx, local(), id, "")
		if err != nil || second.ID != first.ID {
			t.Errorf("a second click started %s: %v", second.ID, err)
		}
		h.claim(h.hinted()[0], "r1")
		h.finish(first.ID)
		if _, err := h.first().desk.retry(h.ctx, local(), id, ""); err == nil || !strings.Contains(err.Error(), "succeeded") {
			t.Errorf("retry of what succeeded: %v", err)
		}
	})
}

func TestCancelIsOnlyForTheRequesterAndWhoMayDeployThere(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		s, err := h.first().desk.start(h.ctx, member("U0BOSS"), deployment{identity: "x", service: "checkout", environment: "production", record: true})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := h.first().desk.cancel(h.ctx, member("U0OTHER"), s.ID, ""); apiCode(err) != connect.CodePermissionDenied {
			t.Errorf("a stranger: %v", err)
		}
		if s, err = h.first().desk.cancel(h.ctx, member("U0BOSS"), s.ID, ""); err != nil || s.Status != run.Cancelled {
			t.Errorf("the requester: %v, %s", err, s.Status)
		}
		if _, err := h.first().desk.cancel(h.ctx, member("U0BOSS"), s.ID, ""); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

func TestCancelOfARunningRunNudgesItsRunner(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		h.claim(h.hinted()[0], "r1")
		s, err := h.first().desk.cancel(h.ctx, local(), id, "")
		if err != nil || s.Status.Ended() || len(h.nudges) != 1 {
			t.Errorf("%v, %s, nudges %v", err, s.Status, h.nudges)
		}
		if got := h.shown(id); !strings.Contains(got, "being cancelled") {
			t.Error(got)
		}
	})
}

// An outcome that nobody knows is never told as a failure, and the request is
// kept for another try.
func TestUnknownIsNotFailed(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		h.log.SetFault(func(memlog.Attempt) memlog.Fault { return memlog.Unknown(memlog.Never) })
		ctx, cancel := context.WithTimeout(h.ctx, decideWait)
		defer cancel()
		answer, err := h.first().clerk.command(ctx, envelope("U1", "/deploy", "checkout to staging"))
		if answer != nil || !transient(err) || !errors.Is(err, eventlog.ErrUnknown) {
			t.Errorf("answer %v, error %v", answer, err)
		}
		h.log.SetFault(nil)
		if answer, err = h.first().clerk.command(h.ctx, envelope("U1", "/deploy", "checkout to staging")); err != nil || answer.GetCode() != "" {
			t.Errorf("the second delivery: %v, %v", answer, err)
		}
	})
}

func envelope(user, command, text string) *commandv1.Envelope {
	return &commandv1.Envelope{
		Identity:  "slash|T1|" + user + command + text,
		Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: user},
		Origin:    &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Team: "T1", Channel: "C1"},
		Standing:  &commandv1.Standing{Known: true},
		Body:      &commandv1.Envelope_Sentence{Sentence: &commandv1.Sentence{Command: command, Text: text}},
	}
}

func TestWhatPeopleAreTold(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		say := func(command, text string) string {
			t.Helper()
			answer, err := h.first().clerk.command(h.ctx, envelope("U1", command, text))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return answer.GetVisibility().String()[len("VISIBILITY_"):] + " " + answer.GetText()
		}
		contains := func(got string, wants ...string) {
			t.Helper()
			for _, want := range wants {
				if !strings.Contains(got, want) {
					t.Errorf("%q lacks %q", got, want)
				}
			}
		}
		contains(say("/deploy", "checkout@v1 to staging"), "PUBLIC", "*checkout* to *staging* `v1`", "<@U1>", "d-")
		contains(say("/deploy", "checkout@v2 to staging"), "PUBLIC", "Next in lane checkout/staging, behind d-")
		contains(say("/deploy", ""), "PUBLIC", "*staging*")
		contains(say("/deploy", "chekout to staging"), "PRIVATE", "checkout", "E-APP-404")
		contains(say("/deploy", "checkout to prodution"), "PRIVATE", "production", "E-ENV-404")
		contains(say("/deploy", "checkout to production"), "PRIVATE", "E-POLICY-ENV")
		contains(say("/check_status", ""), "PRIVATE", "*1* under way, *2* waiting")
		contains(say("/check_status", "d-zzzzzzz"), "PRIVATE", "I know no run")
		contains(say("/check_status", "checkot"), "PRIVATE", "I know no run", "Did you mean `checkout`?")
		contains(say("/check_status", "che"), "PRIVATE", "I know no run", "Did you mean `checkout`?")
		contains(say("/check_status", "zz"), "PRIVATE", "too short")
		contains(say("/slipway", "lanes checkout/stagin"), "PRIVATE", "E-LANE-404", "Did you mean `checkout/staging`?")
		contains(say("/slipway", "cancel"), "PRIVATE", "Which run?", "cancel ID")
		contains(say("/slipway", "cancel d-zzzzzzz"), "PRIVATE", "I know no run")
		contains(say("/slipway", "lanes"), "PRIVATE", "checkout/staging", "1 of 1 busy")
		contains(say("/slipway", "help"), "PRIVATE", "deploy")
		if got := say("/deploy", "checkout@<!channel> to staging"); strings.Contains(got, "<!") || strings.Contains(got, "@channel") {
			t.Errorf("%q pings the channel", got)
		}
	})
}

func TestGuestsBotsAndStrangersAreRefused(t *testing.T) {
	for name, standing := range map[string]*commandv1.Standing{
		"guest": {Known: true, Guest: true}, "bot": {Known: true, Bot: true}, "stranger": {Known: true, Stranger: true}, "deleted": {Known: true, Deleted: true},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, 1, func(h *house) {
				shown := h.deploy("v1", "checkout", "staging")
				h.hinted()
				for _, text := range []string{"deploy checkout to staging", "lanes", "status checkout", "status " + shown.ID, "logs " + shown.ID, "cancel " + shown.ID} {
					e := envelope("U1", "/slipway", text)
					e.Standing = standing
					answer, err := h.first().clerk.command(h.ctx, e)
					if err != nil || !strings.HasPrefix(answer.GetCode(), "E-POLICY-") || answer.GetVisibility() != commandv1.Answer_VISIBILITY_PRIVATE {
						t.Errorf("%s: %v, %v", text, answer, err)
					}
				}
				if hints := h.hinted(); len(hints) > 0 {
					t.Errorf("started %v", hints)
				}
			})
		})
	}
}
