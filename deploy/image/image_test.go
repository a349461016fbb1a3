package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// fileSystem is a base as a .tar with empty files of these names.
func fileSystem(t *testing.T, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.tar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(file)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, dir string) v1.Image {
	t.Helper()
	image, err := fromLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func digest(t *testing.T, image v1.Image) string {
	t.Helper()
	d, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestImagesAreWholeTheSameAgainAndRun(t *testing.T) {
	first, again := t.TempDir(), t.TempDir()
	base := fileSystem(t, "./bin/sh", "./usr/bin/git")
	source := filepath.Join("..", "..")
	for _, out := range []string{first, again} {
		source = clone(t, source)
		c := cli{source: source, Out: out, Arch: "amd64", Version: "v1.2.3", RunnerBase: base}
		if err := c.run(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range programs {
		t.Run(p.image, func(t *testing.T) {
			image := read(t, filepath.Join(first, p.image))
			if err := validate.Image(image); err != nil {
				t.Error(err)
			}
			if one, two := digest(t, image), digest(t, read(t, filepath.Join(again, p.image))); one != two {
				t.Errorf("built twice: %s and %s", one, two)
			}
			archived, err := tarball.ImageFromPath(filepath.Join(first, p.image+".tar"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(archived); err != nil {
				t.Error(err)
			}
			describes(t, image, p)
			runs(t, image)
		})
	}
}

// clone is the commit at hand in another folder: where it lies may not matter, and
// nobody edits it meanwhile.
func clone(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "--quiet", "--shared", "--no-tags", from, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func describes(t *testing.T, image v1.Image, p program) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Config.User != "65532:65532" {
		t.Errorf("it runs as %q", file.Config.User)
	}
	if file.OS != "linux" || file.Architecture != "amd64" || file.Created.Unix() <= 0 {
		t.Errorf("%s %s, created %s", file.OS, file.Architecture, file.Created)
	}
	for label, want := range map[string]string{"title": p.title, "version": "v1.2.3"} {
		if got := file.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q", label, got)
		}
	}
	if revision := file.Config.Labels["org.opencontainers.image.revision"]; len(revision) != 40 {
		t.Errorf("revision %q", revision)
	}
}

// runs unpacks the image and starts what it starts: in its own root and as its
// own user where this process may do that.
func runs(t *testing.T, image v1.Image) {
	t.Helper()
	root := unpack(t, image)
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	entry := file.Config.Entrypoint[0]
	cmd := exec.Command(filepath.Join(root, entry), "--help")
	if os.Geteuid() == 0 {
		cmd = exec.Command(entry, "--help")
		cmd.Err, cmd.Dir = nil, "/tmp" // looked for inside the root
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Usage:") {
		t.Errorf("%v\n%s", err, out)
	}
	roots, err := os.ReadFile(filepath.Join(root, rootsFile))
	if isRunner := entry == "/runner"; !isRunner && (err != nil || strings.Count(string(roots), "BEGIN CERTIFICATE") < 100) {
		t.Errorf("roots of trust: %d bytes, %v", len(roots), err)
	}
}

func unpack(t *testing.T, image v1.Image) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil { // for another user
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := mutate.Extract(image)
	defer func() { _ = files.Close() }()
	for r := tar.NewReader(files); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return root
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, filepath.Clean("/"+header.Name))
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, os.FileMode(header.Mode).Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARunnerWithoutItsToolsIsRefused(t *testing.T) {
	for _, names := range [][]string{{"bin/sh"}, {"usr/bin/git"}, {"etc/passwd"}} {
		c := cli{Arch: "amd64", RunnerBase: fileSystem(t, names...)}
		if _, err := c.runnerBase(); !errors.Is(err, errNoTools) {
			t.Errorf("%v: %v", names, err)
		}
	}
}

// An image that was built before is a base, too.
func TestALayoutIsABase(t *testing.T) {
	image, err := fromFiles(fileSystem(t, "bin/sh", "usr/bin/git"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "base")
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.AppendImage(image); err != nil {
		t.Fatal(err)
	}
	c := cli{Arch: "amd64", RunnerBase: dir}
	if _, err := c.runnerBase(); err != nil {
		t.Error(err)
	}
}
