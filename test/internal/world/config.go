package world

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Map is a piece of slipway.yaml; the file is written as JSON, which YAML reads.
type Map = map[string]any

// guard lets the steps of a service and environment recognise one another: the
// lock lives as long as any process that has it, and on a lane of one a second
// at the same time is an overlap. flock is util-linux's.
const guard = `exec 9>>%[1]s/lock.$SLIPWAY_SERVICE.%[2]s
flock -n 9 || echo overlap $SLIPWAY_RUN $SLIPWAY_STEP $SLIPWAY_ATTEMPT $SLIPWAY_FENCE $$ >>%[1]s/effects
`

// effect writes down that a step starts and that it ends. A line is one write,
// and only who comes to its end writes the second.
const effect = `echo start $SLIPWAY_RUN $SLIPWAY_STEP $SLIPWAY_ATTEMPT $SLIPWAY_FENCE $$ >>%[1]s/effects
%[3]s
echo end $SLIPWAY_RUN $SLIPWAY_STEP $SLIPWAY_ATTEMPT $SLIPWAY_FENCE $$ >>%[1]s/effects
`

// Step is a step that writes down its start and its end around a shell body. It
// holds a lock of its service and environment as long as anything of it lives,
// and writes down when somebody else has it: use Shared on lanes of several.
func (w *World) Step(name, body string, more ...Map) Map {
	return step(name, fmt.Sprintf(guard+effect, w.Dir, "$SLIPWAY_ENVIRONMENT", or(body)), more)
}

// Shared is Step on a lane of several: the lock is the run's own.
func (w *World) Shared(name, body string, more ...Map) Map {
	return step(name, fmt.Sprintf(guard+effect, w.Dir, "$SLIPWAY_RUN", or(body)), more)
}

func or(body string) string {
	if body == "" {
		return ":"
	}
	return body
}

func step(name, script string, more []Map) Map {
	m := Map{"name": name, "run": script}
	for _, extra := range more {
		for k, v := range extra {
			m[k] = v
		}
	}
	return m
}

// Hold is a body that goes on when Open was called with this name; $ variables
// are the shell's.
func (w *World) Hold(gate string) string {
	return fmt.Sprintf("until test -e %s/gate.%s; do sleep 0.05; done", w.Dir, gate)
}

// Open lets everything go on that is held by this name, now and later.
func (w *World) Open(gate string) {
	w.T.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, "gate."+gate), nil, 0o600); err != nil {
		w.T.Fatal(err)
	}
}

// Pipelines makes a whole configuration: each service has its name's pipeline
// and may go to staging, qa and the protected production.
func (w *World) Pipelines(pipelines map[string][]Map) Map {
	services, lines := Map{}, Map{}
	for name, steps := range pipelines {
		services[name] = Map{"pipeline": name}
		lines[name] = Map{"steps": steps}
	}
	return Map{
		"services": services, "pipelines": lines,
		"environments": Map{
			"staging": Map{}, "qa": Map{},
			"production": Map{"protected": true, "allow": Map{"users": []string{"U0APPROVE01", "U0GUEST0001", "U0STRANGE01"}}},
		},
	}
}

// Configure writes slipway.yaml as editors do: beside it, then in its place.
func (w *World) Configure(config Map) {
	w.T.Helper()
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		w.T.Fatal(err)
	}
	w.ConfigureText(string(data))
}

// ConfigureText is Configure with a file as it stands.
func (w *World) ConfigureText(text string) {
	w.T.Helper()
	part := w.config + ".part"
	if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
		w.T.Fatal(err)
	}
	if err := os.Rename(part, w.config); err != nil {
		w.T.Fatal(err)
	}
}
