package grammar

import (
	"strconv"
	"strings"
)

const (
	// pressPrefix marks the action ids of our own buttons.
	pressPrefix = "slipway:"
	// pressChoice is the action of a button that says a sentence.
	pressChoice = "choice"
	// MaxPressValue is Slack's bound on a button's value, in characters.
	MaxPressValue = 2000
)

// Press is what a button on a card means.
type Press struct {
	// Action is "cancel", "retry", "logs" or "answer".
	Action string
	// Run is the full id of the run.
	Run string
	// Sequence of the run that the card showed.
	Sequence uint64
	// Extra is what the action needs beside, such as the answer to a question.
	Extra string
}

// EncodePress returns the action id and the value of a button. Slack wants the
// action ids of one message to differ: tell several buttons with one action
// apart by appending ":" and anything to the id, which DecodePress ignores. A
// run's id never holds "|"; the extra value may.
func EncodePress(p Press) (actionID, value string) {
	return pressPrefix + p.Action, p.Run + "|" + strconv.FormatUint(p.Sequence, 10) + "|" + p.Extra
}

// DecodePress is the inverse of EncodePress. It is false for a button that is
// not ours, is a choice, or is malformed.
func DecodePress(actionID, value string) (Press, bool) {
	action, ok := pressAction(actionID)
	if !ok || action == pressChoice || len(value) > 4*MaxPressValue {
		return Press{}, false
	}
	run, rest, ok1 := strings.Cut(value, "|")
	number, extra, ok2 := strings.Cut(rest, "|")
	sequence, err := strconv.ParseUint(number, 10, 64)
	if !ok1 || !ok2 || err != nil || run == "" {
		return Press{}, false
	}
	return Press{Action: action, Run: run, Sequence: sequence, Extra: extra}, true
}

// EncodeChoice returns the action id and the value of the nth button that says
// a sentence for /slipway.
func EncodeChoice(n int, sentence string) (actionID, value string) {
	return pressPrefix + pressChoice + ":" + strconv.Itoa(n), sentence
}

// DecodeChoice is the inverse of EncodeChoice. It is false for every other button.
func DecodeChoice(actionID, value string) (sentence string, ok bool) {
	action, ok := pressAction(actionID)
	return value, ok && action == pressChoice && value != ""
}

func pressAction(actionID string) (string, bool) {
	rest, ok := strings.CutPrefix(actionID, pressPrefix)
	action, _, _ := strings.Cut(rest, ":")
	return action, ok && action != ""
}
