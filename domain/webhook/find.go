package webhook

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// Address is where a webhook stands in the configuration.
type Address struct {
	Namespace string
	// Name of the webhook.
	Name    string
	Webhook pipeline.Webhook
}

// Source names the webhook for people and in identities: the project of a
// GitHub webhook, "NAMESPACE/NAME" of a generic one.
func (a Address) Source() string {
	if a.Kind() == pipeline.WebhookGeneric {
		return a.Namespace + "/" + a.Name
	}
	return project(a.Name, a.Webhook)
}

// Kind is "github" or "generic".
func (a Address) Kind() string { return cmp.Or(a.Webhook.Kind, pipeline.WebhookGitHub) }

// Identity of a delivery: the same for every time that it is delivered. The run
// that a rule of it starts has RunIdentity.
func (a Address) Identity(delivery string) string {
	return "webhook|" + a.Kind() + "|" + a.Source() + "|" + delivery
}

// GitHub finds the webhook of a project; false: nothing is configured under
// that name.
func GitHub(c pipeline.Config, name string) (Address, bool) {
	for _, ns := range slices.Sorted(maps.Keys(c.Namespaces)) {
		for _, hook := range slices.Sorted(maps.Keys(c.Namespaces[ns].Webhooks)) {
			a := Address{Namespace: ns, Name: hook, Webhook: c.Namespaces[ns].Webhooks[hook]}
			if a.Kind() == pipeline.WebhookGitHub && name != "" && project(hook, a.Webhook) == name {
				return a, true
			}
		}
	}
	return Address{}, false
}

// Generic finds a webhook of kind "generic" by the two parts of its address.
func Generic(c pipeline.Config, namespace, name string) (Address, bool) {
	a := Address{Namespace: namespace, Name: name, Webhook: c.Namespaces[namespace].Webhooks[name]}
	_, ok := c.Namespaces[namespace].Webhooks[name]
	return a, ok && a.Kind() == pipeline.WebhookGeneric
}

// Named finds a webhook of either kind by its place in the configuration.
func Named(c pipeline.Config, namespace, name string) (Address, bool) {
	hook, ok := c.Namespaces[namespace].Webhooks[name]
	return Address{Namespace: namespace, Name: name, Webhook: hook}, ok
}

func project(name string, w pipeline.Webhook) string { return cmp.Or(w.Project, name) }

// Wanted are the payload fields that the rules of a webhook ask for, sorted.
func Wanted(w pipeline.Webhook) []string {
	var out []string
	for _, r := range w.Rules {
		for field := range r.Where {
			out = append(out, field)
		}
		for _, field := range r.Params {
			if !strings.HasPrefix(field, literal) {
				out = append(out, field)
			}
		}
	}
	out = slices.DeleteFunc(out, func(field string) bool { return field == "" || strings.HasPrefix(field, factMark) })
	slices.Sort(out)
	return slices.Compact(out)
}
