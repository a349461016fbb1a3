// Package configfile reads slipway.yaml: what may be deployed, where, and how.
//
// It provides strict decoding that reports every problem at once with line,
// column and a suggestion (Parse, Load), a JSON Schema for editors (Schema),
// and news of a changed file (Watch). The rules that a configuration keeps
// are domain/pipeline's; this package gives them a place in the file. Adopting
// a configuration is the orchestrator's work; settings of the process itself
// are flags, not this file.
//
// The orchestrator loads and watches with it, the command line checks with it.
//
// Invariants: decoder and schema are made from one table of keys; a file with
// any problem gives no configuration; nothing that a file holds can make
// reading it take long.
package configfile
