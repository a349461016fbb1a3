// Package topology says where everything lives on NATS: every stream, subject,
// consumer and bucket as data, the one place that formats and parses subjects,
// and Ensure and Verify over them. It holds no connection and no opinion about
// what the messages mean; eventlog stores commits, the services read and write
// the rest. Invariant: nobody outside this package spells a subject.
package topology
