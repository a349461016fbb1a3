package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Effect is one line that a step wrote.
type Effect struct {
	Kind    string // "start", "end" or "overlap"
	Run     string
	Step    string
	Attempt int
	Fence   uint64
	PID     int
}

func (w *World) effects() string {
	text, err := os.ReadFile(filepath.Join(w.Dir, "effects"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.T.Fatal(err)
	}
	return string(text)
}

// Effects is what the steps have written so far, in order.
func (w *World) Effects() []Effect {
	w.T.Helper()
	var out []Effect
	for line := range strings.Lines(w.effects()) {
		f := strings.Fields(line)
		if len(f) != 6 {
			continue // being written
		}
		e := Effect{Kind: f[0], Run: f[1], Step: f[2]}
		var errs [3]error
		e.Attempt, errs[0] = strconv.Atoi(f[3])
		e.Fence, errs[1] = strconv.ParseUint(f[4], 10, 64)
		e.PID, errs[2] = strconv.Atoi(f[5])
		if err := errors.Join(errs[:]...); err != nil {
			w.T.Fatalf("effect %q: %v", line, err)
		}
		out = append(out, e)
	}
	return out
}

// EffectsOf are the effects of one run.
func (w *World) EffectsOf(run string) []Effect {
	w.T.Helper()
	var out []Effect
	for _, e := range w.Effects() {
		if e.Run == run {
			out = append(out, e)
		}
	}
	return out
}

// AwaitEffect waits until a step of a run wrote its nth line of a kind, from 1.
func (w *World) AwaitEffect(kind, run, step string, nth int) Effect {
	w.T.Helper()
	var found Effect
	w.Eventually(kind+" of step "+step+" in the file", func() bool {
		n := 0
		for _, e := range w.EffectsOf(run) {
			if e.Kind == kind && e.Step == step {
				if n++; n == nth {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}
