package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// maxCopyFiles and maxCopyBytes bound a source that is a folder: more than a
	// large project, less than a home folder named by mistake.
	maxCopyFiles = 200_000
	maxCopyBytes = 4 << 30
)

// copier copies one folder and digests what it copies.
type copier struct {
	ctx          context.Context
	from, to     string
	skip         string // our own data, which may lie inside the source
	sum          hash.Hash
	files, bytes int64
}

// copyFolder copies from into to: files with their permission bits, folders, and
// symbolic links that stay inside. Git's data and Slipway's own are left out,
// sockets and the like too. The digest covers paths, permissions and contents.
func copyFolder(ctx context.Context, from, to, skip string) (Checkout, error) {
	if !filepath.IsAbs(from) {
		return Checkout{}, fmt.Errorf("%w: path %q is not absolute", ErrSource, from)
	}
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return Checkout{}, fmt.Errorf("%w: the folder %q does not exist", ErrFetch, from)
	}
	c := &copier{ctx: ctx, from: real, to: to, skip: skip, sum: sha256.New()}
	if err := filepath.WalkDir(real, c.visit); err != nil {
		return Checkout{}, fmt.Errorf("copy %s: %w", from, err)
	}
	return Checkout{Digest: "sha256:" + hex.EncodeToString(c.sum.Sum(nil))}, nil
}

func (c *copier) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	rel, err := filepath.Rel(c.from, path)
	if err != nil || rel == "." {
		return err
	}
	if d.IsDir() && (d.Name() == ".git" || d.Name() == ".slipway" || path == c.skip) {
		return fs.SkipDir
	}
	if d.Name() == ".git" { // a worktree's or submodule's pointer
		return nil
	}
	if c.files++; c.files > maxCopyFiles {
		return fmt.Errorf("%w: more than %d files", ErrTooLarge, maxCopyFiles)
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	to := filepath.Join(c.to, rel)
	switch {
	case d.IsDir():
		return os.Mkdir(to, info.Mode().Perm()|dirMode)
	case info.Mode()&fs.ModeSymlink != 0:
		return c.link(path, rel, to)
	case info.Mode().IsRegular():
		return c.file(path, rel, to, info)
	}
	return nil
}

func (c *copier) link(path, rel, to string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(rel), target)) {
		return fmt.Errorf("symbolic link %s to %s: %w", rel, target, ErrEscapes)
	}
	c.note("link", rel, target)
	return os.Symlink(target, to)
}

func (c *copier) file(path, rel, to string, info fs.FileInfo) error {
	if c.bytes += info.Size(); c.bytes > maxCopyBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, int64(maxCopyBytes))
	}
	in, err := os.Open(path) //nolint:gosec // a file of the configured source
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	sum := sha256.New()
	if err := writeFile(to, io.TeeReader(in, sum), info.Mode().Perm()); err != nil {
		return err
	}
	c.note("file", rel, fmt.Sprintf("%o %x", info.Mode().Perm(), sum.Sum(nil)))
	return nil
}

// note adds an entry to the digest; NUL cannot be in a path, so it separates.
func (c *copier) note(parts ...string) {
	_, _ = io.WriteString(c.sum, strings.Join(parts, "\x00")+"\x00\n") // a hash takes everything
}

func writeFile(path string, from io.Reader, mode fs.FileMode) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode) //nolint:gosec // inside the new workspace
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, from); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
