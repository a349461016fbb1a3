// Package deploy compares what is installed with the code: every variable, flag,
// port, path and subject of the manifests and of the servers' configuration. What
// a real API server makes of them is test/kube's matter, and what real NATS
// servers do with them test/credentials'.
package deploy

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/internal/credential"
	"github.com/slipway-hq/slipway/internal/lifecycle"
)

// manifest is what these tests read of an object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec podSpec
		}
		Ports []struct {
			Name, TargetPort, AppProtocol string
			Port                          int
		}
	}
}

type podSpec struct {
	TerminationGracePeriodSeconds int
	AutomountServiceAccountToken  *bool
	Containers                    []container
}

type container struct {
	Name, Image string
	Args        []string
	Env         []struct{ Name, Value string }
	Ports       []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, LivenessProbe, ReadinessProbe *probe
	Lifecycle                                   struct {
		PreStop struct{ Sleep struct{ Seconds int } }
	}
	VolumeMounts []struct{ MountPath string }
}

type probe struct {
	HTTPGet struct{ Path, Port string }
}

// manifests reads every object below a folder, patches of overlays included.
func manifests(t *testing.T, dir string) (out []manifest) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests in %s: %v", dir, err)
	}
	for _, file := range files {
		if filepath.Base(file) == "slipway.yaml" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := yaml.NewDecoder(bytes.NewReader(lower(data))); ; {
			var m manifest
			err := decoder.Decode(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			out = append(out, m)
		}
	}
	return out
}

// lower makes keys as the decoder looks for them, which knows small letters alone.
func lower(data []byte) []byte {
	return regexp.MustCompile(`[A-Za-z]+:`).ReplaceAllFunc(data, bytes.ToLower)
}

// pods are the workloads of the base by the name of their container.
func pods(t *testing.T) map[string]podSpec {
	t.Helper()
	out := map[string]podSpec{}
	for _, m := range manifests(t, filepath.Join("k8s", "base")) {
		for _, c := range m.Spec.Template.Spec.Containers {
			out[c.Name] = m.Spec.Template.Spec
		}
	}
	return out
}

// programs are the commands that the containers run.
var programs = map[string]string{
	"slack-ingress": "slack-ingress", "orchestrator": "orchestrator", "runner": "runner", "notifier": "notifier", "bootstrap": "slipway",
}

// setting is a variable that a program reads.
type setting struct {
	secret bool
	choice []string // of an enum
}

var (
	field   = regexp.MustCompile(`(?m)^\s*\w+\s+(\S+)\s+` + "`" + `([^` + "`" + `]*)` + "`")
	envTag  = regexp.MustCompile(`\benv:"([A-Z_]+)"`)
	enumTag = regexp.MustCompile(`\benum:"([^"]+)"`)
)

// settings are the variables of a program: those of its main and of every package
// whose settings are embedded there.
func settings(t *testing.T, program string) map[string]setting {
	t.Helper()
	root := ".."
	sources := []string{filepath.Join(root, "cmd", "internal", "host", "*.go"), filepath.Join(root, "internal", "settings", "settings.go")}
	if program == "slipway" {
		sources = append(sources, filepath.Join(root, "cmd", program, "bootstrap.go"))
	} else {
		sources = append(sources, filepath.Join(root, "cmd", program, "main.go"))
		for _, m := range regexp.MustCompile(`"github.com/slipway-hq/slipway/(services/[\w-]+)"`).FindAllStringSubmatch(read(t, filepath.Join(root, "cmd", program, "main.go")), -1) {
			sources = append(sources, filepath.Join(root, filepath.FromSlash(m[1]), "*.go"))
		}
	}
	out := map[string]setting{}
	for _, pattern := range sources {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("nothing at %s: %v", pattern, err)
		}
		for _, file := range files {
			for _, m := range field.FindAllStringSubmatch(read(t, file), -1) {
				if name := envTag.FindStringSubmatch(m[2]); name != nil {
					s := setting{secret: strings.HasSuffix(m[1], "telemetry.Secret")}
					if choice := enumTag.FindStringSubmatch(m[2]); choice != nil {
						s.choice = strings.Split(choice[1], ",")
					}
					out[name[1]] = s
				}
			}
		}
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestVariablesAreThoseThatTheCodeReads(t *testing.T) {
	found := pods(t)
	for name, program := range programs {
		known := settings(t, program)
		if len(known) < 6 {
			t.Fatalf("%s reads only %v", program, known)
		}
		for _, e := range found[name].Containers[0].Env {
			base, byFile := strings.CutSuffix(e.Name, "_FILE")
			s, ok := known[base]
			switch {
			case !ok:
				t.Errorf("%s does not read %s", program, e.Name)
			case s.secret != byFile:
				t.Errorf("%s: %s: a secret comes from a file, and nothing else does", name, e.Name)
			case len(s.choice) > 0 && !slices.Contains(s.choice, e.Value):
				t.Errorf("%s: %s is %q, and may be %v", name, e.Name, e.Value, s.choice)
			}
			if strings.HasPrefix(e.Value, "/") && !mounted(found[name].Containers[0], e.Value) {
				t.Errorf("%s: %s names %s, where nothing is mounted", name, e.Name, e.Value)
			}
		}
	}
}

func mounted(c container, file string) bool {
	for _, m := range c.VolumeMounts {
		if file == m.MountPath || strings.HasPrefix(file, m.MountPath+"/") {
			return true
		}
	}
	return false
}

// withoutSecret are the secrets that a program reads and the manifests do not give.
var withoutSecret = map[string]string{
	"orchestrator SLACK_BOT_TOKEN":              "the notifier speaks with Slack",
	"slack-ingress SLACK_APP_TOKEN":             "for Socket Mode: the manifests open doors over HTTP",
	"slack-ingress SLACK_SIGNING_SECRET_SECOND": "while the first is being changed",
}

// The other direction: a secret that the code asks for and nobody mounts is a
// feature that silently does not work.
func TestSecretsThatTheCodeReadsAreGiven(t *testing.T) {
	found := pods(t)
	left := maps.Clone(withoutSecret)
	for name, program := range programs {
		given := map[string]bool{}
		for _, e := range found[name].Containers[0].Env {
			given[e.Name] = true
		}
		for variable, s := range settings(t, program) {
			_, known := left[name+" "+variable]
			delete(left, name+" "+variable)
			if s.secret && !known && !given[variable+"_FILE"] {
				t.Errorf("%s reads %s: mount it, or say in this test why not", name, variable)
			}
		}
	}
	for what := range left {
		t.Errorf("%s: nobody reads that any more", what)
	}
}

// TestServersGetTheVariablesThatTheirConfigurationNames: no more, no fewer, beside
// the public keys, which come from the secrets.
func TestServersGetTheVariablesThatTheirConfigurationNames(t *testing.T) {
	var wanted, given []string
	for _, file := range []string{"nats.conf", "cluster.conf", "authorization.conf"} {
		for _, m := range regexp.MustCompile(`(?m): \$([A-Z_]+)[ \n]`).FindAllStringSubmatch(read(t, filepath.Join("nats", file)), -1) {
			if !strings.HasPrefix(m[1], "NKEY_") {
				wanted = append(wanted, m[1])
			}
		}
	}
	for _, e := range pods(t)["nats"].Containers[0].Env {
		given = append(given, e.Name)
	}
	wanted = slices.DeleteFunc(wanted, func(name string) bool { return programs[strings.ToLower(strings.ReplaceAll(name, "_", "-"))] != "" }) // permissions
	slices.Sort(wanted)
	slices.Sort(given)
	if !slices.Equal(wanted, given) {
		t.Errorf("the configuration names %v, the pods get %v", wanted, given)
	}
}

// Without these a service starts and lacks what the picture shows.
func TestNothingThatIsNeededIsLeftOut(t *testing.T) {
	found := pods(t)
	for name, needed := range map[string][]string{
		"slack-ingress": {"SLACK_SIGNING_SECRET_FILE", "SLACK_BOT_TOKEN_FILE", "SLIPWAY_CONFIG", "SLIPWAY_CALLBACK_KEY_FILE"},
		"orchestrator":  {"SLIPWAY_CONFIG", "SLIPWAY_API_TOKEN_FILE"},
		"runner":        {"SLIPWAY_DATA", "SLIPWAY_CALLBACK_URL", "SLIPWAY_CALLBACK_KEY_FILE"},
		"notifier":      {"SLACK_BOT_TOKEN_FILE", "SLIPWAY_LINK_KEY_FILE"},
		"bootstrap":     nil,
	} {
		for _, variable := range append(needed, "NATS_URL", "NATS_NKEY", "NATS_CA") {
			if !slices.ContainsFunc(found[name].Containers[0].Env, func(e struct{ Name, Value string }) bool { return e.Name == variable }) {
				t.Errorf("%s has no %s", name, variable)
			}
		}
	}
}

func TestFlagsAreThoseOfTheCode(t *testing.T) {
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+)\s+\S+\s+`+"`").FindAllStringSubmatch(read(t, filepath.Join("..", "cmd", "slipway", "bootstrap.go")), -1) {
		known["--"+strings.ToLower(m[1])] = true
	}
	seen := 0
	for _, dir := range []string{"base", filepath.Join("overlays", "dev")} {
		text := read(t, filepath.Join("k8s", dir, map[string]string{"base": "bootstrap.yaml"}[dir]+map[bool]string{true: "kustomization.yaml"}[dir != "base"]))
		for _, flag := range regexp.MustCompile(`"(--[a-z-]+)=`).FindAllStringSubmatch(text, -1) {
			seen++
			if !known[flag[1]] {
				t.Errorf("%s: `slipway bootstrap` knows no %s", dir, flag[1])
			}
		}
	}
	if seen != 6 {
		t.Errorf("%d flags, want 6", seen)
	}
}

func TestPortsAreThoseThatProgramsListenOn(t *testing.T) {
	for name, pod := range pods(t) {
		c := pod.Containers[0]
		for _, e := range c.Env {
			if e.Name != "SLIPWAY_LISTEN" {
				continue
			}
			_, port, err := net.SplitHostPort(e.Value)
			if err != nil || len(c.Ports) != 1 || strconv.Itoa(c.Ports[0].ContainerPort) != port {
				t.Errorf("%s listens on %q, and names the ports %v", name, e.Value, c.Ports)
			}
		}
	}
	conf := read(t, filepath.Join("nats", "nats.conf")) + read(t, filepath.Join("nats", "cluster.conf"))
	for _, p := range pods(t)["nats"].Containers[0].Ports {
		if !strings.Contains(conf, `"0.0.0.0:`+strconv.Itoa(p.ContainerPort)+`"`) {
			t.Errorf("NATS does not listen on its port %s", p.Name)
		}
	}
}

func TestServicesLeadToPortsThatExist(t *testing.T) {
	names := map[string]bool{}
	for _, pod := range pods(t) {
		for _, p := range pod.Containers[0].Ports {
			names[p.Name] = true
		}
	}
	seen := 0
	for _, m := range manifests(t, filepath.Join("k8s", "base")) {
		if m.Kind != "Service" {
			continue
		}
		seen++
		for _, p := range m.Spec.Ports {
			if !names[p.TargetPort] {
				t.Errorf("the service %s leads to %q, which no pod has", m.Metadata.Name, p.TargetPort)
			}
			if p.AppProtocol == "" {
				t.Errorf("the service %s does not say what is spoken on %s", m.Metadata.Name, p.Name)
			}
		}
	}
	if seen != 5 {
		t.Errorf("%d services", seen)
	}
}

// Every address inside the manifests is that of a service there, with its port.
func TestAddressesAreThoseOfServices(t *testing.T) {
	ports := map[string]bool{}
	for _, m := range manifests(t, filepath.Join("k8s", "base")) {
		for _, p := range m.Spec.Ports {
			ports[m.Metadata.Name+":"+strconv.Itoa(p.Port)] = true
		}
	}
	for name, pod := range pods(t) {
		for _, e := range pod.Containers[0].Env {
			if _, address, ok := strings.Cut(e.Value, "://"); ok && !ports[address] {
				t.Errorf("%s: %s names %s, and there are %v", name, e.Name, address, ports)
			}
		}
	}
}

func TestProbesAskWhatIsServed(t *testing.T) {
	mux := http.NewServeMux()
	lifecycle.NewHealth().Register(mux)
	for name, program := range programs {
		if program == "slipway" {
			continue
		}
		c := pods(t)[name].Containers[0]
		for what, p := range map[string]*probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe, "/healthz ": c.StartupProbe} {
			if p == nil || p.HTTPGet.Path != strings.TrimSpace(what) || p.HTTPGet.Port != c.Ports[0].Name {
				t.Errorf("%s: a probe asks %+v, want %s", name, p, what)
				continue
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, p.HTTPGet.Path, nil))
			if w.Code == http.StatusNotFound {
				t.Errorf("nobody serves %s", p.HTTPGet.Path)
			}
		}
	}
}

// A pod is killed only when everything that the code waits for is over.
func TestTheGraceIsLongerThanTheDrain(t *testing.T) {
	seconds := func(file, expression string) time.Duration {
		m := regexp.MustCompile(expression).FindStringSubmatch(read(t, filepath.Join("..", filepath.FromSlash(file))))
		if m == nil {
			t.Fatalf("%s says nothing like %s", file, expression)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * time.Second
	}
	closing := seconds("cmd/internal/host/host.go", `closeWait = (\d+) \* time.Second`)
	for name, program := range programs {
		if program == "slipway" {
			continue
		}
		pod := pods(t)[name]
		drain := seconds("cmd/"+program+"/main.go", `(\d+) ?\* ?time.Second }`)
		for _, e := range pod.Containers[0].Env {
			if e.Name == "SLIPWAY_RUNNER_DRAIN_TIMEOUT" {
				more, err := time.ParseDuration(e.Value)
				if err != nil {
					t.Error(err)
				}
				drain += more
			}
		}
		needed := drain + closing + time.Duration(pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds)*time.Second
		if grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second; grace <= needed {
			t.Errorf("%s is killed after %s, and may need %s", name, grace, needed)
		}
	}
}

// A NATS server leaves before it is stopped: clients and leaderships go first.
func TestTheGraceOfNATSIsLongerThanItsLameDuck(t *testing.T) {
	conf := read(t, filepath.Join("nats", "nats.conf"))
	var needed time.Duration
	for _, name := range []string{"lame_duck_grace_period", "lame_duck_duration"} {
		m := regexp.MustCompile(`(?m)^` + name + `: (\w+)$`).FindStringSubmatch(conf)
		if m == nil {
			t.Fatalf("%s is not set", name)
		}
		d, err := time.ParseDuration(m[1])
		if err != nil {
			t.Fatal(err)
		}
		needed += d
	}
	if grace := time.Duration(pods(t)["nats"].TerminationGracePeriodSeconds) * time.Second; grace < needed+10*time.Second {
		t.Errorf("it is killed after %s, and leaves for %s", grace, needed)
	}
}

// Names that the manifests take for granted are those that the program for the
// secrets makes.
func TestSecretsAreThoseThatAreMade(t *testing.T) {
	made := read(t, filepath.Join("secrets", "main.go"))
	for name := range programs {
		if !slices.Contains(credential.Services, name) {
			t.Errorf("no key is made for %s", name)
		}
	}
	all := regexp.MustCompile(`secret(?:Name)?: \{? ?(?:secretName|name): (slipway-[a-z-]+)`)
	files, err := filepath.Glob(filepath.Join("k8s", "base", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		for _, m := range all.FindAllStringSubmatch(read(t, file), -1) {
			seen++
			if !strings.Contains(made, "name: "+m[1]+",") && !strings.HasPrefix(m[1], "slipway-nkey-") {
				t.Errorf("%s: nobody makes %s", file, m[1])
			}
		}
	}
	if seen < 9 {
		t.Errorf("only %d secrets are named", seen)
	}
	for name, pod := range pods(t) {
		for _, e := range pod.Containers[0].Env {
			file, ok := strings.CutPrefix(e.Value, "/etc/slipway/")
			if _, key, _ := strings.Cut(file, "/"); ok && key != "slipway.yaml" && !regexp.MustCompile(`[[ ]`+regexp.QuoteMeta(key)+`=`).MatchString(made) {
				t.Errorf("%s: %s names %s, which no secret has", name, e.Name, key)
			}
		}
	}
}
