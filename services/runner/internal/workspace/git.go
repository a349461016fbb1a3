package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// gitTimeout bounds one Git process: a first fetch of a large repository on a
	// slow line; a hanging one must not hold the run for ever.
	gitTimeout = 10 * time.Minute
	// gitErrorBytes is how much of Git's own words an error quotes.
	gitErrorBytes = 600
	maxURL        = 2048
	maxRef        = 255
	defaultRef    = "refs/slipway/default"
)

var (
	refText    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+@=-]*$`)
	fullCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	abbreviate = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	scpLike    = regexp.MustCompile(`^[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^-].*$`)
)

// CheckRef says whether a ref may be handed to Git: what people type must never be
// taken for an option, a range or a reflog expression.
func CheckRef(ref string) error {
	bad := len(ref) > maxRef || !refText.MatchString(ref) || strings.Contains(ref, "..") || strings.Contains(ref, "@{") ||
		strings.Contains(ref, "//") || strings.HasSuffix(ref, "/") || strings.HasSuffix(ref, ".") || strings.HasSuffix(ref, ".lock")
	if bad {
		return fmt.Errorf("%w: %.40q is not a branch, tag or commit", ErrRef, ref)
	}
	return nil
}

// checkURL admits the transports that move data only; ext:: would run a command.
func checkURL(raw string) error {
	if len(raw) > maxURL || raw == "" || strings.HasPrefix(raw, "-") || strings.Contains(raw, "::") || strings.ContainsAny(raw, "\x00\n\r") {
		return fmt.Errorf("%w: not a Git URL", ErrSource)
	}
	if filepath.IsAbs(raw) || scpLike.MatchString(raw) {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w: not a Git URL", ErrSource)
	}
	switch u.Scheme {
	case "https", "http", "git", "file", "ssh":
		if strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-") {
			return fmt.Errorf("%w: not a Git URL", ErrSource)
		}
		return nil
	}
	return fmt.Errorf("%w: Git over %q is not supported", ErrSource, u.Scheme)
}

// checkOutGit resolves the ref in the mirror, fetching unless the commit is known
// and there, and clones from the mirror, which is quick and needs no network.
func (r *Root) checkOutGit(ctx context.Context, src Source, into string) (Checkout, error) {
	if err := checkSource(src); err != nil {
		return Checkout{}, err
	}
	g := gitAt{dir: filepath.Join(r.mirrorDir(), digestOf(src.Git)[:32]+".git"), url: src.Git}
	lock, _ := r.mirrors.LoadOrStore(g.dir, &sync.Mutex{})
	mu := lock.(*sync.Mutex) //nolint:forcetypeassert // nothing else is stored
	mu.Lock()
	defer mu.Unlock()
	if err := g.ensure(ctx); err != nil {
		return Checkout{}, err
	}
	commit, stale, err := g.find(ctx, src)
	if err != nil {
		return Checkout{}, err
	}
	if _, err := g.run(ctx, "", "clone", "--quiet", "--local", "--no-checkout", "--", g.dir, into); err != nil {
		return Checkout{}, err
	}
	// A commit that no branch or tag reaches is not cloned: take it by its name.
	if _, err := g.run(ctx, into, "cat-file", "-e", commit+"^{commit}"); err != nil {
		if _, err := g.run(ctx, into, "fetch", "--quiet", "--", g.dir, commit); err != nil {
			return Checkout{}, err
		}
	}
	if _, err := g.run(ctx, into, "checkout", "--quiet", "--detach", "--force", commit, "--"); err != nil {
		return Checkout{}, err
	}
	return Checkout{Commit: commit, Stale: stale}, nil
}

func checkSource(src Source) error {
	if err := checkURL(src.Git); err != nil {
		return err
	}
	if src.Commit != "" && !fullCommit.MatchString(src.Commit) {
		return fmt.Errorf("%w: %.70q is not a commit", ErrRef, src.Commit)
	}
	if src.Ref != "" {
		return CheckRef(src.Ref)
	}
	return nil
}

// gitAt is the mirror of one repository.
type gitAt struct{ dir, url string }

// ensure creates an empty mirror, aside and then renamed.
func (g gitAt) ensure(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(g.dir, "HEAD")); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(g.dir), aside)
	if err != nil {
		return err
	}
	defer func() { _ = removeAll(tmp) }()
	if _, err := g.run(ctx, tmp, "init", "--quiet", "--bare", "--", tmp); err != nil {
		return err
	}
	// Commits that only a recorded id names must survive and be cloneable.
	for _, kv := range [][2]string{{"gc.auto", "0"}, {"uploadpack.allowAnySHA1InWant", "true"}} {
		if _, err := g.run(ctx, tmp, "config", kv[0], kv[1]); err != nil {
			return err
		}
	}
	return os.Rename(tmp, g.dir)
}

// find returns the commit of the source. A recorded one is final. With a source
// that may be old, what the mirror has counts when the fetch fails; stale then
// says why.
func (g gitAt) find(ctx context.Context, src Source) (commit, stale string, err error) {
	if src.Commit != "" {
		if c, err := g.resolve(ctx, src.Commit); err == nil {
			return c, "", nil
		}
	}
	fetched := g.fetch(ctx)
	if fetched != nil && (!src.LastGood || ctx.Err() != nil) {
		return "", "", fetched
	}
	commit, err = g.pick(ctx, src, fetched == nil)
	switch {
	case fetched == nil:
		return commit, "", err
	case err != nil:
		return "", "", fmt.Errorf("%w; this runner has no earlier copy", fetched)
	}
	return commit, staleWords(fetched, g.fetchedAt()), nil
}

// pick resolves the source in the mirror, asking the server for a commit that no
// branch or tag reaches if it can be asked.
func (g gitAt) pick(ctx context.Context, src Source, online bool) (string, error) {
	want := src.Ref
	if src.Commit != "" {
		want = src.Commit
	}
	if want == "" {
		return g.resolve(ctx, defaultRef)
	}
	for _, name := range candidates(want) {
		if c, err := g.resolve(ctx, name); err == nil {
			return c, nil
		}
	}
	if online && fullCommit.MatchString(want) { // not on a branch or tag: some servers give it by name
		if _, err := g.run(ctx, g.dir, "fetch", "--quiet", "--no-write-fetch-head", "--", g.url, want+":refs/slipway/"+want); err == nil {
			return g.resolve(ctx, want)
		}
	}
	return "", fmt.Errorf("%w: %s has no branch, tag or commit %q", ErrRef, redact(g.url), want)
}

// fetchedName, in a mirror, is touched by every fetch that succeeded.
const fetchedName = "slipway-fetched"

// fetchedAt is when the mirror was last as its origin.
func (g gitAt) fetchedAt() time.Time {
	info, err := os.Stat(filepath.Join(g.dir, fetchedName))
	if err != nil {
		info, err = os.Stat(g.dir)
	}
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// candidates lists what a short name can mean, in Git's own order.
func candidates(ref string) []string {
	out := []string{"refs/tags/" + ref, "refs/heads/" + ref}
	if strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/") {
		out = append([]string{ref}, out...)
	}
	if abbreviate.MatchString(ref) {
		out = append(out, ref)
	}
	return out
}

func (g gitAt) fetch(ctx context.Context) error {
	_, err := g.run(ctx, g.dir, "fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-write-fetch-head", "--", g.url,
		"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:"+defaultRef)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFetch, redact(g.url), err)
	}
	_ = os.WriteFile(filepath.Join(g.dir, fetchedName), nil, 0o600) // only the time in a sentence hangs on it
	return nil
}

func (g gitAt) resolve(ctx context.Context, name string) (string, error) {
	out, err := g.run(ctx, g.dir, "rev-parse", "--quiet", "--verify", "--end-of-options", name+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrRef, name)
	}
	return strings.TrimSpace(out), nil
}

// run runs Git without prompts, hooks or transports that execute commands. Its own
// words come into the error, without what the URL may hold of credentials.
func (g gitAt) run(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	fixed := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never", "-c", "advice.detachedHead=false"}
	cmd := exec.CommandContext(ctx, "git", append(fixed, args...)...)
	cmd.Dir, cmd.Env = dir, gitEnv(os.Environ())
	cmd.WaitDelay = time.Second // ssh may hold the pipes
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	switch {
	case err == nil:
		return out.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w: the command git does not exist on the runner's PATH", ErrFetch)
	case ctx.Err() != nil:
		return "", fmt.Errorf("git %s: %w", args[0], context.Cause(ctx))
	}
	said := strings.TrimSpace(strings.ReplaceAll(words.String(), g.url, redact(g.url)))
	if u, perr := url.Parse(g.url); perr == nil && u.User != nil {
		said = strings.ReplaceAll(said, u.User.String(), "***")
		if p, ok := u.User.Password(); ok && p != "" {
			said = strings.ReplaceAll(said, p, "***")
		}
	}
	return "", fmt.Errorf("git %s: %w: %.*s", args[0], err, gitErrorBytes, said)
}

// gitEnv is the runner's environment, since keys and credential helpers are found
// by it, without Slipway's own secrets and without Git's own variables.
func gitEnv(environ []string) []string {
	out := make([]string, 0, len(environ)+4)
	ssh := "GIT_SSH_COMMAND=ssh -oBatchMode=yes"
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case name == "GIT_SSH_COMMAND":
			ssh = e
		case denied(name), strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "GIT_CONFIG_") && !strings.HasPrefix(name, "GIT_SSL_"):
		default:
			out = append(out, e)
		}
	}
	return append(out, ssh, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "GIT_ALLOW_PROTOCOL=https:http:ssh:git:file", "LC_ALL=C")
}

// redact removes credentials from a URL, also those in a query.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil && u.RawQuery == "" {
		return raw
	}
	if u.User != nil {
		u.User = url.User("***")
	}
	u.RawQuery = ""
	return u.String()
}
