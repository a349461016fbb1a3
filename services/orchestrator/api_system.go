package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// systemAPI serves SystemService.
type systemAPI struct{ o *Orchestrator }

// doctorWait bounds all checks together.
const doctorWait = 15 * time.Second

// Doctor checks what an operator would.
func (a *systemAPI) Doctor(ctx context.Context, _ *apiv1.DoctorRequest) (*apiv1.DoctorResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorWait)
	defer cancel()
	checks := []func(context.Context) []*apiv1.Check{a.servers, a.connection, a.streams, a.usage, a.clock, a.config, a.runners, a.history, a.snapshot, a.archive, a.dead, a.logs}
	checks = append(checks, a.o.deps.Checks...)
	found := make([][]*apiv1.Check, len(checks)) // at once: without NATS each waits as long as it may
	var group sync.WaitGroup
	for i, check := range checks {
		group.Go(func() { found[i] = check(ctx) })
	}
	group.Wait()
	return &apiv1.DoctorResponse{Checks: slices.Concat(found...)}, nil
}

func good(name, finding string) *apiv1.Check {
	return &apiv1.Check{Name: name, Level: apiv1.Check_LEVEL_OK, Finding: finding}
}

func warn(name, finding, remedy string) *apiv1.Check {
	return &apiv1.Check{Name: name, Level: apiv1.Check_LEVEL_WARNING, Finding: finding, Remedy: remedy}
}

func bad(name, finding, remedy string) *apiv1.Check {
	return &apiv1.Check{Name: name, Level: apiv1.Check_LEVEL_ERROR, Finding: finding, Remedy: remedy}
}

func (a *systemAPI) streams(ctx context.Context) []*apiv1.Check {
	drift, err := topology.Verify(ctx, a.o.js, a.o.spec())
	if err != nil {
		return []*apiv1.Check{bad("streams", "they cannot be read: "+err.Error(), "is NATS up, and may this credential read the streams?")}
	}
	if len(drift) == 0 {
		return []*apiv1.Check{good("streams", "all as declared")}
	}
	var out []*apiv1.Check
	for _, d := range drift {
		out = append(out, bad("streams", d.String(), "restore the setting, or run slipway bootstrap"))
	}
	return out
}

func (a *systemAPI) usage(ctx context.Context) []*apiv1.Check {
	all, err := topology.UsageOf(ctx, a.o.js)
	if err != nil {
		return []*apiv1.Check{bad("store", "its usage cannot be read: "+err.Error(), "is NATS up?")}
	}
	var out []*apiv1.Check
	for _, u := range all {
		if u.Warn() {
			out = append(out, warn("store", fmt.Sprintf("%s is %d %% full", u.Stream, u.Percent()), "raise its limit or archive; when full, new work is refused"))
		}
	}
	if len(out) == 0 {
		out = append(out, good("store", fmt.Sprintf("%d streams, none near its limit", len(all))))
	}
	return out
}

// maxSkew is how far our clock may be from the server's before times in the log
// mislead people. Slack allows five minutes for signatures.
const maxSkew = 2 * time.Second

func (a *systemAPI) clock(ctx context.Context) []*apiv1.Check {
	stream, err := a.o.js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		return []*apiv1.Check{bad("clock", "the server's cannot be read: "+err.Error(), "is NATS up?")}
	}
	before := time.Now()
	info, err := stream.Info(ctx)
	if err != nil {
		return []*apiv1.Check{bad("clock", "the server's cannot be read: "+err.Error(), "is NATS up?")}
	}
	skew := info.TimeStamp.Sub(before.Add(time.Since(before) / 2)).Abs()
	if skew > maxSkew {
		return []*apiv1.Check{warn("clock", fmt.Sprintf("differs from the server's by %s", skew.Round(time.Millisecond)), "run a time service on both machines")}
	}
	return []*apiv1.Check{good("clock", fmt.Sprintf("within %s of the server's", maxSkew))}
}

func (a *systemAPI) config(context.Context) []*apiv1.Check {
	cfg := a.o.adopted.Load()
	if cfg == nil {
		return []*apiv1.Check{bad("configuration", "none is adopted", "give one with --config")}
	}
	if problems := a.o.refused.Load(); problems != nil {
		return []*apiv1.Check{bad("configuration", "the file was refused and the one of sequence "+fmt.Sprint(cfg.sequence)+" stays in force: "+problems.String(), "mend the file; it is adopted by itself")}
	}
	return []*apiv1.Check{good("configuration", fmt.Sprintf("%s, adopted at sequence %d, digest %s", cfg.origin, cfg.sequence, short(cfg.digest, 12)))}
}

func (a *systemAPI) runners(context.Context) []*apiv1.Check {
	leases, known := a.o.watch.Live()
	switch {
	case !known:
		return []*apiv1.Check{warn("runners", "not known yet", "ask again in a moment")}
	case len(leases) == 0:
		return []*apiv1.Check{bad("runners", "none is alive: nothing can run", "start a runner")}
	}
	var out []*apiv1.Check
	for _, l := range leases {
		out = append(out, good("runners", fmt.Sprintf("%s on %s: %d of %d busy, pools %v", nameOf(l), l.GetHost(), l.GetRunning(), l.GetCapacity(), l.GetPools())))
	}
	return out
}

func (a *systemAPI) dead(ctx context.Context) []*apiv1.Check {
	stream, err := a.o.js.Stream(ctx, topology.StreamDead)
	if err != nil {
		return []*apiv1.Check{bad("dead letters", "cannot be read: "+err.Error(), "is NATS up?")}
	}
	if n := stream.CachedInfo().State.Msgs; n > 0 {
		return []*apiv1.Check{warn("dead letters", fmt.Sprintf("%d messages could not be handled", n), "slipway dead list shows them")}
	}
	return []*apiv1.Check{good("dead letters", "none")}
}

const (
	// replayEvery is how many records pass between two progress messages.
	replayEvery = 20_000
	// maxDifferences bounds the answer.
	maxDifferences = 100
)

// Replay refolds the whole log beside the live view and compares.
func (a *systemAPI) Replay(ctx context.Context, _ *apiv1.ReplayRequest, stream *connect.ServerStream[apiv1.ReplayResponse]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	target := a.o.proj.Sequence()
	progress := make(chan uint64, 1)
	fresh := projection.New(a.o.deps.Log, func(c projection.Change) {
		if c.Sequence%replayEvery == 0 || c.Sequence >= target {
			select {
			case progress <- c.Sequence:
			default:
			}
		}
	})
	done := make(chan error, 1)
	go func() { done <- fresh.Run(ctx, func() {}) }()
	for {
		if fresh.Sequence() >= target {
			cancel()
			<-done //nolint:errcheck // it ends because it was told to
			return stream.Send(a.compare(fresh, target))
		}
		select {
		case at := <-progress:
			if err := stream.Send(&apiv1.ReplayResponse{Records: at, Sequence: at, TargetSequence: target}); err != nil {
				return err
			}
		case err := <-done:
			return apiError(err, "")
		}
	}
}

// compare sets the refolded board beside the live one. Runs that changed while
// the log was read are compared only as far as both have seen the same.
func (a *systemAPI) compare(fresh *projection.Projection, target uint64) *apiv1.ReplayResponse {
	out := &apiv1.ReplayResponse{Done: true, TargetSequence: target, Sequence: fresh.Sequence(), Records: fresh.Sequence()}
	a.o.proj.Read(func(live *board.Board) {
		fresh.Read(func(again *board.Board) {
			out.Runs = uint64(again.Count()) //nolint:gosec // a count
			out.Differences = board.Compare(live, again, maxDifferences)
		})
	})
	return out
}

// maxDead bounds one list of dead letters.
const maxDead = 200

// ListDead lists messages that could not be handled, oldest first.
func (a *systemAPI) ListDead(ctx context.Context, _ *apiv1.ListDeadRequest) (*apiv1.ListDeadResponse, error) {
	stream, err := a.o.js.Stream(ctx, topology.StreamDead)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("the dead letters cannot be read: is NATS up?"))
	}
	out := &apiv1.ListDeadResponse{}
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && len(out.Messages) < maxDead && state.Msgs > 0; seq++ {
		m, err := stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New("the dead letters cannot be read: is NATS up?"))
		}
		out.Messages = append(out.Messages, deadMessage(seq, m))
	}
	return out, nil
}

func deadMessage(seq uint64, m *jetstream.RawStreamMsg) *apiv1.DeadMessage {
	d := &commandv1.Dead{}
	if err := proto.Unmarshal(m.Data, d); err != nil {
		return &apiv1.DeadMessage{Sequence: seq, Subject: m.Subject, Reason: "undecodable dead letter"}
	}
	return &apiv1.DeadMessage{Sequence: seq, Service: d.GetService(), Reason: d.GetReason(), Subject: d.GetSubject(), Time: d.GetTime(), Text: readable(d.GetData())}
}

// readable shows an envelope as JSON, and of anything else only its size: it
// could be anything.
func readable(data []byte) string {
	e := &commandv1.Envelope{}
	if err := proto.Unmarshal(data, e); err == nil && e.GetIdentity() != "" {
		if text, err := protojson.Marshal(e); err == nil {
			return string(text)
		}
	}
	return fmt.Sprintf("%d bytes that are not a request", len(data))
}

// ReplayDead puts a dead message back where it came from and forgets it here.
func (a *systemAPI) ReplayDead(ctx context.Context, req *apiv1.ReplayDeadRequest) (*apiv1.ReplayDeadResponse, error) {
	stream, err := a.o.js.Stream(ctx, topology.StreamDead)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("the dead letters cannot be read: is NATS up?"))
	}
	m, err := stream.GetMsg(ctx, req.GetSequence())
	if err != nil {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no dead letter %d: slipway dead list shows them", req.GetSequence()))
	}
	d := &commandv1.Dead{}
	if err := proto.Unmarshal(m.Data, d); err != nil {
		return nil, connect.NewError(connect.CodeDataLoss, errors.New("the dead letter itself cannot be read"))
	}
	if _, err := a.o.js.Publish(ctx, d.GetSubject(), d.GetData()); err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("not confirmed: the inbox did not answer. The letter stays; repeating it changes nothing twice"))
	}
	if err := stream.DeleteMsg(ctx, req.GetSequence()); err != nil {
		a.o.logger.Warn("replayed dead letter not removed, replaying it again changes nothing", "sequence", req.GetSequence(), "error", err)
	}
	return &apiv1.ReplayDeadResponse{Subject: d.GetSubject()}, nil
}
