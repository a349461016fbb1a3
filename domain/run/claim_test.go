package run_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

func TestAClaimIsForARunnerThatThePlanAsksFor(t *testing.T) {
	claim := run.TakeClaim{Runner: "r-1", Incarnation: "i", Host: "anvil", Pools: []string{"default"}, Labels: map[string]string{"arch": "arm64"}, GrantSequence: 1, Now: time.Now()}
	for _, c := range []struct {
		change func(*eventv1.Plan)
		want   string
	}{
		{func(*eventv1.Plan) {}, ""},
		{func(p *eventv1.Plan) { p.Pool = "gpu" }, ""}, // the dispatcher's choice: its hint goes to that pool alone
		{func(p *eventv1.Plan) { p.Labels = map[string]string{"arch": "arm64"} }, ""},
		{func(p *eventv1.Plan) { p.Labels = map[string]string{"arch": "amd64"} }, "the run is for pool default with the label arch=amd64, which this runner is not"},
		{func(p *eventv1.Plan) { p.Pool, p.Labels = "gpu", claim.Labels }, "the run is for pool gpu with the label arch=arm64, which this runner is not"},
		{func(p *eventv1.Plan) { p.Runner = "ANVIL" }, ""},
		{func(p *eventv1.Plan) { p.Runner = "r-1" }, ""},
		{func(p *eventv1.Plan) { p.Runner = "forge" }, "the run is for runner forge, which this runner is not"},
	} {
		w := newWorld()
		r := request([]*eventv1.Step{step("a")}, time.Hour, time.Hour)
		c.change(r.Event.GetPlan())
		if _, err := w.do(r); err != nil {
			t.Fatal(err)
		}
		_, err := w.do(claim)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, run.ErrMisfit) || err.Error() != c.want) {
			t.Errorf("%v: %v", r.Event.GetPlan(), err)
		}
	}
}
