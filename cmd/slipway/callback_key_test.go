package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheCallbackKeyIsKeptAndPrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	first, err := callbackKey(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := callbackKey(data)
	if err != nil || again != first || len(string(first)) < callbackKeyBytes {
		t.Errorf("the second start has another key, or a short one: %v", err)
	}
	path := filepath.Join(data, callbackKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := callbackKey(data); err == nil {
		t.Error("a damaged key is used")
	}
}
