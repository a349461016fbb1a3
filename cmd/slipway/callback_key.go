package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-hq/slipway/internal/telemetry"
)

const (
	callbackKeyFile  = "callback.key"
	callbackKeyBytes = 32
)

// callbackKey is the key by which running jobs may speak, kept in the data
// folder so that addresses given before a restart are good after it. Only one
// process at a time uses the folder.
func callbackKey(data string) (telemetry.Secret, error) {
	path := filepath.Join(data, callbackKeyFile)
	kept, err := os.ReadFile(path) //nolint:gosec // below our own folder
	switch key := strings.TrimSpace(string(kept)); {
	case err == nil && len(key) >= base64.RawStdEncoding.EncodedLen(callbackKeyBytes):
		return telemetry.Secret(key), nil
	case err == nil:
		return "", fmt.Errorf("the key in %s is too short: delete the file, and a new one is made", path)
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read the key for callbacks: %w", err)
	}
	random := make([]byte, callbackKeyBytes)
	_, _ = rand.Read(random) // never fails, by its documentation
	key := base64.RawStdEncoding.EncodeToString(random)
	if err := os.MkdirAll(data, 0o750); err != nil {
		return "", fmt.Errorf("keep the key for callbacks: %w", err)
	}
	// Whole or not at all: half a key would be known to nobody.
	if err := os.WriteFile(path+".new", []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the key for callbacks: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keep the key for callbacks: %w", err)
	}
	return telemetry.Secret(key), nil
}
