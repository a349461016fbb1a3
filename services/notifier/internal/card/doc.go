// Package card is the notifier's mind: from the commits of a run it tells what
// Slack is to show, as blocks, texts and files and nothing else: the live card,
// its thread, and what a job says at its end and on the way. It is pure: no
// clock, network or store; desk does the posting. Only the notifier uses it.
//
// Invariants: the same view renders to the same bytes; text that came from
// people is shown literally and pings nobody; a job's own report keeps its links
// and mentions but cannot ping a whole channel or pose as one of our buttons;
// every message stays below Slack's limits (of our own: at most MaxBlocks blocks,
// MaxText bytes per text, MaxPayload bytes in all), has a plain text, and names
// what stands in when Slack refuses it.
package card
