package main

import (
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// Exit codes, for scripts. They never change their meaning.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRunFailed   = 3
	exitCancelled   = 4
	exitTimedOut    = 5
	exitRefused     = 6
	exitNotFound    = 7
	exitUnavailable = 8
	exitUnhealthy   = 9
	exitFence       = 10
	exitInterrupted = 130 // 128 and SIGINT, as shells count
)

// exitCodes is the one table of exit codes.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; with --wait: the run succeeded"},
	{exitFailed, "unexpected, or a check found something wrong"},
	{exitUsage, "the command, its flags or the request make no sense"},
	{exitRunFailed, "the run failed"},
	{exitCancelled, "the run was cancelled"},
	{exitTimedOut, "the run timed out"},
	{exitRefused, "refused or not allowed"},
	{exitNotFound, "no such run, step or message"},
	{exitUnavailable, "no answer, or not now: try again"},
	{exitUnhealthy, "env deploy: the release is not healthy"},
	{exitFence, "env deploy: a newer run was there before"},
	{exitInterrupted, "interrupted"},
}

func exitTable() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, row := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", row.code, row.meaning)
	}
	return b.String()
}

// failure is an error that knows its exit code and what to do next.
type failure struct {
	code    int
	message string
	next    string
	// quiet: all was said already.
	quiet bool
}

func (f *failure) Error() string { return f.message }

// report says what went wrong and returns the exit code.
func report(g *Globals, err error) int {
	if err == nil {
		return exitOK
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{code: exitFailed, message: err.Error()}
	}
	if !f.quiet {
		g.complain(f)
	}
	return f.code
}

func (g *Globals) complain(f *failure) {
	if g.JSON {
		_ = encode(g.err, map[string]any{"error": map[string]any{"exit": f.code, "message": f.message, "next": f.next}}) // nobody is left to tell
		return
	}
	g.notef("%s %s\n", paint(colourful(g.err)).in(red, "slipway:"), cleanLines(f.message))
	if f.next != "" {
		g.notef("%s\n", cleanLines(f.next))
	}
}

// exitByCode is the exit code of an error that the API answered.
var exitByCode = map[connect.Code]int{
	connect.CodeInvalidArgument:    exitUsage,
	connect.CodeOutOfRange:         exitUsage,
	connect.CodePermissionDenied:   exitRefused,
	connect.CodeUnauthenticated:    exitRefused,
	connect.CodeFailedPrecondition: exitRefused,
	connect.CodeAlreadyExists:      exitRefused,
	connect.CodeAborted:            exitRefused,
	connect.CodeNotFound:           exitNotFound,
	connect.CodeUnavailable:        exitUnavailable,
	connect.CodeDeadlineExceeded:   exitUnavailable,
	connect.CodeResourceExhausted:  exitUnavailable,
	connect.CodeCanceled:           exitInterrupted,
}

// outcomes is the exit code of a run that ended. A run that was merged did not
// do what was asked for by itself.
var outcomes = map[apiv1.RunStatus]int{
	apiv1.RunStatus_RUN_STATUS_SUCCEEDED: exitOK,
	apiv1.RunStatus_RUN_STATUS_FAILED:    exitRunFailed,
	apiv1.RunStatus_RUN_STATUS_CANCELLED: exitCancelled,
	apiv1.RunStatus_RUN_STATUS_TIMED_OUT: exitTimedOut,
	apiv1.RunStatus_RUN_STATUS_REFUSED:   exitRefused,
	apiv1.RunStatus_RUN_STATUS_MERGED:    exitRefused,
}

// outcome is nil for a run that succeeded, else its exit code: what happened was
// shown already.
func outcome(r *apiv1.Run) error {
	code, known := outcomes[r.GetStatus()]
	switch {
	case !known:
		return &failure{code: exitFailed, message: "the run has not ended: " + statusWord(r.GetStatus())}
	case code == exitOK:
		return nil
	}
	return &failure{code: code, message: r.GetReason(), quiet: true}
}
