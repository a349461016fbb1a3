package card_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// teller tells a story by real decisions.
type teller struct {
	t     *testing.T
	now   time.Time
	seq   uint64
	story card.Story
	actor *eventv1.Principal
}

func newTeller(t *testing.T, request *eventv1.RunRequested) *teller {
	t.Helper()
	w := &teller{
		t: t, now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC), seq: 40,
		actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: "U0REQUEST01"},
	}
	w.do(run.Request{Event: request})
	return w
}

func request() *eventv1.RunRequested {
	return &eventv1.RunRequested{
		Run: "d-4f7k2mq5xv3zr6tw", Identity: "x", Service: "checkout", Environment: "production", Version: "v2.41.0",
		Origin: &eventv1.Origin{Channel: "C1"},
		Plan: &eventv1.Plan{
			Lane: "checkout/production", Pool: "default", PreviousVersion: "v2.40.3",
			Steps: []*eventv1.Step{{Name: "build"}, {Name: "test", Retry: &eventv1.Retry{Attempts: 3, Delay: durationpb.New(10 * time.Second)}}, {Name: "migrate", Resume: eventv1.Step_RESUME_ASK}, {Name: "deploy"}},
		},
	}
}

func (w *teller) do(c run.Command) *teller {
	w.t.Helper()
	events, err := run.Decide(w.story.State, c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq++
	w.story.Fold(w.seq, &eventv1.Commit{Events: events, Time: timestamppb.New(w.now), Actor: w.actor})
	return w
}

func (w *teller) after(d time.Duration) *teller { w.now = w.now.Add(d); return w }

func (w *teller) claim(runner string) *teller {
	return w.do(run.TakeClaim{Runner: runner, Incarnation: runner, Host: runner, GrantSequence: 1, Now: w.now})
}

func (w *teller) finish() *teller {
	s := w.story.State
	return w.do(run.FinishStep{Fence: s.Claim.Fence, Step: s.Current(), Attempt: s.Steps[s.Current()].Attempts, Now: w.now})
}

func (w *teller) fail(text, tail string) *teller {
	s := w.story.State
	return w.do(run.FailStep{
		Fence: s.Claim.Fence, Step: s.Current(), Attempt: s.Steps[s.Current()].Attempts, Cause: eventv1.StepFailed_CAUSE_EXIT,
		ExitCode: 1, Error: text, Output: &eventv1.StepOutput{Tail: tail}, Now: w.now,
	})
}

func (w *teller) lapse() *teller {
	return w.do(run.Lapse{Fence: w.story.State.Claim.Fence, Reason: "its lease ran out", Now: w.now})
}

// view shows the story as the board would; position and reason of a queued run
// are given.
func (w *teller) view() card.View {
	s := &w.story.State
	b := board.New()
	shown := b.Show(&board.Live{State: *s, Grant: 1}, board.World{Now: w.now})
	if s.Status == run.Queued {
		shown = board.Shown{Status: run.Queued, Position: 3, Reason: "number 3 in lane checkout/production, behind d-abcde"}
	}
	v := card.View{Story: &w.story, Shown: shown, Short: "d-4f7k2"}
	if s.Status == run.Running {
		v.Elapsed = w.now.Sub(s.Started)
	}
	return v
}

// stories are runs in every state that a card can show.
func stories(t *testing.T) map[string]*teller {
	t.Helper()
	start := func() *teller { return newTeller(t, request()) }
	building := func() *teller { return start().after(5 * time.Second).claim("host-1").after(12 * time.Second) }
	testStep := func() *teller { return building().finish().after(3 * time.Second) }
	asking := func() *teller {
		return testStep().finish().after(time.Second).lapse().after(30 * time.Second).claim("host-2")
	}
	many := func() *teller {
		w := newTeller(t, manySteps()).claim("host-1")
		for range 7 {
			w.after(time.Second).finish()
		}
		return w.after(time.Second)
	}
	return map[string]*teller{
		"queued":          start(),
		"running":         building(),
		"retrying":        testStep().fail("exit code 1", "--- FAIL: TestX\nFAIL\n"),
		"second-attempt":  testStep().fail("exit code 1", "").after(10 * time.Second).begin(),
		"runner-lost":     testStep().lapse(),
		"resumed":         testStep().lapse().after(30 * time.Second).claim("host-2"),
		"asking":          asking(),
		"answered":        asking().do(run.Answer{Step: 2, Answer: eventv1.StepAnswered_ANSWER_REPEAT}),
		"cancelling":      building().do(run.RequestCancel{Reason: "wrong version"}),
		"cancelled":       start().after(2 * time.Second).do(run.RequestCancel{}),
		"failed":          building().fail("exit code 2", strings.Repeat("a line of output\n", 40)+"the last line"),
		"timed-out":       expired(t),
		"succeeded":       building().toTheEnd(),
		"job-succeeded":   newTeller(t, job()).claim("host-1").toTheEnd(),
		"api-failed":      byAPI(t).claim("host-1").fail("exit code 1", ""),
		"retry-succeeded": newTeller(t, retried()).claim("host-1").toTheEnd(),
		"many-steps":      many(),
		"many-steps-fail": many().fail("signal: killed", "out of memory"),
		"hostile":         newTeller(t, hostile()).claim("<!everyone>").fail(evil, evil),
	}
}

// evil is what people and programs may put anywhere.
const evil = "<!channel> @here *bold* `code` ``` <@U0VICTIM01> :boom: &lt; \x00\u202e end"

func (w *teller) begin() *teller {
	s := w.story.State
	return w.do(run.BeginAttempt{Fence: s.Claim.Fence, Step: s.Current(), Now: w.now})
}

// toTheEnd finishes every step.
func (w *teller) toTheEnd() *teller {
	for !w.story.State.Status.Ended() {
		w.after(7 * time.Second)
		s := w.story.State
		w.do(run.FinishStep{
			Fence: s.Claim.Fence, Step: s.Current(), Attempt: s.Steps[s.Current()].Attempts, Now: w.now,
			Source: &eventv1.SourceResolved{Commit: "0123456789abcdef0123456789abcdef01234567", Kind: "git"},
		})
	}
	return w
}

func expired(t *testing.T) *teller {
	t.Helper()
	r := request()
	r.Plan.QueueTimeout = durationpb.New(time.Hour)
	w := newTeller(t, r).after(2 * time.Hour)
	return w.do(run.Expire{Now: w.now})
}

func byAPI(t *testing.T) *teller {
	t.Helper()
	w := newTeller(t, request())
	w.story.State.Requester = &eventv1.Principal{Kind: eventv1.Principal_KIND_API, Name: "ci"}
	return w
}

func job() *eventv1.RunRequested {
	r := request()
	r.Run, r.Service, r.Environment, r.Version, r.Plan.PreviousVersion = "j-4f7k2mq5xv3zr6tw", "nightly-report", "", "", ""
	return r
}

func retried() *eventv1.RunRequested {
	r := request()
	r.RetryOf, r.Carried = "d-9zzzz", []*eventv1.CarriedStep{{Step: 0, Run: "d-9zzzz"}}
	return r
}

func manySteps() *eventv1.RunRequested {
	r := request()
	r.Plan.Steps = nil
	for i := range 24 {
		r.Plan.Steps = append(r.Plan.Steps, &eventv1.Step{Name: fmt.Sprintf("step-%02d", i)})
	}
	return r
}

func hostile() *eventv1.RunRequested {
	r := request()
	r.Service, r.Environment, r.Version, r.Plan.PreviousVersion = evil, evil, evil, evil
	r.Plan.Lane, r.Plan.Steps = evil, []*eventv1.Step{{Name: evil}}
	return r
}

// messages are the card and its whole thread.
func messages(w *teller) []card.Message {
	v := w.view()
	v.RetryOf = w.story.State.RetryOf
	all := []card.Message{card.Render(v)}
	for _, m := range w.story.Milestones {
		all = append(all, card.Reply(v, m))
	}
	return append(all, card.Notice(v, "C0SOMEWHERE", "I am not in it."))
}

func TestEveryStateLooksAsAgreed(t *testing.T) {
	t.Parallel()
	for name, w := range stories(t) {
		golden(t, name, messages(w))
	}
}

// golden compares with testdata/NAME.json; -rewrite writes it.
func golden(t *testing.T, name string, all []card.Message) {
	t.Helper()
	var b bytes.Buffer
	for _, m := range all {
		fmt.Fprintf(&b, "# %s\n", m.Text)
		if m.Broadcast {
			fmt.Fprintln(&b, "# also in the channel")
		}
		if m.File != nil {
			fmt.Fprintf(&b, "# file %s, %q, %s, %d bytes\n# instead: %s\n", m.File.Name, m.File.Title, m.File.Kind, len(m.File.Content), m.Instead)
		}
		if m.Raw != nil {
			fmt.Fprintf(&b, "# raw %s\n# instead: %s\n", m.Raw, m.Instead)
		}
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(m.Blocks); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join("testdata", name+".golden")
	if *rewrite {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestMessagesStayWithinTheBudget(t *testing.T) {
	t.Parallel()
	all := stories(t)
	huge := request()
	huge.Service, huge.Version, huge.Plan.Lane = strings.Repeat("&", 5000), strings.Repeat("<", 5000), strings.Repeat("é", 5000)
	huge.Plan.Steps = nil
	for range 60 {
		huge.Plan.Steps = append(huge.Plan.Steps, &eventv1.Step{Name: strings.Repeat("&", 500), Retry: &eventv1.Retry{Attempts: 9}})
	}
	all["huge"] = newTeller(t, huge).claim(strings.Repeat("h", 5000)).fail(strings.Repeat("&", 9000), strings.Repeat("<line>\n", 9000))
	for name, w := range all {
		for _, m := range messages(w) {
			if m.Text == "" || len(m.Text) > 4000 || len(m.Blocks) > card.MaxBlocks || len(m.JSON())+len(m.Text) > card.MaxPayload {
				t.Errorf("%s: text of %d, %d blocks, %d bytes", name, len(m.Text), len(m.Blocks), len(m.JSON()))
			}
			ids := map[string]bool{}
			for _, b := range m.Blocks {
				if ids[b.ID] || b.ID == "" {
					t.Errorf("%s: block id %q", name, b.ID)
				}
				ids[b.ID] = true
				if b.Text != nil && (len(b.Text.Text) > card.MaxText || b.Text.Text == "") {
					t.Errorf("%s: a text of %d bytes", name, len(b.Text.Text))
				}
			}
		}
	}
}

func TestHostileTextPingsNobody(t *testing.T) {
	t.Parallel()
	for _, m := range messages(stories(t)["hostile"]) {
		raw := m.Text
		for _, b := range m.Blocks {
			if b.Text != nil && b.Text.Type == "mrkdwn" {
				raw += b.Text.Text
			}
			for _, e := range b.Elements {
				if text, ok := e.(*card.Text); ok {
					raw += text.Text
				}
			}
		}
		for _, ping := range []string{"<!channel", "<!everyone", "@here", "<@U0VICTIM01>", "\x00", "\u202e"} {
			if strings.Contains(raw, ping) {
				t.Errorf("%q is live in %s", ping, raw)
			}
		}
	}
}

// An edit under the same block ids may not be shown; equal content must not be
// edited at all.
func TestBlockIDsFollowTheContent(t *testing.T) {
	t.Parallel()
	a, b := card.Render(stories(t)["queued"].view()), card.Render(stories(t)["running"].view())
	if a.Blocks[0].ID == b.Blocks[0].ID || bytes.Equal(a.Digest(), b.Digest()) {
		t.Error("different cards look alike")
	}
	again := card.Render(stories(t)["queued"].view())
	if !bytes.Equal(a.Digest(), again.Digest()) {
		t.Error("the same card has two digests")
	}
}
