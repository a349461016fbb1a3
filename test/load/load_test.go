package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// askers is how many people fill the queues.
	askers = 32
	// answered is how soon a status question must be answered, beside what the
	// machine takes for an answer to nothing and, for a run that ended long ago,
	// for a record of the log.
	answered = 50 * time.Millisecond
	// bounded is how much the heap may grow by ten thousand waiting jobs.
	bounded = 128 << 20
	// patience bounds the draining, on a machine that does other things.
	patience = 5 * time.Minute
)

// TestTenThousandJobsInOrderWithinLimitsAndFair fills 50 types of 20 namespaces
// and looks at the log when all is done.
func TestTenThousandJobsInOrderWithinLimitsAndFair(t *testing.T) {
	s := open(t)
	before := heap()
	began := time.Now()
	ids := s.fill()
	filled := time.Since(began)
	grown := heap() - before
	q := &questions{site: s, ids: ids}
	q.measure(300, nil) // while everything waits
	waiting := q.take()
	began = time.Now()
	s.drain()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.empty()
	}()
	q.measure(0, done)
	drained := time.Since(began)
	t.Logf("%d jobs asked in %s (%.0f/s), drained in %s (%.0f/s); heap +%d MiB with all waiting, +%d MiB after\nwaiting:\n%s\ndraining:\n%s", total, filled.Round(time.Millisecond), total/filled.Seconds(),
		drained.Round(time.Millisecond), total/drained.Seconds(), grown>>20, (heap()-before)>>20, waiting, q.took)
	waiting.judge(t)
	q.took.judge(t)
	if grown > bounded {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	judge(t, s.history())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

// fill asks for everything: the types in turn, each with its requests in order.
func (s *site) fill() []string {
	s.t.Helper()
	ids := make([]string, total)
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for asker := range askers {
		group.Go(func() {
			for kind := asker; kind < types; kind += askers { // one asker per type: the order of asking is known
				for i := range perType {
					n := i
					if doubles(kind) {
						n = i / 2
					}
					answer, err := s.jobs.RunJob(s.t.Context(), &apiv1.RunJobRequest{
						Namespace: namespaceOf(kind), Job: jobOf(kind), Parameters: map[string]string{"n": strconv.Itoa(n)}, IdempotencyKey: fmt.Sprintf("%d-%d", kind, i),
					})
					if err != nil {
						failed.Store(&err)
						return
					}
					ids[kind*perType+i] = answer.GetRun().GetId()
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		s.t.Fatal(*err)
	}
	return ids
}

// empty returns when nothing waits or runs any more.
func (s *site) empty() {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		answer, err := s.runs.ListRuns(ctx, &apiv1.ListRunsRequest{Active: true, PageSize: 1})
		if err != nil {
			s.t.Error(err)
			return
		}
		if len(answer.GetRuns()) == 0 {
			return
		}
		r := answer.GetRuns()[0]
		if _, err := s.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: r.GetId(), AfterSequence: r.GetSequence()}); err != nil {
			s.t.Error(err)
			return
		}
	}
}

// questions are what people ask meanwhile.
type questions struct {
	*site
	ids  []string
	took answers
}

// answers are how long each kind of question took.
type answers map[string][]time.Duration

func (q *questions) take() answers {
	took := q.took
	q.took = nil
	return took
}

// pause lies between two rounds of questions: people who look, not a flood.
const pause = 5 * time.Millisecond

// measure asks so many rounds, or until done.
func (q *questions) measure(rounds int, done <-chan struct{}) {
	q.t.Helper()
	q.took = answers{}
	kinds := map[string]func() error{"noop": q.noop, "read": q.read, "GetRun": q.get, "ListRuns": q.list, "status in Slack": q.status, "status of a namespace's job": q.filtered}
	for n := 0; rounds == 0 || n < rounds; n++ {
		for name, ask := range kinds {
			began := time.Now()
			if err := ask(); err != nil {
				q.t.Fatalf("%s: %v", name, err)
			}
			q.took[name] = append(q.took[name], time.Since(began))
		}
		select {
		case <-done:
			return
		case <-time.After(pause):
		}
	}
}

func (q *questions) noop() error {
	req, err := http.NewRequestWithContext(q.t.Context(), http.MethodGet, q.url+noopPath, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// read is one record of the log: what an answer about a run that ended long ago
// cannot do without.
func (q *questions) read() error {
	_, err := q.log.Last(q.t.Context(), topology.RunSubject(q.ids[rand.IntN(len(q.ids))])) //nolint:gosec // any will do
	return err
}

func (q *questions) get() error {
	_, err := q.runs.GetRun(q.t.Context(), &apiv1.GetRunRequest{Id: q.ids[rand.IntN(len(q.ids))]}) //nolint:gosec // any will do
	return err
}

func (q *questions) list() error {
	_, err := q.runs.ListRuns(q.t.Context(), &apiv1.ListRunsRequest{Active: true})
	return err
}

func (q *questions) filtered() error {
	kind := rand.IntN(types) //nolint:gosec // any will do
	_, err := q.runs.ListRuns(q.t.Context(), &apiv1.ListRunsRequest{Active: true, Namespace: namespaceOf(kind), Job: jobOf(kind)})
	return err
}

// status asks as slack-ingress does for a person.
func (q *questions) status() error {
	data, err := proto.Marshal(&commandv1.Envelope{
		Identity: fmt.Sprint("q", time.Now().UnixNano()), Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: "U1"},
		Origin: &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Team: "T1", Channel: "C1"}, Standing: &commandv1.Standing{Known: true}, Received: timestamppb.Now(),
		Body: &commandv1.Envelope_Sentence{Sentence: &commandv1.Sentence{Command: "/slipway", Text: "status"}},
	})
	if err != nil {
		return err
	}
	m, err := q.conn.Request(topology.SubjectQuery, data, 5*time.Second)
	if err != nil {
		return err
	}
	answer := &commandv1.Answer{}
	if err := proto.Unmarshal(m.Data, answer); err != nil {
		return err
	}
	if answer.GetText() == "" || answer.GetCode() != "" {
		return fmt.Errorf("answered %q %q", answer.GetCode(), answer.GetText())
	}
	return nil
}

func at(samples []time.Duration, percent int) time.Duration {
	return slices.Sorted(slices.Values(samples))[len(samples)*percent/100]
}

// String is a line of each kind.
func (a answers) String() string {
	text := ""
	for _, name := range []string{"noop", "read", "GetRun", "ListRuns", "status of a namespace's job", "status in Slack"} {
		text += fmt.Sprintf("%s: %d answers, p50 %.1f ms, p99 %.1f ms\n", name, len(a[name]), at(a[name], 50).Seconds()*1e3, at(a[name], 99).Seconds()*1e3)
	}
	return text
}

func (a answers) judge(t *testing.T) {
	t.Helper()
	for name, took := range a {
		limit := answered + at(a["noop"], 99)
		if name == "GetRun" || name == "read" {
			limit += at(a["read"], 99)
		}
		if p99 := at(took, 99); p99 > limit {
			t.Errorf("%s: p99 %s, more than %s", name, p99, limit)
		}
	}
}
