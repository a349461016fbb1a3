// Package journal remembers, in one small file of the runner's data folder,
// which runs the runner may hold, so that its next incarnation can give their
// claims back at once. It proves nothing: the log says who holds what. It is
// not synced to the disk: it has to outlive the process, and after a loss of
// power the lapse of the lease does the same work later.
//
// Invariant: a run is in the file before its claim can be in the log, and until
// the claim is known to be gone.
package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// maxLines is after how many lines the file is written anew with what counts:
// some hundred KiB.
const maxLines = 10_000

const (
	markHeld    = "+"
	markDropped = "-"
)

// Journal is the set of runs that may be held. It is safe for concurrent use.
type Journal struct {
	path string

	mu    sync.Mutex
	file  *os.File
	lines int
	held  map[string]bool
}

// Open reads the journal at path, which need not exist. A line that a crash cut
// short is dropped: its claim was never sent.
func Open(path string) (*Journal, error) {
	held, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read the journal of claims: %w", err)
	}
	j := &Journal{path: path, held: held}
	if err := j.rewrite(); err != nil {
		return nil, err
	}
	return j, nil
}

func read(path string) (map[string]bool, error) {
	held := map[string]bool{}
	data, err := os.ReadFile(path) //nolint:gosec // a file of the runner's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return held, nil
	}
	if err != nil {
		return nil, err
	}
	whole, _, _ := cutLast(string(data), "\n")
	for line := range strings.Lines(whole) {
		mark, run, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case ok && mark == markHeld:
			held[run] = true
		case ok && mark == markDropped:
			delete(held, run)
		}
	}
	return held, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// Add notes that run may be held from now on.
func (j *Journal) Add(run string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held[run] = true
	return j.note(markHeld, run)
}

// Remove notes that run is not held any more.
func (j *Journal) Remove(run string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.held, run)
	return j.note(markDropped, run)
}

// Held returns the runs that may be held, sorted.
func (j *Journal) Held() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.held))
}

// Holds tells whether run may be held.
func (j *Journal) Holds(run string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.held[run]
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// note appends one line; the caller holds mu and has changed held already.
func (j *Journal) note(mark, run string) error {
	if j.lines >= maxLines {
		return j.rewrite()
	}
	j.lines++
	if _, err := j.file.WriteString(mark + " " + run + "\n"); err != nil {
		return fmt.Errorf("write the journal of claims: %w", err)
	}
	return nil
}

// rewrite replaces the file by one that holds only what counts.
func (j *Journal) rewrite() error {
	next := j.path + ".new"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("write the journal of claims: %w", err)
	}
	w := bufio.NewWriter(file)
	for run := range j.held {
		_, _ = w.WriteString(markHeld + " " + run + "\n") // the error is sticky: Flush returns it
	}
	if err := errors.Join(w.Flush(), os.Rename(next, j.path)); err != nil {
		return errors.Join(fmt.Errorf("write the journal of claims: %w", err), file.Close())
	}
	if j.file != nil {
		_ = j.file.Close() // replaced: nothing of it counts
	}
	j.file, j.lines = file, len(j.held)
	return nil
}
