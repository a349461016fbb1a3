package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// This file turns what the API says into words that several commands share.

// statusWord is "timed out" for RUN_STATUS_TIMED_OUT.
func statusWord(s apiv1.RunStatus) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.String(), "RUN_STATUS_"), "_", " "))
}

var statusColours = map[apiv1.RunStatus]colour{
	apiv1.RunStatus_RUN_STATUS_QUEUED:    yellow,
	apiv1.RunStatus_RUN_STATUS_RUNNING:   cyan,
	apiv1.RunStatus_RUN_STATUS_WAITING:   yellow,
	apiv1.RunStatus_RUN_STATUS_SUCCEEDED: green,
	apiv1.RunStatus_RUN_STATUS_FAILED:    red,
	apiv1.RunStatus_RUN_STATUS_TIMED_OUT: red,
	apiv1.RunStatus_RUN_STATUS_CANCELLED: faint,
	apiv1.RunStatus_RUN_STATUS_REFUSED:   red,
	apiv1.RunStatus_RUN_STATUS_MERGED:    faint,
}

func statusCell(r *apiv1.Run) cell {
	word := statusWord(r.GetStatus())
	if r.GetCancelling() {
		word += ", stopping"
	}
	return cell{word, statusColours[r.GetStatus()]}
}

func ended(s apiv1.RunStatus) bool { return s >= apiv1.RunStatus_RUN_STATUS_SUCCEEDED }

// stepLook is how a step's status is shown.
type stepLook struct {
	mark, word string
	colour     colour
}

var stepLooks = map[apiv1.StepStatus]stepLook{
	apiv1.StepStatus_STEP_STATUS_PENDING:   {"○", "pending", faint},
	apiv1.StepStatus_STEP_STATUS_RUNNING:   {"●", "running", cyan},
	apiv1.StepStatus_STEP_STATUS_WAITING:   {"◌", "waiting", yellow},
	apiv1.StepStatus_STEP_STATUS_SUCCEEDED: {"✓", "succeeded", green},
	apiv1.StepStatus_STEP_STATUS_FAILED:    {"✗", "failed", red},
	apiv1.StepStatus_STEP_STATUS_SKIPPED:   {"–", "not run", faint},
	apiv1.StepStatus_STEP_STATUS_CARRIED:   {"✓", "carried over", green},
}

// name is the shortest that the API knows the run by.
func name(r *apiv1.Run) string {
	if r.GetShortId() != "" {
		return r.GetShortId()
	}
	return r.GetId()
}

// job is "op/deploy", or empty for a deployment.
func job(r *apiv1.Run) string {
	if r.GetJob() == "" {
		return ""
	}
	return r.GetNamespace() + "/" + r.GetJob()
}

// shortest is the least of an id that is shown; the API takes it while no other
// run begins so.
const shortest = len("j-12345")

// merging says what other runs are one execution with this one.
func merging(r *apiv1.Run) string {
	switch n := len(r.GetMerged()); {
	case r.GetMergedInto() != "":
		return "into " + r.GetMergedInto()[:min(len(r.GetMergedInto()), shortest)]
	case n > 0:
		return "for " + plural(uint64(n), "other")
	}
	return ""
}

// title is "hello v1.2 to staging", or "op/measures id=7".
func title(r *apiv1.Run) string {
	if r.GetJob() != "" {
		return clean(strings.TrimSpace(job(r) + " " + pairs(r.GetParameters())))
	}
	out := r.GetService()
	if r.GetVersion() != "" {
		out += "@" + r.GetVersion()
	}
	if r.GetEnvironment() != "" {
		out += " to " + r.GetEnvironment()
	}
	return clean(out)
}

// standing is where the run is, and why.
func standing(r *apiv1.Run) string {
	out := statusCell(r).text
	if r.GetReason() == "" && r.GetPosition() > 0 && r.GetStatus() == apiv1.RunStatus_RUN_STATUS_QUEUED {
		out += fmt.Sprintf(", place %d in lane %s", r.GetPosition(), r.GetLane())
	}
	switch why := r.GetReason(); {
	case why == "":
	case strings.HasPrefix(why, out): // "waiting for a runner" says it already
		out = why
	default:
		out += ": " + why
	}
	return clean(out)
}

// attempts is "attempt 2 of 3", or empty when there is only one.
func attempts(s *apiv1.Step) string {
	if s.GetMaxAttempts() <= 1 && s.GetAttempts() <= 1 || s.GetAttempts() == 0 {
		return ""
	}
	return fmt.Sprintf("attempt %d of %d", s.GetAttempts(), max(s.GetAttempts(), s.GetMaxAttempts()))
}

// took is the time from start to end, or to now.
func took(start, end *timestamppb.Timestamp, now time.Time) string {
	if start == nil {
		return ""
	}
	if end != nil {
		now = end.AsTime()
	}
	return lasting(now.Sub(start.AsTime()))
}

// lasting is a duration in two units at most.
func lasting(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// age is how long ago something was, in one unit.
func age(t *timestamppb.Timestamp, now time.Time) string {
	if t == nil {
		return ""
	}
	switch d := max(now.Sub(t.AsTime()), 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}

// at is a moment in the reader's own zone.
func at(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05")
}

// plural is "1 run", "2 runs".
func plural(n uint64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// printProto writes a message as one line of JSON, as the API's own.
func (g *Globals) printProto(m proto.Message) error {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return fmt.Errorf("print as JSON: %w", err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil { // protojson's own white space changes from build to build
		return fmt.Errorf("print as JSON: %w", err)
	}
	line.WriteByte('\n')
	_, err = g.out.Write(line.Bytes())
	return err
}

// printJSON writes a value as one line of JSON.
func (g *Globals) printJSON(v any) error { return encode(g.out, v) }

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // nobody puts it into a web page
	return enc.Encode(v)
}
