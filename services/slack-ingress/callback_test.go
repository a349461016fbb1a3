package ingress_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/identity"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/callback"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

const callbackKey = "key-for-callbacks"

func withCallbacks(_ *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) {
	cfg.CallbackKey = secret(callbackKey)
}

func TestARunningJobMaySpeak(t *testing.T) {
	w := newWorld(t, withCallbacks)
	run := identity.RunID(identity.Job, "speaks")
	path := callback.Path([]byte(callbackKey), run, time.Now().Add(time.Hour))
	for _, c := range []struct {
		body    string
		headers []string
		status  int
	}{
		{"half way", []string{"Content-Type", "text/plain"}, 202},
		{"half way", []string{"Content-Type", "text/plain"}, 202}, // said once
		{"half way", []string{"Content-Type", "text/plain", "Idempotency-Key", "k"}, 202},
		{"as a form, which curl says", []string{"Content-Type", formType}, 202},
		{`{"text":"by JSON","id":"own"}`, nil, 202},
		{`{"blocks":[ {"type":"divider"} ]}`, nil, 202},
		{`{"text":"a","blocks":[{"type":"divider"}]}`, nil, 400},
		{`{"blocks":{"type":"divider"}}`, nil, 400},
		{`{"blocks":["x"]}`, nil, 400},
		{`{"blocks":[]}`, nil, 400},
		{`{"text":""}`, nil, 400},
		{`{"text":`, nil, 400},
		{`[]`, nil, 400},
		{" \n", []string{"Content-Type", "text/plain"}, 400},
		{"x", []string{"Content-Type", "text/plain", "Idempotency-Key", strings.Repeat("k", 201)}, 400},
		{strings.Repeat("é", 3000), []string{"Content-Type", "text/plain"}, 202},
		{strings.Repeat("é", 3001), []string{"Content-Type", "text/plain"}, 413},
		{strings.Repeat("x", 16<<10+1), []string{"Content-Type", "text/plain"}, 413},
	} {
		if status, said := w.send(path, c.body, c.headers...); status != c.status {
			t.Errorf("%.40q %v: %d %q, want %d", c.body, c.headers, status, said, c.status)
		}
	}
	envelopes, raw := w.stored()
	notes := noted(envelopes)
	var said []string
	for _, n := range notes {
		if n.GetRun() != run || n.GetId() == "" {
			t.Errorf("a note of %q with the id %q", n.GetRun(), n.GetId())
		}
		said = append(said, n.GetText()[:min(len(n.GetText()), 30)])
	}
	if got := strings.Join(said, "|"); len(notes) != 6 || !strings.HasPrefix(got, "half way|half way|as a form, which curl says|by JSON|"+`[{"type":"divider"}]|`) {
		t.Fatalf("%d notes: %q", len(notes), got)
	}
	if notes[1].GetId() != "k" || notes[3].GetId() != "own" || notes[4].GetFormat() != eventv1.Report_FORMAT_BLOCKS || notes[0].GetFormat() != eventv1.Report_FORMAT_TEXT {
		t.Errorf("notes %v", notes)
	}
	signature := path[strings.LastIndexByte(path, '/')+1:]
	if strings.Contains(w.log.String(), signature) || strings.Contains(string(raw), signature) || strings.Contains(w.log.String(), "half way") {
		t.Error("an address or a text got out")
	}
}

func TestOnlyAGoodAddressMaySpeak(t *testing.T) {
	w := newWorld(t, withCallbacks)
	run := identity.RunID(identity.Job, "speaks")
	good := callback.Path([]byte(callbackKey), run, time.Now().Add(time.Hour))
	other := identity.RunID(identity.Job, "another")
	for name, c := range map[string]struct {
		path   string
		status int
	}{
		"good":           {good, 202},
		"no address":     {"/callback/", 400},
		"no run":         {"/callback/x/1/y", 400},
		"cut":            {good[:len(good)-1], 400},
		"one part more":  {good + "/x", 400},
		"another run":    {strings.Replace(good, run, other, 1), 403},
		"another key":    {callback.Path([]byte("guess"), run, time.Now().Add(time.Hour)), 403},
		"expired":        {callback.Path([]byte(callbackKey), run, time.Now().Add(-time.Second)), 403},
		"expired, false": {callback.Path([]byte("guess"), run, time.Now().Add(-time.Second)), 403},
	} {
		if status, said := w.send(c.path, "x", "Content-Type", "text/plain"); status != c.status {
			t.Errorf("%s: %d %q, want %d", name, status, said, c.status)
		}
	}
	if envelopes, _ := w.stored(); len(envelopes) != 1 {
		t.Errorf("%d stored", len(envelopes))
	}
	off := newWorld(t, nil)
	if status, said := off.send(good, "x"); status != 404 || !strings.Contains(said, "off") {
		t.Errorf("without a key: %d %q", status, said)
	}
}
