//go:build browser

package browser

import (
	"fmt"
	"regexp"
)

// runID is how a run is called in what people read.
var runID = regexp.MustCompile(`\b[dj]-[a-z2-7]{5,}`)

// deploy asks for a deployment and returns the id of the run, once its card is there.
func (p *page) deploy(sentence string) string {
	p.t.Helper()
	before := value[int](p, answers+".length")
	p.say("/deploy " + sentence)
	p.until("/deploy "+sentence+" is answered", fmt.Sprintf("%s.length > %d", answers, before))
	text := value[string](p, answers+".at(-1)")
	id := runID.FindString(text)
	if id == "" {
		p.t.Fatalf("/deploy %s was answered: %s", sentence, text)
	}
	p.until(id+" has a card", cards(id)+".length > 0")
	return id
}

// answers are the texts in which a request was accepted.
const answers = `[...document.querySelectorAll('#timeline [data-testid="message"][data-user="slipway"] .text')].map(n => n.textContent).filter(t => t.includes(": accepted from"))`

// cards are the messages that carry the card of a run; its id stands there by
// itself, and may be named in other cards' sentences.
func cards(id string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#timeline [data-testid="message"]')].filter(m => [...m.querySelectorAll('.card .b-context code')].some(c => c.textContent === %s))`, quoted(id))
}

// shows waits until the one card of a run has a text.
func (p *page) shows(id, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("the card of %s shows %q", id, text), fmt.Sprintf("%s.some(m => m.textContent.includes(%s))", cards(id), quoted(text)))
	p.one(id)
}

// one checks that a run has one card.
func (p *page) one(id string) {
	p.t.Helper()
	if n := value[int](p, cards(id)+".length"); n != 1 {
		p.t.Fatalf("%s has %d cards", id, n)
	}
}

// card is the text of a run's card.
func (p *page) card(id string) string {
	p.t.Helper()
	return value[string](p, cards(id)+"[0].innerText")
}

// of selects something in the message that carries the card of a run.
func (p *page) of(id, testID string) string {
	p.t.Helper()
	return fmt.Sprintf(`#timeline [data-testid="message"][data-ts="%s"] %s`, value[string](p, cards(id)+"[0].dataset.ts"), byID(testID))
}

// thread opens the thread of a run's card and waits until it has a text.
func (p *page) thread(id, text string) {
	p.t.Helper()
	if !value[bool](p, `document.getElementById("thread").checkVisibility()`) {
		p.click(p.of(id, "replies"))
	}
	p.until("the thread has "+text, fmt.Sprintf(`document.querySelector('[data-testid="thread"]').innerText.includes(%s)`, quoted(text)))
}

// private waits for words that only the person who acts sees.
func (p *page) private(text string) {
	p.t.Helper()
	p.until("a private answer has "+text, fmt.Sprintf(`%s.some(m => m.innerText.includes(%s))`, privates, quoted(text)))
}

// privates are the messages that only the person who acts sees.
const privates = `[...document.querySelectorAll('[data-testid="message"][data-ephemeral="true"]')]`
