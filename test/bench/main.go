// Command bench measures Slipway whole: it runs all services in child processes
// of its own, over an embedded server that flushes every write, loads them
// through the same doors as people and tools, and prints one table, beside a
// floor: what the log alone does with the same commits. `make bench` runs it.
//
// It is not a test, and judges nothing: the numbers are those of the machine it
// runs on. Rounds of all rows are interleaved and medians reported, so that a
// noisy machine spoils the ratios less than the figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/sandbox"
)

func main() {
	if text, ok := os.LookupEnv(envJob); ok {
		exit(child(text))
		return
	}
	var p plan
	var out string
	flag.IntVar(&p.Rounds, "rounds", 3, "rounds, of which the median counts")
	flag.DurationVar(&p.Each, "each", 3*time.Second, "length of a saturated round")
	flag.IntVar(&p.Idle, "idle", 100, "runs of an idle round")
	flag.IntVar(&p.History, "history", 1_000_000, "events of the cold start; 0: no cold start")
	flag.IntVar(&p.Ended, "ended", 2000, "ended runs before kill -9; 0: no recovery")
	flag.IntVar(&p.Finished, "finished", 100_000, "finished runs behind the start of each service, with a snapshot and without; 0: none")
	flag.StringVar(&p.Dir, "dir", "", "folder for the data; a temporary one when empty")
	flag.StringVar(&out, "out", "", "folder for bench.md and bench.json; nowhere when empty")
	flag.StringVar(&p.Profile, "profile", "", "folder for CPU, mutex and heap profiles of the saturated rounds; none when empty")
	flag.IntVar(&p.Failover, "failover", 5, "rounds in which each service and server fails over; 0: none")
	flag.StringVar(&p.Fails, "fails", "", "of the fail-overs, only those of what begins so, such as dispatcher")
	only := flag.String("only", "", "measure this row alone, such as quick/true (the service, the notifier) or quick/false/3 (and so many NATS servers apart); \"servers\": those that differ by the servers; \"none\": only starts; \"failover\": only what fails over")
	flag.Parse()
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	exit(bench(ctx, p, *only, out))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, p plan, only, out string) (err error) {
	if p.Dir == "" {
		if p.Dir, err = os.MkdirTemp("", "slipway-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.Dir)) }()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slack, err := sandbox.New(sandbox.Config{})
	if err != nil {
		return err
	}
	if err := slack.Start(ctx); err != nil {
		return err
	}
	job := job{Slots: quickSlots, Secret: slack.SigningSecret(), Token: slack.BotToken(), Slack: slack.APIURL()}
	r := &report{Began: time.Now(), Plan: p}
	if err := r.measure(ctx, p, job, slack, only); err != nil {
		return err
	}
	return r.write(os.Stdout, out)
}

func (r *report) measure(ctx context.Context, p plan, j job, slack *sandbox.Server, only string) error {
	for _, row := range []*row{
		{Name: "no-op steps", Service: serviceQuick, Slots: quickSlots},
		{Name: "no-op steps", Service: serviceQuick, Slots: quickSlots, Notifier: true},
		{Name: "/bin/true", Service: serviceReal, Slots: realSlots},
		{Name: "/bin/true", Service: serviceReal, Slots: realSlots, Notifier: true},
		{Name: "no-op steps", Service: serviceQuick, Slots: quickSlots, Servers: 1},
		{Name: "no-op steps", Service: serviceQuick, Slots: quickSlots, Servers: 3},
	} {
		if only == "" || only == row.key() || only == onlyServers && row.Service == serviceQuick && !row.Notifier {
			r.Rows = append(r.Rows, row)
		}
	}
	if len(r.Rows) > 0 {
		if err := r.steady(ctx, p, j, slack); err != nil {
			return err
		}
	}
	if p.Ended > 0 && only != onlyFailover {
		if err := r.Starts.recovery(ctx, p, j); err != nil {
			return fmt.Errorf("recovery: %w", err)
		}
	}
	if p.History > 0 && only != onlyFailover {
		if err := r.Starts.cold(ctx, p, j); err != nil {
			return fmt.Errorf("cold start: %w", err)
		}
	}
	if p.Finished > 0 && only != onlyFailover {
		if err := r.Finished.measure(ctx, p, j); err != nil {
			return fmt.Errorf("finished runs: %w", err)
		}
	}
	if p.Failover > 0 && (only == "" || only == onlyFailover) {
		if err := r.Failover.measure(ctx, p); err != nil {
			return fmt.Errorf("fail-over: %w", err)
		}
	}
	return nil
}

// Words for the flag -only beside the names of rows: those that differ by the NATS
// servers, and the fail-overs alone.
const (
	onlyServers  = "servers"
	onlyFailover = "failover"
)

// key names a row in the flag -only.
func (r *row) key() string {
	if r.Servers == 0 {
		return fmt.Sprintf("%s/%t", r.Service, r.Notifier)
	}
	return fmt.Sprintf("%s/%t/%d", r.Service, r.Notifier, r.Servers)
}

// steady measures all rows and the floor, a round of each in turn.
func (r *report) steady(ctx context.Context, p plan, j job, slack *sandbox.Server) (err error) {
	defer func() { err = errors.Join(err, r.stop()) }()
	for i, row := range r.Rows {
		own := j
		own.Dir, own.Real, own.Notify, own.Slots = filepath.Join(p.Dir, fmt.Sprint("row", i)), row.Service == serviceReal, row.Notifier, row.Slots
		if row.Servers > 0 {
			if row.servers, err = startServers(ctx, own.Dir, row.Servers); err != nil {
				return err
			}
			own.URL, own.Copies = row.servers.URL, row.Servers
		}
		if row.process, err = start(ctx, own); err != nil {
			return err
		}
		row.Resting, _ = row.process.memory()
	}
	own := j
	own.Dir, own.Floor = filepath.Join(p.Dir, "floor"), true
	if r.Floor.process, err = start(ctx, own); err != nil {
		return err
	}
	if r.Floor.Sizes, err = sizesOf(ctx, r.Rows[0].process, r.Rows[0].Service); err != nil {
		return err
	}
	for i := range p.Rounds {
		if err := r.Floor.round(ctx, p); err != nil {
			return err
		}
		for _, row := range r.Rows {
			if err := row.round(ctx, p, slack); err != nil {
				return fmt.Errorf("%s: %w", row.key(), err)
			}
			_, row.Peak = row.process.memory()
			fmt.Fprintf(os.Stderr, "round %d: %s: %.0f runs/s, floor %.0f\n", i+1, row.key(), row.RunsPerSecond[i], r.Floor.RunsPerSecond[i])
		}
	}
	return nil
}

// stop ends the children.
func (r *report) stop() (err error) {
	for _, row := range r.Rows {
		if row.process != nil {
			err = errors.Join(err, row.process.kill())
		}
		if row.servers != nil {
			err = errors.Join(err, row.servers.kill())
		}
	}
	if r.Floor.process != nil {
		err = errors.Join(err, r.Floor.process.kill())
	}
	return err
}
