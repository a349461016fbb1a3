package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxPostText is where chat.postMessage cuts a text off.
	maxPostText = 40000
	// maxUpdateText is where chat.update and ephemerals refuse.
	maxUpdateText = 4000
	// maxAttachments of one message.
	maxAttachments = 100
	// maxMetadata in bytes. Slack publishes no number; others observed refusals above 8 KB.
	maxMetadata = 8000
	// maxReactionNames on one message.
	maxReactionNames = 23
)

// content is what a message says, taken from a call and checked.
type content struct {
	text        string
	blocks      json.RawMessage
	attachments json.RawMessage
	metadata    json.RawMessage
	hasMetadata bool
	noMetadata  bool // an empty object was given: remove it
}

func (c content) empty() bool {
	return c.text == "" && len(c.blocks) == 0 && len(c.attachments) == 0
}

func (s *Server) readContent(c *call) (content, *apiError) {
	out := content{text: c.str("text")}
	if refused := s.readBlocks(c, &out); refused != nil {
		return out, refused
	}
	if refused := readAttachments(c, &out); refused != nil {
		return out, refused
	}
	if refused := readMetadata(c, &out); refused != nil {
		return out, refused
	}
	if out.empty() {
		return out, fail("no_text")
	}
	return out, nil
}

func (s *Server) readBlocks(c *call, out *content) *apiError {
	if markdown := c.str("markdown_text"); markdown != "" {
		if c.has("text") || c.has("blocks") {
			return fail("markdown_text_conflict")
		}
		c.args["blocks"] = []any{map[string]any{"type": "markdown", "text": markdown}}
	}
	blocks, ok := c.raw("blocks")
	if !ok {
		return fail("invalid_blocks_format")
	}
	if list, isList := blocks.([]any); blocks == nil || isList && len(list) == 0 {
		return nil
	}
	raw, refused := s.validateBlocks(blocks, onMessage, "/blocks")
	out.blocks = raw
	return refused
}

func readAttachments(c *call, out *content) *apiError {
	v, ok := c.raw("attachments")
	list, isList := v.([]any)
	switch {
	case !ok, v != nil && !isList:
		return fail("invalid_attachments")
	case len(list) > maxAttachments:
		return fail("too_many_attachments")
	case len(list) > 0:
		raw, err := json.Marshal(list)
		if err != nil {
			return fail("invalid_attachments")
		}
		out.attachments = raw
	}
	return nil
}

func readMetadata(c *call, out *content) *apiError {
	if !c.has("metadata") {
		return nil
	}
	v, ok := c.raw("metadata")
	o, isObject := v.(map[string]any)
	if !ok || !isObject {
		return fail("invalid_metadata_format")
	}
	out.hasMetadata = true
	if len(o) == 0 || str(o, "event_type") == "" && o["event_payload"] == nil {
		out.noMetadata = true
		return nil
	}
	if _, isObject := o["event_payload"].(map[string]any); !isObject || str(o, "event_type") == "" {
		return fail("invalid_metadata_schema")
	}
	raw, err := json.Marshal(o)
	switch {
	case err != nil:
		return fail("invalid_metadata_format")
	case len(raw) > maxMetadata:
		return fail("metadata_too_large")
	}
	out.metadata = raw
	return nil
}

func chatPostMessage(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.writable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	body, refused := s.readContent(c)
	if refused != nil {
		return nil, refused
	}
	thread, refused := s.threadFor(channel, c.str("thread_ts"))
	if refused != nil {
		return nil, refused
	}
	if runes := []rune(body.text); len(runes) > maxPostText {
		body.text = string(runes[:maxPostText])
	}
	m := s.botMessage(channel, body, c)
	m.ThreadTS, m.Broadcast = thread, thread != "" && c.flag("reply_broadcast")
	if m.Broadcast {
		m.Subtype = "thread_broadcast"
	}
	s.post(m)
	return map[string]any{"channel": channel.ID, "ts": m.TS, "message": s.wire(m, true)}, nil
}

// threadFor checks that a reply has something to reply to, and returns the timestamp of the thread's parent.
func (s *Server) threadFor(channel *Channel, ts string) (string, *apiError) {
	if ts == "" {
		return "", nil
	}
	parent := s.world.find(channel.ID, ts)
	if parent == nil {
		return "", fail("cannot_reply_to_message")
	}
	if parent.reply() {
		return parent.ThreadTS, nil
	}
	return ts, nil
}

func (s *Server) botMessage(channel *Channel, body content, c *call) *Message {
	return &Message{
		Channel: channel.ID, User: BotUserID, BotID: BotID, Name: c.str("username"), Text: body.text,
		Blocks: body.blocks, Attachments: body.attachments, Metadata: body.metadata,
	}
}

// maxMessages of one channel are kept; the oldest make room.
const maxMessages = 8000

// post puts a message into its channel, announces it, and tells the app when it subscribed to messages.
func (s *Server) post(m *Message) {
	m.TS = s.world.stamp(s.cfg.Clock())
	list := s.world.messages[m.Channel]
	if len(list) >= maxMessages {
		list = slices.Delete(list, 0, maxMessages/4)
	}
	s.world.messages[m.Channel] = append(list, m)
	s.messageChanged(m)
	if parent := s.world.find(m.Channel, m.ThreadTS); m.reply() && parent != nil {
		s.messageChanged(parent) // its count of replies changed
	}
	if m.User == BotUserID || m.Subtype == "bot_message" {
		s.echo(m)
	}
}

// wire is a message as the Web API shows it.
func (s *Server) wire(m *Message, metadata bool) map[string]any {
	out := map[string]any{"type": "message", "ts": m.TS, "text": m.Text, "team": TeamID}
	if u := s.world.users[m.User]; u != nil {
		out["team"] = u.Team
	}
	set := func(name string, value any, present bool) {
		if present {
			out[name] = value
		}
	}
	set("user", m.User, m.User != "")
	set("subtype", m.Subtype, m.Subtype != "")
	set("username", m.Name, m.Name != "")
	set("thread_ts", m.ThreadTS, m.ThreadTS != "")
	if m.BotID != "" {
		out["bot_id"] = m.BotID
		set("app_id", AppID, m.BotID == BotID)
	}
	for name, raw := range map[string]json.RawMessage{"blocks": m.Blocks, "attachments": m.Attachments, "metadata": m.Metadata} {
		if len(raw) == 0 || name == "metadata" && !metadata {
			continue
		}
		if v, err := decodeJSON(raw); err == nil { // stored by us, so it is JSON
			out[name] = v
		}
	}
	set("edited", map[string]any{"user": m.User, "ts": m.EditedTS}, m.EditedTS != "")
	set("reactions", wireReactions(m), len(m.Reactions) > 0)
	set("pinned_to", []string{m.Channel}, m.PinnedBy != "")
	set("files", s.wireFiles(m.Files), len(m.Files) > 0)
	s.wireThread(m, out)
	return out
}

// wireThread adds what only the parent of a thread carries.
func (s *Server) wireThread(m *Message, out map[string]any) {
	replies := s.world.replies(m.Channel, m.TS)
	if m.reply() || len(replies) == 0 {
		return
	}
	var users []string
	for _, r := range replies {
		if !slices.Contains(users, r.User) {
			users = append(users, r.User)
		}
	}
	out["thread_ts"], out["reply_count"], out["reply_users"] = m.TS, len(replies), users
	out["reply_users_count"], out["latest_reply"] = len(users), replies[len(replies)-1].TS
}

func wireReactions(m *Message) []map[string]any {
	out := make([]map[string]any, 0, len(m.Reactions))
	for _, name := range sortedKeys(m.Reactions) {
		out = append(out, map[string]any{"name": name, "users": m.Reactions[name], "count": len(m.Reactions[name])})
	}
	return out
}

// own finds a message that the bot wrote.
func (s *Server) own(c *call, notOwn string) (*Message, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	m := s.world.find(channel.ID, c.str("ts"))
	switch {
	case m == nil:
		return nil, fail("message_not_found")
	case m.User != BotUserID:
		return nil, fail(notOwn)
	case channel.Archived:
		return nil, fail("is_archived")
	}
	return m, nil
}

func chatUpdate(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.own(c, "cant_update_message")
	if refused != nil {
		return nil, refused
	}
	body, refused := s.readContent(c)
	if refused != nil {
		return nil, refused
	}
	if utf8.RuneCountInString(body.text) > maxUpdateText {
		return nil, fail("msg_too_long")
	}
	before := s.wire(m, false)
	// Text without blocks removes the blocks; blocks or attachments without text keep the text.
	if body.text != "" || !c.has("blocks") && !c.has("attachments") {
		m.Text = body.text
	}
	m.Blocks = body.blocks
	if c.has("attachments") || c.has("text") || c.has("blocks") {
		m.Attachments = body.attachments
	}
	switch {
	case body.noMetadata:
		m.Metadata = nil
	case body.hasMetadata:
		m.Metadata = body.metadata
	}
	m.Edits++
	m.EditedTS = s.world.stamp(s.cfg.Clock())
	s.messageChanged(m)
	s.echoChange(m, before)
	return map[string]any{"channel": m.Channel, "ts": m.TS, "text": m.Text, "message": s.wire(m, true)}, nil
}

func chatPostEphemeral(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.writable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	if !channel.has(c.str("user")) {
		return nil, fail("user_not_in_channel")
	}
	body, refused := s.readContent(c)
	if refused != nil {
		return nil, refused
	}
	if utf8.RuneCountInString(body.text) > maxUpdateText {
		return nil, fail("msg_too_long")
	}
	if body.hasMetadata {
		s.violation(c.name, "metadata of an ephemeral message is dropped")
		body.metadata = nil
	}
	m := s.botMessage(channel, body, c)
	m.For, m.ThreadTS = c.str("user"), c.str("thread_ts")
	s.postEphemeral(m)
	return map[string]any{"message_ts": m.TS}, nil
}

// maxEphemerals is how many are kept; real ones vanish with the session.
const maxEphemerals = 2000

// postEphemeral shows a message to one person.
func (s *Server) postEphemeral(m *Message) {
	m.TS = s.world.stamp(s.cfg.Clock())
	if len(s.world.ephemerals) >= maxEphemerals {
		s.world.ephemerals = slices.Delete(s.world.ephemerals, 0, maxEphemerals/4)
	}
	s.world.ephemerals = append(s.world.ephemerals, m)
	s.messageChanged(m)
}

func chatDelete(s *Server, c *call) (map[string]any, *apiError) {
	m, refused := s.own(c, "cant_delete_message")
	if refused != nil {
		return nil, refused
	}
	s.removeMessage(m)
	return map[string]any{"channel": m.Channel, "ts": m.TS}, nil
}

func (s *Server) removeMessage(m *Message) {
	s.world.remove(m)
	s.changed(changeRemoved, map[string]string{"channel": m.Channel, "ts": m.TS, "for": m.For})
}

func chatGetPermalink(s *Server, c *call) (map[string]any, *apiError) {
	channel, refused := s.readable(c.str("channel"))
	if refused != nil {
		return nil, refused
	}
	m := s.world.find(channel.ID, c.str("message_ts"))
	if m == nil {
		return nil, fail("message_not_found")
	}
	link := fmt.Sprintf("%s/archives/%s/p%s", s.baseURL(), channel.ID, strings.ReplaceAll(m.TS, ".", ""))
	if m.reply() {
		link += "?thread_ts=" + m.ThreadTS + "&cid=" + channel.ID
	}
	return map[string]any{"channel": channel.ID, "permalink": link}, nil
}
