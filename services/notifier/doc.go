// Package notifier shows runs in Slack: for every deployment that Slack asked for
// one live card, edited in place, its milestones in the card's thread, and a
// reaction on the person's own message at the end; for every job the signs on
// its request, a card where it takes its time, and its report or why it failed,
// in the thread exactly when it was asked for in one. It also passes on messages
// that a relay overheard. It follows the log with a projection of its own; what
// was shown is kept in the bucket CARDS, the one state that is not a fold. It decides nothing about runs: that is the
// orchestrator's. The first private answer to a command is the ingress's.
//
// cmd wires it: New with a Config and what it works on, then Run. Any number
// may run; one at a time works, by an office, and two at once still post once.
//
// Invariants: Slack being away delays messages and nothing else; a card ends up
// showing the final state; the work is always "cards that do not show their
// run", never a queue, so that a restart forgets nothing; the bot token never
// reaches a log, span, message or error.
package notifier
