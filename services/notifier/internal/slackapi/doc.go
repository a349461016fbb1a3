// Package slackapi calls the few methods of Slack's Web API that cards and
// reports need, and says of every failure what it means: nothing was sent, Slack
// said no, come back later, or nobody knows. That verdict is what exactly-one
// message rests on, and the reason for this small client: a general one retries,
// follows and decodes more than may be done to a post that has no idempotency
// key.
//
// Only the notifier uses it; it decides nothing. Invariants: no call is ever
// repeated here; the token leaves in the Authorization header alone and never
// enters an error; neither does the address of an upload.
package slackapi
