// Command slipway is the whole of Slipway in one program: `slipway up` runs every
// service with an embedded server, and the other commands are its face on a
// terminal, over the Connect API.
//
// It ties things together and decides nothing: rules live in domain/, serving in
// services/. Each command has its own file, with its flags and its words.
//
// Invariants: what a command answers goes to standard output, everything else to
// standard error; the exit code is one of the table in exit.go; a secret comes
// from the environment or a file, never from a flag; text that came from outside
// cannot steer the terminal.
package main

import (
	"os"
	_ "time/tzdata" // schedules and holds name zones, also where no zoneinfo is installed: in a bare container
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
