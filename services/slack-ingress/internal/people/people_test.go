package people_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/people"
)

// away is an http.RoundTripper that stands for Slack: it answers with body, or
// not at all.
type away struct {
	body  string
	down  atomic.Bool
	calls atomic.Int32
}

func (a *away) Do(*http.Request) (*http.Response, error) {
	a.calls.Add(1)
	rec := httptest.NewRecorder()
	if a.down.Load() {
		rec.WriteHeader(http.StatusBadGateway)
	} else {
		_, _ = io.WriteString(rec, a.body)
	}
	return rec.Result(), nil
}

func book(a *away) *people.Book { return people.New(slack.New("xoxb-x", slack.OptionHTTPClient(a))) }

func TestStandingIsWhatSlackSays(t *testing.T) {
	for name, c := range map[string]struct {
		user string
		want *commandv1.Standing
	}{
		"member":      {`{"id":"U1","name":"ann","profile":{"display_name":"Ann"}}`, &commandv1.Standing{Known: true, Name: "Ann"}},
		"zone":        {`{"id":"U1","tz":"Europe/London"}`, &commandv1.Standing{Known: true, Zone: "Europe/London"}},
		"guest":       {`{"id":"U1","is_restricted":true}`, &commandv1.Standing{Known: true, Guest: true}},
		"ultra guest": {`{"id":"U1","is_ultra_restricted":true}`, &commandv1.Standing{Known: true, Guest: true}},
		"bot":         {`{"id":"U1","is_bot":true}`, &commandv1.Standing{Known: true, Bot: true}},
		"workflow":    {`{"id":"U1","is_workflow_bot":true}`, &commandv1.Standing{Known: true, Bot: true}},
		"stranger":    {`{"id":"U1","is_stranger":true}`, &commandv1.Standing{Known: true, Stranger: true}},
		"deleted":     {`{"id":"U1","deleted":true}`, &commandv1.Standing{Known: true, Deleted: true}},
	} {
		got, err := book(&away{body: `{"ok":true,"user":` + c.user + `}`}).Standing(t.Context(), "T1", "U1")
		if err != nil || !proto.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestWhatCannotBeLearntIsNotKnown(t *testing.T) {
	a := &away{body: `{"ok":false,"error":"user_not_found"}`}
	if got, err := book(a).Standing(t.Context(), "T1", "U1"); err == nil || got.GetKnown() {
		t.Errorf("%v, %v; want not known", got, err)
	}
}

func TestAnAnswerIsUsedWhileFreshAndLongerWhileSlackIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{body: `{"ok":true,"user":{"id":"U1"}}`}
		b := book(a)
		ask := func(when string, calls int32, known bool) {
			t.Helper()
			got, err := b.Standing(t.Context(), "T1", "U1")
			if got.GetKnown() != known || (err == nil) != known || a.calls.Load() != calls {
				t.Errorf("%s: %v, %v after %d calls; want known %v after %d", when, got, err, a.calls.Load(), known, calls)
			}
		}
		ask("at first", 1, true)
		time.Sleep(4 * time.Minute)
		ask("fresh", 1, true)
		time.Sleep(2 * time.Minute)
		ask("not fresh any more", 2, true)
		a.down.Store(true)
		time.Sleep(30 * time.Minute)
		ask("Slack away", 3, true)
		time.Sleep(time.Hour)
		ask("Slack away for long", 4, false)
	})
}

// W17: a change of somebody's account counts at once, not only when what is
// known has become old.
func TestAChangedPersonIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &away{body: `{"ok":true,"user":{"id":"U1"}}`}
		b := book(a)
		standing := func(guest bool, calls int32) {
			t.Helper()
			got, err := b.Standing(t.Context(), "T1", "U1")
			if err != nil || got.GetGuest() != guest || a.calls.Load() != calls {
				t.Errorf("%v, %v after %d calls; want guest %v after %d", got, err, a.calls.Load(), guest, calls)
			}
		}
		standing(false, 1)
		a.body = `{"ok":true,"user":{"id":"U1","is_restricted":true}}`
		standing(false, 1)
		b.Forget("1") // somebody else
		standing(false, 1)
		b.Forget("U1")
		standing(true, 2)
		a.body = `{"ok":true,"user":{"id":"U1","is_ultra_restricted":true}}`
		time.Sleep(6 * time.Minute)
		standing(true, 3)
	})
}
