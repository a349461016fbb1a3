// Package faults breaks Slipway's real processes at chosen moments and checks from
// outside what is promised: no accepted command is lost, one command is one run,
// every run ends once, no finished step runs again, nothing of a lost runner lives
// beside its successor, and cards end right. test/chaos breaks them at random.
package faults

import (
	"testing"

	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestMain(m *testing.M) { world.Main(m) }
