package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/runlog"
)

// maxLogAnswer bounds the text of one GetLogs answer.
const maxLogAnswer = 1 << 20

// logReader shows the output of runs in the words of their plans.
type logReader struct{ logs *runlog.Logs }

// logQuery says which output of a run is wanted. The zero value is all of it.
type logQuery struct {
	step    string // name
	attempt uint32
	stream  string // stdout, stderr or note
	// head and tail are how many lines of it, from either end; not both.
	head, tail int
}

// errLogQuery: the question makes no sense as it stands.
var errLogQuery = errors.New("ask for the first lines or for the last ones, and for the stream stdout, stderr or note, or none of them for all")

func (q logQuery) check() error {
	if _, known := runlog.ParseStream(q.stream); !known || q.head > 0 && q.tail > 0 {
		return errLogQuery
	}
	return nil
}

// entry is e as the API shows it; nil when it is not asked for, or no output of
// a step of this run.
func (q logQuery) entry(s *run.State, e runlog.Entry) *apiv1.LogEntry {
	if int(e.Step) >= len(s.Steps) || q.attempt != 0 && e.Attempt != q.attempt {
		return nil
	}
	name := s.Steps[e.Step].Name
	if q.step != "" && q.step != name {
		return nil
	}
	if want, _ := runlog.ParseStream(q.stream); want != commandv1.LogChunk_STREAM_UNSPECIFIED && want != e.Stream {
		return nil
	}
	return &apiv1.LogEntry{
		Step: name, Attempt: e.Attempt, Stream: runlog.StreamName(e.Stream), Time: timestamppb.New(e.Time), Text: e.Text, Sequence: e.Sequence,
	}
}

// errEnough ends a reading that has what it wants.
var errEnough = errors.New("enough")

// query returns what is stored, up to maxLogAnswer: of a head its beginning, else
// the end. cut tells that there was more.
func (l *logReader) query(ctx context.Context, s run.State, q logQuery) (entries []*apiv1.LogEntry, cut bool, err error) {
	if err := q.check(); err != nil {
		return nil, false, err
	}
	size, lines := 0, 0
	err = l.logs.Read(ctx, s.ID, runlog.Request{}, func(e runlog.Entry) error {
		entry := q.entry(&s, e)
		if entry == nil {
			return nil
		}
		entries = append(entries, entry)
		size += len(entry.GetText())
		lines += strings.Count(entry.GetText(), "\n")
		if q.head > 0 {
			cut = size > maxLogAnswer
			return enough(cut || lines >= q.head)
		}
		for size > maxLogAnswer {
			cut = true
			size -= len(entries[0].GetText())
			entries = entries[1:]
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	switch {
	case q.head > 0:
		entries = firstLines(entries, q.head)
	case q.tail > 0:
		entries = lastLines(entries, q.tail)
	}
	return entries, cut, err
}

func enough(yes bool) error {
	if yes {
		return errEnough
	}
	return nil
}

// firstLines keeps the first n lines over all entries, within maxLogAnswer.
func firstLines(entries []*apiv1.LogEntry, n int) []*apiv1.LogEntry {
	size := 0
	for i, e := range entries {
		at := 0
		for at < len(e.GetText()) {
			next := strings.IndexByte(e.GetText()[at:], '\n')
			if next < 0 {
				break
			}
			at += next + 1
			if n--; n == 0 {
				e.Text = e.GetText()[:at]
				return entries[:i+1]
			}
		}
		if size += len(e.GetText()); size > maxLogAnswer {
			return entries[:i]
		}
	}
	return entries
}

// lastLines keeps the last n lines over all entries. A line may begin in one
// entry and end in the next.
func lastLines(entries []*apiv1.LogEntry, n int) []*apiv1.LogEntry {
	for i := len(entries) - 1; i >= 0; i-- {
		text := entries[i].GetText()
		at := len(text)
		if i == len(entries)-1 {
			at = len(strings.TrimSuffix(text, "\n"))
		}
		for {
			end := strings.LastIndexByte(text[:at], '\n')
			if end < 0 {
				break
			}
			if n--; n == 0 {
				entries[i].Text = text[end+1:]
				if entries[i].GetText() == "" {
					i++
				}
				return entries[i:]
			}
			at = end
		}
	}
	return entries
}

// stream sends stored output, and goes on until done says that nothing will
// follow and everything stored was sent.
func (l *logReader) stream(ctx context.Context, s run.State, q logQuery, after uint64, done func() bool, wake <-chan struct{}, send func(*apiv1.LogEntry) error) error {
	if err := q.check(); err != nil {
		return err
	}
	return l.logs.Read(ctx, s.ID, runlog.Request{After: after, Done: done, Wake: wake}, func(e runlog.Entry) error {
		if entry := q.entry(&s, e); entry != nil {
			return send(entry)
		}
		return nil
	})
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
