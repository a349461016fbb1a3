package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/backup"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/topology"
)

// BackupCmd copies everything, or checks a copy.
type BackupCmd struct {
	Take   BackupTakeCmd   `cmd:"" default:"withargs" help:"Copy everything that is kept into a folder."`
	Verify BackupVerifyCmd `cmd:"" help:"Check every file of a copy."`
}

// kept is where everything is: a cluster, or the data folder of a stopped
// slipway up.
type kept struct {
	NATS settings.NATS `embed:""`
	Data string        `placeholder:"FOLDER" help:"Data folder of a slipway up that is stopped, instead of a cluster."`
}

// BackupTakeCmd copies everything.
type BackupTakeCmd struct {
	kept `embed:""`

	Dir string `arg:"" help:"An empty folder, or one that does not exist."`
}

// Help shows examples.
func (BackupTakeCmd) Help() string {
	return "Services may go on meanwhile. What lives in memory is no part of it.\n\nExamples:\n\n  slipway backup /backups/monday --nats-url nats://a:4222\n  slipway backup /backups/monday --data .slipway\n  slipway backup verify /backups/monday"
}

// Run copies.
func (b *BackupTakeCmd) Run(g *Globals) error {
	if b.Data != "" {
		if _, err := os.Stat(filepath.Join(b.Data, "nats")); err != nil { // opening it would make an empty one
			return &failure{code: exitUsage, message: b.Data + " is no data folder of slipway up", next: "name the folder that slipway up was started with"}
		}
	}
	return b.with(g, func(ctx context.Context, conn *nats.Conn, _ int64) error {
		m, err := backup.Take(ctx, conn, b.Dir, time.Now(), g.copied)
		return g.done("copied to "+b.Dir, m, err)
	})
}

// BackupVerifyCmd checks a copy.
type BackupVerifyCmd struct {
	Dir string `arg:"" help:"The copy."`
}

// Run checks.
func (b *BackupVerifyCmd) Run(g *Globals) error {
	m, err := backup.Verify(b.Dir)
	if err == nil && !g.JSON {
		for _, s := range m.Streams {
			g.copied(s)
		}
	}
	return g.done("taken "+m.Time.Format("2006-01-02 15:04:05 MST")+", every file is what was written", m, err)
}

// RestoreCmd brings a copy back.
type RestoreCmd struct {
	kept     `embed:""`
	Replicas int      `default:"1" enum:"1,3" help:"Copies of every stream: 1, or 3 on a cluster of three."`
	Store    int64    `default:"${store}" placeholder:"BYTES" help:"Bytes that Slipway may use of each server's disk."`
	Pool     []string `default:"default" placeholder:"NAME" help:"Runner pools to prepare for."`

	Dir string `arg:"" help:"The copy."`
}

// Help shows examples.
func (RestoreCmd) Help() string {
	return "Only into an empty place: nothing that holds anything is touched. Sequences stay what they were. Start the services afterwards.\n\nExamples:\n\n  slipway restore /backups/monday --nats-url nats://a:4222 --replicas 3\n  slipway restore /backups/monday --data .slipway"
}

// Run restores.
func (r *RestoreCmd) Run(g *Globals) error {
	return r.with(g, func(ctx context.Context, conn *nats.Conn, room int64) error {
		store := r.Store
		if room > 0 {
			store = room
		}
		m, err := backup.Restore(ctx, conn, r.Dir, topology.Topology(r.Replicas, topology.LimitsFor(store), r.Pool...), g.copied)
		return g.done("restored from "+r.Dir, m, err)
	})
}

// with connects to where everything is kept. room is what an embedded server
// has; 0 for a cluster.
func (k *kept) with(g *Globals, work func(ctx context.Context, conn *nats.Conn, room int64) error) error {
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	switch {
	case k.NATS.External() == (k.Data != ""):
		return &failure{code: exitUsage, message: "where is it kept?", next: "name the cluster with --nats-url or NATS_URL, or the data folder of a stopped slipway up with --data"}
	case k.Data != "":
		return k.stopped(g, func(conn *nats.Conn, room int64) error { return work(ctx, conn, room) })
	}
	conn, err := natsconn.Dial(ctx, "slipway-backup", k.NATS.Settings(), g.log)
	if err != nil {
		return &failure{code: exitUnavailable, message: err.Error(), next: "is the cluster running, and the address right?"}
	}
	defer conn.Close()
	return work(ctx, conn, 0)
}

// stopTimeout is what an embedded server has to close its files.
const stopTimeout = 20 * time.Second

// stopped starts the embedded server of a data folder that nobody uses.
func (k *kept) stopped(g *Globals, work func(*nats.Conn, int64) error) (err error) {
	node, err := natsnode.Start(natsnode.Config{Dir: filepath.Join(k.Data, "nats"), Logger: g.log.With(slog.String("service", "nats"))})
	if errors.Is(err, lifecycle.ErrLocked) {
		return &failure{code: exitFailed, message: "a running slipway uses the data in " + k.Data, next: "stop it first"}
	}
	if err != nil {
		return fmt.Errorf("open the data in %s: %w", k.Data, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		err = errors.Join(err, node.Shutdown(ctx))
	}()
	conn, err := node.Connect("slipway-backup")
	if err != nil {
		return err
	}
	defer conn.Close()
	return work(conn, node.Facts().MaxStore)
}

// copied tells of one stream.
func (g *Globals) copied(s backup.Stream) {
	if !g.JSON {
		g.printf("%-12s %s, sequences %d to %d, %d KiB\n", s.Name, plural(s.Messages, "message"), s.First, s.Last, s.Bytes>>10)
	}
}

func (g *Globals) done(what string, m backup.Manifest, err error) error {
	switch {
	case errors.Is(err, backup.ErrNotEmpty), errors.Is(err, backup.ErrDamaged):
		return &failure{code: exitFailed, message: err.Error(), next: "nothing was changed"}
	case err != nil:
		return err
	case g.JSON:
		return g.printJSON(m)
	}
	g.printf("%s\n", what)
	return nil
}
