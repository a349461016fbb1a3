package orchestrator

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// TestListsNamePeople: whoever reads a list sees names, not ids.
func TestListsNamePeople(t *testing.T) {
	r := &apiv1.Run{Status: apiv1.RunStatus_RUN_STATUS_QUEUED, Reason: "held until 12:00 UTC by U0ANN00001: <!channel> & so on"}
	if got := standing(r); !strings.HasPrefix(got, "*queued*: held until 12:00 UTC by <@U0ANN00001>: ") || strings.Contains(got, "<!") {
		t.Error(got)
	}
}

// TestAJobIsListedWithWhatToSay: and without its secrets, which nobody gives.
func TestAJobIsListedWithWhatToSay(t *testing.T) {
	cfg := &adopted{config: pipeline.Config{Namespaces: map[string]pipeline.Namespace{"op": {
		Jobs: map[string]pipeline.Job{"deploy": {Help: "deploys", Params: map[string]pipeline.Param{
			"what": {}, "token": {Parameter: pipeline.Parameter{Type: pipeline.TypeSecret}},
		}}, "stop": {}},
		Commands: []pipeline.Command{{Match: "halt", Job: "deploy", Action: pipeline.ActionCancel}, {Match: "ship [what]", Job: "deploy"}},
	}}}}
	if got, want := jobsAnswer(cfg, "").GetText(), "• *op deploy* `[what]`: deploys. Say `op ship [what]`\n• *op stop*"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

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
