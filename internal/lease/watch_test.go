package lease

import (
	"testing"
	"time"
)

// A runner stores its lease, then claims. When the claim is known here before
// the lease is, the runner must not be taken for dead.
func TestANewcomerIsNotLapsedBeforeItsLeaseCouldBeSeen(t *testing.T) {
	w := (&Bucket{timing: DefaultTiming()}).Watch()
	w.watched, w.until = true, time.Now()
	w.since = w.until.Add(-time.Hour)
	if w.Lapsed("newcomer") {
		t.Error("lapsed by a proof that is older than the question")
	}
	w.until = time.Now().Add(time.Millisecond) // the next proof
	if !w.Lapsed("newcomer") {
		t.Error("not lapsed although all up to now was seen")
	}
}
