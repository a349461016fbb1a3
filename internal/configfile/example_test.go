package configfile_test

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/configfile"
)

// TestTheJobsOfTheExampleRun: what a newcomer tries first works on any machine
// with a POSIX shell.
func TestTheJobsOfTheExampleRun(t *testing.T) {
	f, problems := configfile.Load("../../examples/slipway.yaml")
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	output := func(job string, params map[string]string) string {
		plan, _, err := pipeline.ResolveJob(f.Config, pipeline.JobRequest{Namespace: "test", Job: job, Params: params})
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("/bin/sh", "-c", plan.GetSteps()[0].GetShell()).Output()
		if err != nil {
			t.Fatalf("%s: %v", job, err)
		}
		return string(out)
	}
	if got := output("hello", map[string]string{"name": "Ada; exit 1 & O'Hara"}); got != "Hello Ada; exit 1 & O'Hara!\n" {
		t.Errorf("%q", got)
	}
	var blocks []map[string]any
	if err := json.Unmarshal([]byte(output("table", nil)), &blocks); err != nil || len(blocks) != 2 {
		t.Errorf("%v, %d blocks", err, len(blocks))
	}
}
