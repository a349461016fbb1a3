package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T) *Root {
	t.Helper()
	r, err := Open(filepath.Join(t.TempDir(), "ws"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// repository has v1 tagged on main, a second commit on main, and a branch.
func repository(t *testing.T) (dir, first, second string) {
	t.Helper()
	dir = t.TempDir()
	git(t, dir, "init", "-q")
	write(t, dir, map[string]string{"file": "one"})
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "one")
	git(t, dir, "tag", "-a", "-m", "v1", "v1")
	first = git(t, dir, "rev-parse", "HEAD")
	write(t, dir, map[string]string{"file": "two"})
	git(t, dir, "commit", "-q", "-a", "-m", "two")
	git(t, dir, "branch", "feature/x")
	return dir, first, git(t, dir, "rev-parse", "HEAD")
}

func TestGitRefsResolveToCommits(t *testing.T) {
	repo, first, second := repository(t)
	r := open(t)
	for i, c := range []struct{ ref, commit, file string }{
		{"", second, "two"}, {"main", second, "two"}, {"v1", first, "one"}, {"feature/x", second, "two"},
		{first, first, "one"}, {first[:8], first, "one"}, {"refs/tags/v1", first, "one"},
	} {
		w, err := r.Prepare(t.Context(), fmt.Sprintf("d-%d", i), Source{Git: repo, Ref: c.ref})
		if err != nil {
			t.Errorf("%s: %v", c.ref, err)
			continue
		}
		if w.Checkout().Commit != c.commit || read(t, filepath.Join(w.Dir(), "file")) != c.file {
			t.Errorf("%s: %+v", c.ref, w.Checkout())
		}
	}
}

func TestARunKeepsItsCommit(t *testing.T) {
	repo, first, second := repository(t)
	r := open(t)
	w, err := r.Prepare(t.Context(), "d-1", Source{Git: repo, Ref: "main"})
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.Dir(), map[string]string{"made": "by a step"})
	write(t, repo, map[string]string{"file": "three"})
	git(t, repo, "commit", "-q", "-a", "-m", "three")
	w, err = r.Prepare(t.Context(), "d-1", Source{Git: repo, Ref: "main", Commit: second})
	if err != nil || read(t, filepath.Join(w.Dir(), "made")) != "by a step" {
		t.Fatalf("the checkout was not found again: %v", err)
	}
	// Another machine: the commit counts, wherever the branch is now, and known
	// commits need no remote.
	if err := os.Rename(repo, repo+"-away"); err != nil {
		t.Fatal(err)
	}
	w, err = r.Prepare(t.Context(), "d-1", Source{Git: repo, Ref: "main", Commit: first})
	if err != nil || read(t, filepath.Join(w.Dir(), "file")) != "one" {
		t.Fatalf("wrong commit: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.Dir(), "made")); err == nil {
		t.Error("files of the other commit's checkout are left")
	}
}

func TestGitRefusesTricks(t *testing.T) {
	repo, _, _ := repository(t)
	r := open(t)
	marker := filepath.Join(t.TempDir(), "ran")
	for _, c := range []struct {
		src  Source
		want error
	}{
		{Source{Git: repo, Ref: "--upload-pack=touch " + marker}, ErrRef},
		{Source{Git: repo, Ref: "main..v1"}, ErrRef},
		{Source{Git: repo, Ref: "main@{1}"}, ErrRef},
		{Source{Git: repo, Ref: "main~1"}, ErrRef},
		{Source{Git: repo, Ref: "nosuch"}, ErrRef},
		{Source{Git: repo, Commit: "main"}, ErrRef},
		{Source{Git: repo, Commit: strings.Repeat("0", 40)}, ErrRef},
		{Source{Git: "ext::sh -c touch% " + marker}, ErrSource},
		{Source{Git: "--upload-pack=x"}, ErrSource},
		{Source{Git: "ssh://-oProxyCommand=x/y"}, ErrSource},
		{Source{Git: "ftp://example.com/x"}, ErrSource},
		{Source{Git: repo, Path: repo}, ErrSource},
		{Source{Git: filepath.Join(repo, "nosuch")}, ErrFetch},
	} {
		if _, err := r.Prepare(t.Context(), "d-1", c.src); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.src, err)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command was run")
	}
	if _, err := r.Prepare(t.Context(), "../x", Source{}); err == nil {
		t.Error("an id that is a path was accepted")
	}
}

func TestGitErrorsHideCredentials(t *testing.T) {
	r := open(t)
	_, err := r.Prepare(t.Context(), "d-1", Source{Git: "http://me:hunter2@127.0.0.1:1/x.git"})
	if !errors.Is(err, ErrFetch) || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestFolderIsCopiedAndDigested(t *testing.T) {
	src := t.TempDir()
	write(t, src, map[string]string{"a": "1", "sub/b": "2", ".git/config": "x", ".slipway/data": "x"})
	if err := os.Symlink("../a", filepath.Join(src, "sub/link")); err != nil {
		t.Fatal(err)
	}
	r := open(t)
	one, err := r.Prepare(t.Context(), "d-1", Source{Path: src})
	if err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(one.Dir(), "sub/link")) != "1" {
		t.Error("the link does not lead to its file")
	}
	for _, skipped := range []string{".git", ".slipway"} {
		if _, err := os.Stat(filepath.Join(one.Dir(), skipped)); err == nil {
			t.Errorf("%s was copied", skipped)
		}
	}
	two, err := r.Prepare(t.Context(), "d-2", Source{Path: src})
	if err != nil || one.Checkout() != two.Checkout() {
		t.Errorf("%+v, %+v: %v", one.Checkout(), two.Checkout(), err)
	}
	write(t, src, map[string]string{"sub/b": "3"})
	three, err := r.Prepare(t.Context(), "d-3", Source{Path: src})
	if err != nil || one.Checkout() == three.Checkout() {
		t.Errorf("a change was not noticed: %v", err)
	}
	for _, target := range []string{"/etc/passwd", "../../etc/passwd"} {
		link := filepath.Join(src, "bad")
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Prepare(t.Context(), "d-4", Source{Path: src}); !errors.Is(err, ErrEscapes) {
			t.Errorf("%s: %v", target, err)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHalfBuiltWorkspacesAreSweptAndRebuilt(t *testing.T) {
	src := t.TempDir()
	write(t, src, map[string]string{"a": "1"})
	r := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Prepare(ctx, "d-1", Source{Path: src}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// What a crash leaves: a folder aside, and a run's folder without its record.
	write(t, r.runs(), map[string]string{aside + "1/src/a": "half", "d-1/src/a": "half"})
	r, err := Open(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Prepare(t.Context(), "d-1", Source{Path: src})
	if err != nil || read(t, filepath.Join(w.Dir(), "a")) != "1" {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(r.runs())
	if err != nil || len(entries) != 1 {
		t.Errorf("left over: %v %v", entries, err)
	}
}

func TestSweepRemovesOldWorkspaces(t *testing.T) {
	r := open(t)
	for _, run := range []string{"d-old", "d-kept", "d-locked"} {
		w, err := r.Prepare(t.Context(), run, Source{})
		if err != nil {
			t.Fatal(err)
		}
		write(t, w.Dir(), map[string]string{"mod/x": "read-only, as Go's module cache"})
		if err := os.Chmod(filepath.Join(w.Dir(), "mod"), 0o500); err != nil { //nolint:gosec // a folder
			t.Fatal(err)
		}
	}
	if n, err := r.Sweep(time.Now().Add(-time.Hour), func(string) bool { return false }); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.Sweep(time.Now().Add(time.Hour), func(run string) bool { return run == "d-kept" }); n != 2 || err != nil {
		t.Error(n, err)
	}
	if _, err := r.existing("d-kept"); err != nil {
		t.Error(err)
	}
}

// memory is a Store.
type memory map[string][]byte

func (m memory) Put(_ context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	m[name] = b
	return err
}

func (m memory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := m[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func TestArtefactsTravel(t *testing.T) {
	r, store := open(t), memory{}
	w, err := r.Prepare(t.Context(), "d-1", Source{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.Dir(), map[string]string{"dist/app": "binary", "dist/sub/x.txt": "x", "report/a.xml": "a", "deep/er/b.xml": "b", "other": "no"})
	if err := os.Chmod(filepath.Join(w.Dir(), "dist/app"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	got, err := w.Collect(t.Context(), "d-1/build/1", []string{"dist", "**/*.xml"}, store)
	if err != nil || got.Files != 4 || got.Bytes != 9 {
		t.Fatalf("%+v %v", got, err)
	}
	other, err := r.Prepare(t.Context(), "d-2", Source{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again, over what is there
		if err := other.Restore(t.Context(), got, store); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff("b", read(t, filepath.Join(other.Dir(), "deep/er/b.xml"))); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(other.Dir(), "dist/app")); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info, err)
	}
	store["d-1/build/1/files/dist/app"] = []byte("BINARY")
	if err := other.Restore(t.Context(), got, store); !errors.Is(err, ErrArtefact) {
		t.Errorf("a changed file was restored: %v", err)
	}
	store[got.Manifest] = []byte("[]")
	if err := other.Restore(t.Context(), got, store); !errors.Is(err, ErrArtefact) {
		t.Errorf("a changed manifest was believed: %v", err)
	}
}

func TestArtefactsCannotEscape(t *testing.T) {
	r, store := open(t), memory{}
	w, err := r.Prepare(t.Context(), "d-1", Source{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(w.Dir(), "link")); err != nil {
		t.Fatal(err)
	}
	for _, glob := range []string{"../x", "/etc/passwd", "a/../../b", "link", "nothing-*", "[", ""} {
		if _, err := w.Collect(t.Context(), "p", []string{glob}, store); err == nil {
			t.Errorf("%q was collected", glob)
		}
	}
	for name, b := range store {
		t.Errorf("stored %s: %d bytes", name, len(b))
	}
	evil := []byte(`[{"path":"../evil","mode":384,"size":1,"digest":"x"}]`)
	store["p/manifest.json"] = evil
	if err := w.Restore(t.Context(), Artefacts{Manifest: "p/manifest.json", Digest: "sha256:" + digestOf(string(evil))}, store); !errors.Is(err, ErrEscapes) {
		t.Error(err)
	}
}

// table is a Resolver.
type table struct{ env, files map[string]string }

func (r table) Env(n string) (string, bool) { v, ok := r.env[n]; return v, ok }

func (r table) File(p string) ([]byte, error) {
	v, ok := r.files[p]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(v), nil
}

func TestEnvironmentIsBuiltFromReferences(t *testing.T) {
	w, err := open(t).Prepare(t.Context(), "d-1", Source{})
	if err != nil {
		t.Fatal(err)
	}
	res := table{env: map[string]string{"PATH": "/bin", "REGION": "eu", "KEY": "s3cret", "UNUSED": "x"},
		files: map[string]string{"/env": "# comment\nexport A=1\nB=\"two words\"\n", "/key": "from-file\n"}}
	env, secrets, err := w.Environment(EnvSpec{
		Plan: map[string]string{"A": "planned"}, From: []Reference{{Env: "REGION"}, {File: "/env"}},
		Secrets: []Reference{{Name: "TOKEN", Env: "KEY"}, {Name: "CERT", File: "/key"}}, Own: map[string]string{"SLIPWAY_RUN": "d-1"},
	}, res)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"A=planned", "B=two words", "CERT=from-file", "HOME=" + w.Home(), "LANG=C.UTF-8", "PATH=/bin", "REGION=eu",
		"SLIPWAY_CACHE=" + filepath.Join(w.root, "cache"), "SLIPWAY_RUN=d-1", "TMPDIR=" + w.Temp(), "TOKEN=s3cret"}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s3cret", "from-file"}, secrets); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	w, err := open(t).Prepare(t.Context(), "d-1", Source{})
	if err != nil {
		t.Fatal(err)
	}
	res := table{env: map[string]string{"SLACK_BOT_TOKEN": "hidden-value", "SLIPWAY_API_TOKEN": "hidden-value", "NATS_PASSWORD": "hidden-value"},
		files: map[string]string{"/slack": "SLACK_BOT_TOKEN=hidden-value", "/bad": "hidden-value"}}
	for want, spec := range map[string]EnvSpec{
		"MISSING is not set":     {From: []Reference{{Env: "MISSING"}}},
		"GONE is not set":        {Secrets: []Reference{{Name: "X", Env: "GONE"}}},
		"/nofile does not exist": {Secrets: []Reference{{Name: "X", File: "/nofile"}}},
		"SLACK_BOT_TOKEN is":     {From: []Reference{{Env: "SLACK_BOT_TOKEN"}}},
		"SLIPWAY_API_TOKEN is":   {Secrets: []Reference{{Name: "X", Env: "SLIPWAY_API_TOKEN"}}},
		"NATS_PASSWORD is":       {From: []Reference{{Env: "NATS_PASSWORD"}}},
		"line 1 of /slack":       {From: []Reference{{File: "/slack"}}},
		"line 1 of /bad is not":  {From: []Reference{{File: "/bad"}}},
		"SLIPWAY_FENCE is":       {Plan: map[string]string{"SLIPWAY_FENCE": "9"}},
		`"a b" is not the name`:  {Plan: map[string]string{"a b": ""}},
		`"" is not the name`:     {Secrets: []Reference{{Env: "GONE"}}},
	} {
		_, _, err := w.Environment(spec, res)
		if !errors.Is(err, ErrReference) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden-value") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestProcessResolvesWithFilesButNotSlipwaysOwn(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"key": "value\n", "slack": "xoxb\n"})
	t.Setenv("SOME_KEY_FILE", filepath.Join(dir, "key"))
	t.Setenv("SLACK_BOT_TOKEN_FILE", filepath.Join(dir, "slack"))
	if v, ok := (Process{}).Env("SOME_KEY"); !ok || v != "value" {
		t.Errorf("%q %v", v, ok)
	}
	if b, err := (Process{}).File(filepath.Join(dir, "slack")); err == nil {
		t.Errorf("Slipway's own secret was read: %q", b)
	}
	if _, err := (Process{}).File("key"); err == nil {
		t.Error("a relative path was read")
	}
}

func TestEnvFromIsMaskedWhereItLooksSecret(t *testing.T) {
	res := table{env: map[string]string{
		"DEPLOY_TOKEN": "hunter2-token", "DB_PASSWORD": "hunter2-pass", "KEY": "hunter2-key", "STORE": "postgres://app:hunter2-url@db/x",
		"KEYBOARD": "de-latin1", "ZONE": "eu-central", "USE_TOKEN": "true",
	}}
	var spec EnvSpec
	for name := range res.env {
		spec.From = append(spec.From, Reference{Env: name})
	}
	_, secrets, err := (&Workspace{}).Environment(spec, res)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(secrets)
	if diff := cmp.Diff([]string{"hunter2-key", "hunter2-pass", "hunter2-token", "hunter2-url"}, secrets); diff != "" {
		t.Error(diff)
	}
}
