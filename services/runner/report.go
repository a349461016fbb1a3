package runner

import (
	"bytes"
	"context"
	"fmt"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/runlog"
	"github.com/slipway-hq/slipway/services/runner/internal/step"
)

const (
	// reportInline is the most of a report that goes into the log itself: with the
	// rest of a commit it stays far below its limit.
	reportInline = 8 << 10
	// reportLimit is the most of a report that is kept: more than anybody reads in
	// Slack, and files come as artefacts.
	reportLimit = 4 << 20
	// reportPatience bounds the wait for the object store: the run's end waits for
	// it, and a report that comes late is worth less than that.
	reportPatience = 10 * time.Second
)

// report puts standard output of a step into what the log says of it: as it is
// while it is small, else as an object. A store that cannot take it costs the
// run nothing but the rest of the text, and the note says so.
func (x *steps) report(ctx context.Context, a Attempt, ran step.Result, out *eventv1.StepOutput) {
	if !a.Reports() || ran.StdoutBytes == 0 {
		return
	}
	out.StdoutBytes = uint64(ran.StdoutBytes) //nolint:gosec // not negative
	if ran.StdoutBytes > int64(len(ran.Stdout)) {
		note(out, fmt.Sprintf("the report was cut at %d bytes", reportLimit))
	}
	if len(ran.Stdout) <= reportInline {
		out.Stdout = ran.Stdout
		return
	}
	name := runlog.StdoutObject(a.Run, a.Step, a.Number, a.Fence)
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	err := x.patiently(ctx, func() error { return x.store.Put(ctx, name, bytes.NewReader(ran.Stdout)) })
	if err != nil {
		x.log.Warn("a report was not stored whole", "run", a.Run, "error", err)
		note(out, fmt.Sprintf("the report could not be stored and was cut at %d bytes", reportInline))
		out.Stdout = ran.Stdout[:reportInline]
		return
	}
	out.StdoutObject = name
}

// note adds a remark to what is said of an attempt.
func note(out *eventv1.StepOutput, words string) {
	if out.Note != "" {
		out.Note += "; "
	}
	out.Note += words
}
