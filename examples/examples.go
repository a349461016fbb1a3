// Package examples holds the example that `slipway up` starts with: a configuration
// and the service it deploys, embedded so that an empty folder is enough.
//
// It is for cmd/slipway (up and init) and for tests. The example is real: its
// pipeline needs the Go tool, nothing else and no network. What it deploys to is
// package localenv.
package examples

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The module file has another name here, since Go embeds no folder that is a
// module of its own; Materialise gives it its real one.
//
//go:embed slipway.yaml hello/*.go hello/page.html hello/version.txt hello/go.mod.txt
var files embed.FS

// ConfigName is the configuration's name in a materialised folder.
const ConfigName = "slipway.yaml"

// goTimeout bounds asking the Go tool for a setting.
const goTimeout = 10 * time.Second

// ErrNoGo says that the example's build step cannot work here.
var ErrNoGo = errors.New("the example is built with the Go tool, and there is no `go` on PATH: install it (https://go.dev/dl/), or name your own configuration with --config")

// Config returns the embedded configuration.
func Config() ([]byte, error) { return files.ReadFile(ConfigName) }

// Materialise writes the example into dir and returns the path of its configuration.
// A file that is there stays as it is: people edit the example.
func Materialise(dir string) (config string, err error) {
	err = fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(p)
		if err != nil {
			return err
		}
		name := strings.Replace(p, "go.mod.txt", "go.mod", 1)
		return writeNew(filepath.Join(dir, filepath.FromSlash(name)), b)
	})
	if err != nil {
		return "", fmt.Errorf("write the example into %s: %w", dir, err)
	}
	return filepath.Join(dir, ConfigName), nil
}

// writeNew creates a file as a whole, or leaves the one that is there.
func writeNew(path string, b []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // people's own files
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o644); err != nil { //nolint:gosec // people's own files
		return err
	}
	return os.Rename(tmp, path)
}

// CheckGo says whether the example can be built here.
func CheckGo() error {
	if _, err := exec.LookPath("go"); err != nil {
		return ErrNoGo
	}
	return nil
}

// ShareGoCache lets the runs' Go cache (cacheDir is SLIPWAY_CACHE) be the user's own,
// which after `make up` holds the standard library: the first build then takes a
// second instead of half a minute. Not being able to is no error worth stopping for.
func ShareGoCache(ctx context.Context, cacheDir string) error {
	ctx, cancel := context.WithTimeout(ctx, goTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("ask Go for its cache: %w", err)
	}
	mine := strings.TrimSpace(string(out))
	if !filepath.IsAbs(mine) {
		return nil // "off"
	}
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return fmt.Errorf("share the Go cache: %w", err)
	}
	err = os.Symlink(mine, filepath.Join(cacheDir, "go-build"))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("share the Go cache: %w", err)
	}
	return nil
}
