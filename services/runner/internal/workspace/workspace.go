// Package workspace gives every run a folder of its own: the source checked out at
// one recorded commit, a place for temporary files, the environment of its steps,
// and the artefacts that leave it and come back on another machine.
//
// It is for the runner's executor and starts no step: that is package step. Where
// artefacts are kept is the caller's Store; where secrets come from its Resolver.
//
// Invariants: a workspace appears whole or not at all (built aside, then renamed),
// so a run that resumes after a crash at any point finds either nothing or the
// checkout at its commit; nothing is read or written outside of it through a
// path or symbolic link; a secret's value reaches no error.
package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Errors to compare with errors.Is. Each comes wrapped with what and where.
var (
	ErrSource   = errors.New("invalid source")
	ErrRef      = errors.New("ref not found")
	ErrFetch    = errors.New("source not available")
	ErrTooLarge = errors.New("too large")
	ErrEscapes  = errors.New("leaves the workspace")
	ErrArtefact = errors.New("artefact")
)

const (
	recordName = "checkout.json"
	aside      = ".new-"  // half-built workspaces; swept at Open
	trash      = ".gone-" // workspaces on their way out; swept at Open
	dirMode    = 0o700
)

// Source is where a run's files come from: a Git repository, a folder, or one file
// behind a URL.
type Source struct {
	Git    string `json:"git,omitempty"`    // URL or path of a repository
	Ref    string `json:"ref,omitempty"`    // branch, tag or commit; empty means the default branch
	Commit string `json:"commit,omitempty"` // once recorded, the only commit (of a URL: digest) that counts
	Path   string `json:"path,omitempty"`   // absolute folder that is copied
	URL    string `json:"url,omitempty"`    // HTTP(S) address of one file
	SHA256 string `json:"sha256,omitempty"` // of that file, hex; empty: not checked
	File   string `json:"file,omitempty"`   // its name in the workspace

	// LastGood: what cannot be fetched is replaced by the last copy of it, if this
	// machine has one. Of a Git repository that is its mirror, of a URL the file.
	LastGood bool `json:"last_good,omitempty"`
}

// Checkout is what was found there: a Git commit, or the digest of a folder or file.
type Checkout struct {
	Commit string `json:"commit,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Stale says why a last good copy stands in for the source; empty: it is fresh.
	Stale string `json:"stale,omitempty"`
}

// Version is what a card says about the source: the commit, or the digest's start.
func (c Checkout) Version() string {
	if c.Commit != "" {
		return c.Commit
	}
	return c.Digest[:min(len(c.Digest), len("sha256:")+12)]
}

// Root holds all workspaces of one runner. It belongs to one process, which the
// lock of the runner's data folder sees to.
type Root struct {
	dir     string
	mirrors sync.Map // url digest → *sync.Mutex: one Git process per mirror
	copies  sync.Mutex
}

// Workspace is the folder of one run.
type Workspace struct {
	root, dir string
	checkout  Checkout
}

// Open prepares dir, an absolute path, and removes what a crash left half-built.
func Open(dir string) (*Root, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("open workspaces: %q is not absolute", dir)
	}
	r := &Root{dir: dir}
	for _, d := range []string{r.runs(), r.mirrorDir(), r.copyDir(), r.Cache()} {
		if err := os.MkdirAll(d, dirMode); err != nil {
			return nil, fmt.Errorf("open workspaces: %w", err)
		}
	}
	for _, d := range []string{r.runs(), r.mirrorDir(), r.copyDir()} {
		if err := sweepAside(d); err != nil {
			return nil, fmt.Errorf("open workspaces: %w", err)
		}
	}
	return r, nil
}

func sweepAside(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), aside) || strings.HasPrefix(e.Name(), trash) {
			if err := removeAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Root) runs() string      { return filepath.Join(r.dir, "runs") }
func (r *Root) mirrorDir() string { return filepath.Join(r.dir, "mirrors") }

// Cache is a folder that all runs share (SLIPWAY_CACHE): for build caches, which
// must be right whoever wrote them.
func (r *Root) Cache() string { return filepath.Join(r.dir, "cache") }

// runID is what a run may be called; it becomes a folder's name.
var runID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Prepare returns the run's workspace, checking the source out if it is not there
// yet. A workspace at another commit than src.Commit is replaced.
func (r *Root) Prepare(ctx context.Context, run string, src Source) (*Workspace, error) {
	if !runID.MatchString(run) {
		return nil, fmt.Errorf("prepare workspace: invalid run id %q", run)
	}
	if w, err := r.existing(run); err == nil {
		if src.Commit == "" || w.checkout.Commit == src.Commit || w.checkout.Digest == src.Commit {
			return w, nil
		}
		if err := r.Remove(run); err != nil {
			return nil, err
		}
	}
	w, err := r.build(ctx, run, src)
	if err != nil {
		return nil, fmt.Errorf("prepare workspace of %s: %w", run, err)
	}
	return w, nil
}

func (r *Root) existing(run string) (*Workspace, error) {
	dir := filepath.Join(r.runs(), run)
	b, err := os.ReadFile(filepath.Join(dir, recordName)) //nolint:gosec // the run id was checked
	if err != nil {
		return nil, err
	}
	w := &Workspace{root: r.dir, dir: dir}
	return w, json.Unmarshal(b, &w.checkout)
}

// build makes the workspace aside and moves it in place.
func (r *Root) build(ctx context.Context, run string, src Source) (*Workspace, error) {
	tmp, err := os.MkdirTemp(r.runs(), aside)
	if err != nil {
		return nil, err
	}
	defer func() { _ = removeAll(tmp) }() // after the rename there is nothing left
	for _, d := range []string{"src", "tmp"} {
		if err := os.Mkdir(filepath.Join(tmp, d), dirMode); err != nil {
			return nil, err
		}
	}
	checkout, err := r.checkOut(ctx, src, filepath.Join(tmp, "src"))
	if err != nil {
		return nil, err
	}
	if err := writeRecord(filepath.Join(tmp, recordName), checkout); err != nil {
		return nil, err
	}
	dir := filepath.Join(r.runs(), run)
	if err := removeAll(dir); err != nil { // one without a record
		return nil, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return nil, err
	}
	return &Workspace{root: r.dir, dir: dir, checkout: checkout}, nil
}

func (r *Root) checkOut(ctx context.Context, src Source, into string) (Checkout, error) {
	switch {
	case src.Git != "" && src.Path != "" || src.URL != "" && src.Git+src.Path != "":
		return Checkout{}, fmt.Errorf("%w: more than one of git, path and url", ErrSource)
	case src.Git != "":
		return r.checkOutGit(ctx, src, into)
	case src.Path != "":
		return copyFolder(ctx, src.Path, into, r.dir)
	case src.URL != "":
		return r.fetchURL(ctx, src, into)
	}
	return Checkout{}, nil // a job without source starts in an empty folder
}

func writeRecord(path string, c Checkout) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// Remove deletes the run's workspace; none is fine.
func (r *Root) Remove(run string) error {
	if !runID.MatchString(run) {
		return fmt.Errorf("remove workspace: invalid run id %q", run)
	}
	dir := filepath.Join(r.runs(), run)
	gone, err := os.MkdirTemp(r.runs(), trash)
	if err != nil {
		return fmt.Errorf("remove workspace of %s: %w", run, err)
	}
	if err := os.Rename(dir, filepath.Join(gone, "w")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove workspace of %s: %w", run, err)
	}
	if err := removeAll(gone); err != nil {
		return fmt.Errorf("remove workspace of %s: %w", run, err)
	}
	return nil
}

// Sweep removes the workspaces that were last prepared before the given time and
// that keep does not ask for, and says how many.
func (r *Root) Sweep(before time.Time, keep func(run string) bool) (int, error) {
	entries, err := os.ReadDir(r.runs())
	if err != nil {
		return 0, fmt.Errorf("sweep workspaces: %w", err)
	}
	removed := 0
	var failed []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !runID.MatchString(e.Name()) || !info.ModTime().Before(before) || keep(e.Name()) {
			continue
		}
		if err := r.Remove(e.Name()); err != nil {
			failed = append(failed, err)
			continue
		}
		removed++
	}
	return removed, errors.Join(failed...)
}

// removeAll also removes folders a step made unwritable, as Go's module cache is.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, dirMode) //nolint:gosec // a folder needs its x
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// Dir is where steps run: the checked-out source.
func (w *Workspace) Dir() string { return filepath.Join(w.dir, "src") }

// Home is the workspace itself, outside of the source so that tools' dot files
// do not show up in it.
func (w *Workspace) Home() string { return w.dir }

// Temp is the steps' TMPDIR.
func (w *Workspace) Temp() string { return filepath.Join(w.dir, "tmp") }

// Checkout says what was checked out.
func (w *Workspace) Checkout() Checkout { return w.checkout }

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
