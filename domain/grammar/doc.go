// Package grammar turns what people type into commands: "/deploy",
// "/check_status", "/slipway …" and mentions of the bot.
//
// It provides the parser (Parse), the tolerance that chat needs (Normalise),
// the patterns of configured commands (CompilePattern, Overlap, Covers), the
// times that people name (ParseWindow, ParseMoment, ParseSince), the way back to
// Slack (Escape, Code, Fence), and the nearest words to one that nobody knows
// (Suggest). It knows words, not worlds: whether a service
// exists is domain/pipeline's question, whether its asker may is
// domain/policy's.
//
// The orchestrator's intake parses with it; everything that writes to Slack
// escapes with it; domain/pipeline and internal/configfile check commands with
// its patterns, and borrow Suggest and Quote.
//
// Invariants: no function panics or keeps unbounded text; a Sentence holds no
// control character; a refusal's words are raw text that a door escapes once,
// with Escape, when it shows them.
package grammar
