package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// maxCopies and maxCopiesBytes bound the last good copies of URL sources: one
	// for each of a large configuration. The longest unused go first.
	maxCopies      = 128
	maxCopiesBytes = 512 << 20
)

func (r *Root) copyDir() string { return filepath.Join(r.dir, "copies") }

func (r *Root) copyOf(raw string) string { return filepath.Join(r.copyDir(), digestOf(raw)[:32]) }

// keepCopy makes the file at path the last good copy of a URL, at once or not at
// all. A copy that cannot be kept is only missed when a later fetch fails.
func (r *Root) keepCopy(raw, path string) {
	r.copies.Lock()
	defer r.copies.Unlock()
	if os.Rename(path, r.copyOf(raw)) == nil {
		r.dropCopies()
	}
}

// dropCopies removes the oldest copies over the bounds.
func (r *Root) dropCopies() {
	entries, err := os.ReadDir(r.copyDir())
	if err != nil {
		return
	}
	var found []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), aside) {
			found = append(found, info)
		}
	}
	slices.SortFunc(found, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var size int64
	for i, info := range found {
		if size += info.Size(); i >= maxCopies || size > maxCopiesBytes {
			_ = os.Remove(filepath.Join(r.copyDir(), info.Name())) // tried again at the next copy
		}
	}
}

// fallBack goes on with the last good copy when the source allows that, there is
// one, and it is what is wanted; else it returns why the fetch failed.
func (r *Root) fallBack(ctx context.Context, src Source, want, into string, why error) (Checkout, error) {
	if !src.LastGood || ctx.Err() != nil || errors.Is(why, ErrSource) {
		return Checkout{}, why
	}
	r.copies.Lock()
	defer r.copies.Unlock()
	at := r.copyOf(src.URL)
	info, digest, err := digestFile(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Checkout{}, fmt.Errorf("%w; this runner has no earlier copy", why)
	case err != nil:
		return Checkout{}, fmt.Errorf("%w; the earlier copy cannot be read: %w", why, err)
	case want != "" && digest != want:
		return Checkout{}, fmt.Errorf("%w; the earlier copy is another file", why)
	}
	if err := copyFile(at, filepath.Join(into, filepath.FromSlash(src.File))); err != nil {
		return Checkout{}, fmt.Errorf("write %s: %w", src.File, err)
	}
	return Checkout{Digest: digestName + digest, Stale: staleWords(why, info.ModTime())}, nil
}

// staleWords say that a copy stands in, since when it is known, and why.
func staleWords(why error, of time.Time) string {
	return fmt.Sprintf("went on with the last good copy, of %s: %v", of.UTC().Format("2006-01-02 15:04 UTC"), why)
}

func digestFile(path string) (fs.FileInfo, string, error) {
	f, err := os.Open(path) //nolint:gosec // a copy of ours
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, "", err
	}
	return info, hex.EncodeToString(sum.Sum(nil)), nil
}
