//go:build browser

package browser

import (
	"fmt"
	"testing"
)

// TestACardCatchesUpWhenSlackWasBroken breaks Slack while a run goes on: the run
// ends all the same, the page shows the trouble, and after healing the card is
// right and still the only one.
func TestACardCatchesUpWhenSlackWasBroken(t *testing.T) {
	for _, c := range []struct{ fault, said, entry string }{
		{"fault-5xx", "503", "503"},
		{"fault-429", "429", "429"},
		{"fault-lost", "answers get lost", "connection lost"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			g := newGate(t)
			p := up(t, pipeline(g.held("build"), step("ship", "echo shipped")))
			id := p.deploy("web@v3 to staging")
			p.shows(id, "running build")

			p.click(byID(c.fault))
			p.until("the page says that Slack is broken", fmt.Sprintf(`document.querySelector('[data-testid="trouble"]').innerText.includes(%s)`, quoted(c.said)))
			g.open(t)
			p.until("a call of Slack fails", fmt.Sprintf(`[...document.querySelectorAll('[data-testid="journal-entry"][data-way="out"].bad')].some(n => n.innerText.includes(%s))`, quoted(c.entry)))
			p.say("/check_status " + id)
			p.private("succeeded")
			if c.fault == pictured {
				p.shot("broken")
			}

			p.click(byID("heal"))
			p.until("the trouble is over", `document.querySelector('[data-testid="trouble"]').hidden`)
			p.shows(id, "Succeeded")
			p.thread(id, "is live in staging")
			p.replies("is live in staging", 1)
			p.one(id)
			if c.fault == pictured {
				p.shot("recovered")
			}
		})
	}
}

// pictured is the fault that stands for all in the pictures.
const pictured = "fault-5xx"

// TestACardWhosePostWasLostIsFoundAndNotPostedAgain hides from Slipway that its
// card was posted: it must look before it posts again.
func TestACardWhosePostWasLostIsFoundAndNotPostedAgain(t *testing.T) {
	g := newGate(t)
	p := up(t, pipeline(g.held("build")))
	p.say("/check_status") // whoever asks is looked up before the connection suffers
	p.private("Nothing runs")
	p.click(byID("fault-lost"))
	id := p.deploy("web@v4 to staging")
	p.click(byID("heal"))
	g.open(t)
	p.shows(id, "Succeeded")
	p.thread(id, "is live in staging")
	p.replies("is live in staging", 1)
	p.one(id)
}

// replies checks how often the open thread has a text.
func (p *page) replies(text string, want int) {
	p.t.Helper()
	const all = `[...document.querySelectorAll('#thread-timeline [data-testid="message"]')]`
	if n := value[int](p, fmt.Sprintf(`%s.filter(m => m.innerText.includes(%s)).length`, all, quoted(text))); n != want {
		p.t.Errorf("%q stands in the thread %d times", text, n)
	}
}
