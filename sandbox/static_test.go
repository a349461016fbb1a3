package sandbox_test

import (
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/sandbox"
)

// markup finds every way in which a script could turn foreign text into markup or code.
var markup = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|\beval\(|new Function|srcdoc|setTimeout\(\s*["'` + "`" + `]`)

func TestThePageCannotTurnTextIntoMarkup(t *testing.T) {
	files := os.DirFS("static")
	names, err := fs.Glob(files, "*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if found := markup.Find(text); found != nil {
			t.Errorf("%s uses %s", name, found)
		}
		if external := regexp.MustCompile(`(src|href)="(https?:)?//|@import|url\(`).Find(text); external != nil {
			t.Errorf("%s loads something from outside: %s", name, external)
		}
	}
}

func TestThePage(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{Target: "http://127.0.0.1:8080"})
	s.SetTarget(`http://127.0.0.1:1/"><script>alert(1)</script>`)
	resp, err := http.Get(s.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("content security policy: %q", csp)
	}
	status, page := get(t, s.URL()+"/")
	if status != 200 || strings.Contains(page, "<script>alert") {
		t.Errorf("%d: the target is not escaped", status)
	}
	for _, id := range []string{"banner", "fault-429", "fault-5xx", "fault-lost", "fault-latency", "heal", "journal", "thread", "confirm-yes"} {
		if !strings.Contains(page, `data-testid="`+id+`"`) {
			t.Errorf("the page has no %s", id)
		}
	}
	if strings.Contains(page, "kill-runner") {
		t.Error("there is no runner to kill, but a button for it")
	}
	for _, file := range []string{"base.css", "message.css", "emoji.js", "render.js", "file.js", "emoji.txt", "inspector.js", "composer.js", "app.js"} {
		if status, _ := get(t, s.URL()+"/static/"+file); status != 200 {
			t.Errorf("%s: %d", file, status)
		}
	}
	if status, _ := get(t, s.URL()+"/archives/C0DEPLOYS01/p1700000000000001"); status != 200 {
		t.Errorf("permalink: %d", status)
	}
}
