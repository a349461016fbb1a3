package run_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/story"
)

func TestStories(t *testing.T) {
	story.Run(t, "*.story", func(t *testing.T) func(story.Line) string {
		w := newWorld()
		return func(l story.Line) string { return w.play(t, l) }
	})
}

func (w *world) play(t *testing.T, l story.Line) string {
	if l.Name == "wait" {
		d, err := time.ParseDuration(l.Arg("for", "1s"))
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(d)
		return "it is " + w.now.Format("15:04:05")
	}
	if l.Name == "show" {
		return w.show()
	}
	events, err := w.do(w.command(t, l))
	switch {
	case err != nil:
		return "refused: " + err.Error()
	case len(events) == 0:
		return "nothing to do\n" + w.word()
	}
	return fmt.Sprintf("commit %d\n%s\n%s", w.sequence, narrate(events), w.word())
}

func (w *world) word() string { return w.state.Status.String() }

func (w *world) show() string {
	out := []string{w.word()}
	if w.state.Reason != "" {
		out[0] += ": " + w.state.Reason
	}
	for _, s := range w.state.Steps {
		out = append(out, fmt.Sprintf("  %-8s %s, %d attempts, %d failures", s.Name, [...]string{"pending", "running", "waiting", "succeeded", "failed", "carried"}[s.Status], s.Attempts, s.Failures))
	}
	return strings.Join(out, "\n")
}

func (w *world) command(t *testing.T, l story.Line) run.Command {
	number := func(key, fallback string) uint64 {
		n, err := strconv.ParseUint(l.Arg(key, fallback), 10, 32)
		if err != nil {
			t.Fatalf("%s: %v", l.Text, err)
		}
		return n
	}
	duration := func(key string) time.Duration {
		d, err := time.ParseDuration(l.Arg(key, "0s"))
		if err != nil {
			t.Fatalf("%s: %v", l.Text, err)
		}
		return d
	}
	fence := number("fence", strconv.FormatUint(w.state.Claim.Fence, 10))
	current := min(w.state.Current(), uint32(max(0, len(w.state.Steps)-1))) //nolint:gosec // small
	at := uint32(number("step", strconv.Itoa(int(current))))                //nolint:gosec // small
	attempt := uint32(0)
	if int(at) < len(w.state.Steps) {
		attempt = uint32(number("attempt", strconv.Itoa(int(w.state.Steps[at].Attempts)))) //nolint:gosec // small
	}
	switch l.Name {
	case "request":
		var steps []*eventv1.Step
		for _, s := range strings.Split(l.Arg("steps", "build,test,deploy"), ",") {
			steps = append(steps, step(s))
		}
		r := request(steps, duration("timeout"), duration("queue"))
		r.Event.Identity = l.Arg("identity", r.Event.GetIdentity())
		for _, n := range strings.FieldsFunc(l.Arg("carried", ""), func(r rune) bool { return r == ',' }) {
			i, _ := strconv.Atoi(n)
			r.Event.Carried = append(r.Event.Carried, &eventv1.CarriedStep{Step: uint32(i), Run: "d-older"}) //nolint:gosec // small
		}
		if d := duration("delay"); d > 0 {
			r.Event.StartAfter = timestamppb.New(w.now.Add(d))
		}
		if why := l.Arg("refuse", ""); why != "" {
			r.Refusal = &run.Refusal{Code: "E-DENIED", Sentence: why}
		}
		return r
	case "claim":
		return run.TakeClaim{Runner: l.Arg("runner", "r1"), Incarnation: l.Arg("runner", "r1") + l.Arg("life", ".1"), GrantSequence: number("grant", "50"), Now: w.now}
	case "finish":
		return run.FinishStep{Fence: fence, Step: at, Attempt: attempt, Release: l.Arg("release", ""), Confirmed: l.Arg("confirmed", "") != "", Now: w.now}
	case "fail":
		f := run.FailStep{Fence: fence, Step: at, Attempt: attempt, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: l.Arg("error", "exit code 1"), Final: l.Arg("final", "") != "", Now: w.now}
		switch l.Arg("cause", "") {
		case "timeout":
			f.Cause = eventv1.StepFailed_CAUSE_TIMEOUT
		case "stopped":
			f.Cause = eventv1.StepFailed_CAUSE_STOPPED
		}
		return f
	case "begin":
		return run.BeginAttempt{Fence: fence, Step: at, Now: w.now}
	case "stop":
		return run.Stop{Fence: fence, Now: w.now}
	case "cancel":
		return run.RequestCancel{Reason: l.Arg("reason", "")}
	case "expire":
		return run.Expire{Now: w.now}
	case "yield":
		kinds := map[string]eventv1.Absorbed_Kind{"merged": eventv1.Absorbed_KIND_MERGED, "superseded": eventv1.Absorbed_KIND_SUPERSEDED, "rejected": eventv1.Absorbed_KIND_REJECTED}
		return run.Yield{Into: l.Arg("into", "j-older"), Kind: kinds[l.Arg("kind", "merged")], Reason: l.Arg("reason", "j-older executes for both"), Now: w.now}
	case "say":
		said := run.Say{ID: l.Arg("id", "n1"), Text: l.Arg("text", "half way"), Format: eventv1.Report_FORMAT_TEXT}
		if l.Arg("ago", "") != "" {
			said.Received = w.now.Add(-duration("ago"))
		}
		return said
	case "lapse":
		return run.Lapse{Fence: fence, Reason: "lease ran out", Now: w.now}
	case "release":
		return run.Release{Fence: fence, Reason: l.Arg("reason", "restarted"), Now: w.now}
	case "answer":
		return run.Answer{Step: at, Answer: map[string]eventv1.StepAnswered_Answer{"repeat": eventv1.StepAnswered_ANSWER_REPEAT, "done": eventv1.StepAnswered_ANSWER_DONE, "fail": eventv1.StepAnswered_ANSWER_FAIL}[l.Arg("word", "repeat")]}
	}
	t.Fatalf("unknown command %q", l.Text)
	return nil
}
