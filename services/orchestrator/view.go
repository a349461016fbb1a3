package orchestrator

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/archive"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// view answers questions about runs and lanes from the projection; details of
// long ended runs come from the log.
type view struct {
	log   eventlog.Log
	proj  *projection.Projection
	world func() board.World
	// archive is where the records of archived runs are; nil: nowhere.
	archive jetstream.JetStream
}

const (
	defaultPage = 50
	// maxPage bounds one ListRuns answer: 200 runs are about 60 KB of JSON.
	maxPage = 200
)

// find returns the full id for an id or a unique prefix.
func (v *view) find(ctx context.Context, prefix string) (id string, err error) {
	v.proj.Read(func(b *board.Board) { id, err = b.Find(prefix) })
	if errors.Is(err, board.ErrUnknownRun) && identity.IsRunID(prefix) {
		return prefix, v.catchUp(ctx, prefix)
	}
	return id, err
}

// catchUpWait bounds how long a replica waits to see a run that is in the log.
const catchUpWait = 2 * time.Second

// catchUp returns when this replica has folded a run that another one has just
// accepted; board.ErrUnknownRun when there is none.
func (v *view) catchUp(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	rec, err := v.log.Last(ctx, topology.RunSubject(id))
	if errors.Is(err, eventlog.ErrNotFound) {
		return board.ErrUnknownRun
	}
	if err != nil {
		return fmt.Errorf("look for run %s: %w", id, err)
	}
	return v.proj.WaitFor(ctx, rec.Sequence)
}

// known tells whether this replica has seen the run.
func (v *view) known(id string) (known bool) {
	v.proj.Read(func(b *board.Board) {
		if _, known = b.Live(id); !known {
			_, known = b.Summary(id)
		}
	})
	return known
}

// get returns the run with this full id.
func (v *view) get(ctx context.Context, id string) (*apiv1.Run, error) {
	var out *apiv1.Run
	v.proj.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok {
			out = liveRun(b, l, v.world())
		}
	})
	if out != nil {
		return out, nil
	}
	s, err := v.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return wholeRun(&s, v.short(id)), nil
}

func (v *view) short(id string) (short string) {
	v.proj.Read(func(b *board.Board) { short = b.Short(id) })
	return short
}

// state returns a run's own state: from the projection, or from the log.
func (v *view) state(ctx context.Context, id string) (run.State, error) {
	var s run.State
	v.proj.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok {
			s = l.State
		}
	})
	if s.Status != run.Absent {
		return s, nil
	}
	return v.load(ctx, id)
}

func (v *view) load(ctx context.Context, id string) (run.State, error) {
	records, err := v.records(ctx, id)
	if errors.Is(err, archive.ErrDamaged) { // its checkpoint says what it can
		records, err = v.log.Load(ctx, topology.RunSubject(id), 0)
	}
	if err != nil {
		return run.State{}, fmt.Errorf("load run %s: %w", id, err)
	}
	var at eventlog.Position
	for _, rec := range records {
		if err := at.Verify(rec); err != nil {
			return run.State{}, fmt.Errorf("load run %s: %w", id, err)
		}
		at = rec.Position()
	}
	s := engine.FoldAll(run.State{}, foldRun, records...)
	if s.Status == run.Absent {
		return run.State{}, board.ErrUnknownRun
	}
	s.ID = id
	return s, nil
}

// records is the whole history of a run, from the archive where it is there.
func (v *view) records(ctx context.Context, id string) ([]eventlog.Record, error) {
	records, err := v.log.Load(ctx, topology.RunSubject(id), 0)
	if err != nil || len(records) != 1 || archive.Checkpoint(records[0].Commit) == nil || v.archive == nil {
		return records, err
	}
	old, err := archive.Read(ctx, v.archive, records[0])
	return append(old, records...), err
}

// list returns a page of runs, newest request first, and the token of the next.
func (v *view) list(req *apiv1.ListRunsRequest) (out []*apiv1.Run, next string, err error) {
	before, err := decodeToken(req.GetPageToken())
	if err != nil {
		return nil, "", err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	size = min(size, maxPage)
	page := newPage(size + 1) // one more tells whether there is a next page
	v.proj.Read(func(b *board.Board) {
		w := v.world()
		b.Each(func(l *board.Live) {
			if l.Request < before && page.wants(l.Request) && (!req.GetActive() || !l.State.Status.Ended()) && matches(l, req) {
				page.add(pageItem{request: l.Request, live: l})
			}
		})
		if !req.GetActive() {
			b.Summaries(func(s board.Summary) bool {
				if s.Request() < before && page.wants(s.Request()) && matchesSummary(s, req) {
					if _, live := b.Live(s.ID()); !live {
						page.add(pageItem{request: s.Request(), ended: s})
					}
				}
				return true
			})
		}
		items := page.sorted()
		if len(items) > size {
			items = items[:size]
			next = encodeToken(items[size-1].request)
		}
		for _, item := range items {
			out = append(out, item.show(b, w))
		}
	})
	return out, next, nil
}

// matches looks at a run that is kept whole, the cheapest first: a long queue is
// searched for every question about it, and only a page of it is shown.
func matches(l *board.Live, q *apiv1.ListRunsRequest) bool {
	s := &l.State
	return among(q.GetService(), s.Service) && among(q.GetEnvironment(), s.Environment) &&
		among(q.GetNamespace(), s.Namespace) && among(q.GetJob(), s.Job) && among(q.GetKind(), kindOf(s.ID)) &&
		among(q.GetLane(), s.Plan.GetLane()) &&
		(!q.GetExecuted() || s.Status != run.Merged) &&
		(len(q.GetStatuses()) == 0 || slices.Contains(q.GetStatuses(), runStatus[l.Status()])) &&
		(q.GetRequester() == "" || q.GetRequester() == board.Requester(s)) &&
		within(q, s.Created) && holds(s.Parameters, q.GetParameters())
}

// matchesSummary is matches for what the index knows.
func matchesSummary(s board.Summary, q *apiv1.ListRunsRequest) bool {
	return among(q.GetService(), s.Service()) && among(q.GetEnvironment(), s.Environment()) &&
		among(q.GetNamespace(), s.Namespace()) && among(q.GetJob(), s.Job()) && among(q.GetKind(), kindWord(s.IsJob())) &&
		among(q.GetRequester(), s.Requester()) && among(q.GetLane(), s.Lane()) &&
		(!q.GetExecuted() || s.Status() != run.Merged) &&
		(len(q.GetStatuses()) == 0 || slices.Contains(q.GetStatuses(), runStatus[s.Status()])) &&
		within(q, time.UnixMilli(s.Created())) &&
		(len(q.GetParameters()) == 0 || holds(board.ParseArguments(s.Arguments()), q.GetParameters()))
}

// among: an empty wish fits everything.
func among(wish, value string) bool { return wish == "" || wish == value }

func within(q *apiv1.ListRunsRequest, created time.Time) bool {
	return (q.GetSince() == nil || !created.Before(q.GetSince().AsTime())) && (q.GetUntil() == nil || created.Before(q.GetUntil().AsTime()))
}

// holds tells whether parameters have every wanted value.
func holds(parameters, want map[string]string) bool {
	for k, v := range want {
		if got, ok := parameters[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// errToken: the page token is not one of ours.
var errToken = errors.New("the page token is not one that ListRuns gave: leave it empty to begin at the newest run")

func encodeToken(request uint64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatUint(request, 10)))
}

func decodeToken(token string) (uint64, error) {
	if token == "" {
		return ^uint64(0), nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, errToken
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, errToken
	}
	return n, nil
}

// lanes returns every lane with its occupied slots and its queue.
func (v *view) lanes() ([]*apiv1.Lane, uint64) {
	var out []*apiv1.Lane
	var at uint64
	v.proj.Read(func(b *board.Board) {
		w := v.world()
		at = b.Sequence()
		b.Lanes(func(ln *board.Lane) { out = append(out, apiLane(b, ln, w)) })
	})
	slices.SortFunc(out, func(a, b *apiv1.Lane) int {
		if a.GetName() < b.GetName() {
			return -1
		}
		return 1
	})
	return out, at
}

// maxLaneRuns bounds what one lane lists of its queue.
const maxLaneRuns = 100

func apiLane(b *board.Board, ln *board.Lane, w board.World) *apiv1.Lane {
	settings := board.SettingsOf(ln, w)
	out := &apiv1.Lane{
		Name: ln.Name, Limit: uint32(ln.State.Limit(settings)), RateLimit: settings.GetRateLimit(), RatePeriod: settings.GetRatePeriod(), //nolint:gosec // bounded by the configuration
	}
	if ln.Quarantined != "" {
		out.Reason = "quarantined: " + ln.Quarantined
	} else if ln.State.Change.Paused {
		out.Reason = "paused by " + board.Who(ln.State.Change.By) + reasonAfter(ln.State.Change.Reason)
	} else if at := ln.State.NextStart(settings, w.Now); ln.Queue.Len() > 0 && at.After(w.Now) {
		out.Reason = "its rate is used up until " + at.UTC().Format(time.RFC3339)
	}
	out.Paused, out.PerRunner, out.PerNamespace = ln.State.Change.Paused, settings.GetPerRunner(), settings.GetPerNamespace()
	out.PerJob, out.Turns = settings.GetPerJob(), settings.GetTurns()
	if c := ln.State.Change; c.Set() {
		out.Change = &apiv1.LaneChange{Concurrency: c.Concurrency, By: board.Who(c.By), Reason: c.Reason, At: stamp(c.At)}
	}
	for _, h := range ln.State.Coming(w.Now) {
		out.Holds = append(out.Holds, apiHold(ln.Name, h, w.Now))
	}
	for _, slot := range ln.State.Slots {
		if l, ok := b.Live(slot.Run); ok && !l.State.Status.Ended() {
			out.Occupied = append(out.Occupied, liveRun(b, l, w))
		}
	}
	for id := range ln.Queue.Runs() {
		if len(out.GetQueued()) == maxLaneRuns {
			break
		}
		if l, ok := b.Live(id); ok {
			out.Queued = append(out.Queued, liveRun(b, l, w))
		}
	}
	return out
}

func apiHold(name string, h lane.Hold, now time.Time) *apiv1.Hold {
	return &apiv1.Hold{
		Id: h.ID, Lane: name, Job: h.Job, From: stamp(h.From), Until: stamp(h.Until), Reason: h.Reason, By: board.Who(h.By), Active: h.Active(now),
	}
}

func reasonAfter(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}
