package sandbox

import (
	"regexp"
	"slices"
)

// item finds the message that a reaction or a pin is about.
func (s *Server) item(c *call) (*Message, *apiError) {
	if c.str("channel") == "" || c.str("timestamp") == "" {
		return nil, fail("no_item_specified")
	}
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	if !validTS(c.str("timestamp")) {
		return nil, fail("bad_timestamp")
	}
	m := s.world.find(channel.ID, c.str("timestamp"))
	if m == nil {
		return nil, fail("message_not_found")
	}
	return m, nil
}

var tsShape = regexp.MustCompile(`^\d{1,12}\.\d{6}$`)

func validTS(ts string) bool { return tsShape.MatchString(ts) }

func reactionsAdd(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.item(c)
	name := c.str("name")
	switch {
	case refused != nil:
		return nil, refused
	case !s.emoji(name):
		return nil, fail("invalid_name")
	case s.world.channels[m.Channel].Archived:
		return nil, fail("is_archived")
	case slices.Contains(m.Reactions[name], BotUserID):
		return nil, fail("already_reacted")
	case len(m.Reactions) >= maxReactionNames && m.Reactions[name] == nil:
		return nil, fail("too_many_emoji")
	}
	s.react(m, name, BotUserID)
	return nil, nil
}

func (s *Server) react(m *Message, name, user string) {
	if m.Reactions == nil {
		m.Reactions = map[string][]string{}
	}
	m.Reactions[name] = append(m.Reactions[name], user)
	s.messageChanged(m)
}

func (s *Server) unreact(m *Message, name, user string) {
	m.Reactions[name] = slices.DeleteFunc(m.Reactions[name], func(u string) bool { return u == user })
	if len(m.Reactions[name]) == 0 {
		delete(m.Reactions, name)
	}
	s.messageChanged(m)
}

func reactionsRemove(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.item(c)
	switch {
	case refused != nil:
		return nil, refused
	case !slices.Contains(m.Reactions[c.str("name")], BotUserID):
		return nil, fail("no_reaction")
	}
	s.unreact(m, c.str("name"), BotUserID)
	return nil, nil
}

func reactionsGet(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.item(c)
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"type": "message", "channel": m.Channel, "message": s.wire(m, false)}, nil
}

// maxPins is how many messages a channel pins at once; Slack publishes no number, its clients say a hundred.
const maxPins = 100

func pinsAdd(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.pinnable(c)
	switch {
	case refused != nil:
		return nil, refused
	case m.PinnedBy != "":
		return nil, fail("already_pinned")
	case len(s.world.pins(m.Channel)) >= maxPins:
		return nil, fail("too_many_pins")
	}
	s.pin(m, BotUserID)
	return nil, nil
}

// pinsRemove takes away anybody's pin, as Slack does.
func pinsRemove(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.pinnable(c)
	switch {
	case refused != nil:
		return nil, refused
	case m.PinnedBy == "":
		return nil, fail("no_pin")
	}
	s.pin(m, "")
	return nil, nil
}

// pinnable finds the message to pin or unpin, in a channel that the bot is in.
func (s *Server) pinnable(c *call) (*Message, *apiError) {
	m, refused := s.item(c)
	if refused == nil && !s.member(s.world.channels[m.Channel]) {
		return nil, fail("not_in_channel")
	}
	return m, refused
}

// pin notes who pinned the message; empty: nobody.
func (s *Server) pin(m *Message, user string) {
	m.PinnedBy = user
	s.messageChanged(m)
}

// pins are the pinned messages of a channel, newest first.
func (w *world) pins(channel string) []*Message {
	var out []*Message
	for _, m := range slices.Backward(w.messages[channel]) {
		if m.PinnedBy != "" {
			out = append(out, m)
		}
	}
	return out
}

func pinsList(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	items := []any{}
	for _, m := range s.world.pins(channel.ID) {
		items = append(items, map[string]any{"type": "message", "channel": m.Channel, "created_by": m.PinnedBy, "message": s.wire(m, false)})
	}
	return map[string]any{"items": items}, nil
}
