package orchestrator

import (
	"testing"

	"github.com/slipway-hq/slipway/domain/run"
)

// More runs wait than one page of a list holds: cancelling a job means all of them.
func TestCancellingAJobTakesEveryWaitingRunOut(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		var ids []string
		for range maxPage + 5 {
			ids = append(ids, c.run("U1", "op deploy"))
		}
		c.say("U1", "op deploy cancel")
		for i, id := range ids {
			if s := c.state(id); s.Status != run.Cancelled {
				t.Fatalf("number %d is %s", i, s.Status)
			}
		}
	})
}
