// Package desk makes Slack show what the log says: it compares the card of every
// run that Slack asked for with the run, and posts or edits until they agree; it
// marks the requests of jobs, says how they ended, mirrors claims by a reaction
// or a pin where a plan asks for that, and passes messages on. Its
// work is derived state, never a queue: a desk that starts anew finds what is
// left to do by comparing CARDS with the log. What a message says is card's
// business, how Slack is spoken to slackapi's. Only the notifier uses it.
//
// Invariants: a post, and the showing of a file, is announced in CARDS by
// compare-and-set before it is sent, and one of unknown outcome is looked for
// twice before it is sent again; a card counts as settled only when an edit with
// the final state began after every earlier edit was certainly over; what
// several runs are told in one place is one message, under the run that was
// executed; any number of desks at once post once. A mark that mirrors a claim is
// announced in the same way, taken away when no attempt to add it can still land,
// and only if it is ours; whatever Slack says to it holds up no card.
package desk
