//go:build !linux

package chaos

import (
	"errors"
	"os/exec"
	"path/filepath"
)

func mayMount() bool { return false }

func (c *town) disk(name string) string { return filepath.Join(c.Dir, name) }

func (c *town) fill(string, bool) error { return errors.New("no disk of its own") }

func withUs(*exec.Cmd) {}
