//go:build browser

package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// jobs is a configuration of one namespace whose jobs need nothing but a shell.
func jobs() map[string]any {
	job := func(run, format string) map[string]any {
		return map[string]any{"run": run, "report": map[string]any{"stdout": true, "format": format}}
	}
	hello := job("echo Hello, {name}!", "text")
	hello["params"] = map[string]any{"name": map[string]any{}}
	command := func(match, job string) map[string]any { return map[string]any{"match": match, "job": job} }
	later := command("tidy up", "tidy")
	later["delay"] = "1h"
	return map[string]any{"namespaces": map[string]any{"test": map[string]any{
		"jobs":     map[string]any{"hello": hello, "tidy": job("echo tidied", "text"), "disk": job("for i in $(seq 1 40); do echo disk $i is fine; done", "file")},
		"commands": []any{command("say hello to [name]", "hello"), later, command("show disks", "disk")},
	}}}
}

// TestJobsRunWherePeopleTalk is a day with jobs: one asked for in the channel,
// one in its thread, one that waits and is taken back, one that answers with a file.
func TestJobsRunWherePeopleTalk(t *testing.T) {
	p := up(t, jobs())
	p.click(byID("channel-ops"))
	p.until("the page offers what can be said", fmt.Sprintf(`document.querySelector('%s').innerText.includes("@slipway test say hello to Bob")`, byID("composer-hints")))
	p.say("@slipway test say hello to Bob")
	p.said("Hello, Bob!")
	p.reacted("say hello to Bob", "white_check_mark")

	value[bool](p, asked("say hello to Bob")+fmt.Sprintf(`.querySelector('%s').click() === undefined`, byID("reply"))) // it shows where the mouse is
	p.run("reply", chromedp.SendKeys(chromedp.CSS(byID("thread-composer")), "@slipway test say hello to Ann"))
	p.enter()
	p.until("the thread has the report", `document.getElementById("thread-timeline").innerText.includes("Hello, Ann!")`)
	p.until("the reply has its mark", fmt.Sprintf(`document.querySelector('#thread-timeline [data-testid="message"]:nth-of-type(2) %s') !== null`, byID("reaction-white_check_mark")))
	p.shot("job-thread")
	p.click("#thread-close")
	if n := value[int](p, `[...document.querySelectorAll('#timeline [data-testid="message"]')].filter(m => m.innerText.includes("Hello, Ann!")).length`); n != 0 {
		t.Error("what was asked in a thread was answered in the channel")
	}

	p.say("@slipway test tidy up")
	p.said("To stop it")
	p.click(byID(cancelButton))
	p.click(byID("confirm-yes"))
	p.said("Cancelled")
	p.reacted("tidy up", "x")
	p.shot("job-cancelled")

	p.say("@slipway test show disks")
	p.until("the report is a file with a preview", fmt.Sprintf(`document.querySelector('#timeline %s')?.innerText.includes("disk 3 is fine")`, byID("file-preview")))
	p.reacted("show disks", "white_check_mark")
	p.shot("job-file")
	p.acknowledged()
}

// said waits for words of the bot in the channel.
func (p *page) said(text string) {
	p.t.Helper()
	p.until("the bot says "+text, fmt.Sprintf(`[...document.querySelectorAll('#timeline [data-user="slipway"]')].some(m => m.innerText.includes(%s))`, quoted(text)))
}

// asked finds the message of a person with that text.
func asked(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#timeline [data-user="requester"]')].find(m => m.innerText.includes(%s))`, quoted(text))
}

// reacted waits for the bot's reaction on the message of a person.
func (p *page) reacted(text, emoji string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q has :%s:", text, emoji), fmt.Sprintf(`%s?.querySelector('%s') instanceof Element`, asked(text), byID("reaction-"+emoji)))
}
