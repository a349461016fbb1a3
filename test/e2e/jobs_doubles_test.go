package e2e

import (
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestDoublesAreRefusedOrReplacedWhereTheJobSaysSo shows the policies beside
// merge: reject names the run that is there, newest takes its place and tells
// who is superseded.
func TestDoublesAreRefusedOrReplacedWhereTheJobSaysSo(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		job := func(policy string) world.Map {
			return world.Map{"run": "echo {x}", "params": world.Map{"x": world.Map{}}, "dedupe": world.Map{"policy": policy}}
		}
		return world.Namespace(world.Map{"strict": job("reject"), "latest": job("newest")}, []world.Map{
			{"match": "strict [x]", "job": "strict", "delay": "1h"}, {"match": "latest [x]", "job": "latest", "delay": "1h"},
		})
	})
	_, first := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test strict a")
	words, public := w.Words(w.CommandAs(sandbox.UserApprover, "/slipway", "test strict a"))
	if public || !strings.Contains(words, first.GetShortId()) {
		t.Errorf("a double is answered %s", words)
	}
	_, other := asks(w, sandbox.UserApprover, sandbox.ChannelGeneral, "test strict b")
	for _, r := range []*apiv1.Run{first, other} {
		if r := w.Get(r.GetId()); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
			t.Errorf("%s is %s", r.GetId(), r.GetStatus())
		}
	}
	_, old := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test latest a")
	_, young := asks(w, sandbox.UserApprover, sandbox.ChannelOps, "test latest a")
	if r := w.Ended(old.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED); !strings.Contains(r.GetReason(), young.GetShortId()) {
		t.Errorf("the superseded one ends with %q", r.GetReason())
	}
	w.Heard(sandbox.ChannelOps, "", "does not run")
	if r := w.Get(young.GetId()); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
		t.Errorf("the newest is %s", r.GetStatus())
	}
}

// TestAJobThatLeftTheConfigurationStillRunsAsItWasAccepted is W08: what waits is
// executed by the plan that it was accepted with, nothing else is disturbed,
// and nobody can ask for it anew.
func TestAJobThatLeftTheConfigurationStillRunsAsItWasAccepted(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		return world.Namespace(world.Map{
			"old":   world.Map{"run": w.Hold("go") + "; echo the old one", "report": world.Map{"stdout": true}, "lane": "one"},
			"other": world.Map{"run": "echo the other", "report": world.Map{"stdout": true}, "lane": "one"},
		}, []world.Map{{"match": "old", "job": "old"}, {"match": "other", "job": "other"}})
	})
	_, running := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test old")
	_, waiting := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test other")
	w.Running(running.GetId(), "run")
	w.Configure(world.Namespace(world.Map{"new": world.Map{"run": "echo the new one", "report": world.Map{"stdout": true}}}, []world.Map{{"match": "new", "job": "new"}}))
	w.Eventually("the new configuration", func() bool {
		words, _ := w.Words(w.Command("/slipway", "jobs"))
		return strings.Contains(words, "test new")
	})
	w.Open("go")
	w.Succeeded(running.GetId())
	w.Succeeded(waiting.GetId())
	w.Heard(sandbox.ChannelGeneral, "", "the old one")
	w.Heard(sandbox.ChannelOps, "", "the other")
	words, public := w.Words(w.Command("/slipway", "test old"))
	if public || !strings.Contains(words, "Sorry") {
		t.Errorf("a job that is gone is answered %s", words)
	}
	w.Say(sandbox.UserRequester, sandbox.ChannelPrivate, world.Mention+"test new", "")
	w.Heard(sandbox.ChannelPrivate, "", "the new one")
}
