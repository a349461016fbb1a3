package kube

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	overlays   = filepath.Join(root, "deploy", "k8s", "overlays")
	production = filepath.Join(overlays, "production")
)

// workloads are what has to become ready, with the replicas in base, dev and
// production.
var workloads = []struct {
	name                  string
	base, dev, production int
}{
	{"statefulset/slipway-nats", 3, 1, 3},
	{"deployment/slack-ingress", 2, 1, 3},
	{"deployment/orchestrator", 2, 1, 3},
	{"statefulset/runner", 2, 1, 3},
	{"deployment/notifier", 2, 1, 3},
}

func TestManifestsBecomeReady(t *testing.T) {
	c := newCluster(t)
	t.Run("all at once", func(t *testing.T) {
		for _, one := range []struct {
			name, dir, namespace string
			replicas             func(i int) int
		}{
			{"base", elsewhere(t), "slipway-base", func(i int) int { return workloads[i].base }},
			{"dev", filepath.Join(overlays, "dev"), "slipway-dev", func(i int) int { return workloads[i].dev }},
			{"production", production, "slipway", func(i int) int { return workloads[i].production }},
		} {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				c.install(t, one.dir, one.namespace)
				c.ready(t, one.namespace, one.replicas)
				c.mounts(t, one.namespace)
			})
		}
	})
	t.Run("a privileged pod is turned away", c.privileged)
	t.Run("spread over machines", c.spread)
	t.Run("one disruption at a time", c.disruptions)
	t.Run("two NATS servers are not evicted at once", c.evictions)
	t.Run("a rolling update ends", c.rolls)
	t.Run("a broken version replaces nothing", c.broken)
	t.Run("only the arrows of the picture", c.arrows)
	t.Run("components", c.components)
}

// elsewhere is the base in a namespace beside that of production.
func elsewhere(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	kustomization(t, dir, "namespace: slipway-base\nresources: ["+relative(t, dir, filepath.Join(root, "deploy", "k8s", "base"))+"]\n")
	return dir
}

func kustomization(t *testing.T, dir, text string) {
	t.Helper()
	text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + text
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ready waits until everything is, and the Job is done.
func (c *cluster) ready(t *testing.T, namespace string, replicas func(i int) int) {
	t.Helper()
	for i, w := range workloads {
		c.kubectl(t, "-n", namespace, "rollout", "status", w.name, "--timeout=120s")
		if got := c.kubectl(t, "-n", namespace, "get", w.name, "-o", "jsonpath={.status.readyReplicas}"); got != fmt.Sprint(replicas(i)) {
			t.Errorf("%s has %s ready replicas, want %d", w.name, got, replicas(i))
		}
	}
	c.kubectl(t, "-n", namespace, "wait", "--for=condition=complete", "job/slipway-bootstrap", "--timeout=60s")
}

// install does what the README says: namespace, secrets, and the manifests, which
// have to pass the strict validation of the server before.
func (c *cluster) install(t *testing.T, dir, namespace string) {
	t.Helper()
	if _, err := c.try("get", "namespace", namespace); err != nil {
		c.kubectl(t, "create", "namespace", namespace)
	}
	c.kubectl(t, "apply", "-k", secrets(t, namespace))
	c.kubectl(t, "apply", "-k", dir, "--dry-run=server", "--validate=strict")
	c.kubectl(t, "apply", "-k", dir, "--validate=strict")
}

// secrets runs the program that operators run, and writes what Slack would give.
func secrets(t *testing.T, namespace string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	make := exec.Command("go", "run", "./deploy/secrets", dir, "--namespace="+namespace)
	make.Dir, make.Env = root, append(os.Environ(), "GOWORK=off")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"signing-secret", "bot-token"} {
		if err := os.WriteFile(filepath.Join(dir, "slack", name), []byte("of the test"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// list reads objects into out, a pointer to a struct with items.
func (c *cluster) list(t *testing.T, out any, args ...string) {
	t.Helper()
	text := c.kubectl(t, append([]string{"get", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatal(err)
	}
}

// mounts looks whether every Secret and ConfigMap that a pod names exists, with
// the keys that it names: a fake node mounts nothing, so nothing else would tell.
func (c *cluster) mounts(t *testing.T, namespace string) {
	t.Helper()
	type source struct{ Name, SecretName string }
	var pods struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				AutomountServiceAccountToken *bool
				Volumes                      []struct {
					Secret, ConfigMap *source
					Projected         *struct {
						Sources []struct{ Secret, ConfigMap *source }
					}
				}
				Containers []struct {
					EnvFrom []struct{ ConfigMapRef, SecretRef *source }
				}
			}
		}
	}
	c.list(t, &pods, "pods", "-n", namespace)
	named := map[string]bool{}
	note := func(kind string, s *source) {
		if s != nil {
			named[kind+"/"+s.Name+s.SecretName] = true
		}
	}
	for _, p := range pods.Items {
		if auto := p.Spec.AutomountServiceAccountToken; auto == nil || *auto {
			t.Errorf("%s gets a token of the cluster", p.Metadata.Name)
		}
		for _, v := range p.Spec.Volumes {
			note("secret", v.Secret)
			note("configmap", v.ConfigMap)
			if v.Projected != nil {
				for _, s := range v.Projected.Sources {
					note("secret", s.Secret)
					note("configmap", s.ConfigMap)
				}
			}
		}
		for _, container := range p.Spec.Containers {
			for _, e := range container.EnvFrom {
				note("configmap", e.ConfigMapRef)
				note("secret", e.SecretRef)
			}
		}
	}
	if len(named) < 10 {
		t.Errorf("only %v are named", named)
	}
	for name := range named {
		if _, err := c.try("-n", namespace, "get", name); err != nil {
			t.Errorf("pods want %s: %v", name, err)
		}
	}
}

func (c *cluster) privileged(t *testing.T) {
	_, err := c.try("-n", "slipway", "run", "bad", "--image=bad") // it may run as root
	if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		t.Errorf("%v", err)
	}
}

// disruptions: of three healthy pods one may go, of each kind, and they cover all
// pods.
func (c *cluster) disruptions(t *testing.T) {
	var budgets struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ DisruptionsAllowed, ExpectedPods, DesiredHealthy int }
		}
	}
	c.eventually(t, "the budgets", func() bool {
		c.list(t, &budgets, "pdb", "-n", "slipway")
		for _, b := range budgets.Items {
			if b.Status.DisruptionsAllowed == 0 {
				return false
			}
		}
		return true
	})
	if len(budgets.Items) != len(workloads) {
		t.Errorf("%d budgets, want %d", len(budgets.Items), len(workloads))
	}
	for _, b := range budgets.Items {
		if s := b.Status; s.DisruptionsAllowed != 1 || s.ExpectedPods != 3 || s.DesiredHealthy != 2 {
			t.Errorf("%s: %+v", b.Metadata.Name, s)
		}
	}
}

// spread: upstream's scheduler puts each kind of pod on as many machines as there
// are, although they are in no zone, and two NATS servers never on one.
func (c *cluster) spread(t *testing.T) {
	for _, w := range workloads {
		_, name, _ := strings.Cut(w.name, "/")
		label := named + "=" + strings.TrimPrefix(name, "slipway-")
		on := strings.Fields(c.kubectl(t, "-n", "slipway", "get", "pods", "-l", label, "-o", "jsonpath={.items[*].spec.nodeName}"))
		slices.Sort(on)
		if !slices.Equal(on, []string{"fake-0", "fake-1", "fake-2"}) {
			t.Errorf("%s is on %v", w.name, on)
		}
	}
	c.kubectl(t, "cordon", "fake-2")
	c.kubectl(t, "-n", "slipway", "delete", "pod", "-l", "app.kubernetes.io/name=nats", "--field-selector=spec.nodeName=fake-2", "--wait=false")
	c.eventually(t, "a NATS server that finds no machine of its own", func() bool {
		return strings.Contains(c.kubectl(t, "-n", "slipway", "get", "events", "-o", "jsonpath={.items[*].message}"), "didn't match pod topology spread constraints")
	})
	c.kubectl(t, "uncordon", "fake-2")
	c.kubectl(t, "-n", "slipway", "rollout", "status", "statefulset/slipway-nats", "--timeout=120s")
}

// evictions drains two machines as an operator would: the second one has to wait
// while the NATS server of the first one is not ready again.
func (c *cluster) evictions(t *testing.T) {
	evict := func(pod string) error {
		body := filepath.Join(t.TempDir(), "eviction.json")
		text := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":"slipway"}}`, pod)
		if err := os.WriteFile(body, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.try("create", "--raw", "/api/v1/namespaces/slipway/pods/"+pod+"/eviction", "-f", body)
		return err
	}
	node := c.kubectl(t, "-n", "slipway", "get", "pod", "slipway-nats-0", "-o", "jsonpath={.spec.nodeName}")
	c.kubectl(t, "cordon", node) // the one that goes finds no place
	if err := evict("slipway-nats-0"); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := evict("slipway-nats-1"); err == nil || !strings.Contains(err.Error(), "disruption budget") {
		t.Errorf("the second: %v", err)
	}
	c.kubectl(t, "uncordon", node)
	c.kubectl(t, "-n", "slipway", "rollout", "status", "statefulset/slipway-nats", "--timeout=120s")
	c.eventually(t, "room in the budget", func() bool {
		return c.kubectl(t, "-n", "slipway", "get", "pdb", "slipway-nats", "-o", "jsonpath={.status.disruptionsAllowed}") == "1"
	})
	if err := evict("slipway-nats-1"); err != nil {
		t.Errorf("the second, when the first is back: %v", err)
	}
	c.kubectl(t, "-n", "slipway", "rollout", "status", "statefulset/slipway-nats", "--timeout=120s")
}

func (c *cluster) rolls(t *testing.T) {
	for _, w := range workloads {
		_, name, _ := strings.Cut(w.name, "/")
		container := strings.TrimPrefix(name, "slipway-")
		c.kubectl(t, "-n", "slipway", "set", "image", w.name, container+"=slipway-"+container+":next")
	}
	for _, w := range workloads {
		c.kubectl(t, "-n", "slipway", "rollout", "status", w.name, "--timeout=120s")
	}
	images := c.kubectl(t, "-n", "slipway", "get", "pods", "-l", "app.kubernetes.io/name!=bootstrap", "-o", "jsonpath={.items[*].spec.containers[*].image}")
	for _, image := range strings.Fields(images) {
		if !strings.HasSuffix(image, ":next") {
			t.Errorf("%s still runs", image)
		}
	}
}

// broken: a version that never gets ready leaves all old pods in their places.
func (c *cluster) broken(t *testing.T) {
	for _, name := range []string{"slack-ingress", "orchestrator", "notifier"} {
		c.kubectl(t, "-n", "slipway", "set", "image", "deployment/"+name, name+"=slipway-"+name+":crash")
		c.eventually(t, "a crash of "+name, func() bool {
			return strings.Contains(c.kubectl(t, "-n", "slipway", "get", "pods", "-l", "app.kubernetes.io/name="+name), "CrashLoopBackOff")
		})
		if ready := c.kubectl(t, "-n", "slipway", "get", "deployment", name, "-o", "jsonpath={.status.availableReplicas}"); ready != "3" {
			t.Errorf("%s: %s pods are left", name, ready)
		}
		c.kubectl(t, "-n", "slipway", "rollout", "undo", "deployment/"+name)
		c.kubectl(t, "-n", "slipway", "rollout", "status", "deployment/"+name, "--timeout=120s")
	}
}

// components puts each on the production overlay, as an operator would, and looks
// at what the server would store.
func (c *cluster) components(t *testing.T) {
	rendered := func(name string) (out struct{ Items []object }) {
		dir := t.TempDir()
		component := filepath.Join(root, "deploy", "k8s", "components", name)
		kustomization(t, dir, fmt.Sprintf("namespace: slipway\nresources: [%s]\ncomponents: [%s]\n", relative(t, dir, production), relative(t, dir, component)))
		c.kubectl(t, "-n", "slipway", "delete", "job", "slipway-bootstrap", "--ignore-not-found") // a Job cannot be changed
		if err := json.Unmarshal([]byte(c.kubectl(t, "apply", "-k", dir, "--dry-run=server", "--validate=strict", "-o", "json")), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	seen := 0
	for _, o := range rendered("mesh").Items { // the four services get a sidecar, NATS and the Job none
		name := o.Metadata.Labels["app.kubernetes.io/name"]
		if o.Kind != "Deployment" && o.Kind != "StatefulSet" && o.Kind != "Job" {
			continue
		}
		seen++
		want := fmt.Sprint(name != "nats" && name != "bootstrap")
		if got := o.Spec.Template.Metadata.Labels["sidecar.istio.io/inject"]; got != want {
			t.Errorf("%s: inject is %q, want %s", name, got, want)
		}
	}
	if seen != len(workloads)+1 {
		t.Errorf("%d workloads", seen)
	}
	if !slices.ContainsFunc(rendered("runner-egress").Items, func(o object) bool {
		return o.Kind == "NetworkPolicy" && o.Metadata.Name == "steps-to-the-world" && o.Metadata.Namespace == "slipway"
	}) {
		t.Error("runner-egress brings no policy")
	}
}

// object is any that has a pod template, or none.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Spec struct {
		Template struct {
			Metadata struct{ Labels map[string]string }
		}
	}
}

// relative is how a kustomization has to name another folder, links resolved.
func relative(t *testing.T, from, to string) string {
	t.Helper()
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		t.Fatal(err)
	}
	if to, err = filepath.Abs(to); err != nil {
		t.Fatal(err)
	}
	if to, err = filepath.EvalSymlinks(to); err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}
