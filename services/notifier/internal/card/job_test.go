package card_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

// hello is a request of a job.
func hello(change ...func(*eventv1.RunRequested)) *eventv1.RunRequested {
	r := &eventv1.RunRequested{
		Run: "j-4f7k2mq5xv3zr6tw", Identity: "x", Namespace: "test", Job: "say_hello", Said: "say hello to Ada & Bob",
		Parameters: map[string]string{"name": "Ada & Bob", "times": "3"}, Origin: &eventv1.Origin{Door: eventv1.Origin_DOOR_MENTION, Channel: "C1", MessageTs: "1.2"},
		Plan: &eventv1.Plan{
			Lane: "test:say_hello", Pool: "default", Steps: []*eventv1.Step{{Name: "run"}},
			Report: &eventv1.Report{Stdout: true, Success: true, Format: eventv1.Report_FORMAT_TEXT, Escalate: true, SupportChannel: "C0SUPPORT"},
		},
	}
	for _, f := range change {
		f(r)
	}
	return r
}

func fromWebhook(r *eventv1.RunRequested) {
	r.Said = ""
	r.Origin = &eventv1.Origin{Door: eventv1.Origin_DOOR_WEBHOOK, Channel: "#deploys", Source: "shop", Url: "https://github.com/acme/shop/pull/7?a=1&b=2"}
}

func format(f eventv1.Report_Format) func(*eventv1.RunRequested) {
	return func(r *eventv1.RunRequested) { r.Plan.Report.Format = f }
}

func evilJob(r *eventv1.RunRequested) {
	r.Namespace, r.Job, r.Said = evil, evil, evil
	r.Parameters = map[string]string{evil: evil}
	r.Origin.Source, r.Origin.Url, r.Origin.Door = evil, "https://evil.example/|<!channel>", eventv1.Origin_DOOR_WEBHOOK
}

// jobView is the view of a job without a board.
func jobView(w *teller, change ...func(*card.View)) card.View {
	s := &w.story.State
	v := card.View{Story: &w.story, Shown: board.Shown{Status: s.Status, Reason: s.Reason}, Short: "j-4f7k2", Told: []string{s.Requester.GetUser()}}
	for _, f := range change {
		f(&v)
	}
	return v
}

func held(v *card.View) {
	until := time.Date(2026, 1, 2, 11, 30, 0, 0, time.UTC)
	v.Shown.Hold, v.Shown.HeldUntil = &lane.Hold{Job: "test/say_hello", Reason: "release day <!channel>", By: &eventv1.Principal{User: "U0APPROVE01"}}, until
	v.Shown.Reason = "held until 11:30:00 UTC by U0APPROVE01: release day"
}

func delayed(v *card.View) {
	v.Shown.StartAfter = time.Date(2026, 1, 2, 10, 1, 0, 0, time.UTC)
	v.Shown.Reason = "starts at 10:01:00 UTC, unless it is cancelled"
}

func together(v *card.View) {
	for range 7 {
		v.Together = append(v.Together, card.Member{Short: "j-bcdef", By: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, User: "U0APPROVE01"}})
	}
}

func (w *teller) merged() *teller {
	return w.do(run.Yield{Into: "j-bcdefghijklmnop", Kind: eventv1.Absorbed_KIND_MERGED, Reason: "j-bcdef executes for it", Now: w.now})
}

func TestCardsOfJobsLookAsAgreed(t *testing.T) {
	t.Parallel()
	running := func(change ...func(*eventv1.RunRequested)) *teller {
		return newTeller(t, hello(change...)).claim("host-1").after(12 * time.Second)
	}
	golden(t, "jobs", []card.Message{
		card.Render(jobView(newTeller(t, hello()), delayed)),
		card.Render(jobView(newTeller(t, hello()), held)),
		card.Render(jobView(newTeller(t, hello(fromWebhook)), held)),
		card.Render(jobView(running(), together)),
		card.Render(jobView(newTeller(t, hello()).merged(), func(v *card.View) { v.Leader = &card.Leader{Short: "j-bcdef", Status: run.Failed} })),
		card.Render(jobView(running(fromWebhook).toTheEnd())),
		card.StartNotice(jobView(running()), ""),
		card.StartNotice(jobView(running(fromWebhook)), "https://sandbox.slack.com/archives/C1/p12"),
		card.HeldNotice(jobView(newTeller(t, hello(fromWebhook)), held)),
	})
}

func TestReportsLookAsAgreed(t *testing.T) {
	t.Parallel()
	out := func(text string) card.Output { return card.Output{Data: []byte(text), Size: uint64(len(text))} }
	done := func(change ...func(*eventv1.RunRequested)) card.View {
		return jobView(newTeller(t, hello(change...)).claim("host-1").toTheEnd())
	}
	long := strings.Repeat("a line of a long report\n", 300)
	report := func(v card.View, o card.Output) card.Message {
		t.Helper()
		m, worth := card.Report(v, o)
		if !worth {
			t.Fatal("silence")
		}
		return m
	}
	failed := newTeller(t, hello()).claim("host-1").after(3*time.Second).fail("exit code 2", "starting\nTraceback: <boom>\n")
	cancelled := newTeller(t, hello()).do(run.RequestCancel{Reason: "wrong one"})
	golden(t, "reports", []card.Message{
		report(done(), out("*hello* <https://example.org|world> <!channel>\n")),
		report(done(), out("")),
		report(done(), out(long)),
		report(done(), card.Output{Data: []byte(long), Size: 5 << 20}),
		report(done(), card.Output{Lost: "its output is no longer kept"}),
		report(done(format(eventv1.Report_FORMAT_CODE)), out("if a < b && c {\n```")),
		report(done(format(eventv1.Report_FORMAT_CODE)), out(long)),
		report(done(format(eventv1.Report_FORMAT_FILE)), out("a,b\n1,2\n")),
		report(done(format(eventv1.Report_FORMAT_BLOCKS)), out(`[{"type":"header","text":{"type":"plain_text","text":"Numbers"}},{"type":"section","text":{"type":"mrkdwn","text":"12 <!here>"}}]`)),
		report(done(format(eventv1.Report_FORMAT_BLOCKS)), out(`{"type":"section"}`)),
		report(jobView(failed, func(v *card.View) { v.Support = "C0SUPPORT" }), card.Output{}),
		report(jobView(cancelled, func(v *card.View) { v.Told = []string{"U0OTHER0001"} }), card.Output{}),
		card.Escalation(jobView(failed), "https://sandbox.slack.com/archives/C1/p12", ""),
		card.Escalation(jobView(failed), "", "Its message could not be posted in <#C1>."),
		card.NoteMessage(jobView(failed), 2, run.Note{Text: "half way & on"}),
		card.Notice(jobView(failed), "C0SOMEWHERE", "I am not in it."),
	})
}

// Whatever people and programs put into a job, nobody is pinged and nothing poses
// as Slack's own.
func TestHostileJobsPingNobody(t *testing.T) {
	t.Parallel()
	w := newTeller(t, hello(evilJob)).claim("host-1").after(time.Second)
	failed := newTeller(t, hello(evilJob)).claim("host-1").fail(evil, evil)
	all := []card.Message{
		card.Render(jobView(w, together)), card.Render(jobView(newTeller(t, hello(evilJob)), held)), card.HeldNotice(jobView(newTeller(t, hello(evilJob)), held)),
		card.StartNotice(jobView(w), evil), card.NoteMessage(jobView(w), 1, run.Note{Text: "<!channel> <!here|x> <!subteam^S1|@all> \x1b[2J\u202e"}),
	}
	for _, f := range []eventv1.Report_Format{1, 2, 3, 4} {
		w := newTeller(t, hello(evilJob, format(f))).claim("host-1").toTheEnd()
		for _, text := range []string{"<!channel>" + evil, `[{"type":"section","text":{"type":"mrkdwn","text":"\u003c!channel> <!everyone>"}},{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"broadcast","range":"channel"}]}]}]`, ""} {
			if m, ok := card.Report(jobView(w), card.Output{Data: []byte(text), Size: uint64(len(text))}); ok {
				all = append(all, m, m.Plain())
			}
		}
	}
	m, _ := card.Report(jobView(failed), card.Output{})
	for _, m := range append(all, m, card.Escalation(jobView(failed), "", "x")) {
		raw := m.Text + m.Instead + string(m.Raw)
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
		for _, ping := range []string{"<!channel", "<!everyone", "<!here", "<!subteam", "\x00", "\x1b", "\u202e"} {
			if strings.Contains(raw, ping) {
				t.Errorf("%q is live in %s", ping, raw)
			}
		}
		if strings.Contains(string(m.Raw), "broadcast") {
			t.Errorf("a broadcast in %s", m.Raw)
		}
		if len(m.Text) > 4000 || len(m.Blocks) > card.MaxBlocks {
			t.Errorf("a text of %d bytes and %d blocks", len(m.Text), len(m.Blocks))
		}
	}
}

// Output of any size makes messages that Slack takes, and loses nothing.
func TestReportsOfEverySizeFit(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"x", "&", "é\n", "```", "😀", "<!here>", "\xff"} {
		for _, n := range []int{1, 500, 780, 1300, 3890, 3900, 4000, 20000} {
			for _, f := range []eventv1.Report_Format{1, 2, 3, 4} {
				w := newTeller(t, hello(format(f))).claim("host-1").toTheEnd()
				text := strings.Repeat(unit, n)
				m, ok := card.Report(jobView(w), card.Output{Data: []byte(text), Size: uint64(len(text))})
				if !ok || m.Text == "" || len(m.Text) > 4000 || len([]rune(m.Plain().Text)) > 4000 || len([]rune(m.Instead)) > 4000 {
					t.Fatalf("%q × %d as %s: %v, a text of %d", unit, n, f, ok, len(m.Text))
				}
				if m.File != nil && string(m.File.Content) != text {
					t.Fatalf("%q × %d as %s: the file differs", unit, n, f)
				}
			}
		}
	}
}
