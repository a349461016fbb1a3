package runlog

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

// An object is gzip over lines of JSON, one per entry in the order of sequences,
// so that it can be read without Slipway. What is in it stands in its metadata.
const (
	metaFinished = "finished" // RFC 3339
	metaEntries  = "entries"
	metaBytes    = "bytes" // of output
	metaLast     = "last"  // sequence of the last entry
	metaIndex    = "index" // JSON of []Part
	// maxParts bounds the index; of a run with more attempts the rest is only in
	// the object itself.
	maxParts = 200
)

// Part says what an object holds of one stream of one attempt.
type Part struct {
	Step    uint32    `json:"step"`
	Attempt uint32    `json:"attempt"`
	Fence   uint64    `json:"fence"`
	Stream  string    `json:"stream"`
	Bytes   uint64    `json:"bytes"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
}

// line is an entry in an object.
type line struct {
	Sequence uint64    `json:"sequence"`
	Step     uint32    `json:"step"`
	Attempt  uint32    `json:"attempt"`
	Fence    uint64    `json:"fence"`
	Stream   string    `json:"stream"`
	Time     time.Time `json:"time"`
	Text     string    `json:"text"`
}

// unpack sends all entries of an object.
func (l *Logs) unpack(ctx context.Context, info *jetstream.ObjectInfo, send func(Entry) error) error {
	raw, err := l.objects.open(ctx, info)
	if err != nil {
		return err
	}
	zipped, err := gzip.NewReader(bufio.NewReader(raw))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", info.Name, err)
	}
	for lines := json.NewDecoder(zipped); ; {
		var at line
		err := lines.Decode(&at)
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, raw) // to its end, where the digest is compared
			return err
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", info.Name, err)
		}
		stream, _ := ParseStream(at.Stream)
		if err := send(Entry{Step: at.Step, Attempt: at.Attempt, Fence: at.Fence, Stream: stream, Time: at.Time, Text: at.Text, Sequence: at.Sequence}); err != nil {
			return err
		}
	}
}

// Pack moves the output of a run that has ended from LOGS into its object, adding
// to what that holds, and tells whether there was anything to move. It may be
// called by many at once, and again after it was stopped anywhere.
func (l *Logs) Pack(ctx context.Context, run string, finished time.Time) (bool, error) {
	last, err := l.end(ctx, run)
	if err != nil || last == 0 {
		return false, err
	}
	old, at, err := l.objects.lookup(ctx, packedObject(run))
	if err != nil {
		return false, err
	}
	info := old
	if number(old, metaLast) < last {
		if info, err = l.store(ctx, run, finished, last, old, at); err != nil {
			return false, err
		}
	}
	if info == nil { // another one is at it
		return false, nil
	}
	if err := l.verify(ctx, info); err != nil {
		if errors.Is(err, errGone) {
			return false, nil // replaced: whoever did that goes on
		}
		return false, err
	}
	stream, err := l.js.Stream(ctx, topology.StreamLogs)
	if err != nil {
		return false, fmt.Errorf("open logs: %w", err)
	}
	held := number(info, metaLast)
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(topology.LogFilter(run)), jetstream.WithPurgeSequence(held+1)); err != nil {
		return false, fmt.Errorf("remove the packed logs of %s: %w", run, err)
	}
	return true, nil
}

// errIncomplete: something that LOGS should hold did not come.
var errIncomplete = errors.New("the output in LOGS was not read to its end")

// store writes the run's object: what the old one holds and LOGS up to last. It
// returns nil when another writer was quicker.
func (l *Logs) store(ctx context.Context, run string, finished time.Time, last uint64, old *jetstream.ObjectInfo, at uint64) (*jetstream.ObjectInfo, error) {
	w := newPacker(l.objects.create(ctx, packedObject(run)))
	filled := l.fill(ctx, w, run, last, old, at)
	err := filled
	if err == nil {
		err = w.finish(finished, at)
	}
	if filled != nil || errors.Is(err, errRaced) { // nobody will ever name it
		err = errors.Join(err, l.objects.purgeChunks(context.WithoutCancel(ctx), w.up.info.NUID))
	}
	switch {
	case errors.Is(err, errRaced), errors.Is(err, errGone):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("pack the logs of %s: %w", run, err)
	}
	if old != nil {
		if err := l.objects.purgeChunks(ctx, old.NUID); err != nil {
			return nil, err
		}
	}
	return &w.up.info, nil
}

// fill writes what the old object, of sequence at, holds, then LOGS up to last.
func (l *Logs) fill(ctx context.Context, w *packer, run string, last uint64, old *jetstream.ObjectInfo, at uint64) error {
	p := &reading{Logs: l, run: run, send: func(e Entry) error {
		if e.Sequence > last {
			return nil // it came meanwhile and is for the next time
		}
		return w.add(e)
	}}
	if old != nil {
		if err := l.unpack(ctx, old, p.pass); err != nil {
			return err
		}
		p.packedAt = at
	}
	if err := p.live(ctx, Request{}); err != nil {
		return err
	}
	if p.seen < last {
		_, now, err := l.objects.lookup(ctx, packedObject(run))
		if err == nil && now != at {
			return errRaced // and removed from LOGS what was to be read
		}
		return errors.Join(errIncomplete, err)
	}
	w.last = last
	return nil
}

// verify reads an object back whole.
func (l *Logs) verify(ctx context.Context, info *jetstream.ObjectInfo) error {
	var entries, size uint64
	err := l.unpack(ctx, info, func(e Entry) error {
		entries++
		size += uint64(len(e.Text))
		return nil
	})
	if err == nil && (entries != number(info, metaEntries) || size != number(info, metaBytes)) {
		err = fmt.Errorf("object %s: %w", info.Name, errDamaged)
	}
	return err
}

// number reads a number of an object's metadata; 0 when there is none.
func number(info *jetstream.ObjectInfo, key string) uint64 {
	if info == nil {
		return 0
	}
	n, err := strconv.ParseUint(info.Metadata[key], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// packer writes entries into an upload.
type packer struct {
	up      *upload
	zip     *gzip.Writer
	lines   *json.Encoder
	entries uint64
	bytes   uint64
	last    uint64
	parts   []Part
}

func newPacker(up *upload) *packer {
	w := &packer{up: up, zip: gzip.NewWriter(up)}
	w.lines = json.NewEncoder(w.zip)
	w.lines.SetEscapeHTML(false)
	return w
}

func (w *packer) add(e Entry) error {
	w.entries++
	w.bytes += uint64(len(e.Text))
	w.index(e)
	return w.lines.Encode(line{
		Sequence: e.Sequence, Step: e.Step, Attempt: e.Attempt, Fence: e.Fence, Stream: StreamName(e.Stream), Time: e.Time, Text: e.Text,
	})
}

func (w *packer) index(e Entry) {
	name := StreamName(e.Stream)
	i := slices.IndexFunc(w.parts, func(p Part) bool {
		return p.Step == e.Step && p.Attempt == e.Attempt && p.Fence == e.Fence && p.Stream == name
	})
	if i < 0 {
		if len(w.parts) == maxParts {
			return
		}
		i = len(w.parts)
		w.parts = append(w.parts, Part{Step: e.Step, Attempt: e.Attempt, Fence: e.Fence, Stream: name, From: e.Time})
	}
	w.parts[i].Bytes += uint64(len(e.Text))
	w.parts[i].To = e.Time
}

// finish ends the upload and makes it the object.
func (w *packer) finish(finished time.Time, expect uint64) error {
	if err := w.zip.Close(); err != nil {
		return err
	}
	index, err := json.Marshal(w.parts)
	if err != nil {
		return err
	}
	w.up.info.Metadata = map[string]string{
		metaFinished: finished.UTC().Format(time.RFC3339), metaEntries: strconv.FormatUint(w.entries, 10),
		metaBytes: strconv.FormatUint(w.bytes, 10), metaLast: strconv.FormatUint(w.last, 10), metaIndex: string(index),
	}
	return w.up.commit(expect)
}

// Packed is the packed output of one run.
type Packed struct {
	Run      string
	Finished time.Time
	// Size is what it takes, Output what it was.
	Size, Output uint64
	Parts        []Part
}

// Kept lists what is packed, in no order.
func (l *Logs) Kept(ctx context.Context) ([]Packed, error) {
	store, err := topology.Objects(ctx, l.js)
	if err != nil {
		return nil, err
	}
	all, err := store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list packed logs: %w", err)
	}
	var out []Packed
	for _, info := range all {
		run, ok := strings.CutPrefix(info.Name, packedPrefix)
		if !ok {
			continue
		}
		p := Packed{Run: run, Finished: info.ModTime, Size: info.Size, Output: number(info, metaBytes)}
		if at, err := time.Parse(time.RFC3339, info.Metadata[metaFinished]); err == nil {
			p.Finished = at
		}
		_ = json.Unmarshal([]byte(info.Metadata[metaIndex]), &p.Parts) // for people only
		out = append(out, p)
	}
	return out, nil
}

// Waiting lists the runs that have output in LOGS.
func (l *Logs) Waiting(ctx context.Context) ([]string, error) {
	stream, err := l.js.Stream(ctx, topology.StreamLogs)
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(topology.LogFilter("*")))
	if err != nil {
		return nil, fmt.Errorf("list the runs in LOGS: %w", err)
	}
	seen := map[string]bool{}
	var out []string
	for subject := range info.State.Subjects {
		if at, ok := topology.ParseLogSubject(subject); ok && !seen[at.Run] {
			seen[at.Run] = true
			out = append(out, at.Run)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Drop deletes all output of a run.
func (l *Logs) Drop(ctx context.Context, run string) error {
	info, _, err := l.objects.lookup(ctx, packedObject(run))
	if err != nil {
		return err
	}
	if info != nil {
		if err := l.objects.remove(ctx, info); err != nil {
			return err
		}
	}
	stream, err := l.js.Stream(ctx, topology.StreamLogs)
	if err != nil {
		return fmt.Errorf("open logs: %w", err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(topology.LogFilter(run))); err != nil {
		return fmt.Errorf("drop the logs of %s: %w", run, err)
	}
	return nil
}
