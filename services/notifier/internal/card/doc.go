// Package card is the notifier's mind: from the commits of a run it tells what
// Slack is to show, as blocks and texts and nothing else. It is pure: no clock,
// network or store; desk does the posting. Only the notifier uses it.
//
// Invariants: the same view renders to the same bytes; text that came from
// people or programs is shown literally and pings nobody; every message stays
// far below Slack's limits (at most MaxBlocks blocks, MaxText bytes per text,
// MaxPayload bytes in all) and always has a plain text.
package card
