// Package reply tells people in Slack what became of their request, outside of
// the acknowledgement itself: by the response URL of a command or a press, or
// by the Web API for a mention.
//
// Cards and milestones are the notifier's; the acknowledgement is written by
// slack-ingress itself with Render. Only slack-ingress uses it. Invariants:
// enqueueing never blocks; a message is sent at most once, for neither way has
// an idempotency key: only a refusal that proves that nothing was posted is
// followed by another try; a response URL never reaches a log or an error, is
// used at most five times, and never leads to a host that Slack would not name.
package reply
