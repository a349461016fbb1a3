// Package ingress is Slipway's door to Slack: it proves that a request comes
// from Slack, makes it durable in INBOX, and answers within Slack's three
// seconds, over HTTP and over Socket Mode alike.
//
// It decides nothing about deploying (the orchestrator does), and posts no
// cards (the notifier does). Mains use it: New, mount Handler, Run. What a
// delivery means is internal/request (pure); INBOX is internal/inbox; later
// words to people are internal/reply; who they are is internal/people.
//
// Invariants: nothing is read from a body before its signature holds; a request
// that changes something is acknowledged only after JetStream has it; when that
// is not certain, the person is told exactly that; no token, signing secret,
// response URL or trigger id is stored or logged.
package ingress
