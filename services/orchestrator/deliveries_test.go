package orchestrator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const hooksConfig = testConfig + `
namespaces:
  web:
    restricted: true
    default_channel: C0WEB
    jobs:
      deploy: { run: "true {ref}", params: { ref: {} }, dedupe: { policy: all } }
      notify: { run: "true", dedupe: { policy: all } }
      pick: { run: "true {ref}", params: { ref: { type: enum, values: [v1] } } }
    webhooks:
      site:
        secrets: [{ env: X }]
        rules:
          - { job: deploy, events: [push], branches: [main], params: { ref: after }, delay: 5m }
          - { job: notify, events: [push], paths: ["docs/*"] }
      told: { channel: C0TOLD, secrets: [{ env: X }], rules: [{ job: pick, params: { ref: after } }, { job: notify }] }
relays:
  support: { keywords: [tech-support], channel: C9 }
  admin: { keywords: [admin], channel: "#admins", reaction: flamingo, away: We are off. }
`

func delivered(webhook, id string, facts map[string]string, paths ...string) *commandv1.Envelope {
	return &commandv1.Envelope{
		Identity: "webhook|github|" + webhook + "|" + id, Received: timestamppb.Now(),
		Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "webhook:" + webhook},
		Origin:    &eventv1.Origin{Door: eventv1.Origin_DOOR_WEBHOOK, Source: webhook, Url: "https://a.example/1"},
		Body: &commandv1.Envelope_Delivery{Delivery: &commandv1.Delivery{
			Namespace: "web", Webhook: webhook, Id: id, Facts: facts, Paths: paths, Fields: map[string]string{"after": "abc"}, Url: "https://a.example/1",
		}},
	}
}

// told handles an envelope by the durable door of each replica in turn.
func (h *house) told(e *commandv1.Envelope) *commandv1.Answer {
	h.t.Helper()
	var answer *commandv1.Answer
	for _, r := range h.replicas {
		var err error
		if answer, err = r.clerk.command(h.ctx, e); err != nil {
			h.t.Fatal(err)
		}
		synctest.Wait()
	}
	return answer
}

func TestADeliveryStartsTheJobsThatItsRulesName(t *testing.T) {
	inHouseOf(t, hooksConfig, 2, func(h *house) {
		e := delivered("site", "1", map[string]string{"event": "push", "branch": "main"}, "docs/a.md")
		for range 3 { // however often it comes
			h.told(e)
		}
		deploy, notify := identity.RunID(identity.Job, "webhook|github|site|1|0"), identity.RunID(identity.Job, "webhook|github|site|1|1")
		s := h.state(deploy)
		if s.Namespace != "web" || s.Job != "deploy" || s.Parameters["ref"] != "abc" || s.StartAfter.Sub(s.Created) != 5*time.Minute {
			t.Errorf("the run: %+v", s)
		}
		o := s.Origin
		if o.GetDoor() != eventv1.Origin_DOOR_WEBHOOK || o.GetChannel() != "C0WEB" || o.GetThreadTs() != "" || o.GetMessageTs() != "" || o.GetSource() != "site" || o.GetUrl() != "https://a.example/1" {
			t.Errorf("its origin: %v", o)
		}
		if h.state(notify).Job != "notify" {
			t.Error("the second rule did not start its job")
		}
		for _, hint := range h.hinted() { // each replica may give one
			if hint.GetRun() != notify {
				t.Errorf("%s starts now, not only the one without a delay", hint.GetRun())
			}
		}
		h.told(delivered("site", "2", map[string]string{"event": "push", "branch": "other"}, "docs/b.md"))
		if h.first().view.known(identity.RunID(identity.Job, "webhook|github|site|2|0")) || !h.first().view.known(identity.RunID(identity.Job, "webhook|github|site|2|1")) {
			t.Error("another branch: the wrong rules fit")
		}
	})
}

func TestAJobThatAWebhookCannotStartIsARefusedRun(t *testing.T) {
	inHouseOf(t, hooksConfig, 1, func(h *house) {
		answer := h.told(delivered("told", "1", map[string]string{"event": "push"}))
		refused, fine := identity.RunID(identity.Job, "webhook|github|told|1|0"), identity.RunID(identity.Job, "webhook|github|told|1|1")
		if s := h.state(fine); s.Status == run.Refused || s.Origin.GetChannel() != "C0TOLD" {
			t.Errorf("the other rule's job: %s in %s; answer %q", s.Status, s.Origin.GetChannel(), answer.GetText())
		}
		s := h.state(refused)
		if s.Status != run.Refused || s.Reason == "" || s.Job != "pick" || s.Origin.GetChannel() != "C0TOLD" || !strings.Contains(answer.GetText(), "pick was refused") {
			t.Errorf("the run: %s %q of %s in %s; answer %q", s.Status, s.Reason, s.Job, s.Origin.GetChannel(), answer.GetText())
		}
	})
}

// A door may know a configuration a moment before the orchestrator does: its
// delivery waits. Later it is given up, for nobody will ever know the webhook.
func TestADeliveryWaitsForItsConfiguration(t *testing.T) {
	inHouseOf(t, hooksConfig, 1, func(h *house) {
		e := delivered("of-tomorrow", "1", map[string]string{"event": "push"})
		if answer, err := h.first().clerk.command(h.ctx, e); !transient(err) || answer != nil {
			t.Errorf("at once: %v, %v", answer, err)
		}
		e.Received = timestamppb.New(time.Now().Add(-configLag))
		if answer, err := h.first().clerk.command(h.ctx, e); err != nil || !strings.Contains(answer.GetText(), "web/of-tomorrow is not in the configuration") {
			t.Errorf("after a while: %v, %v", answer, err)
		}
		h.first().desk.config = func() *adopted { return nil }
		if _, err := h.first().clerk.command(h.ctx, e); !transient(err) {
			t.Errorf("without a configuration: %v", err)
		}
	})
}

func TestAJobsOwnWordsAreNotesOfItsRun(t *testing.T) {
	inHouseOf(t, hooksConfig, 1, func(h *house) {
		h.told(delivered("told", "1", map[string]string{"event": "push"}))
		id := identity.RunID(identity.Job, "webhook|github|told|1|1")
		note := func(key, text string) *commandv1.Answer {
			return h.told(&commandv1.Envelope{
				Identity: "note|" + id + "|" + key, Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "job"},
				Body: &commandv1.Envelope_Note{Note: &commandv1.Note{Run: id, Id: key, Text: text, Format: eventv1.Report_FORMAT_TEXT}},
			})
		}
		if a := note("early", "x"); a.GetCode() == "" {
			t.Error("a run that has not started speaks")
		}
		for _, hint := range h.hinted() {
			if hint.GetRun() == id {
				h.claim(hint, "r1")
			}
		}
		for range 2 {
			if a := note("a", "half way"); a.GetCode() != "" {
				t.Fatalf("refused: %v", a)
			}
		}
		note("b", "nearly")
		if notes := h.state(id).Notes; len(notes) != 2 || notes[0].ID != "a" {
			t.Errorf("notes %+v", notes)
		}
		taken := timestamppb.Now()
		h.finish(id)
		if a := note("late", "x"); a.GetCode() == "" {
			t.Error("a run that has ended speaks")
		}
		last := &commandv1.Envelope{
			Identity: "note|" + id + "|last", Received: taken, Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "job"},
			Body: &commandv1.Envelope_Note{Note: &commandv1.Note{Run: id, Id: "last", Text: "done", Format: eventv1.Report_FORMAT_TEXT}},
		}
		if a := h.told(last); a.GetCode() != "" {
			t.Errorf("a job's last words, which the door took before its end, are refused: %v", a)
		}
		if s, err := h.first().view.load(h.ctx, id); err != nil || len(s.Notes) != 3 || s.Status != run.Succeeded {
			t.Errorf("its last words are lost: %+v, %v", s.Notes, err)
		}
	})
}

func overheardIn(ts string, relays ...string) *commandv1.Envelope {
	return &commandv1.Envelope{
		Identity: "overheard|T1|C1|" + ts, Received: timestamppb.Now(),
		Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: "U1"},
		Origin:    &eventv1.Origin{Team: "T1", Channel: "C1", ThreadTs: "0.9", MessageTs: ts},
		Standing:  &commandv1.Standing{Known: true, Zone: "Pacific/Auckland"},
		Body:      &commandv1.Envelope_Overheard{Overheard: &commandv1.Overheard{Relays: relays}},
	}
}

func (h *house) relayed(name string) (out []*eventv1.MessageRelayed) {
	h.t.Helper()
	synctest.Wait()
	h.first().proj.Read(func(b *board.Board) {
		s, _ := b.Relay(name)
		for _, r := range s.Relayed {
			out = append(out, r.Event)
		}
	})
	return out
}

func TestAnOverheardMessageIsPassedOnOnceByEachRelay(t *testing.T) {
	inHouseOf(t, hooksConfig, 2, func(h *house) {
		h.told(overheardIn("1.1", "admin", "support", "gone"))
		h.told(overheardIn("1.1", "admin"))
		want := &eventv1.MessageRelayed{Relay: "support", Team: "T1", Channel: "C1", ThreadTs: "0.9", MessageTs: "1.1", User: "U1", ToChannel: "C9", Reaction: "sos"}
		if got := h.relayed("support"); len(got) != 1 || !proto.Equal(got[0], want) {
			t.Errorf("support: %v", got)
		}
		if got := h.relayed("admin"); len(got) != 1 || got[0].GetReaction() != "flamingo" || got[0].GetToChannel() != "#admins" || got[0].GetAwayNotice() != "" {
			t.Errorf("admin: %v", got)
		}
		if got := h.relayed("gone"); len(got) != 0 {
			t.Errorf("a relay that is not configured: %v", got)
		}
	})
}

// The bubble's clock begins on 2000-01-01 at midnight UTC.
func TestWhileNobodyIsThereWhoCallsIsToldSo(t *testing.T) {
	inHouseOf(t, hooksConfig, 1, func(h *house) {
		says := func(s grammar.Sentence) *commandv1.Answer {
			t.Helper()
			e := overheardIn("cmd")
			e.Identity, e.Body = e.GetIdentity()+s.Action+s.From, nil
			answer, err := h.first().clerk.away(h.ctx, e, s)
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		for _, c := range []struct {
			s    grammar.Sentence
			code string
			text string
		}{
			{grammar.Sentence{Action: "status"}, "E-RELAY", "Which one"},
			{grammar.Sentence{Action: "status", Relay: "supprt"}, "E-RELAY", "support"},
			{grammar.Sentence{Action: "status", Relay: "support"}, "", "as usual"},
			{grammar.Sentence{Action: "on", Relay: "support", From: "2000-01-03", Until: "2000-01-02"}, "E-AWAY-REVERSED", ""},
			{grammar.Sentence{Action: "on", Relay: "support", From: "1999-12-30", Until: "1999-12-31"}, "E-AWAY-PAST", ""},
			{grammar.Sentence{Action: "on", Relay: "support", From: "2000-01-01", Until: "2000-01-01"}, "", "Noted"},
			{grammar.Sentence{Action: "status", Relay: "support"}, "", "until 2000-01-01"},
			{grammar.Sentence{Action: "on", Relay: "admin", From: "2000-01-02", Until: "2000-01-05"}, "", "Noted"},
			{grammar.Sentence{Action: "status", Relay: "admin"}, "", "from 2000-01-02"},
		} {
			if a := says(c.s); a.GetCode() != c.code || !strings.Contains(a.GetText(), c.text) {
				t.Errorf("%+v: %v", c.s, a)
			}
		}
		h.told(overheardIn("1.1", "support", "admin"))
		time.Sleep(12 * time.Hour) // it is tomorrow in Auckland, where the person is
		h.told(overheardIn("1.2", "support", "admin"))
		says(grammar.Sentence{Action: "off", Relay: "admin"})
		h.told(overheardIn("1.3", "support", "admin"))
		notices := func(name string) (out []bool) {
			for _, m := range h.relayed(name) {
				out = append(out, m.GetAwayNotice() != "")
			}
			return out
		}
		if got := notices("support"); len(got) != 3 || !got[0] || got[1] || got[2] {
			t.Errorf("notices of support: %v", got)
		}
		if got := notices("admin"); len(got) != 3 || got[0] || !got[1] || got[2] || h.relayed("admin")[1].GetAwayNotice() != "We are off." {
			t.Errorf("notices of admin: %v", got)
		}
	})
}
