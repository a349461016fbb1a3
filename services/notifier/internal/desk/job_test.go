package desk_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

func text() *eventv1.Report {
	return &eventv1.Report{Stdout: true, Success: true, Accepted: "eyes", Format: eventv1.Report_FORMAT_TEXT}
}

func as(f eventv1.Report_Format) *eventv1.Report {
	r := text()
	r.Format = f
	return r
}

func escalating() *eventv1.Report {
	r := text()
	r.Escalate, r.SupportChannel = true, sandbox.ChannelGeneral
	return r
}

// A quick job: the sign that it was accepted, the sign that it ended well, and
// what it printed, in this order and nothing else (B10, B11, B37).
func TestAQuickJobIsItsSignsAndItsReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	from := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	w.job(jobID, from, text())
	w.rest(d, 100*time.Millisecond)
	if diff := cmp.Diff([]string{"eyes"}, w.reactions(from)); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	w.begin(jobID)
	w.print(jobID, "hello world")
	w.rest(d, time.Minute)
	if m := w.only(sandbox.ChannelDeploys); m.Text != "hello world" {
		t.Errorf("the report: %q", m.Text)
	}
	want := []string{slackapi.MethodReact, slackapi.MethodReact, slackapi.MethodPost}
	if diff := cmp.Diff(want, w.order()); diff != "" {
		t.Errorf("in this order (-want +got):\n%s", diff)
	}
	w.settled(d, jobID)
}

// A27: in the thread exactly when asked in a thread, card, notes and report.
func TestAJobAnswersInTheThreadItWasAskedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	parent, err := w.slack.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "a talk", "")
	must(t, err)
	from := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, parent.TS)
	w.job(jobID, from, text())
	w.rest(d, time.Second)
	w.begin(jobID)
	w.do(jobID, run.Say{ID: "n", Text: "half of it is done"})
	w.print(jobID, "hello")
	w.rest(d, time.Minute)
	if said := w.said(sandbox.ChannelDeploys); len(said) != 0 {
		t.Errorf("in the channel: %q", texts(said))
	}
	thread := w.slack.Thread(sandbox.ChannelDeploys, parent.TS)
	if len(thread) != 5 || !strings.Contains(thread[2].Visible(), "✅ Succeeded") || thread[3].Text != "half of it is done" || thread[4].Text != "hello" {
		t.Errorf("in the thread: %q", texts(thread))
	}
	w.settled(d, jobID)
}

// What a job said at the very end may be decided on after all else is shown.
func TestTheLastWordsOfAJobAreNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), text())
	w.rest(d, time.Second)
	w.begin(jobID)
	w.do(jobID, run.Say{ID: "n", Text: "half of it is done"})
	received := w.clock.Now()
	w.print(jobID, "hello")
	w.rest(d, time.Minute)
	w.settled(d, jobID)
	w.do(jobID, run.Say{ID: "last", Text: "all of it is done", Received: received})
	w.rest(d, time.Minute)
	count := map[string]int{}
	for _, text := range texts(w.said(sandbox.ChannelDeploys)) {
		count[text]++
	}
	if count["half of it is done"] != 1 || count["all of it is done"] != 1 || count["hello"] != 1 {
		t.Errorf("said %v", count)
	}
	w.settled(d, jobID)
}

func TestTheCardRuleOfJobs(t *testing.T) {
	t.Parallel()
	play := func(rule eventv1.Report_Card, act func(w *world, rest func(time.Duration))) []sandbox.Message {
		w := newWorld(t)
		d := w.desk("a", nil)
		r := text()
		r.Stdout, r.Card = false, rule
		w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), r)
		act(w, func(within time.Duration) { w.rest(d, within) })
		w.rest(d, time.Minute)
		w.settled(d, jobID)
		return w.said(sandbox.ChannelDeploys)
	}
	quick := func(w *world, _ func(time.Duration)) { w.begin(jobID); w.print(jobID, "") }
	queued := func(w *world, rest func(time.Duration)) { rest(time.Second); quick(w, rest) }
	slow := func(w *world, rest func(time.Duration)) {
		w.begin(jobID)
		rest(9 * time.Second)
		w.clock.set(w.clock.Now().Add(9 * time.Second))
		if n := len(w.said(sandbox.ChannelDeploys)); n != 0 {
			t.Errorf("%d messages before ten seconds", n)
		}
		rest(2 * time.Second)
		w.print(jobID, "")
	}
	for name, c := range map[string]struct {
		rule eventv1.Report_Card
		act  func(*world, func(time.Duration))
		card bool
	}{
		"auto, quick":   {eventv1.Report_CARD_AUTO, quick, false},
		"auto, queued":  {eventv1.Report_CARD_AUTO, queued, true},
		"auto, slow":    {eventv1.Report_CARD_UNSPECIFIED, slow, true},
		"never, queued": {eventv1.Report_CARD_NEVER, queued, false},
		"always, quick": {eventv1.Report_CARD_ALWAYS, quick, true},
	} {
		said := play(c.rule, c.act)
		if len(said) != 1 {
			t.Errorf("%s: %q", name, texts(said))
			continue
		}
		if c.card && !strings.Contains(said[0].Visible(), "✅ Succeeded") || !c.card && !strings.HasPrefix(said[0].Text, "✅ *test say_hello* `j-abcde` succeeded") {
			t.Errorf("%s: %s", name, said[0].Visible())
		}
	}
}

// B37–B39, B42: what people see of each format.
func TestReportsOfEveryFormat(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a line of a long report & more\n", 400)
	blocks := `[{"type":"section","text":{"type":"mrkdwn","text":"*bold* <!channel>"}}]`
	for name, c := range map[string]struct {
		report  *eventv1.Report
		stdout  string
		says    []string // parts of the one message; none: silence
		file    string   // content of its file
		without string
	}{
		"text":                   {text(), "see <https://example.org|this> *now*\n", []string{"see <https://example.org|this> *now*"}, "", ""},
		"text shouts at nobody":  {text(), "hello <!channel> <!here|@here>", []string{"hello @"}, "", "<!"},
		"text that is no UTF-8":  {text(), "caf\xe9 \x1b[31mred\x1b[0m", []string{"caf\ufffd red"}, "", ""},
		"text too long":          {text(), long, []string{"a line of a long report", "in the file"}, long, ""},
		"empty text":             {text(), "", []string{"printed nothing"}, "", ""},
		"blank text":             {text(), " \n", []string{"nothing but blanks"}, "", ""},
		"code":                   {as(eventv1.Report_FORMAT_CODE), "a < b", []string{"```\na &lt; b\n```"}, "", ""},
		"code too long":          {as(eventv1.Report_FORMAT_CODE), long, []string{"```\na line", "in the file"}, long, ""},
		"code that is no UTF-8":  {as(eventv1.Report_FORMAT_CODE), "\xff\xfe!", []string{"\ufffd!"}, "", ""},
		"file":                   {as(eventv1.Report_FORMAT_FILE), "a,b\n1,2\n", []string{"*test say_hello* `j-abcde`"}, "a,b\n1,2\n", ""},
		"blocks":                 {as(eventv1.Report_FORMAT_BLOCKS), blocks, []string{"*bold* @"}, "", "<!channel>"},
		"blocks that are none":   {as(eventv1.Report_FORMAT_BLOCKS), "Traceback: oops", []string{"it is not a JSON array", "Traceback: oops"}, "", ""},
		"too many blocks":        {as(eventv1.Report_FORMAT_BLOCKS), "[" + strings.TrimSuffix(strings.Repeat(`{"type":"divider"},`, 51), ",") + "]", []string{"there are 51", `{"type":"divider"}`}, "", ""},
		"blocks Slack refuses":   {as(eventv1.Report_FORMAT_BLOCKS), `[{"type":"section","text":{"type":"mrkdwn","text":"` + strings.Repeat("x", 3200) + `"}}]`, []string{"Slack refused the blocks", "xxx"}, "", ""},
		"blocks with our button": {as(eventv1.Report_FORMAT_BLOCKS), `[{"type":"actions","elements":[{"type":"button","action_id":"slipway:cancel","text":{"type":"plain_text","text":"win"},"value":"x"}]}]`, []string{"Slipway's own"}, "", ""},
		"empty blocks":           {as(eventv1.Report_FORMAT_BLOCKS), " [] \n", []string{"printed nothing"}, "", ""},
		"not suppressed":         {&eventv1.Report{Stdout: true, SuppressEmpty: true}, "\n", []string{"nothing but blanks"}, "", ""},
		"suppressed":             {&eventv1.Report{Stdout: true, SuppressEmpty: true}, "", nil, "", ""},
		"suppressed blocks":      {&eventv1.Report{Stdout: true, SuppressEmpty: true, Format: eventv1.Report_FORMAT_BLOCKS}, "[]", nil, "", ""},
		"success line":           {&eventv1.Report{Success: true}, "noise", []string{"✅ *test say_hello* `j-abcde` succeeded"}, "", "noise"},
		"silence":                {&eventv1.Report{}, "noise", nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := w.desk("a", nil)
			w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), c.report)
			w.begin(jobID)
			w.print(jobID, c.stdout)
			w.rest(d, time.Minute)
			w.settled(d, jobID)
			if c.says == nil {
				if said := w.said(sandbox.ChannelDeploys); len(said) != 0 {
					t.Fatalf("said %q", texts(said))
				}
				return
			}
			m := w.only(sandbox.ChannelDeploys)
			seen := m.Visible()
			for _, part := range c.says {
				if !strings.Contains(seen, part) {
					t.Errorf("%q is not in\n%s", part, seen)
				}
			}
			if c.without != "" && strings.Contains(seen+m.Text+string(m.Blocks), c.without) {
				t.Errorf("%q is in\n%s", c.without, seen)
			}
			w.file(m, c.file)
		})
	}
}

// file compares the one file of a message; empty: it has none.
func (w *world) file(m sandbox.Message, content string) {
	w.t.Helper()
	if content == "" {
		if len(m.Files) != 0 {
			w.t.Errorf("it has %d files", len(m.Files))
		}
		return
	}
	if len(m.Files) != 1 || !strings.Contains(m.Files[0].Name, jobID) {
		w.t.Fatalf("files: %+v", m.Files)
	}
	if got, _ := w.slack.FileContent(m.Files[0].ID); string(got) != content {
		w.t.Errorf("a file of %d bytes, want %d", len(got), len(content))
	}
}

func TestAReportFromTheObjectStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	content := strings.Repeat("0123456789abcdef", 1<<10)
	_, err := w.store.PutBytes(t.Context(), "output/x", []byte(content))
	must(t, err)
	w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), as(eventv1.Report_FORMAT_CODE))
	w.begin(jobID)
	w.printed(jobID, &eventv1.StepOutput{StdoutObject: "output/x", StdoutBytes: uint64(2 * len(content))})
	w.rest(d, time.Minute)
	m := w.only(sandbox.ChannelDeploys)
	w.file(m, content)
	if !strings.Contains(m.Text, "Only the first 16.0 KiB of 32.0 KiB") {
		t.Errorf("it does not say that it is cut: %s", m.Text)
	}
	w.job(otherID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), text())
	w.begin(otherID)
	w.printed(otherID, &eventv1.StepOutput{StdoutObject: "output/gone", StdoutBytes: 5})
	w.rest(d, time.Minute)
	if said := w.said(sandbox.ChannelDeploys); len(said) != 2 || !strings.Contains(said[1].Text, "no longer kept") || !strings.Contains(said[1].Text, "/slipway logs") {
		t.Errorf("of output that is gone: %q", texts(said))
	}
}

// B40, B41: a failure is always said, and passed on with its address.
func TestAFailureIsSaidAndCallsSupport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	from := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	r := escalating()
	r.Stdout, r.Success = false, false
	w.job(jobID, from, r)
	w.begin(jobID)
	w.fail(jobID)
	w.rest(d, time.Minute)
	m := w.only(sandbox.ChannelDeploys)
	for _, part := range []string{"<@" + sandbox.UserRequester + ">", "*test say_hello* `j-abcde` ❌ failed after", "exit code 1", "line 2 &lt;!channel&gt;", "`/slipway logs j-abcde`", "`/slipway logs j-abcde all stderr`", "calling support in <#" + sandbox.ChannelGeneral + ">", "name `world`"} {
		if !strings.Contains(m.Text, part) {
			t.Errorf("the failure lacks %q:\n%s", part, m.Text)
		}
	}
	if len(m.Blocks) != 0 {
		t.Errorf("a failure is plain text: %s", m.Blocks)
	}
	link, err := w.api.Permalink(t.Context(), sandbox.ChannelDeploys, m.TS)
	must(t, err)
	if s := w.only(sandbox.ChannelGeneral); !strings.Contains(s.Text, link) || !strings.HasPrefix(s.Text, "🆘 *test say_hello*") {
		t.Errorf("support is told: %s", s.Text)
	}
	if diff := cmp.Diff([]string{"eyes", "x"}, w.reactions(from)); diff != "" {
		t.Errorf("reactions (-want +got):\n%s", diff)
	}
	want := []string{slackapi.MethodReact, slackapi.MethodReact, slackapi.MethodPost, slackapi.MethodPost}
	if diff := cmp.Diff(want, w.order()); diff != "" {
		t.Errorf("in this order (-want +got):\n%s", diff)
	}
	w.settled(d, jobID)
}

func TestAFailureInPrivateStaysPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.job(jobID, w.mention(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), ""), escalating())
	w.begin(jobID)
	w.fail(jobID)
	w.rest(d, time.Minute)
	if m := w.only(sandbox.DM(sandbox.UserRequester)); strings.Contains(m.Text, "support") {
		t.Errorf("the failure: %s", m.Text)
	}
	if said := w.said(sandbox.ChannelGeneral); len(said) != 0 {
		t.Errorf("support was told: %q", texts(said))
	}
}

// W10: a failure that cannot be posted still reaches support.
func TestSupportIsCalledWhenTheFailureCannotBePosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.job(jobID, webhook(sandbox.ChannelArchived), escalating())
	w.begin(jobID)
	w.fail(jobID)
	w.rest(d, 5*time.Minute)
	if m := w.only(sandbox.ChannelGeneral); !strings.Contains(m.Text, "could not be posted") || !strings.Contains(m.Text, "/slipway logs j-abcde") {
		t.Errorf("support is told: %s", m.Text)
	}
	w.settled(d, jobID)
}

// W24, B11: whatever becomes of the reactions, the report comes.
func TestReactionsThatFailHoldNothingUp(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]sandbox.Fault{
		"refused":  {Kind: sandbox.APIError, Code: "missing_scope", Method: slackapi.MethodReact},
		"no emoji": {Kind: sandbox.APIError, Code: "invalid_name", Method: slackapi.MethodReact},
		"broken":   {Kind: sandbox.ServerError, Method: slackapi.MethodReact},
	} {
		w := newWorld(t)
		w.slack.Faults().Set(f)
		d := w.desk("a", nil)
		w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), text())
		w.begin(jobID)
		w.print(jobID, "hello")
		w.rest(d, 10*time.Minute)
		if m := w.only(sandbox.ChannelDeploys); m.Text != "hello" {
			t.Errorf("%s: %s", name, m.Text)
		}
		w.settled(d, jobID)
	}
}

// A webhook has no message to react on; its channel may be a name (B32).
func TestAWebhookReportsToItsChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	r := text()
	r.LogsChannel = "#general"
	w.job(jobID, webhook("#deploys"), r)
	w.begin(jobID)
	w.print(jobID, "deployed")
	w.rest(d, time.Minute)
	if m := w.only(sandbox.ChannelDeploys); m.Text != "deployed" {
		t.Errorf("the report: %s", m.Text)
	}
	want := "Started at"
	if m := w.only(sandbox.ChannelGeneral); !strings.Contains(m.Text, want) || !strings.Contains(m.Text, "<https://github.com/acme/shop/pull/7|webhook shop>") {
		t.Errorf("the start notice: %s", m.Text)
	}
	if n := w.calls(slackapi.MethodReact); n != 0 {
		t.Errorf("%d reactions on nothing", n)
	}
	if n := w.calls(slackapi.MethodChannels); n > 2 {
		t.Errorf("channels were listed %d times", n)
	}
	w.settled(d, jobID)
}

func TestTheStartNoticeLinksTheCard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	r := text()
	r.LogsChannel = sandbox.ChannelGeneral
	w.job(jobID, webhook(sandbox.ChannelDeploys), r)
	w.rest(d, time.Second)
	w.begin(jobID)
	w.rest(d, time.Minute)
	card := w.only(sandbox.ChannelDeploys)
	link, err := w.api.Permalink(t.Context(), card.Channel, card.TS)
	must(t, err)
	if m := w.only(sandbox.ChannelGeneral); !strings.Contains(m.Text, "▶️ About to start *test say_hello*") || !strings.Contains(m.Text, "<"+link+"|card>") {
		t.Errorf("the start notice: %s", m.Text)
	}
}

// What nobody was there to be told is said in the channel.
func TestWhatHappensInTheBackgroundIsSaid(t *testing.T) {
	t.Parallel()
	refuse := func(w *world) {
		w.do(jobID, run.Request{
			Event:   &eventv1.RunRequested{Run: jobID, Identity: "x", Namespace: "test", Job: "say_hello", Origin: webhook(sandbox.ChannelDeploys), Plan: &eventv1.Plan{}},
			Refusal: &run.Refusal{Code: "E-JOB", Sentence: "the job is gone from the configuration"},
		})
	}
	ask := func(w *world) { w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), text()) }
	for name, c := range map[string]struct {
		act  func(w *world)
		says []string
	}{
		"refused": {refuse, []string{"⛔ *test say_hello*", "webhook shop", "gone from the configuration"}},
		"cancelled by another": {func(w *world) {
			ask(w)
			w.by(sandbox.UserApprover, func() { w.do(jobID, run.RequestCancel{Reason: "wrong one"}) })
		}, []string{"<@" + sandbox.UserRequester + "> 🚫", "cancelled by <@" + sandbox.UserApprover + ">: wrong one"}},
		"superseded": {func(w *world) {
			ask(w)
			w.do(jobID, run.Yield{Into: otherID, Kind: eventv1.Absorbed_KIND_SUPERSEDED, Reason: "j-bcdef took its place", Now: w.clock.Now()})
		}, []string{"does not run: j-bcdef took its place"}},
		"rejected later": {func(w *world) {
			ask(w)
			w.do(jobID, run.Yield{Into: otherID, Kind: eventv1.Absorbed_KIND_REJECTED, Reason: "the same runs as j-bcdef", Now: w.clock.Now()})
		}, []string{"was refused: the same runs as j-bcdef"}},
	} {
		w := newWorld(t)
		d := w.desk("a", nil)
		c.act(w)
		w.rest(d, time.Minute)
		m := w.only(sandbox.ChannelDeploys)
		for _, part := range c.says {
			if !strings.Contains(m.Visible(), part) {
				t.Errorf("%s lacks %q: %s", name, part, m.Visible())
			}
		}
		if d.Unsettled() != 0 {
			t.Errorf("%s: not settled", name)
		}
	}
}

func TestARefusalAtTheDoorIsNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.do(jobID, run.Request{
		Event:   &eventv1.RunRequested{Run: jobID, Identity: "x", Namespace: "test", Job: "say_hello", Origin: w.mention(sandbox.UserGuest, sandbox.ChannelDeploys, ""), Plan: &eventv1.Plan{}},
		Refusal: &run.Refusal{Code: "E-DENIED", Sentence: "no guests"},
	})
	w.rest(d, time.Minute)
	if said := w.said(sandbox.ChannelDeploys); len(said) != 0 || d.Unsettled() != 0 {
		t.Errorf("said %q, %d unsettled", texts(said), d.Unsettled())
	}
}

// B34: a webhook's run that is held says until when, and what overrides that.
func TestAHeldWebhookSaysWhatOverrides(t *testing.T) {
	t.Parallel()
	for rule, delay := range map[eventv1.Report_Card]time.Duration{
		eventv1.Report_CARD_AUTO: 0, eventv1.Report_CARD_NEVER: 0,
		eventv1.Report_CARD_ALWAYS: time.Minute, // what holds it when its delay is over counts, not the delay
	} {
		w := newWorld(t)
		d := w.desk("a", nil)
		w.by(sandbox.UserApprover, func() { w.hold("test/say_hello", time.Hour) })
		r := text()
		r.Card = rule
		w.job(jobID, webhook(sandbox.ChannelDeploys), r, func(e *eventv1.RunRequested) {
			e.Said = ""
			if delay > 0 {
				e.StartAfter = timestamppb.New(w.clock.Now().Add(delay))
			}
		})
		w.rest(d, 10*time.Second)
		m := w.only(sandbox.ChannelDeploys)
		for _, part := range []string{"Held until", "11:00", "by <@" + sandbox.UserApprover + ">: release day", "`/slipway release test/say_hello`"} {
			if !strings.Contains(m.Visible(), part) {
				t.Errorf("%s: %q is not in\n%s", rule, part, m.Visible())
			}
		}
	}
}

// B57: what a job says while it runs comes once, in order, before its report.
func TestNotesComeInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), text())
	w.begin(jobID)
	for i := range 3 {
		w.do(jobID, run.Say{ID: fmt.Sprint(i), Text: fmt.Sprintf("note %d", i)})
	}
	w.do(jobID, run.Say{ID: "b", Text: `[{"type":"section","text":{"type":"mrkdwn","text":"in blocks"}}]`, Format: eventv1.Report_FORMAT_BLOCKS})
	w.print(jobID, "done")
	w.rest(d, time.Minute)
	said := w.said(sandbox.ChannelDeploys)
	var seen []string
	for _, m := range said {
		seen = append(seen, m.Visible())
	}
	if diff := cmp.Diff([]string{"note 0", "note 1", "note 2", "in blocks", "done"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.settled(d, jobID)
}

// B43, W05: what Slack refuses for good is on record, and harms nothing else.
func TestAReportThatSlackRefusesIsOnRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Code: "restricted_action", Method: slackapi.MethodPost, Channel: sandbox.ChannelDeploys})
	d := w.desk("a", nil)
	from := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	w.job(jobID, from, text())
	w.begin(jobID)
	w.print(jobID, "hello")
	w.rest(d, time.Minute)
	found, err := w.undelivered()
	must(t, err)
	if len(found) != 1 || found[0].GetRun() != jobID || found[0].GetReason() != "restricted_action" {
		t.Errorf("on record: %v", found)
	}
	if m := w.only(sandbox.DM(sandbox.UserRequester)); !strings.Contains(m.Text, "✅ succeeded, but I cannot say so in <#"+sandbox.ChannelDeploys+">") {
		t.Errorf("the requester is told: %s", m.Text)
	}
	if !slices.Contains(w.reactions(from), "white_check_mark") {
		t.Errorf("reactions: %v", w.reactions(from))
	}
	w.settled(d, jobID)
}

// A token that may not upload loses no report.
func TestAFileThatSlackRefusesBecomesText(t *testing.T) {
	t.Parallel()
	for _, method := range []string{slackapi.MethodUploadURL, slackapi.MethodComplete} {
		w := newWorld(t)
		w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Code: "file_uploads_disabled", Method: method})
		d := w.desk("a", nil)
		w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), as(eventv1.Report_FORMAT_FILE))
		w.begin(jobID)
		w.print(jobID, "a,b\n1,2\n")
		w.rest(d, time.Minute)
		if m := w.only(sandbox.ChannelDeploys); !strings.Contains(m.Text, "Slack refused the file") || !strings.Contains(m.Text, "a,b\n1,2") {
			t.Errorf("%s: %s", method, m.Text)
		}
	}
}

// W21: Retry-After holds for its method.
func TestALimitedUploadWaitsAsToldAndComesOnce(t *testing.T) {
	t.Parallel()
	for _, f := range []sandbox.Fault{
		{Kind: sandbox.RateLimited, RetryAfter: 20, Times: 1, Method: slackapi.MethodComplete},
		{Kind: sandbox.RateLimited, RetryAfter: 20, Times: 1, Method: slackapi.MethodUploadURL},
		{Kind: sandbox.LostAfter, Times: 1, Method: slackapi.MethodComplete},
		{Kind: sandbox.LostBefore, Times: 2, Method: slackapi.MethodComplete},
		{Kind: sandbox.ServerError, Times: 2, Method: slackapi.MethodComplete},
		{Kind: sandbox.LostAfter, Times: 2, Method: sandbox.FileUpload},
		{Kind: sandbox.ServerError, Times: 2, Method: sandbox.FileUpload},
	} {
		w := newWorld(t)
		w.slack.Faults().Set(f)
		d := w.desk("a", nil)
		w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), as(eventv1.Report_FORMAT_FILE))
		w.begin(jobID)
		w.print(jobID, "a,b\n1,2\n")
		w.rest(d, 10*time.Second)
		if n := len(w.said(sandbox.ChannelDeploys)); n != 0 && f.Kind == sandbox.RateLimited {
			t.Errorf("%v: too early", f)
		}
		w.rest(d, 5*time.Minute)
		w.file(w.only(sandbox.ChannelDeploys), "a,b\n1,2\n")
		w.settled(d, jobID)
	}
}

// undelivered is what doctor shows.
func (w *world) undelivered() ([]*commandv1.Card, error) {
	var out []*commandv1.Card
	err := w.ledger.Undelivered(context.WithoutCancel(w.t.Context()), func(c *commandv1.Card, _ time.Time) { out = append(out, c) })
	return out, err
}

// A channel that does not exist, or a list of channels that cannot be had, keeps
// nothing else from being said.
func TestNamesThatLeadNowhereHoldNothingUp(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]sandbox.Fault{
		"no such channel": {},
		"no list":         {Kind: sandbox.ServerError, Method: slackapi.MethodChannels},
		"no right":        {Kind: sandbox.APIError, Code: "missing_scope", Method: slackapi.MethodChannels},
	} {
		w := newWorld(t)
		if f.Kind != "" {
			w.slack.Faults().Set(f)
		}
		d := w.desk("a", nil)
		r := escalating()
		r.LogsChannel, r.SupportChannel = "#nowhere", "#nobody"
		w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), r)
		w.begin(jobID)
		w.fail(jobID)
		w.rest(d, 30*time.Minute)
		if m := w.only(sandbox.ChannelDeploys); !strings.Contains(m.Text, "❌ failed") {
			t.Errorf("%s: %s", name, m.Text)
		}
		found, err := w.undelivered()
		must(t, err)
		if len(found) != 2 {
			t.Errorf("%s: %d messages are on record", name, len(found))
		}
		w.settled(d, jobID)
	}
}
