package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// What a person cannot do here. The errors of the driver wrap one of them.
var (
	ErrNoUser    = errors.New("no such user")
	ErrNoChannel = errors.New("no such channel for this user")
	ErrArchived  = errors.New("channel is archived")
	ErrNoMessage = errors.New("no such message for this user")
	ErrNoAction  = errors.New("no such button on the message")
	ErrNoView    = errors.New("no such open view")
	ErrNotYours  = errors.New("somebody else wrote the message")
	ErrNoEmoji   = errors.New("no such emoji")
	ErrGone      = errors.New("user is deactivated")
	ErrName      = errors.New("no name for a channel, or taken")
)

// person finds a user and a channel that the user can see.
func (s *Server) person(user, channel string) (*User, *Channel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.world.users[user]
	if u == nil {
		return nil, nil, fmt.Errorf("sandbox: user %s: %w", user, ErrNoUser)
	}
	if u.Deleted {
		return nil, nil, fmt.Errorf("sandbox: user %s: %w", user, ErrGone)
	}
	c := s.world.channels[channel]
	if c == nil || !c.has(user) {
		return nil, nil, fmt.Errorf("sandbox: channel %s: %w", channel, ErrNoChannel)
	}
	if c.Archived {
		return nil, nil, fmt.Errorf("sandbox: channel %s: %w", channel, ErrArchived)
	}
	return u, c, nil
}

// SlashCommand acts as if the user had typed the command in the channel. The delivery says what the app answered; what the
// user saw of it is in Ephemerals or Messages. A command that is not acknowledged in time is not repeated: the user sees
// an error, as in Slack.
func (s *Server) SlashCommand(ctx context.Context, user, channel, command, text string) (Delivery, error) {
	u, c, err := s.person(user, channel)
	if err != nil {
		return Delivery{}, err
	}
	d := s.deliver(ctx, s.commandRequest(u, c, command, text))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !d.OK() {
		s.tell(user, channel, fmt.Sprintf("`%s` failed with the error `%s`", command, d.Err))
		return d, nil
	}
	s.showAnswer(d, user, c, strings.TrimSpace(command+" "+text))
	return d, nil
}

// tell shows a notice of the sandbox itself to one person. The server's lock is held.
func (s *Server) tell(user, channel, text string) {
	s.postEphemeral(&Message{Channel: channel, For: user, Subtype: "notice", Name: "Sandbox", Text: text})
}

// answer is the body of an acknowledgement or of a post to a response URL.
type answer struct {
	ResponseType    string          `json:"response_type"`
	Text            string          `json:"text"`
	Blocks          json.RawMessage `json:"blocks"`
	Attachments     json.RawMessage `json:"attachments"`
	ThreadTS        string          `json:"thread_ts"`
	ReplaceOriginal bool            `json:"replace_original"`
	DeleteOriginal  bool            `json:"delete_original"`
}

// content validates what the answer says.
func (s *Server) answerContent(a answer) (content, *apiError) {
	c := &call{args: map[string]any{"text": a.Text}}
	for name, raw := range map[string]json.RawMessage{"blocks": a.Blocks, "attachments": a.Attachments} {
		if len(raw) == 0 || string(raw) == "null" {
			continue
		}
		v, err := decodeJSON(raw)
		if err != nil {
			return content{}, fail("invalid_blocks_format")
		}
		c.args[name] = v
	}
	return s.readContent(c)
}

// showAnswer turns the body of a command's acknowledgement into what people see. The server's lock is held.
func (s *Server) showAnswer(d Delivery, user string, channel *Channel, typed string) {
	if strings.TrimSpace(d.Body) == "" {
		return
	}
	a := answer{Text: d.Body}
	if strings.HasPrefix(strings.TrimSpace(d.Body), "{") {
		a = answer{}
		if err := json.Unmarshal([]byte(d.Body), &a); err != nil {
			s.violation(d.Name, "the answer is not JSON")
			s.tell(user, channel.ID, "The command's answer could not be read.")
			return
		}
	}
	if a.Text == "" && len(a.Blocks) == 0 && len(a.Attachments) == 0 {
		return
	}
	body, refused := s.answerContent(a)
	if refused != nil {
		s.violation(d.Name, "the answer was refused: "+refused.code+" "+strings.Join(refused.messages, " "))
		s.tell(user, channel.ID, "The command's answer was refused: `"+refused.code+"`")
		return
	}
	if a.ResponseType == "in_channel" {
		s.post(&Message{Channel: channel.ID, User: user, Text: s.wireText(typed, false), Subtype: "slash_command"})
	}
	m := s.showContent(a.ResponseType, user, channel.ID, body)
	s.hooks.setOrigin(d.ResponseURL, m)
}

// showContent shows a message of the app to the channel or to one person.
func (s *Server) showContent(responseType, user, channel string, body content) *Message {
	m := &Message{Channel: channel, User: BotUserID, BotID: BotID, Text: body.text, Blocks: body.blocks, Attachments: body.attachments}
	if responseType == "in_channel" {
		m.Subtype = "bot_message"
		s.post(m)
		return m
	}
	m.For = user
	s.postEphemeral(m)
	return m
}

// Posted is what happened to a message that a person wrote.
type Posted struct {
	TS         string     `json:"ts"`
	Deliveries []Delivery `json:"deliveries"` // one for each event the app subscribed to
}

// Post acts as if the user had written the text in the channel, in a thread when threadTS is set. A mention of the bot
// (@slipway or <@id>) is delivered as app_mention and, when the app subscribed to messages there, also as message: two
// events with the same ts and different event ids. In a direct conversation it is message alone.
func (s *Server) Post(ctx context.Context, user, channel, text, threadTS string) (Posted, error) {
	u, c, err := s.person(user, channel)
	if err != nil {
		return Posted{}, err
	}
	s.mu.Lock()
	thread, refused := s.threadFor(c, threadTS)
	if refused != nil {
		s.mu.Unlock()
		return Posted{}, fmt.Errorf("sandbox: thread %s: %w", threadTS, ErrNoMessage)
	}
	m := &Message{Channel: channel, User: user, Text: s.wireText(text, false), ThreadTS: thread}
	s.mu.Unlock()
	return s.say(ctx, u, c, m), nil
}

// say posts what a person wrote and delivers the events that it causes.
func (s *Server) say(ctx context.Context, u *User, c *Channel, m *Message) Posted {
	s.mu.Lock()
	s.post(m)
	requests := s.messageEvents(u, c, m)
	ts := m.TS
	s.mu.Unlock()
	return Posted{TS: ts, Deliveries: s.deliverAll(ctx, requests)}
}

// deliverAll delivers events side by side, as Slack does, and waits for all.
func (s *Server) deliverAll(ctx context.Context, requests []outgoing) []Delivery {
	out := make([]Delivery, len(requests))
	var all sync.WaitGroup
	for i, o := range requests {
		all.Go(func() { out[i] = s.deliverEvent(ctx, o) })
	}
	all.Wait()
	return out
}

var userToken = regexp.MustCompile(`<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>`)

// richText is the rich_text block that Slack attaches to what a person types.
func richText(text string) []any {
	var elements []any
	add := func(part string) {
		if part != "" {
			elements = append(elements, map[string]any{"type": "text", "text": html.UnescapeString(part)})
		}
	}
	rest := 0
	for _, at := range userToken.FindAllStringSubmatchIndex(text, -1) {
		add(text[rest:at[0]])
		elements = append(elements, map[string]any{"type": "user", "user_id": text[at[2]:at[3]]})
		rest = at[1]
	}
	add(text[rest:])
	section := map[string]any{"type": "rich_text_section", "elements": orEmpty(elements)}
	return []any{map[string]any{"type": "rich_text", "block_id": "typed", "elements": []any{section}}}
}

// typedToken finds what Slack's composer turns into something else: mentions by name or id, channels, and links.
var typedToken = regexp.MustCompile(`<@[UW][A-Z0-9]+(?:\|[^<>]*)?>|<#[CGD][A-Z0-9]+(?:\|[^<>]*)?>|@[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|#[a-z0-9_-]+|https?://[^\s<>]+`)

// wireText turns typed text into what Slack sends: &, < and > escaped, known mentions, channels and links in angle
// brackets. named adds names to mentions, as slash commands have them.
func (s *Server) wireText(typed string, named bool) string {
	var out strings.Builder
	rest := 0
	for _, at := range typedToken.FindAllStringIndex(typed, -1) {
		out.WriteString(escape(typed[rest:at[0]]))
		out.WriteString(s.wireToken(typed[at[0]:at[1]], named))
		rest = at[1]
	}
	out.WriteString(escape(typed[rest:]))
	return out.String()
}

func (s *Server) wireToken(token string, named bool) string {
	switch {
	case strings.HasPrefix(token, "<@"):
		id, _, _ := strings.Cut(strings.Trim(token, "<@>"), "|")
		if u := s.world.users[id]; u != nil {
			return mention(u, named)
		}
	case strings.HasPrefix(token, "<#"):
		id, _, _ := strings.Cut(strings.Trim(token, "<#>"), "|")
		if c := s.world.channels[id]; c != nil {
			return channelMention(c)
		}
	case strings.HasPrefix(token, "@"):
		if u := s.world.userByName(token[1:]); u != nil {
			return mention(u, named)
		}
	case strings.HasPrefix(token, "#"):
		if c := s.world.channelByName(token[1:]); c != nil {
			return channelMention(c)
		}
	default:
		return "<" + escape(token) + ">"
	}
	return escape(token)
}

func mention(u *User, named bool) string {
	if named {
		return "<@" + u.ID + "|" + u.Name + ">"
	}
	return "<@" + u.ID + ">"
}

func channelMention(c *Channel) string {
	if c.Private {
		return "<#" + c.ID + "|>"
	}
	return "<#" + c.ID + "|" + c.Name + ">"
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escape(text string) string { return escaper.Replace(text) }

// Pin pins a message to its channel for a person, or takes away whoever's pin there is.
func (s *Server) Pin(_ context.Context, user, channel, ts string, on bool) error {
	if _, _, err := s.person(user, channel); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.world.find(channel, ts)
	switch {
	case m == nil:
		return fmt.Errorf("sandbox: pin %s: %w", ts, ErrNoMessage)
	case !on:
		s.pin(m, "")
	case m.PinnedBy == "":
		s.pin(m, user)
	}
	return nil
}

// React adds or takes away a person's reaction, and tells the app when it subscribed to reactions.
func (s *Server) React(ctx context.Context, user, channel, ts, name string, on bool) error {
	if _, _, err := s.person(user, channel); err != nil {
		return err
	}
	s.mu.Lock()
	m := s.world.find(channel, ts)
	if m == nil {
		s.mu.Unlock()
		return fmt.Errorf("sandbox: react to %s: %w", ts, ErrNoMessage)
	}
	if !s.emoji(name) {
		s.mu.Unlock()
		return fmt.Errorf("sandbox: react with %s: %w", name, ErrNoEmoji)
	}
	event := "reaction_added"
	has := slices.Contains(m.Reactions[name], user)
	switch {
	case on && !has:
		s.react(m, name, user)
	case !on && has:
		event = "reaction_removed"
		s.unreact(m, name, user)
	}
	if on == has || !s.subscribed(event) {
		s.mu.Unlock()
		return nil
	}
	o := s.eventRequest(TeamID, map[string]any{
		"type": event, "user": user, "reaction": name, "item_user": m.User, "event_ts": s.world.stamp(s.cfg.Clock()),
		"item": map[string]any{"type": "message", "channel": channel, "ts": ts},
	})
	s.mu.Unlock()
	s.deliverEvent(ctx, o)
	return nil
}
