package card

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
)

// How many characters of a free text a card repeats; the thread and the log
// have the rest.
const (
	maxName   = 60
	maxError  = 160
	maxReason = 600
)

// statusWords has an emoji and its word for every status: colours and pictures
// alone say nothing to a screen reader.
var statusWords = map[run.Status]string{
	run.Queued:    "⏳ Queued",
	run.Running:   "⚙️ Running",
	run.Waiting:   "⏸️ Waiting",
	run.Succeeded: "✅ Succeeded",
	run.Failed:    "❌ Failed",
	run.Cancelled: "🚫 Cancelled",
	run.TimedOut:  "⌛ Timed out",
	run.Refused:   "⛔ Refused",
	run.Merged:    "🔀 Merged",
}

func (v View) statusWord() string {
	s := &v.Story.State
	switch {
	case s.Status == run.Merged:
		return v.mergedWord()
	case s.Status.Ended():
	case s.Cancel != nil:
		return "🛑 Cancelling"
	case !s.Deadline.IsZero():
		return "🛑 Stopping"
	}
	return statusWords[v.Shown.Status]
}

// cut keeps at most n characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// marks are what would format text; these look alike and do not.
var marks = strings.NewReplacer("*", "∗", "~", "∼", "`", "ˋ", "\n", " ")

// flat is text inside a sentence, on one line and without marks of its own.
func flat(text string, n int) string { return grammar.Escape(marks.Replace(cut(text, n))) }

// name is a short value inside a sentence.
func name(text string) string { return flat(text, maxName) }

// bold is a name in bold.
func bold(text string) string { return "*" + name(text) + "*" }

// clean is raw text for a literal text object: what must never be shown is gone.
func clean(text string, n int) string {
	return html.UnescapeString(grammar.Escape(cut(text, n)))
}

// slackID is the shape of Slack's ids; only those become mentions.
var slackID = regexp.MustCompile(`^[A-Z0-9]{2,30}$`)

// mention pings a person, on purpose. Empty when there is nobody to ping.
func mention(user string) string {
	if !slackID.MatchString(user) {
		return ""
	}
	return "<@" + user + ">"
}

// clock is a moment in the reader's own zone.
func clock(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{time_secs}|%s>", t.Unix(), t.UTC().Format("15:04:05 UTC"))
}

// least is the shortest duration that is worth a number.
const least = 100 * time.Millisecond

// spent is a duration as people say it.
func spent(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d.Seconds(), least.Seconds()))
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// what says which run this is: "*checkout* to *production* `v2.41.0`", or
// "*test say_hello*".
func what(s *run.State) string {
	if s.IsJob() {
		return job(s)
	}
	text := bold(s.Service)
	if s.Environment != "" {
		text += " to " + bold(s.Environment)
	}
	if s.Version != "" {
		text += " " + grammar.Code(s.Version)
	}
	return text
}
