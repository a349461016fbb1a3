package world

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Alone starts everything in one process as a newcomer does: with its own
// stand-in for Slack, in an empty folder, at free ports. It returns when the
// process has said where everything is.
func Alone(t testing.TB, dir string, args ...string) *Process {
	t.Helper()
	w := &World{T: t, Dir: dir}
	w.reach()
	args = append([]string{"up", "--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--environments-port", "0"}, args...)
	p := w.launch("slipway", binary(t, "slipway"), untouched(), args)
	w.api.Store(strings.TrimPrefix(p.Door("API"), "http://"))
	p.Said("Ctrl-C stops")
	return p
}

// Door is the address that the process says it has for "API" or "Sandbox".
func (p *Process) Door(name string) string {
	p.t.Helper()
	return strings.Fields(p.Said("  " + name + "  "))[1]
}

// ours begin the names of variables that would change what our processes do.
var ours = []string{"SLIPWAY_", "SLACK_", "NATS_", "OTEL_"}

// untouched is the environment without anything that a developer may have set.
func untouched() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
}

// Command runs one command of the command line in dir.
func Command(t testing.TB, dir string, args ...string) *Process {
	t.Helper()
	return launch(t, "slipway "+args[0], dir, binary(t, "slipway"), untouched(), args)
}
