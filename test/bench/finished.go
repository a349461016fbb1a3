package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/snapshot"
	"github.com/slipway-hq/slipway/internal/topology"
)

// Roles of a child that is one service alone, as where each is a process of its
// own, so that its memory is its own.
const (
	roleOrchestrator = "orchestrator"
	roleNotifier     = "notifier"
)

// finishedRow is what a start costs with many finished runs behind it.
type finishedRow struct {
	Runs    int             `json:"finished_runs"`
	Records uint64          `json:"records"`
	Bytes   uint64          `json:"log_bytes"`
	Written time.Duration   `json:"first_snapshot_after"`
	Starts  []*serviceStart `json:"starts"`
}

// serviceStart is a service that starts, with a snapshot in the store or without.
type serviceStart struct {
	Role     string  `json:"service"`
	Snapshot bool    `json:"snapshot"`
	Ready    samples `json:"ready_ms"`
	Resident int64   `json:"resident_bytes"`
	Peak     int64   `json:"peak_bytes"`
}

// finished starts services on a log with many finished runs.
func (r *finishedRow) measure(ctx context.Context, p plan, j job) (err error) {
	j.Dir = filepath.Join(p.Dir, "finished")
	if err := history(ctx, j.Dir, 1, func(runs, _ int) bool { return runs >= p.Finished }); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	r.Runs = p.Finished
	fmt.Fprintf(os.Stderr, "history of %d finished runs written\n", p.Finished)
	own := j
	own.Server = &serverJob{Name: "n1", Listen: "127.0.0.1:0"}
	server, err := start(ctx, own)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.kill()) }()
	j.URL, j.Copies = server.url, 1
	js, closing, err := connectTo(j.URL)
	if err != nil {
		return err
	}
	defer closing()
	stream, err := js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		return err
	}
	r.Records, r.Bytes = stream.CachedInfo().State.Msgs, stream.CachedInfo().State.Bytes
	for _, s := range []*serviceStart{
		{Role: roleNotifier}, {Role: roleOrchestrator}, // which writes the first snapshot
		{Role: roleOrchestrator, Snapshot: true}, {Role: roleNotifier, Snapshot: true},
	} {
		r.Starts = append(r.Starts, s)
		if err := r.starts(ctx, p, j, js, s); err != nil {
			return fmt.Errorf("%s, snapshot %t: %w", s.Role, s.Snapshot, err)
		}
	}
	return nil
}

func (r *finishedRow) starts(ctx context.Context, p plan, j job, js jetstream.JetStream, s *serviceStart) error {
	j.Role = s.Role
	rounds := p.Rounds
	if !s.Snapshot {
		rounds = 1 // tens of seconds each
	}
	for range rounds {
		child, err := start(ctx, j)
		if err != nil {
			return err
		}
		s.Ready.add(time.Since(child.born))
		now, peak := child.memory()
		s.Resident, s.Peak = now, max(s.Peak, peak)
		if s.Role == roleOrchestrator && !s.Snapshot {
			if err := awaitSnapshot(ctx, js); err != nil {
				return errors.Join(err, child.kill())
			}
			r.Written = time.Since(child.born) - time.Duration(s.Ready[len(s.Ready)-1]*float64(time.Millisecond))
		}
		if err := child.kill(); err != nil {
			return err
		}
	}
	return nil
}

// snapshotPoll is how often the store is looked at for the first snapshot.
const snapshotPoll = 100 * time.Millisecond

// awaitSnapshot returns when a head stands in the store.
func awaitSnapshot(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	objects, err := topology.Objects(ctx, js)
	if err != nil {
		return err
	}
	tick := time.NewTicker(snapshotPoll)
	defer tick.Stop()
	for {
		infos, err := objects.List(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
			return err
		}
		for _, info := range infos {
			if strings.Contains(info.Name, snapshot.Shape()) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func connectTo(url string) (jetstream.JetStream, func(), error) {
	conn, err := nats.Connect(url, nats.ReconnectBufSize(-1))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn)
	return js, conn.Close, err
}
