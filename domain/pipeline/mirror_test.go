package pipeline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/slipway-hq/slipway/domain/pipeline"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

func TestAPlanSaysHowItsClaimIsMirrored(t *testing.T) {
	eyes, pin := pipeline.Mirror{Reaction: "eyes"}, pipeline.Mirror{Pin: true}
	sh := func(m *pipeline.Mirror) pipeline.Job { return pipeline.Job{Shell: "ls", Mirror: m} }
	c := pipeline.Config{
		Environments: map[string]pipeline.Environment{"staging": {}},
		Services: map[string]pipeline.Service{
			"shared": {Pipeline: "deploy"},
			"own":    {Inline: &pipeline.Pipeline{Mirror: pin, Steps: []pipeline.Step{{Name: "a", Shell: "ls"}}}},
			"silent": {Inline: &pipeline.Pipeline{Steps: []pipeline.Step{{Name: "a", Shell: "ls"}}}},
		},
		Pipelines: map[string]pipeline.Pipeline{"deploy": {Mirror: pipeline.Mirror{Reaction: "eyes", Pin: true}, Steps: []pipeline.Step{{Name: "a", Shell: "ls"}}}},
		Namespaces: map[string]pipeline.Namespace{
			"op": {Mirror: eyes, Jobs: map[string]pipeline.Job{"inherits": sh(nil), "own": sh(&pin), "silent": sh(&pipeline.Mirror{})}},
		},
	}
	if faults := c.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	for service, want := range map[string]*eventv1.Mirror{"shared": {Reaction: "eyes", Pin: true}, "own": {Pin: true}, "silent": nil} {
		plan, _, err := pipeline.Resolve(c, pipeline.Request{Service: service, Environment: "staging"})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, plan.GetMirror(), protocmp.Transform()); d != "" {
			t.Errorf("%s: %s", service, d)
		}
	}
	for job, want := range map[string]*eventv1.Mirror{"inherits": {Reaction: "eyes"}, "own": {Pin: true}, "silent": nil} {
		plan, _, err := pipeline.ResolveJob(c, pipeline.JobRequest{Namespace: "op", Job: job})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, plan.GetMirror(), protocmp.Transform()); d != "" {
			t.Errorf("%s: %s", job, d)
		}
	}
}
