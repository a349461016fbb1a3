package ingress

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/webhook"
)

// maxHookSecret is more than any secret has, and keeps a wrong path from filling
// the memory.
const maxHookSecret = 64 << 10

var (
	errSecretUnset = errors.New("not set in the environment of slack-ingress")
	errSecretBlank = errors.New("empty")
	errSecretLong  = errors.New("longer than any secret")
	errSecretNone  = errors.New("names neither a variable nor a file")
)

// hookKeys are the secrets of a webhook that can be read now, and what is wrong
// with the others. They are read for each delivery, so that one that was
// replaced counts at once.
func (s *Service) hookKeys(at webhook.Address) (keys [][]byte, troubles []error) {
	for _, ref := range at.Webhook.Secrets {
		key, err := readHookSecret(ref)
		if err != nil {
			troubles = append(troubles, err)
			s.log.Error("a webhook's secret cannot be read", "webhook", at.Source(), "error", err)
			continue
		}
		keys = append(keys, key)
	}
	if len(at.Webhook.Secrets) == 0 {
		troubles = append(troubles, errSecretNone)
		s.log.Error("a webhook has no secret, so nothing is accepted from it", "webhook", at.Source())
	}
	return keys, troubles
}

// readHookSecret reads one secret, without the line end behind it. Its error
// names where it should be and never what it is.
func readHookSecret(ref pipeline.Secret) ([]byte, error) {
	switch {
	case ref.Env != "":
		value, ok := os.LookupEnv(ref.Env)
		if !ok {
			return nil, fmt.Errorf("the variable %s: %w", ref.Env, errSecretUnset)
		}
		return notBlank(value, "the variable "+ref.Env)
	case ref.File != "":
		return readSecretFile(ref.File)
	}
	return nil, errSecretNone
}

func readSecretFile(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the configuration names the file
	if err != nil {
		return nil, fmt.Errorf("read a secret: %w", err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxHookSecret+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read a secret: %w", err)
	case len(data) > maxHookSecret:
		return nil, fmt.Errorf("the file %s: %w", path, errSecretLong)
	}
	return notBlank(string(data), "the file "+path)
}

// notBlank refuses a secret that everybody would know.
func notBlank(text, where string) ([]byte, error) {
	text = strings.TrimRight(text, "\r\n")
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s: %w", where, errSecretBlank)
	}
	return []byte(text), nil
}

// Finding is something that an operator should know of, for doctor.
type Finding struct {
	Name, Finding, Remedy string
}

// Findings are what keeps webhooks, callbacks and relays from working now, as
// far as this process sees; none: all is well.
func (s *Service) Findings() []Finding {
	var out []Finding
	if problem := s.configProblem.Load(); problem != nil {
		out = append(out, Finding{Name: "webhooks", Finding: "slack-ingress cannot take its configuration: " + *problem, Remedy: "run slipway config check"})
	}
	config := s.config.Load()
	if config == nil {
		return out
	}
	for _, ns := range slices.Sorted(maps.Keys(config.Namespaces)) {
		for _, name := range slices.Sorted(maps.Keys(config.Namespaces[ns].Webhooks)) {
			out = append(out, hookFindings(ns+"/"+name, config.Namespaces[ns].Webhooks[name].Secrets)...)
		}
	}
	if problem := s.channels.problem(); problem != "" {
		out = append(out, Finding{Name: "channels", Finding: problem, Remedy: "give the app the scopes channels:read and channels:join, and check the names under relays"})
	}
	return out
}

func hookFindings(name string, secrets []pipeline.Secret) (out []Finding) {
	if len(secrets) == 0 {
		secrets = []pipeline.Secret{{}}
	}
	for _, ref := range secrets {
		if _, err := readHookSecret(ref); err != nil {
			out = append(out, Finding{
				Name: "webhooks", Finding: fmt.Sprintf("a secret of the webhook %s cannot be read: %s", name, err),
				Remedy: "give slack-ingress the secret; until then its deliveries are answered with 503",
			})
		}
	}
	return out
}
