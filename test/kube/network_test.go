package kube

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// policy is the part of a NetworkPolicy that ours use.
type policy struct {
	Metadata struct{ Name string }
	Spec     struct {
		PodSelector     selector
		PolicyTypes     []string
		Ingress, Egress []rule
	}
}

type rule struct {
	From, To []peer
	Ports    []struct {
		Protocol string
		Port     any // number or name
	}
}

type peer struct {
	PodSelector, NamespaceSelector *selector
	IPBlock                        *struct {
		CIDR   string
		Except []string
	}
}

type selector struct {
	MatchLabels      map[string]string
	MatchExpressions []struct {
		Key, Operator string
		Values        []string
	}
}

func (s selector) matches(t *testing.T, labels map[string]string) bool {
	t.Helper()
	for key, value := range s.MatchLabels {
		if labels[key] != value {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		if e.Operator != "In" {
			t.Fatalf("this test does not know the operator %s", e.Operator)
		}
		if !slices.Contains(e.Values, labels[e.Key]) {
			return false
		}
	}
	return true
}

// place is somebody who may connect: a pod of ours or of somebody else, or an
// address outside of the cluster.
type place struct {
	name      string
	pod       map[string]string // nil: outside
	namespace map[string]string // nil: the namespace of Slipway
}

// all places, and the ports that may lead to each.
var (
	named = "app.kubernetes.io/name"
	ours  = []string{"slack-ingress", "orchestrator", "runner", "notifier", "bootstrap", "nats"}
	ports = []string{"client", "peers", "http", "53", "443"}
	picks = map[string]string{"kubernetes.io/metadata.name": "kube-system"}
)

func places() []place {
	out := []place{
		{name: "world"},
		{name: "stranger", pod: map[string]string{}, namespace: map[string]string{}},
		{name: "neighbour", pod: map[string]string{}},
		{name: "caller", pod: map[string]string{}, namespace: map[string]string{"slipway/api-caller": "true"}},
		{name: "controller", pod: map[string]string{}, namespace: map[string]string{"slipway/ingress-controller": "true"}},
		{name: "dns", pod: map[string]string{"k8s-app": "kube-dns"}, namespace: picks},
	}
	for _, name := range ours {
		out = append(out, place{name: name, pod: map[string]string{named: name}})
	}
	return out
}

// picture is section 1 of the architecture, and nothing else.
var picture = []string{
	"controller -> slack-ingress http", "runner -> slack-ingress http", "caller -> orchestrator http",
	"slack-ingress -> nats client", "orchestrator -> nats client", "runner -> nats client", "notifier -> nats client", "bootstrap -> nats client",
	"nats -> nats peers", "slack-ingress -> world 443", "notifier -> world 443",
	"slack-ingress -> dns 53", "orchestrator -> dns 53", "runner -> dns 53", "notifier -> dns 53", "bootstrap -> dns 53", "nats -> dns 53", "neighbour -> dns 53",
}

// arrows asks the policies about every pair of places.
func (c *cluster) arrows(t *testing.T) {
	var got struct{ Items []policy }
	c.list(t, &got, "networkpolicies", "-n", "slipway")
	var found []string
	for _, from := range places() {
		for _, to := range places() {
			for _, port := range ports {
				if !(from.ours() || to.ours()) || from.name == to.name && from.name != "nats" {
					continue
				}
				if c.permits(t, got.Items, from, to, port) {
					found = append(found, fmt.Sprintf("%s -> %s %s", from.name, to.name, port))
				}
			}
		}
	}
	for _, arrow := range found {
		if !slices.Contains(picture, arrow) {
			t.Errorf("the policies permit %s", arrow)
		}
	}
	for _, arrow := range picture {
		if !slices.Contains(found, arrow) {
			t.Errorf("the policies do not permit %s", arrow)
		}
	}
	c.portsExist(t)
}

func (p place) ours() bool { return p.pod != nil && p.namespace == nil }

// permits: both sides have to.
func (c *cluster) permits(t *testing.T, all []policy, from, to place, port string) bool {
	t.Helper()
	return (!from.ours() || side(t, all, from, to, port, "Egress")) && (!to.ours() || side(t, all, to, from, port, "Ingress"))
}

// side tells whether the policies that select pod permit peer.
func side(t *testing.T, all []policy, pod, other place, port, kind string) bool {
	t.Helper()
	selected := false
	for _, p := range all {
		if !slices.Contains(p.Spec.PolicyTypes, kind) || !p.Spec.PodSelector.matches(t, pod.pod) {
			continue
		}
		selected = true
		rules := p.Spec.Egress
		if kind == "Ingress" {
			rules = p.Spec.Ingress
		}
		if slices.ContainsFunc(rules, func(r rule) bool { return r.permits(t, other, port) }) {
			return true
		}
	}
	return !selected
}

func (r rule) permits(t *testing.T, other place, port string) bool {
	t.Helper()
	byPort := len(r.Ports) == 0
	for _, p := range r.Ports {
		byPort = byPort || fmt.Sprint(p.Port) == port
	}
	peers := slices.Concat(r.From, r.To)
	byPeer := len(peers) == 0
	for _, p := range peers {
		byPeer = byPeer || p.is(t, other)
	}
	return byPort && byPeer
}

func (p peer) is(t *testing.T, other place) bool {
	t.Helper()
	if p.IPBlock != nil {
		return other.pod == nil
	}
	switch {
	case other.pod == nil:
		return false
	case p.NamespaceSelector == nil && other.namespace != nil:
		return false
	case p.NamespaceSelector != nil && (other.namespace == nil || !p.NamespaceSelector.matches(t, other.namespace)):
		return false
	}
	return p.PodSelector == nil || p.PodSelector.matches(t, other.pod)
}

// portsExist: a policy that names a port which no pod has permits nothing.
func (c *cluster) portsExist(t *testing.T) {
	t.Helper()
	text := c.kubectl(t, "-n", "slipway", "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].ports[*].name}")
	for _, name := range []string{"client", "peers", "http"} {
		if !slices.Contains(strings.Fields(text), name) {
			t.Errorf("no pod has a port %s", name)
		}
	}
}
