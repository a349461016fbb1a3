package grammar

import "strings"

// The options that may end the sentence of a job.
const (
	flagIn          = "--in"
	flagAt          = "--at"
	flagDespiteHold = "--despite-hold"
)

func isFlag(word string) bool {
	return strings.EqualFold(word, flagIn) || strings.EqualFold(word, flagAt) || strings.EqualFold(word, flagDespiteHold)
}
