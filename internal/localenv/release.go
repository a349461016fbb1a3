package localenv

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// maxArtefact bounds one release's program.
	maxArtefact = 512 << 20
	// keepReleases is how many releases stay on disk, so that there is something to
	// look at and go back to.
	keepReleases = 5
	programName  = "app"
	infoName     = "release.json"
	newPrefix    = ".new-"
)

// release is what one release folder holds beside the program.
type release struct {
	ID      string `json:"id"`
	Service string `json:"service"`
	Version string `json:"version"`
	Run     string `json:"run"`
}

// state is what must survive: written whole, synced and renamed.
type state struct {
	Fence     uint64 `json:"fence"`     // of the last request that was let in
	Confirmed string `json:"confirmed"` // the last release that was healthy
}

var unsafeText = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// releaseID names a release: the same version of the same run is the same release.
// Text that no folder can have is replaced, and told apart by a digest.
func releaseID(version, run string) string {
	raw := run
	if version != "" {
		raw = version + "-" + run
	}
	id := strings.Trim(unsafeText.ReplaceAllString(raw, "-"), ".-")
	if id == raw && len(id) <= 100 {
		return id
	}
	sum := sha256.Sum256([]byte(raw))
	return strings.Trim(id[:min(len(id), 80)], ".-") + "-" + hex.EncodeToString(sum[:4])
}

// shelf is the folder of one environment.
type shelf struct{ dir string }

func (s shelf) releases() string           { return filepath.Join(s.dir, "releases") }
func (s shelf) folder(id string) string    { return filepath.Join(s.releases(), id) }
func (s shelf) program(id string) string   { return filepath.Join(s.folder(id), programName) }
func (s shelf) file(name string) string    { return filepath.Join(s.dir, name) }
func (s shelf) currentLink() string        { return s.file("current") }
func (s shelf) prepare() error             { return errors.Join(os.MkdirAll(s.releases(), 0o700), s.sweep()) }
func (s shelf) load(v any, n string) error { return readJSON(s.file(n), v) }
func (s shelf) save(v any, n string) error { return writeJSON(s.file(n), v) }

// sweep removes releases that a crash left half-made.
func (s shelf) sweep() error {
	entries, err := os.ReadDir(s.releases())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) {
			if err := os.RemoveAll(s.folder(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// add makes a release folder, aside and then renamed. One of this id that is there
// is whole; it is replaced, since a repeated step may have built anew.
func (s shelf) add(r release, artefact string) error {
	tmp, err := os.MkdirTemp(s.releases(), newPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := copyFile(artefact, filepath.Join(tmp, programName)); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(tmp, infoName), r); err != nil {
		return err
	}
	if err := os.RemoveAll(s.folder(r.ID)); err != nil {
		return err
	}
	return os.Rename(tmp, s.folder(r.ID))
}

func (s shelf) info(id string) (release, error) {
	var r release
	err := readJSON(filepath.Join(s.folder(id), infoName), &r)
	return r, err
}

// switchTo points "current" at a release, in one step.
func (s shelf) switchTo(id string) error {
	tmp := s.currentLink() + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join("releases", id), tmp); err != nil {
		return err
	}
	return os.Rename(tmp, s.currentLink())
}

// prune removes the oldest releases beyond those kept.
func (s shelf) prune(keep ...string) error {
	entries, err := os.ReadDir(s.releases())
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return modified(b).Compare(modified(a)) })
	var failed []error
	for i, e := range entries {
		if i >= keepReleases && !slices.Contains(keep, e.Name()) {
			failed = append(failed, os.RemoveAll(s.folder(e.Name())))
		}
	}
	return errors.Join(failed...)
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path) //nolint:gosec // inside our own folder
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // inside our own folder
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func modified(e os.DirEntry) time.Time {
	info, err := e.Info()
	if err != nil {
		return time.Time{} // gone meanwhile: the oldest
	}
	return info.ModTime()
}
