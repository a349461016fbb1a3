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

func pinsAdd(s *Server, c *call) (map[string]any, *apiError) {
	return setPin(s, c, true, "already_pinned")
}

func pinsRemove(s *Server, c *call) (map[string]any, *apiError) { return setPin(s, c, false, "no_pin") }

func setPin(s *Server, c *call, pinned bool, already string) (map[string]any, *apiError) {
	m, refused := s.item(c)
	switch {
	case refused != nil:
		return nil, refused
	case !s.member(s.world.channels[m.Channel]):
		return nil, fail("not_in_channel")
	case m.Pinned == pinned:
		return nil, fail(already)
	}
	m.Pinned = pinned
	s.messageChanged(m)
	return nil, nil
}
