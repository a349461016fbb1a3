package pipeline

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pipeline checks a pipeline as the named services use it.
func (k *checker) pipeline(base []string, p Pipeline, users []string) {
	k.wait(at(base, "timeout"), p.Timeout, MaxTimeout)
	k.wait(at(base, "queue_timeout"), p.QueueTimeout, MaxWait)
	if p.Priority != nil {
		k.within(at(base, "priority"), *p.Priority, -MaxPriority, MaxPriority)
	}
	k.runners(base, p.Pool, p.Labels)
	k.laneTemplate(base, p.Lane, builtinService, builtinEnvironment)
	k.mirror(at(base, "mirror"), p.Mirror)
	if len(p.Steps) == 0 {
		k.fault(at(base, "steps"), "a pipeline needs at least one step")
	}
	k.steps(base, p.Steps, forDeployment(k.known(users)))
}

// laneTemplate checks the name of a lane, in which some words are filled in.
func (k *checker) laneTemplate(base []string, lane string, words ...string) {
	for _, s := range scanPlain(lane) {
		if !s.literal && !slices.Contains(words, s.name) {
			k.fault(at(base, "lane"), "{%s} cannot be part of a lane's name; {%s} can", s.name, strings.Join(words, "} and {"))
		}
	}
	if len(lane) > 4*MaxName || strings.ContainsFunc(lane, forbidden) {
		k.fault(at(base, "lane"), "the name is longer than %d characters, or has invisible ones", 4*MaxName)
	}
}

func (k *checker) steps(base []string, steps []Step, words vocabulary) {
	if len(steps) > MaxSteps {
		k.fault(at(base, "steps"), "%d are given, at most %d are allowed", len(steps), MaxSteps)
	}
	seen := map[string]bool{}
	for i, s := range steps {
		path := at(base, "steps", strconv.Itoa(i))
		if s.Name == "" {
			k.fault(at(path, "name"), "a step needs a name")
		} else {
			k.name(at(path, "name"), s.Name)
		}
		if seen[s.Name] && s.Name != "" {
			k.fault(at(path, "name"), "there is another step %q before it", s.Name)
		}
		seen[s.Name] = true
		k.step(path, s, words)
	}
}

// known says which parameters every one of the services has. A pipeline
// that nobody uses is held only to its form.
func (k *checker) known(users []string) func(string) bool {
	return func(name string) bool {
		for _, u := range users {
			if _, ok := k.config.Services[u].Parameters[name]; !ok {
				return false
			}
		}
		return len(users) > 0 || name != "run"
	}
}

func (k *checker) step(base []string, s Step, words vocabulary) {
	if (s.Shell == "") == (len(s.Argv) == 0) {
		k.fault(at(base, "run"), "a step needs run: one shell line, or a list of arguments")
	}
	k.templates(base, s, words)
	k.stepLimits(base, s)
	k.stepFiles(base, s)
	k.stepEnvironment(base, s)
	switch {
	case resumes[s.Resume] == 0:
		k.fault(at(base, "resume"), "%q is not one of retry, probe and ask", s.Resume)
	case (s.Resume == ResumeProbe) != (s.Probe != ""):
		k.fault(at(base, "probe"), "resume: probe and a probe line belong together")
	case s.AskTimeout != 0 && s.Resume != ResumeAsk:
		k.fault(at(base, "ask_timeout"), "only resume: ask has a timeout for the answer")
	}
}

func (k *checker) templates(base []string, s Step, words vocabulary) {
	report := func(path []string, faults []string) {
		for _, why := range faults {
			k.fault(path, "%s", why)
		}
	}
	report(at(base, "run"), shellFaults(s.Shell, words))
	report(at(base, "probe"), shellFaults(s.Probe, words))
	if len(s.Argv) > MaxArgs {
		k.fault(at(base, "run"), "%d arguments are given, at most %d are allowed", len(s.Argv), MaxArgs)
	}
	for i, arg := range s.Argv {
		path := at(base, "run", strconv.Itoa(i))
		report(path, plainFaults(arg, words))
		if i == 0 {
			k.program(path, arg, words)
		}
	}
	for _, name := range names(s.Env) {
		report(at(base, "env", name), plainFaults(s.Env[name], words))
	}
}

// program checks the first argument: the asker must not choose what runs.
func (k *checker) program(path []string, arg string, words vocabulary) {
	if arg == "" {
		k.fault(path, "the first argument is the program and cannot be empty")
	}
	for _, sp := range scanPlain(arg) {
		if !sp.literal && !slices.Contains(words.places, sp.name) {
			k.fault(path, "{%s} is part of the command's own name, so the asker would choose what runs", sp.name)
		}
	}
}

func (k *checker) stepLimits(base []string, s Step) {
	k.wait(at(base, "timeout"), s.Timeout, MaxTimeout)
	k.wait(at(base, "grace"), s.Grace, MaxGrace)
	k.wait(at(base, "ask_timeout"), s.AskTimeout, MaxWait)
	k.within(at(base, "retry", "attempts"), s.Retry.Attempts, 0, MaxAttempts)
	k.wait(at(base, "retry", "delay"), s.Retry.Delay, MaxDelay)
	k.wait(at(base, "retry", "max_delay"), s.Retry.MaxDelay, MaxDelay)
	if b := s.Retry.Backoff; b != 0 && (b < 1 || b > MaxBackoff) {
		k.fault(at(base, "retry", "backoff"), "%g is not between 1 and %g", b, MaxBackoff)
	}
	if s.Retry.Attempts == 0 && s.Retry != (Retry{}) {
		k.fault(at(base, "retry", "attempts"), "it needs attempts: how often to try in all")
	}
	if s.OutputLimit < 0 || s.OutputLimit > MaxOutput {
		k.fault(at(base, "output_limit"), "it is not between 0 and 256MiB")
	}
}

func (k *checker) stepFiles(base []string, s Step) {
	if s.Dir != "" {
		k.inside(at(base, "dir"), s.Dir)
	}
	if len(s.Artefacts) > MaxArtefacts {
		k.fault(at(base, "artefacts"), "%d are given, at most %d are allowed", len(s.Artefacts), MaxArtefacts)
	}
	for i, glob := range s.Artefacts {
		where := at(base, "artefacts", strconv.Itoa(i))
		k.inside(where, glob)
		if _, err := path.Match(glob, ""); err != nil {
			k.fault(where, "%q is not a pattern of file names", glob)
		}
	}
}

// inside checks a path that must stay in the workspace.
func (k *checker) inside(where []string, p string) {
	switch {
	case p == "" || path.IsAbs(p) || strings.ContainsRune(p, '\\') || strings.ContainsFunc(p, forbidden):
		k.fault(where, "%q must be a path inside the workspace", p)
	case slices.Contains(strings.Split(p, "/"), ".."):
		k.fault(where, "%q leads out of the workspace", p)
	case len(scanPlain(p)) > 0:
		k.fault(where, "placeholders are not filled in here; %q would be taken literally", p)
	}
}

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// own are the runner's credentials, which no step may have.
var own = map[string]bool{
	"SLACK_SIGNING_SECRET": true, "SLACK_BOT_TOKEN": true, "SLACK_APP_TOKEN": true, "NATS_URL": true,
}

func isOwn(name string) bool { return own[name] || strings.HasPrefix(name, "SLIPWAY_") }

func (k *checker) variable(path []string, name string) {
	switch {
	case !variableForm.MatchString(name) || len(name) > 2*MaxName:
		k.fault(path, "%q is not the name of a variable: letters, digits and underscores, not starting with a digit", name)
	case strings.HasPrefix(name, "SLIPWAY_"):
		k.fault(path, "names that start with SLIPWAY_ are set by Slipway itself")
	}
}

func (k *checker) stepEnvironment(base []string, s Step) {
	if n := len(s.Env) + len(s.EnvFrom) + len(s.Secrets); n > MaxEnv {
		k.fault(base, "%d variables are given, at most %d are allowed", n, MaxEnv)
	}
	seen := map[string]string{}
	claim := func(path []string, name, key string) {
		k.variable(path, name)
		if other, taken := seen[name]; taken {
			k.fault(path, "%q is already given by %s", name, other)
		}
		seen[name] = key
	}
	for _, name := range names(s.Env) {
		claim(at(base, "env", name), name, "env")
	}
	for i, name := range s.EnvFrom {
		where := at(base, "env_from", strconv.Itoa(i))
		claim(where, name, "env_from")
		if own[name] {
			k.notOwn(where, name)
		}
	}
	for _, name := range names(s.Secrets) {
		where := at(base, "secrets", name)
		claim(where, name, "secrets")
		k.secret(where, s.Secrets[name], "the runner")
		k.notOwn(at(where, "env"), s.Secrets[name].Env)
	}
}

// secret checks a reference to a value that only one place knows.
func (k *checker) secret(where []string, ref Secret, place string) {
	if (ref.Env == "") == (ref.File == "") {
		k.fault(where, "a secret is taken from either env or file")
	}
	if ref.Env != "" && !variableForm.MatchString(ref.Env) {
		k.fault(at(where, "env"), "%q is not the name of a variable: letters, digits and underscores, not starting with a digit", ref.Env)
	}
	if ref.File != "" && (!path.IsAbs(ref.File) || strings.ContainsFunc(ref.File, forbidden)) {
		k.fault(at(where, "file"), "%q must be an absolute path on %s", ref.File, place)
	}
}

func (k *checker) notOwn(path []string, name string) {
	if isOwn(name) {
		k.fault(path, "%q is Slipway's own and never reaches a step", name)
	}
}
