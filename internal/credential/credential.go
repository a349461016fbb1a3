// Package credential makes what the NATS servers and services of one cluster know
// each other by: a key pair for each service, an authority, and a certificate for
// the servers. What each key permits is deploy/nats/authorization.conf's matter.
// deploy/secrets uses it for a cluster of an operator's, cmd/slipway for one on
// this machine.
//
// Invariants: what exists is kept, so that a second run adds only what is missing;
// private parts are for the owner of the folder alone.
package credential

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"
)

// Services are those with a key of their own.
var Services = []string{"slack-ingress", "orchestrator", "runner", "notifier", "bootstrap"}

// WriteKeys makes a key pair for each service: the seed in a file of dir with the
// service's name. It returns the public keys by the variables that
// authorization.conf knows them by.
func WriteKeys(dir string) (map[string]string, error) {
	public := map[string]string{}
	for _, service := range Services {
		path := filepath.Join(dir, service)
		if err := Once(path, seed); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pair, err := nkeys.FromSeed(data)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if public[variable(service)], err = pair.PublicKey(); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return public, nil
}

// variable is the name by which authorization.conf knows a service's public key.
func variable(service string) string {
	return "NKEY_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_"))
}

func seed() ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	return pair.Seed()
}

// Once writes what content makes, unless the file exists.
func Once(path string, content func() ([]byte, error)) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := content()
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return os.WriteFile(path, data, 0o600)
}
