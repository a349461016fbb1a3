package orchestrator

import (
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// TestLogsSayWhatTheyAreAndWhereTheRestIs: whoever has no terminal gets all of
// it as well, except where an address would show what is restricted.
func TestLogsSayWhatTheyAreAndWhereTheRestIs(t *testing.T) {
	printed := []*apiv1.LogEntry{{Step: "run", Attempt: 1, Text: "a < b\n"}}
	live, ended := run.State{ID: "j-abcde", Status: run.Running}, run.State{ID: "j-abcde", Status: run.Failed}
	restricted := run.State{ID: "j-abcde", Plan: &eventv1.Plan{Restricted: true}}
	c := &clerk{output: func(id string, _ time.Time) string { return "https://ours.example/logs/" + id }}
	lines := "\n```\n— run, attempt 1 —\na &lt; b\n```"
	for _, k := range []struct {
		s       run.State
		q       logQuery
		entries []*apiv1.LogEntry
		want    string
	}{
		{ended, logQuery{tail: 10}, printed, "The last lines of `j-abcde`. All of them: <https://ours.example/logs/j-abcde|all output>, or `slipway logs j-abcde`" + lines},
		{live, logQuery{head: 10, stream: "stderr"}, printed, "The first lines of `j-abcde` on stderr. All of them: <https://ours.example/logs/j-abcde|all output>, or `slipway logs j-abcde`" + lines},
		{restricted, logQuery{tail: 10}, printed, "The last lines of `j-abcde`. All of them: `slipway logs j-abcde`" + lines},
		{live, logQuery{tail: 10}, nil, "`j-abcde` has printed nothing so far."},
		{ended, logQuery{tail: 10, stream: "stderr"}, nil, "`j-abcde` printed nothing on stderr."},
	} {
		if got := logsAnswer(k.s, "j-abcde", c.page(k.s), k.q, k.entries).GetText(); got != k.want {
			t.Errorf("%s\nwant\n%s", got, k.want)
		}
	}
}
