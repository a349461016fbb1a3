package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/schedule"
	"github.com/slipway-hq/slipway/internal/story"
)

func TestStories(t *testing.T) {
	story.Run(t, "*.story", func(t *testing.T) func(story.Line) string {
		w := newWorld()
		return func(l story.Line) string { return w.play(t, l) }
	})
}

func (w *world) play(t *testing.T, l story.Line) string {
	switch l.Name {
	case "wait":
		d, err := time.ParseDuration(l.Arg("for", "1s"))
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(d)
		return "it is " + w.now.Format("01-02 15:04:05")
	case "until":
		w.now = moment(t, l.Arg("at", ""))
		return "it is " + w.now.Format("01-02 15:04:05")
	case "misfire":
		w.misfire.Policy = map[string]schedule.Policy{"once": schedule.Once, "skip": schedule.Skip, "all": schedule.All}[l.Arg("policy", "once")]
		_, _ = fmt.Sscan(l.Arg("limit", "100"), &w.misfire.Limit)
		return l.Text
	case "show":
		return w.show()
	}
	events, err := w.do(w.command(t, l))
	switch {
	case err != nil:
		return "refused: " + err.Error()
	case len(events) == 0:
		return "nothing to do"
	}
	return fmt.Sprintf("commit %d\n%s", w.sequence, narrate(events))
}

func (w *world) show() string {
	var out []string
	if p := w.state.Paused; p != nil {
		out = append(out, fmt.Sprintf("paused by %s: %s", p.By.GetUser(), p.Reason))
	}
	if due := w.state.Due(w.spec); !due.IsZero() {
		out = append(out, "next "+due.Format("01-02 15:04:05"))
	} else {
		out = append(out, "no next")
	}
	if last := w.state.Last; last != nil {
		out = append(out, fmt.Sprintf("last %s as %s", last.Tick.Format("01-02 15:04:05"), last.Run[:7]))
	}
	return strings.Join(append(out, fmt.Sprintf("%d skipped in all", w.state.Skipped)), "\n")
}

func (w *world) command(t *testing.T, l story.Line) schedule.Command {
	config := uint64(1)
	_, _ = fmt.Sscan(l.Arg("config", "1"), &config)
	switch l.Name {
	case "arm":
		spec, err := schedule.ParseSpec(l.Arg("cron", ""), l.Arg("at", ""), l.Arg("zone", ""))
		if err != nil {
			t.Fatal(err)
		}
		w.spec = spec
		return schedule.Arm{Schedule: name, Spec: spec, Paused: l.Arg("paused", "") != "", ConfigSequence: config, Now: w.now}
	case "disarm":
		return schedule.Disarm{ConfigSequence: config, Now: w.now}
	case "tick":
		return schedule.Tick{Spec: w.spec, Misfire: w.misfire, Now: w.now}
	case "pause":
		return schedule.Pausing{Command: l.Arg("id", ""), Reason: l.Arg("reason", "because")}
	case "resume":
		return schedule.Resuming{Command: l.Arg("id", ""), Reason: l.Arg("reason", "because")}
	case "trigger":
		return schedule.Trigger{Key: l.Arg("key", "k1"), Now: w.now}
	case "backfill":
		return schedule.Backfill{Spec: w.spec, Since: moment(t, l.Arg("since", "")), Until: moment(t, l.Arg("until", "")), Now: w.now, Ran: func(run string) bool { return w.runs[run] }}
	}
	t.Fatalf("unknown command %q", l.Text)
	return nil
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
