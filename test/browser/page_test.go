//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

const (
	// patience is how long a page may take to show what it must: a first build of
	// the example on a loaded machine is the longest.
	patience = 90 * time.Second
	// lookEvery is how often the page is looked at.
	lookEvery = 50 * time.Millisecond
	// width and height are those of a small laptop's browser.
	width, height = 1280, 800
)

// page is the sandbox in a browser.
type page struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // it is the browser's tab, which chromedp keeps there
}

// open starts a browser of its own and waits until the page is alive.
func open(t *testing.T, url string) *page {
	t.Helper()
	p := &page{t: t, ctx: chromium(t)}
	p.run("open the page", chromedp.EmulateViewport(width, height), noMotion, chromedp.Navigate(url))
	p.until("the page follows what happens", `document.body.dataset.live === "true"`)
	return p
}

// noMotion asks for no animations, so that a picture shows no half of one.
func noMotion(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
	calm := emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"}
	_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{&calm}})
	return chromedp.Void{}, err
}

// chromium starts a browser that talks to nobody but us and leaves nothing behind.
func chromium(t *testing.T) context.Context {
	t.Helper()
	profile, err := os.MkdirTemp("", "slipway-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // a leftover in the temporary folder hurts nobody
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en-GB"),
		chromedp.Flag("disable-lcd-text", true), // grey edges: pictures look alike everywhere and are smaller
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stopAllocator)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium (Debian's package chromium): %v", err)
	}
	return ctx
}

// run does something in the browser, and ends the test when it cannot be done.
func (p *page) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, p.shown())
	}
}

// until waits for an expression of the page to be true.
func (p *page) until(what, expression string) {
	p.t.Helper()
	p.run("wait until "+what, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(lookEvery), chromedp.WithPollingTimeout(0)))
}

// value evaluates an expression.
func value[T any](p *page, expression string) T {
	p.t.Helper()
	return ask(p, "evaluate "+expression, chromedp.Evaluate[T](expression))
}

// ask is run with an answer.
func ask[T any](p *page, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, p.shown())
	}
	return out
}

// shown is what a person reads on the page.
func (p *page) shown() string {
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return "nothing: " + err.Error()
	}
	return text
}

// byID selects what has a test id.
func byID(id string) string { return fmt.Sprintf("[data-testid=%q]", id) }

// click presses what has a test id, once it can be seen.
func (p *page) click(selector string) {
	p.t.Helper()
	p.run("click "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// keys types into the composer.
func (p *page) keys(text string) {
	p.t.Helper()
	p.run("type "+text, chromedp.SendKeys(chromedp.CSS(byID("composer")), text))
}

// say types a line and sends it.
func (p *page) say(text string) {
	p.t.Helper()
	p.keys(text)
	p.enter()
}

// enter presses the key as a keyboard does: one event that is both the key and
// its character, so that a page which handles the key gets no line break.
func (p *page) enter() {
	p.t.Helper()
	p.run("press Enter", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
			key := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: '\r'}
			if kind == input.DispatchKeyEventTypeKeyDown {
				key.Text = "\r"
			}
			if _, err := cdp.Call(ctx, tab, input.DispatchKeyEvent, key); err != nil {
				return err
			}
		}
		return nil
	}))
}

// become switches to another person.
func (p *page) become(user string) {
	p.t.Helper()
	p.click(byID("user-" + user))
	p.until("acting as "+user, fmt.Sprintf(`document.querySelector('%s').getAttribute("aria-checked") === "true"`, byID("user-"+user)))
}

// quoted is a text as JavaScript.
func quoted(text string) string {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always can
	}
	return string(data)
}
