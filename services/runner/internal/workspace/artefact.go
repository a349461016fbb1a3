package workspace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	maxArtefactFiles = 5_000
	maxArtefactBytes = 2 << 30
	// maxManifest bounds what Restore reads before it can check anything: paths of
	// maxArtefactFiles at a generous length.
	maxManifest = 4 << 20
)

// Store keeps artefacts; the object store has it. Put replaces what the name held:
// a step that runs again after a crash stores its artefacts again.
type Store interface {
	Put(ctx context.Context, name string, r io.Reader) error
	Get(ctx context.Context, name string) (io.ReadCloser, error)
}

// Artefacts is what a finished step records: the manifest's name in the store and
// its digest, which covers those of all files.
type Artefacts struct {
	Manifest string `json:"manifest"`
	Digest   string `json:"digest"`
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
}

type artefact struct {
	Path   string      `json:"path"`
	Mode   fs.FileMode `json:"mode"`
	Size   int64       `json:"size"`
	Digest string      `json:"digest"`
}

// CheckGlob says whether a pattern is one: relative, staying inside, in the syntax
// of path.Match with ** for any number of folders.
func CheckGlob(glob string) error {
	if !fs.ValidPath(strings.TrimSuffix(glob, "/")) {
		return fmt.Errorf("%w pattern %q: %w", ErrArtefact, glob, ErrEscapes)
	}
	if _, err := path.Match(glob, ""); err != nil {
		return fmt.Errorf("%w pattern %q: %w", ErrArtefact, glob, err)
	}
	return nil
}

// Collect stores every file that a pattern names (a folder stands for all files in
// it) under prefix. A pattern that names nothing is an error: the next step, or
// the next machine, would miss it.
func (w *Workspace) Collect(ctx context.Context, prefix string, globs []string, store Store) (Artefacts, error) {
	root, err := os.OpenRoot(w.Dir())
	if err != nil {
		return Artefacts{}, fmt.Errorf("collect artefacts: %w", err)
	}
	defer func() { _ = root.Close() }()
	paths, err := expand(root.FS(), globs)
	if err != nil {
		return Artefacts{}, fmt.Errorf("collect artefacts: %w", err)
	}
	out := Artefacts{Manifest: prefix + "/manifest.json", Files: len(paths)}
	list := make([]artefact, 0, len(paths))
	for _, p := range paths {
		a, err := putFile(ctx, root, prefix, p, store)
		if err != nil {
			return Artefacts{}, fmt.Errorf("collect artefact %s: %w", p, err)
		}
		if out.Bytes += a.Size; out.Bytes > maxArtefactBytes {
			return Artefacts{}, fmt.Errorf("collect artefacts: %w: more than %d bytes", ErrTooLarge, int64(maxArtefactBytes))
		}
		list = append(list, a)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return Artefacts{}, fmt.Errorf("collect artefacts: %w", err)
	}
	out.Digest = "sha256:" + digestOf(string(b))
	if err := store.Put(ctx, out.Manifest, bytes.NewReader(b)); err != nil {
		return Artefacts{}, fmt.Errorf("store artefact manifest: %w", err)
	}
	return out, nil
}

func putFile(ctx context.Context, root *os.Root, prefix, p string, store Store) (artefact, error) {
	f, err := root.Open(p) // refuses links that lead out
	if err != nil {
		return artefact{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return artefact{}, err
	}
	if !info.Mode().IsRegular() {
		return artefact{}, fmt.Errorf("%w: not a file", ErrArtefact)
	}
	sum := sha256.New()
	n := &counter{}
	if err := store.Put(ctx, prefix+"/files/"+p, io.TeeReader(f, io.MultiWriter(sum, n))); err != nil {
		return artefact{}, err
	}
	return artefact{Path: p, Mode: info.Mode().Perm(), Size: n.n, Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil))}, nil
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) { c.n += int64(len(b)); return len(b), nil }

// expand lists the files that the patterns name, each once, sorted.
func expand(fsys fs.FS, globs []string) ([]string, error) {
	used := make([]bool, len(globs))
	for _, g := range globs {
		if err := CheckGlob(g); err != nil {
			return nil, err
		}
	}
	var out []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		hit := false
		for i, g := range globs {
			if covers(strings.Split(strings.TrimSuffix(g, "/"), "/"), strings.Split(p, "/")) {
				used[i], hit = true, true
			}
		}
		if !hit {
			return nil
		}
		if out = append(out, p); len(out) > maxArtefactFiles {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, maxArtefactFiles)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, g := range globs {
		if !used[i] {
			return nil, fmt.Errorf("%w %q: no such file was made", ErrArtefact, g)
		}
	}
	return out, nil
}

// covers says whether a pattern names a path or one of the folders above it.
func covers(glob, p []string) bool {
	if len(glob) == 0 {
		return true
	}
	if glob[0] == "**" {
		for i := range len(p) {
			if covers(glob[1:], p[i:]) {
				return true
			}
		}
		return false
	}
	if len(p) == 0 {
		return false
	}
	ok, err := path.Match(glob[0], p[0])
	return err == nil && ok && covers(glob[1:], p[1:])
}

// Restore brings collected artefacts back, checking every digest; for a run that
// goes on, or carries steps over, on another machine. Files that are there are
// replaced, each at once.
func (w *Workspace) Restore(ctx context.Context, from Artefacts, store Store) error {
	b, err := readAll(ctx, store, from.Manifest)
	if err != nil {
		return fmt.Errorf("restore artefacts: %w", err)
	}
	if "sha256:"+digestOf(string(b)) != from.Digest {
		return fmt.Errorf("restore artefacts: %w: the manifest is not the recorded one", ErrArtefact)
	}
	var list []artefact
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("restore artefacts: %w", err)
	}
	root, err := os.OpenRoot(w.Dir())
	if err != nil {
		return fmt.Errorf("restore artefacts: %w", err)
	}
	defer func() { _ = root.Close() }()
	prefix := strings.TrimSuffix(from.Manifest, "/manifest.json")
	for _, a := range list {
		if err := getFile(ctx, root, prefix, a, store); err != nil {
			return fmt.Errorf("restore artefact %s: %w", a.Path, err)
		}
	}
	return nil
}

func readAll(ctx context.Context, store Store, name string) ([]byte, error) {
	r, err := store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = ErrTooLarge
	}
	return b, err
}

func getFile(ctx context.Context, root *os.Root, prefix string, a artefact, store Store) (err error) {
	if !fs.ValidPath(a.Path) {
		return ErrEscapes
	}
	r, err := store.Get(ctx, prefix+"/files/"+a.Path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := root.MkdirAll(path.Dir(a.Path), dirMode); err != nil {
		return err
	}
	tmp := a.Path + ".slipway-new"
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, a.Mode.Perm())
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, a.Size+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if "sha256:"+hex.EncodeToString(sum.Sum(nil)) != a.Digest {
		_ = root.Remove(tmp)
		return fmt.Errorf("%w: the content is not the recorded one", ErrArtefact)
	}
	return root.Rename(tmp, a.Path)
}
