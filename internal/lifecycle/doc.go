// Package lifecycle starts the parts of a process in a declared order, drains
// them in the reverse one with a deadline, tells the world whether the process
// is alive and ready, and locks data folders to one process. It knows nothing
// of what the parts do. Mains and faces of services use it.
//
// Invariants: a part starts after all before it are ready, and is asked to stop
// after all behind it have stopped; one part that fails drains the whole group.
package lifecycle
