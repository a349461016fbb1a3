// Package world is a small world for tests of whole processes: Slipway's real
// binaries, built once, a stand-in Slack and, where the services run apart, a
// NATS server as a process of its own. Steps of its configuration write down
// when they start and end, so that what really happened is known from outside.
//
// It is for test/e2e, test/faults, test/chaos and test/browser alone; it says what is so, and the tests
// say what should be. A test package calls Main from its TestMain.
//
// Invariants: every wait is for a condition and has an end; whatever a world
// started is gone with its test; when a test fails, the processes' logs and the
// histories of the runs are printed.
package world
