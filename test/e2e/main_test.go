// Package e2e shows what a person and a program get from Slipway's real
// processes, from the request to the last word in Slack.
package e2e

import (
	"testing"

	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// up is a world in which everything runs in one process, with these pipelines;
// each service is named like its pipeline.
func up(t *testing.T, pipelines func(*world.World) map[string][]world.Map, options ...world.Option) *world.World {
	t.Helper()
	t.Parallel()
	w := world.New(t, options...)
	w.Configure(w.Pipelines(pipelines(w)))
	w.Up()
	return w
}
