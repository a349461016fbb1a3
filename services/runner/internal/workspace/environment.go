package workspace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxValue bounds one value; the kernel takes at most 128 KiB for one string.
	maxValue = 64 << 10
	// basePath is used where the runner itself has no PATH.
	basePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// ErrReference says that env_from or secrets name something that cannot be given.
var ErrReference = errors.New("environment")

// Reference names a value that only the runner knows. In env_from either Env, a
// variable passed on under its own name, or File, a file of NAME=value lines; in
// secrets Name is the variable the step sees, and Env or File where the value is.
type Reference struct{ Name, Env, File string }

// Resolver looks references up.
type Resolver interface {
	Env(name string) (string, bool)
	File(path string) ([]byte, error)
}

// EnvSpec is what the plan says of a step's environment. Own holds SLIPWAY_RUN and
// the like, set by the caller; nothing else may begin with SLIPWAY_.
type EnvSpec struct {
	Plan    map[string]string
	From    []Reference
	Secrets []Reference
	Own     map[string]string
}

// Environment builds a step's whole environment, sorted, and lists the values to be
// masked in its output: all secrets, and of env_from what looks like one. Later sources win: base, env_from, the plan's env, secrets,
// Slipway's own.
func (w *Workspace) Environment(spec EnvSpec, res Resolver) (env, secrets []string, err error) {
	vars := w.base(res)
	passed := map[string]string{}
	for _, ref := range spec.From {
		if err := addFrom(passed, ref, res); err != nil {
			return nil, nil, err
		}
	}
	maps.Copy(vars, passed)
	secrets = telling(passed)
	for name, v := range spec.Plan {
		if err := checkName(name); err != nil {
			return nil, nil, err
		}
		vars[name] = v
	}
	for _, ref := range spec.Secrets {
		v, err := secret(ref, res)
		if err != nil {
			return nil, nil, err
		}
		vars[ref.Name] = v
		secrets = append(secrets, v)
	}
	maps.Copy(vars, spec.Own)
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if strings.ContainsRune(vars[name], 0) {
			return nil, nil, fmt.Errorf("%w: the value of %s holds a NUL byte", ErrReference, name)
		}
		env = append(env, name+"="+vars[name])
	}
	return env, secrets, nil
}

// minTelling is the shortest value of env_from that is masked: shorter ones are
// switches and would be found in ordinary words.
const minTelling = 6

// secretName fits variables that hold a secret by the custom of their names.
var secretName = regexp.MustCompile(`(?i)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|(^|_)KEY$|_PASS$|_PWD$|_AUTH$)`)

// telling lists the values that a reader of the output should not see: those
// whose names say so, and passwords in URLs.
func telling(vars map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		v := vars[name]
		if secretName.MatchString(name) && len(v) >= minTelling {
			out = append(out, v)
		}
		if u, err := url.Parse(v); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok && len(password) >= minTelling {
				out = append(out, password)
			}
		}
	}
	return out
}

func (w *Workspace) base(res Resolver) map[string]string {
	path, ok := res.Env("PATH")
	if !ok || path == "" {
		path = basePath
	}
	lang, ok := res.Env("LANG")
	if !ok || lang == "" {
		lang = "C.UTF-8"
	}
	return map[string]string{
		"PATH": path, "HOME": w.Home(), "TMPDIR": w.Temp(), "LANG": lang,
		"SLIPWAY_CACHE": filepath.Join(w.root, "cache"),
	}
}

func addFrom(vars map[string]string, ref Reference, res Resolver) error {
	if ref.File != "" {
		b, err := readRef(ref.File, res)
		if err != nil {
			return err
		}
		return addLines(vars, ref.File, b)
	}
	if err := checkName(ref.Env); err != nil {
		return err
	}
	v, err := envRef(ref.Env, res)
	if err != nil {
		return err
	}
	vars[ref.Env] = v
	return nil
}

func addLines(vars map[string]string, file string, b []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxValue)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%w: line %d of %s is not NAME=value", ErrReference, n, file)
		}
		if err := checkName(name); err != nil {
			return fmt.Errorf("line %d of %s: %w", n, file, err)
		}
		vars[name] = unquote(value)
	}
	return lines.Err()
}

func unquote(v string) string {
	if n := len(v); n >= 2 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
		return v[1 : n-1]
	}
	return v
}

// parameterPrefix begins the variables of secret parameters of a job, which the
// plan names in its own way; see domain/pipeline's SecretPrefix.
const parameterPrefix = "SLIPWAY_SECRET_"

func secret(ref Reference, res Resolver) (string, error) {
	if err := checkName(strings.TrimPrefix(ref.Name, parameterPrefix)); err != nil {
		return "", err
	}
	if ref.File != "" {
		b, err := readRef(ref.File, res)
		return strings.TrimRight(string(b), "\r\n"), err
	}
	if denied(ref.Env) {
		return "", fmt.Errorf("%w: %s is Slipway's own and never given to a step", ErrReference, ref.Env)
	}
	return envRef(ref.Env, res)
}

func envRef(name string, res Resolver) (string, error) {
	v, ok := res.Env(name)
	if !ok {
		return "", fmt.Errorf("%w: the variable %s is not set at the runner (nor %s_FILE)", ErrReference, name, name)
	}
	if len(v) > maxValue {
		return "", fmt.Errorf("%w: the variable %s holds more than %d bytes", ErrReference, name, maxValue)
	}
	return v, nil
}

// readRef names the file in its error and leaves out what the system says beyond
// the kind, and of course the content.
func readRef(path string, res Resolver) ([]byte, error) {
	b, err := res.File(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: the file %s does not exist at the runner", ErrReference, path)
	case err != nil:
		return nil, fmt.Errorf("%w: the file %s cannot be read at the runner: %w", ErrReference, path, err)
	}
	return b, nil
}

var varName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func checkName(name string) error {
	if !varName.MatchString(name) {
		return fmt.Errorf("%w: %.40q is not the name of a variable", ErrReference, name)
	}
	if denied(name) {
		return fmt.Errorf("%w: %s is Slipway's own and never given to a step", ErrReference, name)
	}
	return nil
}

// ownPrefixes are the variables that configure Slipway itself. They hold its
// tokens, and credentials of the stream and of telemetry.
var ownPrefixes = []string{"SLACK_", "SLIPWAY_", "NATS_", "OTEL_"}

func denied(name string) bool {
	return slices.ContainsFunc(ownPrefixes, func(p string) bool { return strings.HasPrefix(strings.ToUpper(name), p) })
}

// Process resolves references against the runner's own environment and disk.
// NAME_FILE stands in for a NAME that is not set.
type Process struct{}

// Env returns a variable of the runner.
func (Process) Env(name string) (string, bool) {
	if v, ok := os.LookupEnv(name); ok {
		return v, true
	}
	path := os.Getenv(name + "_FILE")
	if path == "" {
		return "", false
	}
	b, err := (Process{}).File(path)
	return strings.TrimRight(string(b), "\r\n"), err == nil
}

// File reads a file, but none that holds one of Slipway's own secrets.
func (Process) File(path string) ([]byte, error) {
	if !filepath.IsAbs(path) {
		return nil, errors.New("the path is not absolute")
	}
	f, err := os.Open(path) //nolint:gosec // the operator's reference
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if ownFile(info) {
		return nil, errors.New("it holds a secret of Slipway itself")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	if err == nil && len(b) > maxValue {
		err = ErrTooLarge
	}
	return b, err
}

// ownFile says whether a *_FILE variable of Slipway's names this file.
func ownFile(info os.FileInfo) bool {
	for _, e := range os.Environ() {
		name, path, _ := strings.Cut(e, "=")
		if !denied(name) || !strings.HasSuffix(name, "_FILE") {
			continue
		}
		if own, err := os.Stat(path); err == nil && os.SameFile(own, info) {
			return true
		}
	}
	return false
}
