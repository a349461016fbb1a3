package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	Began  time.Time `json:"began"`
	Plan   plan      `json:"plan"`
	Rows   []*row    `json:"rows"`
	Floor  floorRow  `json:"floor"`
	Starts starts    `json:"starts"`
	// Finished is what many finished runs cost.
	Finished finishedRow `json:"finished"`

	Failover failovers `json:"failover"`
}

// write prints the report, and keeps it in a folder if one is named.
func (r *report) write(w io.Writer, dir string) error {
	text := r.markdown()
	if _, err := io.WriteString(w, text); err != nil || dir == "" {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "bench.json"), append(data, '\n'), 0o600),
		os.WriteFile(filepath.Join(dir, "bench.md"), []byte(text), 0o600),
	)
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s/%s, %d processors, %s, `sync always`.\n",
		r.Began.UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	if len(r.Rows) > 0 {
		r.table(&b)
	}
	s := &r.Starts
	if s.Ended > 0 {
		fmt.Fprintf(&b, "Recovery after kill -9 with %d finished runs: ready after %.0f ms, the interrupted step runs again after %.0f ms.\n",
			s.Ended, s.RecoveryReady.quantile(0.5), s.RecoveryResume.quantile(0.5))
	}
	if s.Events > 0 {
		fmt.Fprintf(&b, "Cold start with %d events: ready after %.0f ms, %s resident, %s at most.\n", s.Events, s.ColdReady.quantile(0.5), mib(s.ColdBytes), mib(s.ColdPeak))
	}
	b.WriteString(r.Failover.markdown())
	r.Finished.markdown(&b)
	return b.String()
}

func (r *finishedRow) markdown(b *strings.Builder) {
	if r.Runs == 0 {
		return
	}
	fmt.Fprintf(b, "\n%d finished runs, %d records, %s of log; each service is a process of its own. The first snapshot stands %.1f s after the start.\n\n", r.Runs, r.Records, mib(int64(r.Bytes)), r.Written.Seconds()) //nolint:gosec // a size
	b.WriteString("| start of | snapshot | ready after | resident | at most |\n|---|---|---|---|---|\n")
	for _, s := range r.Starts {
		fmt.Fprintf(b, "| %s | %s | %.0f ms | %s | %s |\n", s.Role, onOff(s.Snapshot), s.Ready.quantile(0.5), mib(s.Resident), mib(s.Peak))
	}
}

// table shows the rows beside the floor.
func (r *report) table(b *strings.Builder) {
	floor := r.Floor.RunsPerSecond.quantile(0.5)
	b.WriteString("All services in one process, the NATS server in it or apart, in processes of its own, whose memory is not counted;\n")
	fmt.Fprintf(b, "load and the stand-in for Slack in another process on the same machine. Medians of %d interleaved rounds of %s; p50 / p99 in ms.\n\n", r.Plan.Rounds, r.Plan.Each)
	b.WriteString("| three steps of | notifier | NATS | runs/s | of the floor | processor per run | runs/s from Slack | start→complete idle | ack at 50/s | ack saturated | status saturated | status at half load | peak memory |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		speed := row.RunsPerSecond.quantile(0.5)
		fmt.Fprintf(b, "| %s | %s | %s | %.0f | %.2f | %.2f ms | %.0f | %s | %s | %s | %s | %s | %s |\n", row.Name, onOff(row.Notifier), apart(row.Servers), speed, speed/max(1, floor), row.Cost.quantile(0.5),
			row.FromSlack.quantile(0.5), row.Idle.median(), row.Ack.median(), row.AckSaturated.median(), row.Status.median(), row.StatusHalf.median(), mib(row.Peak))
	}
	fmt.Fprintf(b, "| the floor: the same commits, nothing else | | embedded | %.0f | 1.00 | | | | | | | | |\n\n", floor)
}

// apart says where the NATS servers of a row are.
func apart(servers int) string {
	switch servers {
	case 0:
		return "embedded"
	case 1:
		return "one apart"
	default:
		return fmt.Sprintf("%d apart, R%d", servers, servers)
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func mib(bytes int64) string {
	if bytes == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}
