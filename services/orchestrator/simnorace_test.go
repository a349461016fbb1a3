//go:build !race

package orchestrator

// racing tells whether the race detector is on.
const racing = false
