// Package inbox is how slack-ingress reaches the orchestrator: it stores a
// request in INBOX and waits for its first answer, or asks a query.
//
// It does not know Slack: what a request means is internal/request, telling the
// person is internal/reply. Only slack-ingress uses it. Invariants: a request
// is acknowledged to the caller only after JetStream acknowledged it; however
// often one request is submitted, INBOX keeps one message within its window; an
// error says whether storing failed for certain or is of unknown outcome.
package inbox
