// Package runlog reads what runs printed, wherever it is: in the stream LOGS
// while a run lives and shortly after, packed into one object per run later.
// Readers see no difference before, during and after the packing. It also names
// the objects, packs and deletes them, and signs the addresses of the page that
// shows them.
//
// The runner writes LOGS (services/runner/internal/output) and masks secrets
// before; the orchestrator reads, packs and drops. Who may read is its business.
//
// Invariants: output is removed from LOGS only after an object that holds it was
// read back whole; an object is replaced only by compare-and-set and only by one
// that holds more, so that any number of packers, stopped anywhere, lose and
// double nothing.
package runlog

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// Entry is a piece of output: some bytes of one stream of one attempt.
type Entry struct {
	Step, Attempt uint32
	Fence         uint64
	Stream        commandv1.LogChunk_Stream
	Time          time.Time
	Text          string // valid UTF-8
	Sequence      uint64 // in LOGS, also after it was packed
}

// Logs is the output of all runs. It is safe for concurrent use.
type Logs struct {
	js      jetstream.JetStream
	objects objects
}

// New returns Logs without touching the network.
func New(js jetstream.JetStream) *Logs { return &Logs{js: js, objects: objects{js: js}} }

// streamNames are the words for streams in the API.
var streamNames = map[commandv1.LogChunk_Stream]string{
	commandv1.LogChunk_STREAM_STDOUT: "stdout",
	commandv1.LogChunk_STREAM_STDERR: "stderr",
	commandv1.LogChunk_STREAM_NOTE:   "note",
}

// StreamName is the word for a stream: stdout, stderr or note.
func StreamName(s commandv1.LogChunk_Stream) string { return streamNames[s] }

// ParseStream is the inverse of StreamName; empty is the unspecified stream,
// which stands for all.
func ParseStream(name string) (commandv1.LogChunk_Stream, bool) {
	for s, n := range streamNames {
		if n == name {
			return s, true
		}
	}
	return commandv1.LogChunk_STREAM_UNSPECIFIED, name == ""
}

const (
	packedPrefix = "logs/"
	stdoutPrefix = "stdout/"
)

// StdoutObject is the name of the object that holds the report of an attempt. It
// carries the fence, so that a runner that lost its claim overwrites nothing.
func StdoutObject(run string, step, attempt uint32, fence uint64) string {
	return fmt.Sprintf("%s%s/%d/%d-%d", stdoutPrefix, run, step, attempt, fence)
}

func packedObject(run string) string { return packedPrefix + run }
