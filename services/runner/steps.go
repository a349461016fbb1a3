package runner

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/holder"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/runner/internal/objects"
	"github.com/slipway-hq/slipway/services/runner/internal/step"
	"github.com/slipway-hq/slipway/services/runner/internal/workspace"
)

// steps is the Executor of real processes: a workspace per run, a supervised
// process tree per attempt, artefacts in the object store.
type steps struct {
	root     *workspace.Root
	store    workspace.Store
	values   workspace.Resolver
	lockFile string
	watchdog time.Duration
	log      *slog.Logger
	self     map[string]string // what every step is told of its runner
	extra    func() map[string]string
	callback callbacks
}

func newSteps(dir string, js jetstream.JetStream, log *slog.Logger, watchdog time.Duration, extra func() map[string]string, callback callbacks) (*steps, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	root, err := workspace.Open(filepath.Join(dir, "work"))
	if err != nil {
		return nil, err
	}
	return &steps{
		root: root, store: objects.New(js), values: workspace.Process{},
		lockFile: filepath.Join(dir, "steps.lock"), watchdog: watchdog, log: log, extra: extra, callback: callback,
	}, nil
}

func (x *steps) awaitPredecessors(ctx context.Context) error {
	return step.AwaitPredecessors(ctx, x.lockFile)
}

// workspaceAge is how long a workspace is kept that no run asks for any more: one
// whose run went on elsewhere.
const workspaceAge = 7 * 24 * time.Hour

// sweep removes old workspaces except those that keep asks for.
func (x *steps) sweep(keep func(run string) bool) {
	removed, err := x.root.Sweep(time.Now().Add(-workspaceAge), keep)
	if err != nil {
		x.log.Warn("old workspaces could not be removed", "error", err)
	}
	if removed > 0 {
		x.log.Info("old workspaces removed", "count", removed)
	}
}

// Forget removes the workspace of a run.
func (x *steps) Forget(run string) {
	if err := x.root.Remove(run); err != nil {
		x.log.Warn("a workspace could not be removed", "run", run, "error", err)
	}
}

// Execute implements Executor.
func (x *steps) Execute(ctx context.Context, a Attempt, out Sink) (Result, error) {
	w, err := x.root.Prepare(ctx, a.Run, sourceOf(a))
	if err != nil {
		return setupFailed(ctx, nil, err)
	}
	source := resolved(a.Plan.GetSource(), w.Checkout())
	if err := x.patiently(ctx, func() error { return x.restore(ctx, w, a) }); err != nil {
		return setupFailed(ctx, source, err)
	}
	spec, err := x.spec(w, a)
	if err != nil {
		return setupFailed(ctx, source, err)
	}
	ran, err := step.Run(ctx, spec, out, step.Options{Alive: a.Alive, LockFile: x.lockFile, WatchdogLimit: x.watchdog})
	switch {
	case err != nil:
		return setupFailed(ctx, source, err)
	case ran.Abandoned:
		return Result{}, ErrAbandon
	}
	result := translate(ran, spec)
	result.Source = source
	x.report(ctx, a, ran, result.Output)
	if !result.OK() {
		return result, nil
	}
	err = x.patiently(ctx, func() (err error) {
		result.Artefacts, err = x.collect(ctx, w, a)
		return err
	})
	if err != nil {
		failed, err := setupFailed(ctx, source, err)
		failed.Output, failed.Error = result.Output, step.Mask(spec.Secrets, failed.Error)
		return failed, err
	}
	return result, nil
}

const (
	// storePatience is how long the object store may be away: a restart of a
	// single broker, or an election. After about as long without a broker the
	// lease is lost, too.
	storePatience = 30 * time.Second
	storePause    = 250 * time.Millisecond
)

// patiently repeats what needs the object store while that is away, so that a
// step whose command succeeded does not fail for it.
func (x *steps) patiently(ctx context.Context, do func() error) error {
	for deadline := time.Now().Add(storePatience); ; {
		err := do()
		if !errors.Is(err, objects.ErrAway) || time.Now().After(deadline) || pause(ctx, storePause) != nil {
			return err
		}
	}
}

// setupFailed is the result of an attempt that lacks something. What is wrong
// with the plan itself will be wrong again.
func setupFailed(ctx context.Context, source *eventv1.SourceResolved, err error) (Result, error) {
	if errors.Is(context.Cause(ctx), ErrAbandon) {
		return Result{}, ErrAbandon
	}
	final := errors.Is(err, workspace.ErrSource) || errors.Is(err, workspace.ErrRef) || errors.Is(err, workspace.ErrEscapes) || errors.Is(err, step.ErrSpec)
	return Result{Failure: eventv1.StepFailed_CAUSE_SETUP, ExitCode: holder.NoExit, Error: err.Error(), Final: final, Source: source}, nil
}

const (
	kindGit  = "git"
	kindPath = "path"
	kindURL  = "url"
)

// sourceOf is where the files come from: of Git and URLs what was recorded, once
// it was, so that all steps see the same.
func sourceOf(a Attempt) workspace.Source {
	last := a.Plan.GetSource().GetLastGood()
	switch from := a.Plan.GetSource().GetFrom().(type) {
	case *eventv1.Source_Git:
		return workspace.Source{Git: from.Git.GetUrl(), Ref: from.Git.GetRef(), Commit: a.Commit, LastGood: last}
	case *eventv1.Source_Path:
		return workspace.Source{Path: from.Path.GetPath()}
	case *eventv1.Source_Url:
		return workspace.Source{URL: from.Url.GetUrl(), SHA256: from.Url.GetSha256(), File: from.Url.GetPath(), Commit: a.Commit, LastGood: last}
	}
	return workspace.Source{}
}

func resolved(source *eventv1.Source, c workspace.Checkout) *eventv1.SourceResolved {
	switch source.GetFrom().(type) {
	case *eventv1.Source_Git:
		return &eventv1.SourceResolved{Commit: c.Commit, Kind: kindGit, Stale: bounded(c.Stale)}
	case *eventv1.Source_Path:
		return &eventv1.SourceResolved{Commit: c.Digest, Kind: kindPath}
	case *eventv1.Source_Url:
		return &eventv1.SourceResolved{Commit: c.Digest, Kind: kindURL, Stale: bounded(c.Stale)}
	}
	return nil
}

// spec is what to start.
func (x *steps) spec(w *workspace.Workspace, a Attempt) (step.Spec, error) {
	plan := a.Command()
	dir, err := folder(w, plan.GetDir())
	if err != nil {
		return step.Spec{}, err
	}
	said := x.environment(w, a)
	env, secrets, err := w.Environment(said, x.values)
	if err != nil {
		return step.Spec{}, err
	}
	if address := said.Own[callbackName]; address != "" {
		secrets = append(secrets, address) // whoever has it can speak for the run
	}
	spec := step.Spec{
		Argv: plan.GetArgv(), Shell: plan.GetShell(), Dir: dir, Env: env, Secrets: secrets,
		Timeout: plan.GetTimeout().AsDuration(), Grace: plan.GetGrace().AsDuration(), OutputLimit: int64(plan.GetOutputLimit()), //nolint:gosec // bounded by the configuration
	}
	if a.Reports() {
		spec.ReportBytes = reportLimit
	}
	if a.Probe {
		spec.Argv, spec.Shell = nil, plan.GetProbe()
	}
	return spec, nil
}

// folder is where the command starts: inside the workspace, links followed.
func folder(w *workspace.Workspace, dir string) (string, error) {
	if dir == "" {
		return w.Dir(), nil
	}
	root, err := filepath.EvalSymlinks(w.Dir())
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(root, dir))
	if err != nil {
		return "", fmt.Errorf("%w: the folder %s does not exist in the source", workspace.ErrSource, dir)
	}
	if rel, err := filepath.Rel(root, path); err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("the folder %s: %w", dir, workspace.ErrEscapes)
	}
	return path, nil
}

func (x *steps) environment(w *workspace.Workspace, a Attempt) workspace.EnvSpec {
	plan, version := a.Command(), a.Version
	if version == "" {
		version = w.Checkout().Version()
	}
	spec := workspace.EnvSpec{Plan: plan.GetEnv(), Own: map[string]string{
		"SLIPWAY_RUN": a.Run, "SLIPWAY_SERVICE": a.Service, "SLIPWAY_ENVIRONMENT": a.Environment, "SLIPWAY_VERSION": version,
		"SLIPWAY_STEP": plan.GetName(), "SLIPWAY_ATTEMPT": strconv.FormatUint(uint64(a.Number), 10), "SLIPWAY_FENCE": strconv.FormatUint(a.Fence, 10),
	}}
	maps.Copy(spec.Own, x.self)
	if a.Job != "" {
		spec.Own["SLIPWAY_NAMESPACE"], spec.Own["SLIPWAY_JOB"] = a.Namespace, a.Job
		if address := x.callback.address(a, time.Now()); address != "" {
			spec.Own[callbackName] = address
		}
	}
	if x.extra != nil {
		maps.Copy(spec.Own, x.extra())
	}
	for _, name := range plan.GetEnvFrom() {
		spec.From = append(spec.From, workspace.Reference{Env: name})
	}
	for name, ref := range plan.GetSecrets() {
		spec.Secrets = append(spec.Secrets, workspace.Reference{Name: name, Env: ref.GetEnv(), File: ref.GetFile()})
	}
	return spec
}

// translate says in the log's words how a process ended.
func translate(ran step.Result, spec step.Spec) Result {
	r := Result{ExitCode: int32(ran.ExitCode), Signal: ran.Signal, Output: &eventv1.StepOutput{ //nolint:gosec // an exit code
		Bytes: uint64(ran.OutputBytes), Truncated: ran.Truncated, Note: strings.Join(ran.Notes(), "; "), //nolint:gosec // not negative
	}}
	switch {
	case ran.Err != "":
		r.Failure, r.Error = eventv1.StepFailed_CAUSE_START, ran.Err
	case ran.Cancelled:
		r.Failure, r.Error = eventv1.StepFailed_CAUSE_STOPPED, "stopped on request"
	case ran.TimedOut:
		r.Failure, r.Error = eventv1.StepFailed_CAUSE_TIMEOUT, fmt.Sprintf("took longer than %s", spec.Timeout)
	case ran.Signal != "":
		r.Failure, r.Error = eventv1.StepFailed_CAUSE_SIGNAL, "ended by "+ran.Signal
	case ran.ExitCode != 0:
		r.Failure, r.Error = eventv1.StepFailed_CAUSE_EXIT, fmt.Sprintf("exit code %d", ran.ExitCode)
	default:
		return r
	}
	r.Output.Tail = ran.Tail
	return r
}

const (
	// presentFile, in a workspace, lists the artefacts that are in it.
	presentFile = "artefacts"
	// wholeTree is the path of an artefact whose object is a manifest of files
	// below the workspace.
	wholeTree = "."
)

// collect stores what the step declares. The names carry the fence, so that a
// runner that lost its claim cannot overwrite anything that counts.
func (x *steps) collect(ctx context.Context, w *workspace.Workspace, a Attempt) ([]*eventv1.Artefact, error) {
	globs := a.Command().GetArtefacts()
	if len(globs) == 0 {
		return nil, nil
	}
	prefix := fmt.Sprintf("artefacts/%s/%d/%d/%d", a.Run, a.Step, a.Number, a.Fence)
	found, err := w.Collect(ctx, prefix, globs, x.store)
	if err != nil {
		return nil, err
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(found.Digest, digestPrefix))
	if err != nil {
		return nil, fmt.Errorf("collect artefacts: %w", err)
	}
	artefact := &eventv1.Artefact{Path: wholeTree, Object: found.Manifest, Size: uint64(found.Bytes), Digest: digest} //nolint:gosec // not negative
	return []*eventv1.Artefact{artefact}, markPresent(w, artefact)
}

const digestPrefix = "sha256:"

// restore brings back the artefacts of done steps that this workspace lacks,
// because another runner made them or another run did.
func (x *steps) restore(ctx context.Context, w *workspace.Workspace, a Attempt) error {
	if len(a.Done) == 0 {
		return nil
	}
	here, err := present(w)
	if err != nil {
		return err
	}
	for _, artefact := range a.Done {
		if here[artefact.GetObject()] {
			continue
		}
		from := workspace.Artefacts{Manifest: artefact.GetObject(), Digest: digestPrefix + hex.EncodeToString(artefact.GetDigest())}
		if err := w.Restore(ctx, from, x.store); err != nil {
			return err
		}
		if err := markPresent(w, artefact); err != nil {
			return err
		}
	}
	return nil
}

func present(w *workspace.Workspace) (map[string]bool, error) {
	data, err := os.ReadFile(filepath.Join(w.Home(), presentFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read which artefacts are here: %w", err)
	}
	here := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		here[strings.TrimSuffix(line, "\n")] = true
	}
	return here, nil
}

func markPresent(w *workspace.Workspace, artefact *eventv1.Artefact) (err error) {
	file, err := os.OpenFile(filepath.Join(w.Home(), presentFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("note which artefacts are here: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteString(artefact.GetObject() + "\n"); err != nil {
		return fmt.Errorf("note which artefacts are here: %w", err)
	}
	return nil
}
