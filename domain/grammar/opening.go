package grammar

// Opens says whether a word at the beginning of a sentence is a verb, in any
// case. A namespace with such a name could never be reached.
func Opens(word string) bool {
	_, ok := lookup(word)
	return ok
}
