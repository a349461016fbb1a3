// Package refusal is the answer "no" of the pure rooms: run, lane, schedule and
// relay decide with it, and each door turns it into its own words once.
//
// It is for decisions about what is stored; what a configuration or a right says
// no to has more to tell (domain/pipeline, domain/policy). A failure is no
// refusal. Invariants: the code is stable; the sentence is raw text for a person
// and says what, why and what next.
package refusal

// Refusal says why a command causes nothing: a stable code and a sentence for a
// person.
type Refusal struct{ Code, Sentence string }

// Error is the sentence.
func (r *Refusal) Error() string { return r.Sentence }

// Is compares codes, so that errors.Is works with sentinels.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == r.Code
}
