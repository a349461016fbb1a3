package orchestrator

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/domain/schedule"
	"github.com/slipway-hq/slipway/internal/archive"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// apiCodes is the one table from refusals to Connect codes, by the beginning of
// the refusal's code.
var apiCodes = []struct {
	prefix string
	code   connect.Code
}{
	{run.ErrIdentity.Code, connect.CodeAlreadyExists},
	{run.ErrAbsent.Code, connect.CodeNotFound},
	{schedule.ErrAbsent.Code, connect.CodeNotFound},
	{schedule.ErrMany.Code, connect.CodeOutOfRange},
	{"E-POLICY-", connect.CodePermissionDenied},
	{"E-RUN-", connect.CodeFailedPrecondition},
	{"E-STEP-", connect.CodeFailedPrecondition},
	{"E-CONFIG-", connect.CodeFailedPrecondition},
	{"", connect.CodeInvalidArgument},
}

// logFaults is the one table from the log's errors to Connect codes and to what
// a person is told.
var logFaults = []struct {
	err      error
	code     connect.Code
	sentence string
}{
	// The first: an unknown outcome may wrap why the waiting for it ended.
	{eventlog.ErrUnknown, connect.CodeUnavailable, "Not confirmed: the log did not answer in time. If it got through it is in the list; ask again with the same key, which never doubles it."},
	{eventlog.ErrFull, connect.CodeResourceExhausted, "The store is full, so I refuse new work rather than forget it. Nothing was changed. An operator must make room (slipway doctor)."},
	{eventlog.ErrTooLarge, connect.CodeInvalidArgument, "The request is too large to be stored. Nothing was changed."},
	{eventlog.ErrConflict, connect.CodeAborted, "Too many others change the same thing right now. Nothing was changed; try again."},
	{eventlog.ErrUnavailable, connect.CodeUnavailable, "I cannot reach the log right now. Nothing was changed; try again in a moment."},
	{archive.ErrDamaged, connect.CodeDataLoss, "The archived history of this run is damaged or missing. An operator must look at it (slipway doctor); a backup may have it."},
	{eventlog.ErrCorrupt, connect.CodeDataLoss, "The history of this run is damaged, so nothing is decided about it. An operator must look at it (slipway doctor)."},
	{context.DeadlineExceeded, connect.CodeUnavailable, "It took too long. It is not confirmed; look before you repeat it."},
}

// lookups is the same for ids that name no run.
var lookups = []struct {
	err      error
	code     connect.Code
	sentence string
}{
	{board.ErrUnknownRun, connect.CodeNotFound, "I know no run %s. The list of runs shows the ids."},
	{board.ErrAmbiguousRun, connect.CodeInvalidArgument, "Several runs begin with %s: give more characters."},
	{board.ErrShortPrefix, connect.CodeInvalidArgument, "%s is too short for an id: give at least 5 characters after its d- or j-."},
}

// sentenceOf is what a person is told about an error, and a stable code; false
// when it is a failure of ours that says nothing to a person.
func sentenceOf(err error, id string) (code, sentence string, ok bool) {
	if r, ok := refusalOf(err); ok {
		return r.Code, r.Sentence, true
	}
	for _, l := range lookups {
		if errors.Is(err, l.err) {
			return "E-RUN-404", strings.Replace(l.sentence, "%s", id, 1), true
		}
	}
	for _, f := range logFaults {
		if errors.Is(err, f.err) {
			sentence := f.sentence
			if errors.Is(err, eventlog.ErrUnknown) && id != "" {
				sentence = "Not confirmed: the log did not answer in time. If it got through it is " + identity.Short(id) + "; look before you repeat it."
			}
			return "E-LOG", sentence, true
		}
	}
	return "E-INTERNAL", "Something went wrong on my side; nothing more is known. The log of the orchestrator says why.", false
}

// apiError turns an error into a Connect error; id is what the caller named.
func apiError(err error, id string) error {
	if err == nil {
		return nil
	}
	var already *connect.Error
	if errors.As(err, &already) {
		return already
	}
	_, sentence, _ := sentenceOf(err, id)
	return connect.NewError(apiCode(err), errors.New(unmarked.Replace(sentence)))
}

// unmarked takes Slack's marks out of a sentence: terminals and programs show
// text as it is.
var unmarked = strings.NewReplacer("`", "", "*", "")

func apiCode(err error) connect.Code {
	if r, ok := refusalOf(err); ok {
		for _, row := range apiCodes {
			if strings.HasPrefix(r.Code, row.prefix) {
				return row.code
			}
		}
	}
	for _, l := range lookups {
		if errors.Is(err, l.err) {
			return l.code
		}
	}
	for _, f := range logFaults {
		if errors.Is(err, f.err) {
			return f.code
		}
	}
	if errors.Is(err, context.Canceled) {
		return connect.CodeCanceled
	}
	return connect.CodeInternal
}
