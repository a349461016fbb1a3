// Package request is the mind of slack-ingress: what a delivery from Slack
// means, and what a person is told. It verifies signatures, turns raw bytes
// into command.v1.Envelope, judges whether a request needs to be stored, and
// words the answers of ingress itself.
//
// It is pure: no socket, clock, log or random number; time comes as an
// argument. Storing and asking is internal/inbox, telling Slack is
// internal/reply. Only slack-ingress uses it. Invariants: every delivery of one
// request has one identity; a response URL, a token or a raw trigger id never
// enters an Envelope; a message that no person typed never becomes a Request,
// unless it is Slack's own reminder, whose Envelope says so.
package request
