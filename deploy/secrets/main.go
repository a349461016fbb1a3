// Command secrets makes everything secret that Slipway needs in a cluster, and a
// kustomization that turns it into Secrets: certificates for NATS, a key pair for
// each service, and random tokens. It makes nothing up that Slack gives: those two
// files are the operator's to write. Operators run it once; what exists is kept,
// so that a second run adds only what is missing.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/slipway-hq/slipway/internal/credential"
)

// tokenBytes is 256 bits: nothing to guess.
const tokenBytes = 32

type cli struct {
	Out       string   `arg:"" type:"path" help:"Folder to write into, for its owner alone. Keep it out of version control."`
	Namespace string   `default:"slipway" help:"Namespace that Slipway runs in."`
	Name      []string `help:"One more name of the NATS servers in their certificate; may be repeated."`
}

func main() {
	var c cli
	ctx := kong.Parse(&c, kong.Name("secrets"), kong.Description("Make the secrets that Slipway needs in a cluster."))
	ctx.FatalIfErrorf(write(c.Out, c.Namespace, c.Name))
	fmt.Fprintf(ctx.Stdout, "Write Slack's signing secret to %s and its bot token to %s, then: kubectl apply -k %s\n",
		filepath.Join(c.Out, "slack", "signing-secret"), filepath.Join(c.Out, "slack", "bot-token"), c.Out)
}

// write fills the folder.
func write(dir, namespace string, more []string) error {
	for _, sub := range []string{"tls", "slack", "nkeys"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	if err := writeKeys(dir); err != nil {
		return err
	}
	for _, name := range []string{"api-token", "link-key", "callback-key"} {
		if err := credential.Once(filepath.Join(dir, name), token); err != nil {
			return err
		}
	}
	if err := credential.WriteCertificates(filepath.Join(dir, "tls"), append(names(namespace), more...)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "kustomization.yaml"), kustomization(namespace), 0o600)
}

// servers is how many NATS servers the certificate names.
const servers = 3

// names are how clients and peers call a server, from its namespace or outside.
func names(namespace string) []string {
	out := []string{"slipway-nats", "slipway-nats." + namespace + ".svc", "slipway-nats." + namespace + ".svc.cluster.local"}
	for i := range servers {
		peer := fmt.Sprintf("slipway-nats-%d.slipway-nats-peers", i)
		out = append(out, peer, peer+"."+namespace+".svc", peer+"."+namespace+".svc.cluster.local")
	}
	return out
}

// writeKeys makes a key pair per service: the seed for the service, the public
// key for the NATS servers, as variables that authorization.conf names.
func writeKeys(dir string) error {
	keys, err := credential.WriteKeys(filepath.Join(dir, "nkeys"))
	if err != nil {
		return err
	}
	var public strings.Builder
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(&public, "%s=%s\n", name, keys[name])
	}
	return os.WriteFile(filepath.Join(dir, "nkeys", "public.env"), []byte(public.String()), 0o600)
}

func token() ([]byte, error) {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails, by its documentation
	return []byte(hex.EncodeToString(b)), nil
}

// kustomization turns the files into what the pods name. The names have no
// suffix: a new secret reaches the pods with their next restart.
func kustomization(namespace string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: %s\ngeneratorOptions: { disableNameSuffixHash: true }\n", namespace)
	b.WriteString("configMapGenerator:\n  - { name: slipway-nats-keys, envs: [nkeys/public.env] }\n  - { name: slipway-nats-ca, files: [ca.crt=tls/ca.crt] }\n")
	b.WriteString("secretGenerator:\n  - { name: slipway-nats-tls, files: [ca.crt=tls/ca.crt, tls.crt=tls/tls.crt, tls.key=tls/tls.key] }\n")
	for _, service := range credential.Services {
		fmt.Fprintf(&b, "  - { name: slipway-nkey-%s, files: [seed=nkeys/%s] }\n", service, service)
	}
	b.WriteString("  - { name: slipway-api, files: [token=api-token, link-key=link-key] }\n  - { name: slipway-callback, files: [key=callback-key] }\n")
	b.WriteString("  - { name: slipway-slack, files: [signing-secret=slack/signing-secret, bot-token=slack/bot-token] }\n")
	return []byte(b.String())
}
