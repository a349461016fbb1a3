package workspace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shop is a server whose one file can be changed and taken away.
type shop struct {
	*httptest.Server
	text atomic.Pointer[string] // nil: it answers 503
}

func newShop(t *testing.T, text string) *shop {
	t.Helper()
	s := &shop{}
	s.text.Store(&text)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := s.text.Load()
		if now == nil {
			http.Error(w, "closed", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(*now))
	}))
	t.Cleanup(s.Close)
	return s
}

func sum(text string) string {
	digest := sha256.Sum256([]byte(text))
	return hex.EncodeToString(digest[:])
}

func TestAURLIsFetchedAndDigested(t *testing.T) {
	r, s := open(t), newShop(t, "print('hi')\n")
	for i, src := range []Source{
		{URL: s.URL, File: "fabfile.py"},
		{URL: s.URL, File: "tools/run.sh", SHA256: strings.ToUpper(sum("print('hi')\n"))},
	} {
		w, err := r.Prepare(t.Context(), fmt.Sprintf("j-%d", i), src)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(w.Dir(), src.File)); got != "print('hi')\n" {
			t.Errorf("%s holds %q", src.File, got)
		}
		if got := w.Checkout(); got.Digest != "sha256:"+sum("print('hi')\n") || got.Stale != "" {
			t.Errorf("%+v", got)
		}
	}
}

func TestAURLSourceRefuses(t *testing.T) {
	s := newShop(t, "text")
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range maxURLBytes>>20 + 1 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}))
	t.Cleanup(huge.Close)
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/again?x="+r.URL.Query().Get("x")+"1", http.StatusFound)
	}))
	t.Cleanup(loop.Close)
	secure := httptest.NewTLSServer(http.RedirectHandler(s.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	cases := map[string]struct {
		src  Source
		want error
	}{
		"another digest": {Source{URL: s.URL, File: "f", SHA256: sum("else")}, ErrFetch},
		"not found":      {Source{URL: "http://127.0.0.1:1/f", File: "f"}, ErrFetch},
		"too large":      {Source{URL: huge.URL, File: "f"}, ErrTooLarge},
		"redirects":      {Source{URL: loop.URL, File: "f"}, errRedirect},
		"unknown issuer": {Source{URL: secure.URL, File: "f"}, ErrFetch},
		"another scheme": {Source{URL: "file:///etc/passwd", File: "f"}, ErrSource},
		"no host":        {Source{URL: "http:///f", File: "f"}, ErrSource},
		"leaves":         {Source{URL: s.URL, File: "../f"}, ErrSource},
		"absolute":       {Source{URL: s.URL, File: "/f"}, ErrSource},
		"the folder":     {Source{URL: s.URL, File: "."}, ErrSource},
		"and git":        {Source{URL: s.URL, File: "f", Git: "https://example.org/r"}, ErrSource},
	}
	for name, c := range cases {
		if _, err := open(t).Prepare(t.Context(), "j-1", c.src); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestARedirectStaysSecureAndTellsNothing(t *testing.T) {
	to := func(scheme string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, scheme+"://example.org/f", nil)
		r.Header.Set("Referer", "https://example.org/?token=hunter2-s3cret")
		return r
	}
	if err := redirect(to("http"), []*http.Request{to("https")}); !errors.Is(err, errRedirect) {
		t.Errorf("from https to http: %v", err)
	}
	r := to("https")
	if err := redirect(r, []*http.Request{to("https")}); err != nil || r.Header.Get("Referer") != "" {
		t.Errorf("%v, Referer %q", err, r.Header.Get("Referer"))
	}
}

func TestTheLastGoodCopyStandsIn(t *testing.T) {
	r, s := open(t), newShop(t, "v1")
	src := Source{URL: s.URL + "/f?token=hunter2-s3cret", File: "f", LastGood: true}
	s.text.Store(nil)
	if _, err := r.Prepare(t.Context(), "j-none", src); !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "no earlier copy") {
		t.Fatalf("without a copy: %v", err)
	}
	text := "v1"
	s.text.Store(&text)
	if _, err := r.Prepare(t.Context(), "j-1", src); err != nil {
		t.Fatal(err)
	}
	s.text.Store(nil)
	w, err := r.Prepare(t.Context(), "j-2", src)
	if err != nil {
		t.Fatal(err)
	}
	got := w.Checkout()
	if read(t, filepath.Join(w.Dir(), "f")) != "v1" || got.Digest != "sha256:"+sum("v1") {
		t.Errorf("%+v", got)
	}
	for _, words := range []string{"last good copy", "503", s.URL + "/f"} {
		if !strings.Contains(got.Stale, words) {
			t.Errorf("stale %q does not name %q", got.Stale, words)
		}
	}
	if strings.Contains(got.Stale, "hunter2") {
		t.Errorf("stale %q shows a secret", got.Stale)
	}
	src.LastGood = false
	if _, err := r.Prepare(t.Context(), "j-3", src); !errors.Is(err, ErrFetch) {
		t.Errorf("a source that must be fresh: %v", err)
	}
	src.LastGood, src.SHA256 = true, sum("v2")
	if _, err := r.Prepare(t.Context(), "j-4", src); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("a copy that is not what is wanted: %v", err)
	}
}

// TestAllStepsOfARunSeeTheSameFile: a run that goes on in a new workspace gets
// what was recorded, or nothing.
func TestAllStepsOfARunSeeTheSameFile(t *testing.T) {
	r, s := open(t), newShop(t, "v1")
	src := Source{URL: s.URL, File: "f", LastGood: true}
	w, err := r.Prepare(t.Context(), "j-1", src)
	if err != nil {
		t.Fatal(err)
	}
	src.Commit = w.Checkout().Digest
	text := "v2"
	s.text.Store(&text)
	if again, err := r.Prepare(t.Context(), "j-1", src); err != nil || again.Checkout() != w.Checkout() {
		t.Errorf("in its workspace: %v", err)
	}
	if err := r.Remove("j-1"); err != nil {
		t.Fatal(err)
	}
	again, err := r.Prepare(t.Context(), "j-1", src)
	if err != nil || read(t, filepath.Join(again.Dir(), "f")) != "v1" {
		t.Errorf("from the copy: %v", err)
	}
	if _, err := open(t).Prepare(t.Context(), "j-1", src); !errors.Is(err, ErrFetch) {
		t.Errorf("on another machine: %v", err)
	}
}

func TestAURLShowsNoSecret(t *testing.T) {
	for raw, want := range map[string]string{
		"https://user:hunter2@example.org/f?token=x#y": "https://example.org/f",
		"https://example.org/f":                        "https://example.org/f",
		"::":                                           "the URL",
	} {
		if got := Shown(raw); got != want {
			t.Errorf("%s is shown as %q", raw, got)
		}
	}
	_, err := open(t).Prepare(t.Context(), "j-1", Source{URL: "http://user:hunter2-s3cret@127.0.0.1:1/f?key=hunter2-s3cret", File: "f"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	_, err = open(t).Prepare(t.Context(), "j-1", Source{Git: "http://127.0.0.1:1/r?key=hunter2-s3cret"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestCopiesAreBounded(t *testing.T) {
	r := open(t)
	for i := range maxCopies + 3 {
		at := filepath.Join(r.copyDir(), fmt.Sprint("f", i))
		if err := os.WriteFile(at, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Duration(maxCopies+3-i) * time.Minute)
		if err := os.Chtimes(at, old, old); err != nil {
			t.Fatal(err)
		}
	}
	r.dropCopies()
	entries, err := os.ReadDir(r.copyDir())
	if err != nil || len(entries) != maxCopies {
		t.Errorf("%d copies, %v", len(entries), err)
	}
	if _, err := os.Stat(filepath.Join(r.copyDir(), "f0")); !os.IsNotExist(err) {
		t.Errorf("the oldest is still there: %v", err)
	}
}

func TestAMirrorIsTheLastGoodCopyOfARepository(t *testing.T) {
	r := open(t)
	dir, _, second := repository(t)
	src := Source{Git: dir, LastGood: true}
	if _, err := r.Prepare(t.Context(), "j-1", src); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	w, err := r.Prepare(t.Context(), "j-2", src)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Checkout(); got.Commit != second || !strings.Contains(got.Stale, "last good copy") {
		t.Errorf("%+v, want commit %s", got, second)
	}
	src.LastGood = false
	if _, err := r.Prepare(t.Context(), "j-3", src); !errors.Is(err, ErrFetch) {
		t.Errorf("a source that must be fresh: %v", err)
	}
	if _, err := open(t).Prepare(t.Context(), "j-4", Source{Git: dir, LastGood: true}); err == nil || !strings.Contains(err.Error(), "no earlier copy") {
		t.Errorf("without a copy: %v", err)
	}
}
