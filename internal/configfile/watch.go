package configfile

import (
	"context"
	"path/filepath"
	"time"
)

// WatchInterval is how often a file is looked at: soon enough for a person who
// waits, nothing for a disk.
const WatchInterval = time.Second

// Watch calls report with the state of a file: once at the start, then after
// each change of its content, with either a file or its problems. It reads the
// whole file each time, so that replaced symbolic links (as Kubernetes makes
// them) and clocks do not matter, and waits until two looks in a row agree,
// so that a file is not taken while it is being written. It returns the reason
// when ctx ends.
func Watch(ctx context.Context, path string, report func(*File, Problems)) error {
	return WatchEvery(ctx, path, WatchInterval, report)
}

// WatchEvery is Watch with another interval.
func WatchEvery(ctx context.Context, path string, interval time.Duration, report func(*File, Problems)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	reported := look(path)
	report(Load(path))
	last := reported
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := look(path)
		if now == last && now != reported {
			reported = now
			report(Load(path))
		}
		last = now
	}
}

// look is the digest of a file, or why there is none.
func look(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err.Error()
	}
	raw, err := read(absolute)
	if err != nil {
		return err.Error()
	}
	return Digest(raw)
}
