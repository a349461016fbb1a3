package sandbox

import (
	"context"
	"maps"
	"regexp"
	"slices"
)

// messageEvents are the events that a message of a person causes. The server's lock is held.
func (s *Server) messageEvents(u *User, c *Channel, m *Message) []outgoing {
	if !s.member(c) {
		return nil
	}
	inner := func(kind string) map[string]any {
		e := s.typed(u, m)
		e["type"], e["channel"], e["event_ts"] = kind, c.ID, m.TS
		if kind == "message" {
			e["channel_type"] = c.kind()
		}
		if u.Bot {
			e["bot_id"] = u.BotID
		}
		return e
	}
	var out []outgoing
	if mentionOfBot.MatchString(m.Text) && !c.IM && s.subscribed("app_mention") {
		out = append(out, s.eventRequest(TeamID, inner("app_mention")))
	}
	if s.subscribed(messageType(c)) {
		out = append(out, s.eventRequest(TeamID, inner("message")))
	}
	return out
}

// mentionOfBot finds the bot's name in a message, with or without its label: reminders carry one.
var mentionOfBot = regexp.MustCompile(`<@` + BotUserID + `(\|[^<>]*)?>`)

// typed is a message of a person as events carry it.
func (s *Server) typed(u *User, m *Message) map[string]any {
	out := map[string]any{"type": "message", "user": u.ID, "ts": m.TS, "text": m.Text, "team": u.Team, "blocks": richText(m.Text)}
	if u.ID != UserSlackbot {
		out["client_msg_id"] = s.world.id("msg-")
	}
	if m.ThreadTS != "" {
		out["thread_ts"] = m.ThreadTS
	}
	if m.EditedTS != "" {
		out["edited"] = map[string]any{"user": u.ID, "ts": m.EditedTS}
	}
	return out
}

// messageType is the subscription that covers messages of the channel.
func messageType(c *Channel) string {
	switch c.kind() {
	case "im":
		return "message.im"
	case "group":
		return "message.groups"
	}
	return "message.channels"
}

func (s *Server) subscribed(event string) bool { return slices.Contains(s.cfg.Subscriptions, event) }

// heard says whether the app is told about messages of the channel.
func (s *Server) heard(c *Channel) bool {
	return c != nil && s.member(c) && s.subscribed(messageType(c))
}

// echo tells a subscribed app about its own message, as Slack does. The server's lock is held.
func (s *Server) echo(m *Message) {
	c := s.world.channels[m.Channel]
	if !s.heard(c) {
		return
	}
	inner := s.wire(m, false)
	inner["channel"], inner["event_ts"], inner["channel_type"] = m.Channel, m.TS, c.kind()
	s.sendSoon(inner)
}

// echoChange tells a subscribed app that its own message was changed. The server's lock is held.
func (s *Server) echoChange(m *Message, before map[string]any) {
	if c := s.world.channels[m.Channel]; s.heard(c) {
		s.sendSoon(s.changeEvent(c, s.wire(m, false), before))
	}
}

// changeEvent is the inner event of an edit. The server's lock is held.
func (s *Server) changeEvent(c *Channel, now, before map[string]any) map[string]any {
	ts := s.world.stamp(s.cfg.Clock())
	return map[string]any{
		"type": "message", "subtype": "message_changed", "message": now, "previous_message": before, "channel": c.ID, "hidden": true,
		"ts": ts, "event_ts": ts, "channel_type": c.kind(),
	}
}

// deleteEvent is the inner event of a removal. The server's lock is held.
func (s *Server) deleteEvent(c *Channel, before map[string]any) map[string]any {
	ts := s.world.stamp(s.cfg.Clock())
	return map[string]any{
		"type": "message", "subtype": "message_deleted", "deleted_ts": before["ts"], "previous_message": before, "channel": c.ID,
		"hidden": true, "ts": ts, "event_ts": ts, "channel_type": c.kind(),
	}
}

// tellApp sends an event in the background when the app subscribed to it: for what the app itself caused. The server's
// lock is held.
func (s *Server) tellApp(kind string, inner map[string]any) {
	if s.subscribed(kind) {
		s.sendSoon(s.happened(kind, inner))
	}
}

func (s *Server) sendSoon(inner map[string]any) {
	o := s.eventRequest(TeamID, inner)
	s.backgroundLocked(func(ctx context.Context) { s.deliverEvent(ctx, o) })
}

// happened completes an inner event. The server's lock is held.
func (s *Server) happened(kind string, inner map[string]any) map[string]any {
	out := maps.Clone(inner)
	out["type"], out["event_ts"] = kind, s.world.stamp(s.cfg.Clock())
	return out
}

// announce sends an event that a person caused and waits for the app, when it subscribed to it.
func (s *Server) announce(ctx context.Context, kind string, inner map[string]any) []Delivery {
	s.mu.Lock()
	var requests []outgoing
	if s.subscribed(kind) {
		requests = append(requests, s.eventRequest(TeamID, s.happened(kind, inner)))
	}
	s.mu.Unlock()
	return s.deliverAll(ctx, requests)
}
