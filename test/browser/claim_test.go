//go:build browser

package browser

import (
	"fmt"
	"testing"
)

// TestAClaimIsSeenWhereItWasAskedFor: while a runner has the run, the person's own
// message carries an emoji and a pin; afterwards only how it ended.
func TestAClaimIsSeenWhereItWasAskedFor(t *testing.T) {
	g := newGate(t)
	config := pipeline(g.held("ship"))
	config["pipelines"].(map[string]any)["web"].(map[string]any)["mirror"] = map[string]any{"reaction": "eyes", "pin": true}
	p := up(t, config)
	p.say("@slipway deploy web@v3 to staging")
	p.reacted("deploy web@v3", "eyes")
	p.until("the message is pinned", asked("deploy web@v3")+`.innerText.includes("Pinned by")`)
	p.said("ship")
	p.shot("claim")

	g.open(t)
	p.reacted("deploy web@v3", "white_check_mark")
	p.until("nothing else is left", fmt.Sprintf(`!%[1]s.innerText.includes("Pinned by") && %[1]s.querySelector('%s') === null`, asked("deploy web@v3"), byID("reaction-eyes")))
	p.shot("claim-ended")
	p.acknowledged()
}

// TestARollCallIsAnswered in the example that a newcomer meets.
func TestARollCallIsAnswered(t *testing.T) {
	p := up(t, nil)
	p.say("roll call")
	p.said("runs Slipway")
	p.shot("roll-call")
	p.acknowledged()
}
