//go:build browser

package browser

import (
	"fmt"
	"testing"
)

func TestAGuestIsRefusedInPrivate(t *testing.T) {
	p := up(t, pipeline(step("build", "echo built")))
	p.become("guest")
	p.say("/deploy web to staging")
	p.private("Guests cannot start or change runs")
	p.become("requester")
	p.until("nobody else sees it", privates+".length === 0")
	if n := value[int](p, `document.querySelectorAll('[data-testid="card"]').length`); n != 0 {
		t.Errorf("there are %d cards", n)
	}
	p.say("/check_status")
	p.private("Nothing runs, nothing waits")
	p.acknowledged()
}

func TestWhoWaitsIsToldForWhom(t *testing.T) {
	g := newGate(t)
	p := up(t, pipeline(g.held("build")))
	first := p.deploy("web@v1 to staging")
	p.shows(first, "running build")
	second, third := p.deploy("web@v2 to staging"), p.deploy("web@v3 to staging")
	p.shows(second, "Queued")
	p.shows(third, "Number 2 in lane web/staging, behind "+second)

	p.say("/check_status")
	p.private("1 under way, 2 waiting")
	for _, want := range []string{
		first + " web to staging v1", "running: step 1 of 1, build.",
		"queued: next in lane web/staging, behind " + first,
		"queued: number 2 in lane web/staging, behind " + second,
	} {
		p.private(want)
	}
	p.become("approver")
	p.until("the answer was for one person", privates+".length === 0")

	g.open(t)
	for _, id := range []string{first, second, third} {
		p.shows(id, "Succeeded")
	}
	p.until("in their order", fmt.Sprintf("[%s, %s, %s].every((m, i, all) => i === 0 || Number(all[i-1].dataset.ts) < Number(m.dataset.ts))",
		cards(first)+"[0]", cards(second)+"[0]", cards(third)+"[0]"))
	p.acknowledged()
}
