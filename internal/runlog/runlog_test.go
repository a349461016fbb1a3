package runlog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	stdout = commandv1.LogChunk_STREAM_STDOUT
	stderr = commandv1.LogChunk_STREAM_STDERR
)

// store is a server with all streams, and Logs on it.
type store struct {
	*Logs
	t  *testing.T
	js jetstream.JetStream
}

func newStore(t *testing.T) *store {
	t.Helper()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	must(t, topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(512<<20))))
	return &store{Logs: New(js), t: t, js: js}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var began = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// print stores a chunk, as a runner does.
func (s *store) print(run string, attempt uint32, stream commandv1.LogChunk_Stream, text string) {
	s.t.Helper()
	data, err := proto.Marshal(&commandv1.LogChunk{Stream: stream, Time: timestamppb.New(began), Data: []byte(text)})
	must(s.t, err)
	_, err = s.js.Publish(s.t.Context(), topology.LogSubject(run, 0, attempt, 7), data)
	must(s.t, err)
}

// all is what a reader gets now: "attempt:stream:text" each.
func (s *store) all(run string, after uint64) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	must(s.t, s.Read(ctx, run, Request{After: after}, func(e Entry) error {
		got = append(got, fmt.Sprintf("%d:%s:%s", e.Attempt, StreamName(e.Stream), e.Text))
		return nil
	}))
	return got
}

// left counts the chunks that LOGS holds of a run.
func (s *store) left(run string) (n uint64) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), topology.StreamLogs)
	must(s.t, err)
	info, err := stream.Info(s.t.Context(), jetstream.WithSubjectFilter(topology.LogFilter(run)))
	must(s.t, err)
	for _, chunks := range info.State.Subjects {
		n += chunks
	}
	return n
}

func (s *store) pack(run string) {
	s.t.Helper()
	_, err := s.Pack(s.t.Context(), run, began)
	must(s.t, err)
}

func TestPackingChangesNothingForReaders(t *testing.T) {
	s := newStore(t)
	s.print("j-other", 1, stdout, "not ours\n")
	s.print("j-1", 1, stdout, "grüß\n")
	s.print("j-1", 1, stderr, "sorry <&>\n")
	s.print("j-1", 2, stdout, "again\n")
	want := s.all("j-1", 0)
	if diff := cmp.Diff([]string{"1:stdout:grüß\n", "1:stderr:sorry <&>\n", "2:stdout:again\n"}, want); diff != "" {
		t.Fatal(diff)
	}
	s.pack("j-1")
	if diff := cmp.Diff(want, s.all("j-1", 0)); diff != "" {
		t.Errorf("after packing: %s", diff)
	}
	if n := s.left("j-1"); n != 0 {
		t.Errorf("%d chunks are still in LOGS", n)
	}
	if n := s.left("j-other"); n != 1 {
		t.Errorf("another run has %d chunks, want 1", n)
	}
	if got := s.all("j-1", 3); len(got) != 1 {
		t.Errorf("after sequence 3 come %q", got)
	}
}

func TestThePackedOutputHasAnIndex(t *testing.T) {
	s := newStore(t)
	s.print("j-1", 1, stdout, "one\n")
	s.print("j-1", 1, stdout, "two\n")
	s.print("j-1", 2, stderr, "three\n")
	s.pack("j-1")
	kept, err := s.Kept(t.Context())
	must(t, err)
	want := []Packed{{Run: "j-1", Finished: began, Output: 14, Parts: []Part{
		{Attempt: 1, Fence: 7, Stream: "stdout", Bytes: 8, From: began, To: began},
		{Attempt: 2, Fence: 7, Stream: "stderr", Bytes: 6, From: began, To: began},
	}}}
	if len(kept) == 1 && kept[0].Size > 0 {
		want[0].Size = kept[0].Size
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Error(diff)
	}
	// Any client of the object store reads it.
	objects, err := topology.Objects(t.Context(), s.js)
	must(t, err)
	raw, err := objects.GetBytes(t.Context(), "logs/j-1")
	must(t, err)
	if uint64(len(raw)) != kept[0].Size {
		t.Errorf("the client reads %d bytes of %d", len(raw), kept[0].Size)
	}
}

func TestLateOutputIsShownAndPackedAsWell(t *testing.T) {
	s := newStore(t)
	s.print("j-1", 1, stdout, "in time\n")
	s.pack("j-1")
	s.print("j-1", 1, stdout, "late\n")
	want := []string{"1:stdout:in time\n", "1:stdout:late\n"}
	if diff := cmp.Diff(want, s.all("j-1", 0)); diff != "" {
		t.Fatal(diff)
	}
	s.pack("j-1")
	if diff := cmp.Diff(want, s.all("j-1", 0)); diff != "" || s.left("j-1") != 0 {
		t.Errorf("%d left, %s", s.left("j-1"), diff)
	}
	if again, err := s.Pack(t.Context(), "j-1", began); again || err != nil {
		t.Errorf("nothing was left to pack: %v, %v", again, err)
	}
}

// TestPackingStoppedAnywhereLosesNothing stops at every request to the server.
func TestPackingStoppedAnywhereLosesNothing(t *testing.T) {
	s := newStore(t)
	for n := range 40 {
		run := fmt.Sprintf("j-%d", n)
		s.print(run, 1, stdout, "a\n")
		s.print(run, 1, stderr, "b\n")
		want := s.all(run, 0)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := &Logs{js: &stopping{JetStream: s.js, left: n, stop: cancel}}
		stopped.objects.js = stopped.js
		_, failed := stopped.Pack(ctx, run, began)
		cancel()
		if diff := cmp.Diff(want, s.all(run, 0)); diff != "" {
			t.Fatalf("stopped at request %d (%v): %s", n, failed, diff)
		}
		s.pack(run)
		if diff := cmp.Diff(want, s.all(run, 0)); diff != "" || s.left(run) != 0 {
			t.Fatalf("packed again after a stop at request %d: %d left, %s", n, s.left(run), diff)
		}
		if failed == nil && n > 6 {
			return // it was through before it was stopped
		}
	}
	t.Fatal("it never got through")
}

// stopping stops its user after so many uses.
type stopping struct {
	jetstream.JetStream
	left int
	stop func()
}

func (s *stopping) use() {
	if s.left--; s.left < 0 {
		s.stop()
	}
}

func (s *stopping) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s.use()
	return s.JetStream.Stream(ctx, name)
}

func (s *stopping) Publish(ctx context.Context, subject string, data []byte, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	s.use()
	return s.JetStream.Publish(ctx, subject, data, o...)
}

func (s *stopping) OrderedConsumer(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	s.use()
	return s.JetStream.OrderedConsumer(ctx, stream, cfg)
}

// TestManyPackersLoseAndDoubleNothing lets packers, a runner that is late, and
// readers work at one time.
func TestManyPackersLoseAndDoubleNothing(t *testing.T) {
	s := newStore(t)
	const chunks = 60
	var want []string
	for i := range chunks {
		want = append(want, fmt.Sprintf("1:stdout:%s\n", strings.Repeat("x", i)))
	}
	var group sync.WaitGroup
	printed := make(chan struct{})
	group.Go(func() {
		defer close(printed)
		for i := range chunks {
			s.print("j-1", 1, stdout, strings.Repeat("x", i)+"\n")
		}
	})
	for range 3 {
		group.Go(func() {
			for {
				if _, err := s.Pack(t.Context(), "j-1", began); err != nil {
					t.Error(err)
				}
				select {
				case <-printed:
					return
				default:
				}
			}
		})
	}
	group.Go(func() {
		for {
			got := s.all("j-1", 0)
			if diff := cmp.Diff(strings.Join(want[:len(got)], ""), strings.Join(got, "")); diff != "" {
				t.Errorf("a reader: %s", diff)
				return
			}
			select {
			case <-printed:
				return
			default:
			}
		}
	})
	group.Wait()
	s.pack("j-1")
	if diff := cmp.Diff(want, s.all("j-1", 0)); diff != "" || s.left("j-1") != 0 {
		t.Errorf("%d left, %s", s.left("j-1"), diff)
	}
}

func TestAReaderFollowsUntilTheRunHasEnded(t *testing.T) {
	s := newStore(t)
	s.print("j-1", 1, stdout, "first\n")
	got, ended := make(chan string), make(chan struct{})
	wake, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		done <- s.Read(t.Context(), "j-1", Request{Wake: wake, Done: func() bool {
			select {
			case <-ended:
				return true
			default:
				return false
			}
		}}, func(e Entry) error { got <- e.Text; return nil })
	}()
	if text := <-got; text != "first\n" {
		t.Fatal(text)
	}
	s.print("j-1", 1, stdout, "second\n")
	if text := <-got; text != "second\n" {
		t.Fatal(text)
	}
	close(ended)
	wake <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestADroppedRunIsGone(t *testing.T) {
	s := newStore(t)
	s.print("j-1", 1, stdout, "packed\n")
	s.pack("j-1")
	s.print("j-1", 1, stdout, "late\n")
	must(t, s.Drop(t.Context(), "j-1"))
	if got := s.all("j-1", 0); got != nil || s.left("j-1") != 0 {
		t.Errorf("still there: %q", got)
	}
	if kept, err := s.Kept(t.Context()); len(kept) != 0 || err != nil {
		t.Errorf("%v, %v", kept, err)
	}
	if info, _, err := s.objects.lookup(t.Context(), "logs/j-1"); info != nil || err != nil {
		t.Errorf("%v, %v", info, err)
	}
}

func TestADamagedObjectIsNotTrusted(t *testing.T) {
	s := newStore(t)
	s.print("j-1", 1, stdout, "text\n")
	objects, err := topology.Objects(t.Context(), s.js)
	must(t, err)
	_, err = objects.Put(t.Context(), jetstream.ObjectMeta{Name: "logs/j-1", Metadata: map[string]string{metaLast: "99"}}, strings.NewReader("no gzip"))
	must(t, err)
	if _, err := s.Pack(t.Context(), "j-1", began); err == nil {
		t.Error("a damaged object was taken for good")
	}
	if n := s.left("j-1"); n != 1 {
		t.Errorf("%d chunks left in LOGS, want 1", n)
	}
}

func TestTheSendersErrorEndsTheReading(t *testing.T) {
	s := newStore(t)
	s.print("j-1", 1, stdout, "text\n")
	gone := errors.New("the reader has gone")
	for range 2 {
		if err := s.Read(t.Context(), "j-1", Request{}, func(Entry) error { return gone }); !errors.Is(err, gone) {
			t.Error(err)
		}
		s.pack("j-1")
	}
}

func TestWaitingNamesTheRunsInLogs(t *testing.T) {
	s := newStore(t)
	s.print("j-2", 1, stdout, "x\n")
	s.print("j-1", 1, stdout, "x\n")
	s.print("j-1", 2, stdout, "x\n")
	got, err := s.Waiting(t.Context())
	must(t, err)
	if diff := cmp.Diff([]string{"j-1", "j-2"}, got); diff != "" {
		t.Error(diff)
	}
}
