package sandbox

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPage and defaultPage bound one page of history, as the reference does.
	maxPage     = 999
	defaultPage = 100
)

func conversationsHistory(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	switch {
	case refused != nil:
		return nil, refused
	case !s.member(channel):
		return nil, fail("not_in_channel")
	}
	var newestFirst []*Message
	for _, m := range slices.Backward(s.world.messages[channel.ID]) {
		if m.inChannel() {
			newestFirst = append(newestFirst, m)
		}
	}
	return s.page(c, newestFirst, "latest")
}

func conversationsReplies(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	parent := s.world.find(channel.ID, c.str("ts"))
	switch {
	case !s.member(channel):
		return nil, fail("not_in_channel")
	case parent == nil:
		return nil, fail("thread_not_found")
	case parent.reply():
		parent = s.world.find(channel.ID, parent.ThreadTS)
	}
	if parent == nil {
		return nil, fail("thread_not_found")
	}
	return s.page(c, append([]*Message{parent}, s.world.replies(channel.ID, parent.TS)...), "oldest")
}

// page cuts one page out of messages, after the time window and what the fault plan hides. bound names the side on
// which the cursor moves on.
func (s *Server) page(c *call, messages []*Message, bound string) (map[string]any, *apiError) {
	for _, name := range []string{"oldest", "latest"} {
		if v := c.str(name); v != "" && v != "0" {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return nil, fail("invalid_ts_" + name)
			}
		}
	}
	cursor, ok := decodeCursor(c.str("cursor"))
	if !ok {
		return nil, fail("invalid_cursor")
	}
	limit := pageSize(c.str("limit"))
	var out []map[string]any
	more, last := false, ""
	for _, m := range messages {
		if s.hidden(c, m) || !inWindow(c, m.TS) || cursor != "" && !beyond(m.TS, cursor, bound) {
			continue
		}
		if len(out) == limit {
			more = true
			break
		}
		out = append(out, s.wire(m, c.flag("include_all_metadata")))
		last = m.TS
	}
	answer := map[string]any{"messages": orEmpty(out), "has_more": more}
	if more {
		answer["response_metadata"] = map[string]any{"next_cursor": encodeCursor(last)}
	}
	return answer, nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// hidden applies the faults that make a message invisible to those who look for it.
func (s *Server) hidden(c *call, m *Message) bool {
	if c.fault == nil || m.User != BotUserID {
		return false
	}
	return c.fault.Kind == HistoryHidden || c.fault.Kind == HistoryDelayed && m.age(c.now) < c.fault.Delay
}

func inWindow(c *call, ts string) bool {
	at := micros(ts)
	inclusive := c.flag("inclusive")
	if v := c.str("oldest"); v != "" && v != "0" {
		if o := micros(v); at < o || at == o && !inclusive {
			return false
		}
	}
	if v := c.str("latest"); v != "" && v != "0" {
		if l := micros(v); at > l || at == l && !inclusive {
			return false
		}
	}
	return true
}

// micros turns a timestamp into microseconds without the rounding of floating point.
func micros(ts string) int64 {
	whole, part, _ := strings.Cut(ts, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0
	}
	part = (part + "000000")[:6]
	frac, err := strconv.ParseInt(part, 10, 64)
	if err != nil {
		return 0
	}
	return sec*int64(time.Second/time.Microsecond) + frac
}

func beyond(ts, cursor, bound string) bool {
	if bound == "latest" {
		return micros(ts) < micros(cursor)
	}
	return micros(ts) > micros(cursor)
}

const cursorPrefix = "next_ts:"

func encodeCursor(ts string) string {
	return base64.StdEncoding.EncodeToString([]byte(cursorPrefix + ts))
}

func decodeCursor(cursor string) (string, bool) {
	if cursor == "" {
		return "", true
	}
	raw, err := base64.StdEncoding.DecodeString(cursor)
	ts, found := strings.CutPrefix(string(raw), cursorPrefix)
	return ts, err == nil && found
}

func pageSize(limit string) int {
	n, err := strconv.Atoi(limit)
	if err != nil || n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

func (s *Server) wireChannel(c *Channel) map[string]any {
	if c.IM {
		return map[string]any{"id": c.ID, "is_im": true, "user": c.User, "is_archived": false}
	}
	return map[string]any{
		"id": c.ID, "name": c.Name, "name_normalized": c.Name, "is_channel": !c.Private, "is_group": c.Private,
		"is_im": false, "is_private": c.Private, "is_archived": c.Archived, "is_member": s.member(c),
		"is_general": c.ID == ChannelGeneral, "is_ext_shared": c.Shared, "is_shared": c.Shared, "num_members": len(c.Members),
		"topic": map[string]any{"value": c.Topic}, "context_team_id": TeamID,
	}
}

func conversationsInfo(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"channel": s.wireChannel(channel)}, nil
}

func conversationsMembers(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	members := slices.DeleteFunc(slices.Clone(channel.Members), func(u string) bool { return u == BotUserID && !s.member(channel) })
	part, next, refused := pageOf(c, members, func(id string) string { return id })
	if refused != nil {
		return nil, refused
	}
	return map[string]any{"members": orEmpty(part), "response_metadata": next}, nil
}

// channelTypes are the words of conversations.list.
var channelTypes = map[string]string{"channel": "public_channel", "group": "private_channel", "im": "im"}

func conversationsList(s *Server, c *call) (map[string]any, *apiError) {
	types := []string{"public_channel"}
	if c.str("types") != "" {
		types = strings.Split(c.str("types"), ",")
	}
	for i, name := range types {
		types[i] = strings.TrimSpace(name)
		if !slices.Contains([]string{"public_channel", "private_channel", "mpim", "im"}, types[i]) {
			return nil, fail("invalid_types")
		}
	}
	var found []*Channel
	for _, id := range s.world.order {
		channel := s.world.channels[id]
		if c.flag("exclude_archived") && channel.Archived || !slices.Contains(types, channelTypes[channel.kind()]) {
			continue
		}
		if !channel.Private || s.member(channel) {
			found = append(found, channel)
		}
	}
	part, next, refused := pageOf(c, found, func(c *Channel) string { return c.ID })
	if refused != nil {
		return nil, refused
	}
	out := make([]map[string]any, 0, len(part))
	for _, channel := range part {
		out = append(out, s.wireChannel(channel))
	}
	return map[string]any{"channels": out, "response_metadata": next}, nil
}

// maxListPage bounds one page of channels, people or members, as the reference does.
const maxListPage = 1000

// pageOf cuts one page out of a list, and returns the response_metadata that leads to the next. A page may hold fewer than
// the caller asked for only at the end; a cursor is good as long as its last thing exists.
func pageOf[T any](c *call, list []T, id func(T) string) ([]T, map[string]any, *apiError) {
	limit := defaultPage
	if text := c.str("limit"); text != "" && text != "0" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxListPage {
			return nil, nil, fail("invalid_limit")
		}
		limit = n
	}
	last, ok := decodeCursor(c.str("cursor"))
	if ok && last != "" {
		at := slices.IndexFunc(list, func(v T) bool { return id(v) == last })
		ok = at >= 0
		list = list[at+1:]
	}
	if !ok {
		return nil, nil, fail("invalid_cursor")
	}
	if len(list) <= limit {
		return list, map[string]any{"next_cursor": ""}, nil
	}
	return list[:limit], map[string]any{"next_cursor": encodeCursor(id(list[limit-1]))}, nil
}

func conversationsJoin(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	switch {
	case refused != nil:
		return nil, refused
	case channel.Archived:
		return nil, fail("is_archived")
	case channel.Private:
		return nil, fail("method_not_supported_for_channel_type")
	case channel.has(BotUserID):
		return map[string]any{
			"channel": s.wireChannel(channel), "warning": "already_in_channel", "response_metadata": map[string]any{"warnings": []string{"already_in_channel"}},
		}, nil
	}
	channel.Members = append(channel.Members, BotUserID)
	s.changed(changeChannel, channel.clone())
	s.tellApp("member_joined_channel", map[string]any{"user": BotUserID, "channel": channel.ID, "channel_type": "C", "team": TeamID})
	return map[string]any{"channel": s.wireChannel(channel)}, nil
}

func conversationsOpen(s *Server, c *call) (map[string]any, *apiError) {
	if id := c.str("channel"); id != "" {
		channel, refused := s.readable(id)
		if refused != nil {
			return nil, refused
		}
		return map[string]any{"channel": s.wireChannel(channel)}, nil
	}
	users := strings.Split(c.str("users"), ",")
	switch {
	case c.str("users") == "":
		return nil, fail("users_list_not_supplied")
	case len(users) > 1:
		return nil, fail("method_not_supported_for_channel_type")
	case s.world.users[users[0]] == nil:
		return nil, fail("user_not_found")
	}
	channel := s.world.channels[DM(users[0])]
	if channel == nil {
		return nil, fail("user_not_visible")
	}
	answer := map[string]any{"id": channel.ID}
	if c.flag("return_im") {
		answer = s.wireChannel(channel)
	}
	return map[string]any{"channel": answer, "already_open": true, "no_op": true}, nil
}
