//go:build browser

package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// ackBar is how many milliseconds of Slack's 3,000 an answer may take on a
// machine that is busy building.
const ackBar = 1000

func TestANewcomerDeploysTheExampleAndWatchesItSucceed(t *testing.T) {
	p := up(t, nil)
	p.keys("/dep")
	p.until("completions are offered", `document.querySelector('[data-testid="composer-suggestions"]').innerText.includes("/deploy")`)
	p.keys(kb.Tab)
	p.until("Tab completes the command", `document.querySelector('[data-testid="composer"]').value === "/deploy "`)
	p.say("hello@v1.0.0 to staging")
	p.until("it is accepted", answers+".length > 0")
	id := runID.FindString(value[string](p, answers+"[0]"))
	p.shows(id, "running")
	p.shot("deploy-running")

	p.shows(id, "Succeeded")
	for _, step := range []string{"build", "test", "deploy"} {
		if !strings.Contains(p.card(id), "done "+step) {
			t.Errorf("the card does not say that %s is done:\n%s", step, p.card(id))
		}
	}
	p.thread(id, "Started on runner")
	p.thread(id, "is live in staging")
	p.shot("deploy-succeeded")
	p.image("card", p.of(id, "card"))

	p.click("#thread-close")
	next := p.deploy("hello@v1.1.0 to production")
	p.shows(next, "running")
	p.say("/check_status")
	p.private(next)
	p.image("sandbox", "")
	p.shows(next, "Succeeded")
	p.acknowledged()
}

// acknowledged checks in the inspector that Slack never had to wait.
func (p *page) acknowledged() {
	p.t.Helper()
	const times = `[...document.querySelectorAll('[data-testid="journal-entry"][data-way="in"] .ack')].map(n => parseFloat(n.innerText))`
	took := value[[]float64](p, times)
	if len(took) == 0 {
		p.t.Fatal("the inspector lists no request")
	}
	for _, ms := range took {
		if ms > ackBar {
			p.t.Errorf("a request was acknowledged after %.0f ms", ms)
		}
	}
	p.t.Logf("%d requests, acknowledged in ms: %v", len(took), took)
}
