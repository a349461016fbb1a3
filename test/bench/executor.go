package main

import (
	"context"
	"fmt"

	"github.com/slipway-hq/slipway/services/runner"
)

// The services of the bench's configuration.
const (
	serviceQuick = "quick" // three steps that do nothing
	serviceReal  = "real"  // three processes
	serviceStuck = "stuck" // one step that does not end
	environment  = "bench"
)

// configuration is one lane with many slots, so that lanes do not decide how
// many runs are under way.
func configuration(slots int) string {
	return fmt.Sprintf(`defaults: {service: quick, environment: bench}
environments: {bench: {}}
services:
  quick: {pipeline: quick}
  real: {pipeline: real}
  stuck: {pipeline: stuck}
pipelines:
  quick:
    lane: bench
    steps: [{name: one, run: ["noop"]}, {name: two, run: ["noop"]}, {name: three, run: ["noop"]}]
  real:
    lane: bench
    steps: [{name: one, run: [/bin/true]}, {name: two, run: [/bin/true]}, {name: three, run: [/bin/true]}]
  stuck:
    steps: [{name: forever, run: ["noop"]}]
lanes:
  bench: {concurrency: %d}
`, slots)
}

// instant succeeds at once, but for the service that is stuck.
type instant struct{}

func (instant) Execute(ctx context.Context, a runner.Attempt, _ runner.Sink) (runner.Result, error) {
	if a.Service != serviceStuck {
		return runner.Result{}, nil
	}
	fmt.Println(wordStarted, a.Number)
	<-ctx.Done()
	return runner.Result{}, runner.ErrAbandon
}
