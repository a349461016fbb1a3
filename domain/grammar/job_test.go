package grammar_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// B02–B08 and A25: what people and Slack do to the text of a job.
func TestWhatPeopleSayToJobs(t *testing.T) {
	type S = grammar.Sentence
	job := func(namespace, text string) S {
		return S{Verb: grammar.VerbJob, Namespace: namespace, Text: text}
	}
	later := func(s S, in time.Duration, at, despite string) S {
		s.In, s.At, s.DespiteHold = in, at, despite
		return s
	}
	for text, want := range map[string]S{
		"web deploy":                       job("web", "deploy"),
		"  web \t deploy   it  now ":       job("web", "deploy it now"),
		"web deploy...":                    job("web", "deploy"),
		"web":                              job("web", ""),
		"`web deploy`":                     job("web", "deploy"),
		"web say `x`":                      job("web", "say `x`"),
		"web say it's  fine":               job("web", "say it's fine"),
		"web say \u201chello  there\u201d": job("web", `say "hello there"`),
		"web fetch <https://x.example/a?b=1&amp;c=2>":     job("web", "fetch https://x.example/a?b=1&c=2"),
		"web fetch <https://x.example/a|the page> now":    job("web", "fetch https://x.example/a now"),
		"web fetch <http://x.example|x.example>.":         job("web", "fetch x.example"),
		"web tell <@U2|ann> in <#C1|general>":             job("web", "tell @ann in #general"),
		"please <@U1|slipway> web tell <@U2>":             job("web", "tell @U2"),
		"line before\n<@U1>: web deploy":                  job("web", "deploy"),
		"Reminder: <@U1|slipway> web fetch <https://x/>.": job("web", "fetch https://x/"),
		"<@U9> <@U1> web a <@U1|s> web b":                 job("web", "b"),
		"<@U1> web a;rm -rf / $(x) &lt;b&gt; | c":         job("web", "a;rm -rf / $(x) <b> | c"),
		"/web deploy": job("web", "deploy"),

		"web deploy --in 10m":                            later(job("web", "deploy"), 10*time.Minute, "", ""),
		"web deploy --IN=1h30m":                          later(job("web", "deploy"), 90*time.Minute, "", ""),
		"web --in 2d":                                    later(job("web", ""), 48*time.Hour, "", ""),
		"web deploy --at 14:30.":                         later(job("web", "deploy"), 0, "14:30", ""),
		"web deploy --at 2026-12-24 14:30 Europe/London": later(job("web", "deploy"), 0, "2026-12-24 14:30 Europe/London", ""),
		`web deploy --at "2026-12-24 14:30"`:             later(job("web", "deploy"), 0, "2026-12-24 14:30", ""),
		"web deploy --at 2026-12-24T14:30Z":              later(job("web", "deploy"), 0, "2026-12-24T14:30Z", ""),
		"web deploy --despite-hold it's on fire":         later(job("web", "deploy"), 0, "", "it's on fire"),
		"web deploy --in 5m --despite-hold fire":         later(job("web", "deploy"), 5*time.Minute, "", "fire"),
		"web say --in 5m to all":                         job("web", "say --in 5m to all"),
		`web say "--in 5m"`:                              job("web", `say "--in 5m"`),
		`web say "wait --in 5m" 'and --despite-hold x'`:  job("web", `say "wait --in 5m" 'and --despite-hold x'`),
		`web say x="a --despite-hold b"`:                 job("web", `say x="a --despite-hold b"`),
		"web say we meet --at the old pub on Sunday":     job("web", "say we meet --at the old pub on Sunday"),
		"web help": {Verb: grammar.VerbHelp, Topic: "web"},
		"help web": {Verb: grammar.VerbHelp, Topic: "web"},
		"?!":       {Verb: grammar.VerbHelp},
		"jobs":     {Verb: grammar.VerbJobs},
		"jobs web": {Verb: grammar.VerbJobs, Namespace: "web"},
		"history":  {Verb: grammar.VerbHistory},
		"history web/deploy by <@U2|ann> since 7d failed":     {Verb: grammar.VerbHistory, Job: "web/deploy", By: "U2", Since: "7d", Outcome: grammar.OutcomeFailed},
		"history timed out web deploy since 2026-11-01":       {Verb: grammar.VerbHistory, Job: "web/deploy", Since: "2026-11-01", Outcome: grammar.OutcomeTimedOut},
		`history "failed" by @ann`:                            {Verb: grammar.VerbHistory, Job: "failed", By: "ann"},
		"hold web/deploy 11:20-11:30":                         {Verb: grammar.VerbHold, Job: "web/deploy", Window: "11:20-11:30"},
		"hold web deploy 1120 to 1130 because it's lunch":     {Verb: grammar.VerbHold, Job: "web/deploy", Window: "1120 to 1130", Reason: "it's lunch"},
		"hold deploy from 11:20 to 11:30":                     {Verb: grammar.VerbHold, Job: "deploy", Window: "from 11:20 to 11:30"},
		"hold web/x 2026-11-30 22:00 to 2026-12-01 06:00 UTC": {Verb: grammar.VerbHold, Job: "web/x", Window: "2026-11-30 22:00 to 2026-12-01 06:00 UTC"},
		"hold web/x 11:20–11:30":                              {Verb: grammar.VerbHold, Job: "web/x", Window: "11:20–11:30"},
		"release web deploy because done":                     {Verb: grammar.VerbRelease, Job: "web/deploy", Reason: "done"},
		"logs j-4f7k2 build all stderr":                       {Verb: grammar.VerbLogs, Run: "j-4f7k2", Step: "build", Part: grammar.PartAll, Stream: "stderr"},
		"logs j-4f7k2 head":                                   {Verb: grammar.VerbLogs, Run: "j-4f7k2", Part: grammar.PartHead},
		`logs j-4f7k2 "all"`:                                  {Verb: grammar.VerbLogs, Run: "j-4f7k2", Step: "all"},
		"cancel j-4f7k2 because it's wrong.":                  {Verb: grammar.VerbCancel, Run: "j-4f7k2", Reason: "it's wrong"},
		"remove job id j-4f7k2":                               {Verb: grammar.VerbCancel, Run: "j-4f7k2"},
		"Remove Job ID":                                       {Verb: grammar.VerbCancel},
		"remove it":                                           job("remove", "it"),
		"schedules":                                           {Verb: grammar.VerbSchedules},
		"schedule":                                            {Verb: grammar.VerbSchedules},
		"schedule pause web nightly because of the move":      {Verb: grammar.VerbSchedule, Action: "pause", Schedule: "web/nightly", Reason: "of the move"},
		"schedule trigger web/nightly":                        {Verb: grammar.VerbSchedule, Action: "trigger", Schedule: "web/nightly"},
		"ooo":                                                 {Verb: grammar.VerbAway, Action: "status"},
		"ooo on from 2026-12-24 to 2027-01-02":                {Verb: grammar.VerbAway, Action: "on", From: "2026-12-24", Until: "2027-01-02"},
		"ooo on support from 2026-12-24 to 2026-12-24":        {Verb: grammar.VerbAway, Action: "on", Relay: "support", From: "2026-12-24", Until: "2026-12-24"},
		"ooo off support":                                     {Verb: grammar.VerbAway, Action: "off", Relay: "support"},
	} {
		got, err := grammar.Parse("@", text, grammar.WithBot("U1"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
		if again, err := grammar.Parse("/slipway", got.String()); err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%q says itself as %q, which is %+v, %v", text, got.String(), again, err)
		}
	}
}

func TestWhatJobsDoNotTake(t *testing.T) {
	for text, says := range map[string]string{
		"web a\nand b":                             "alone on one line",
		"<@U1> web a\nand b":                       "alone on one line",
		"web a --in 5m --at 14:30":                 "not more",
		"web a --in 5m --in 6m":                    "not more",
		"web a --in soon":                          "needs a length of time",
		"web a --in":                               "needs a length of time",
		"web a --in 0s":                            "needs a length of time",
		"web a --in 31d":                           "needs a length of time",
		"web a --in 999999999999w":                 "needs a length of time",
		"web a --at noon":                          "needs a time",
		"web a --at":                               "needs a time",
		"web a --at 25:00":                         "needs a time",
		"web a --despite-hold":                     "needs a reason",
		"web a --despite-hold ...":                 "needs a reason",
		"web a --despite-hold fire --in 5m":        "must be the last",
		"web a --despite-hold fire --at x":         "must be the last",
		"web\x00 a":                                "control character",
		"cancel j-1 because":                       "needs a reason",
		"cancel j-1 j-2":                           "do not understand",
		"hold":                                     "Which one",
		"hold web/deploy":                          "From when to when",
		"hold web/deploy because x":                "From when to when",
		"hold we\"b\" 11:20-11:30; x":              "as a window",
		"hold a/b/c 11:20-11:30":                   "not a name",
		"release web deploy now":                   "do not understand",
		"logs j-1 a b":                             "do not understand",
		"logs j-1 stdout stderr build x":           "do not understand",
		"schedule stop web":                        "What shall become",
		"schedule pause":                           "Which one",
		"ooo maybe":                                "do not understand",
		"ooo on":                                   "From which day",
		"ooo on from 2026-12-24":                   "From which day",
		"ooo on from 2027-01-02 to 2026-12-24":     "comes before",
		"ooo on from 24.12.2026 to 2026-12-24":     "not a day",
		"ooo off support now":                      "do not understand",
		"history since then":                       "look back",
		"history by":                               "one person",
		"history failed succeeded":                 "One outcome",
		"history a b c":                            "do not understand",
		"cancel j-1 because " + longText(501, "x"): "500 characters",
	} {
		s, err := grammar.Parse("@", text, grammar.WithBot("U1"))
		var e *grammar.Error
		if !errors.As(err, &e) || e.Code == "" || !strings.Contains(e.Sentence, says) {
			t.Errorf("%q: %+v, %v; want %q", text, s, err, says)
		}
	}
}

func longText(n int, piece string) string { return strings.Repeat(piece, n) }

// Of a bot whose id nobody told, only a leading mention is taken off.
func TestMentionsOfOthersAreArguments(t *testing.T) {
	for text, want := range map[string]string{
		"<@U7> web tell <@U2>": "tell @U2", "web tell <@U2>": "tell @U2",
	} {
		if s, err := grammar.Parse("@", text); err != nil || s.Namespace != "web" || s.Text != want {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
	if text, ok := grammar.AfterMention("a <@U2> <@U1|x>, b <@U3>", "U1", "U9"); text != "b <@U3>" || !ok {
		t.Errorf("AfterMention = %q, %v", text, ok)
	}
	if text, ok := grammar.AfterMention("a <@U2>"); text != "a <@U2>" || ok {
		t.Errorf("AfterMention = %q, %v", text, ok)
	}
}

// Whatever is typed, a sentence holds no control character and says itself
// again.
func TestSentencesSayThemselves(t *testing.T) {
	pieces := rapid.SampledFrom([]string{
		" ", " ", " ", "web", "deploy", "hold", "release", "cancel", "history", "logs", "schedule", "schedules", "jobs", "ooo", "remove job id", "help",
		"because", "by", "since", "7d", "failed", "timed out", "--in", "--at", "--despite-hold", "10m", "14:30", "2026-12-24", "11:20-11:30", "j-4f7k2",
		"pause", "on", "from", "to", "all", "stderr", "\"", "'", "`", ".", "=", "/", "\\", "@", "<@U2|ann>", "<https://a.b/c|d>", "&lt;", "&amp;lt;", "\u201c", "\u200b",
		"\x00", "\x1b[31m", "\t", "\u202e", "*", "?", "a.", "--in=5m", "x=\"",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.OneOf(pieces, pieces, pieces, rapid.String())).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
		s, err := grammar.Parse("@", text)
		if err != nil {
			return
		}
		for _, field := range []string{
			string(s.Verb), s.Service, s.Ref, s.Environment, s.Run, s.Topic, s.Lane, s.Step, s.Answer, s.Namespace, s.Text, s.Job, s.At, s.DespiteHold,
			s.Window, s.Reason, s.Part, s.Stream, s.Schedule, s.Action, s.Relay, s.From, s.Until, s.By, s.Since, s.Outcome,
		} {
			if strings.ContainsFunc(field, unicode.IsControl) {
				t.Fatalf("%q: a control character in %q", text, field)
			}
		}
		again, err := grammar.Parse("/slipway", s.String())
		if err != nil {
			t.Fatalf("%q parses, its own text %q does not: %v", text, s.String(), err)
		}
		if d := cmp.Diff(s, again); d != "" {
			t.Fatalf("%q as %q: %s", text, s.String(), d)
		}
	})
}
