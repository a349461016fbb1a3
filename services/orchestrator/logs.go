package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// maxLogAnswer bounds the text of one GetLogs answer.
	maxLogAnswer = 1 << 20
	// logPatience is how long the end of the stored output is waited for: the
	// chunks of a step are stored asynchronously.
	logPatience = 2 * time.Second
)

// logReader reads the output of steps from LOGS.
type logReader struct{ js jetstream.JetStream }

// read returns what is stored: all up to maxLogAnswer, or the last lines.
func (l *logReader) read(ctx context.Context, s run.State, step string, tail int) ([]*apiv1.LogEntry, bool, error) {
	var entries []*apiv1.LogEntry
	size, truncated := 0, false
	err := l.each(ctx, s, step, 0, func(e *apiv1.LogEntry) error {
		entries = append(entries, e)
		size += len(e.GetText())
		for size > maxLogAnswer {
			truncated = true
			size -= len(entries[0].GetText())
			entries = entries[1:]
		}
		return nil
	}, func() bool { return true }, nil)
	if tail > 0 {
		entries = lastLines(entries, tail)
	}
	return entries, truncated, err
}

// lastLines keeps the last n lines over all entries.
func lastLines(entries []*apiv1.LogEntry, n int) []*apiv1.LogEntry {
	var out []*apiv1.LogEntry
	for i := len(entries) - 1; i >= 0 && n > 0; i-- {
		e := entries[i]
		lines := strings.SplitAfter(strings.TrimSuffix(e.GetText(), "\n"), "\n")
		if len(lines) > n {
			lines = lines[len(lines)-n:]
		}
		n -= len(lines)
		e.Text = strings.Join(lines, "")
		if !strings.HasSuffix(e.Text, "\n") {
			e.Text += "\n"
		}
		out = append(out, e)
	}
	slices.Reverse(out)
	return out
}

// stream sends stored output, and goes on until done says that nothing will
// follow and everything stored was sent.
func (l *logReader) stream(ctx context.Context, s run.State, step string, after uint64, done func() bool, wake <-chan struct{}, send func(*apiv1.LogEntry) error) error {
	return l.each(ctx, s, step, after, send, done, wake)
}

func (l *logReader) each(ctx context.Context, s run.State, step string, after uint64, send func(*apiv1.LogEntry) error, done func() bool, wake <-chan struct{}) error {
	messages, err := l.open(ctx, s.ID, after)
	if err != nil {
		return err
	}
	defer messages.Stop()
	incoming := make(chan jetstream.Msg)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			m, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				failed <- err
				return
			}
			select {
			case incoming <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	last, err := l.end(ctx, s.ID)
	if err != nil {
		return err
	}
	seen := after
	for {
		if seen >= last && done() {
			if last, err = l.end(ctx, s.ID); err != nil || seen >= last {
				return err
			}
		}
		select {
		case m := <-incoming:
			entry, at := entryOf(s, m)
			seen = max(seen, at)
			if entry != nil && (step == "" || entry.GetStep() == step) {
				if err := send(entry); err != nil {
					return err
				}
			}
			patience.Reset(logPatience)
		case <-wake:
		case <-patience.C:
			if done() {
				return nil
			}
			patience.Reset(logPatience)
		case err := <-failed:
			return fmt.Errorf("read logs of %s: %w", s.ID, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *logReader) open(ctx context.Context, id string, after uint64) (jetstream.MessagesContext, error) {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{topology.LogFilter(id)}, DeliverPolicy: jetstream.DeliverAllPolicy}
	if after > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	}
	consumer, err := l.js.OrderedConsumer(ctx, topology.StreamLogs, cfg)
	if err != nil {
		return nil, fmt.Errorf("open logs of %s: %w", id, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("open logs of %s: %w", id, err)
	}
	return messages, nil
}

// end is the sequence of the last chunk stored for the run; 0 for none.
func (l *logReader) end(ctx context.Context, id string) (uint64, error) {
	stream, err := l.js.Stream(ctx, topology.StreamLogs)
	if err != nil {
		return 0, fmt.Errorf("open logs: %w", err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, topology.LogFilter(id))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("find the end of the logs of %s: %w", id, err)
	}
	return m.Sequence, nil
}

var streamNames = map[commandv1.LogChunk_Stream]string{
	commandv1.LogChunk_STREAM_STDOUT: "stdout",
	commandv1.LogChunk_STREAM_STDERR: "stderr",
	commandv1.LogChunk_STREAM_NOTE:   "note",
}

// entryOf is nil for a message that is no chunk of a step of this run.
func entryOf(s run.State, m jetstream.Msg) (*apiv1.LogEntry, uint64) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, 0
	}
	at := meta.Sequence.Stream
	addr, ok := topology.ParseLogSubject(m.Subject())
	chunk := &commandv1.LogChunk{}
	if !ok || int(addr.Step) >= len(s.Steps) || proto.Unmarshal(m.Data(), chunk) != nil {
		return nil, at
	}
	return &apiv1.LogEntry{
		Step: s.Steps[addr.Step].Name, Attempt: addr.Attempt, Stream: streamNames[chunk.GetStream()],
		Time: chunk.GetTime(), Text: strings.ToValidUTF8(string(chunk.GetData()), "�"), Sequence: at,
	}, at
}

func hasStep(s run.State, name string) bool {
	return slices.ContainsFunc(s.Steps, func(st run.Step) bool { return st.Name == name })
}

func noStep(s run.State, name string) string {
	names := make([]string, len(s.Steps))
	for i := range s.Steps {
		names[i] = s.Steps[i].Name
	}
	return fmt.Sprintf("the run has no step %q; it has %s", name, strings.Join(names, ", "))
}
