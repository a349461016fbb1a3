// Package relay is the keyword relay: which messages hold a keyword, which of
// them were passed on already, and on which days nobody is there to read them.
//
// It is not for reading Slack's events (slack-ingress does) nor for posting (the
// notifier does). slack-ingress uses Mentions, the orchestrator Decide and Fold
// on the subject of each relay, and everybody who shows it the State.
//
// Invariants: a message is passed on once, however often Slack delivers it or
// its author edits it, as long as it is among the newest MaxRemembered of its
// relay; the text of a message is never kept. Decide and Fold have no clock:
// days arrive inside commands.
package relay
