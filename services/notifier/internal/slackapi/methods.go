package slackapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// EventType marks our messages' metadata.
const EventType = "slipway_card"

// Methods, as rate limits and metrics name them.
const (
	MethodAuth    = "auth.test"
	MethodPost    = "chat.postMessage"
	MethodUpdate  = "chat.update"
	MethodReact   = "reactions.add"
	MethodUnreact = "reactions.remove"
	MethodPin     = "pins.add"
	MethodUnpin   = "pins.remove"
	MethodPins    = "pins.list"
	MethodHistory = "conversations.history"
	MethodReplies = "conversations.replies"
	MethodOpen    = "conversations.open"

	MethodPermalink = "chat.getPermalink"
	MethodChannels  = "conversations.list"
	MethodUploadURL = "files.getUploadURLExternal"
	MethodUpload    = "upload" // of the bytes, to an address that Slack names
	MethodComplete  = "files.completeUploadExternal"
)

// Identity is who a token makes us.
type Identity struct {
	Team   string `json:"team_id"`
	Name   string `json:"team"`
	User   string `json:"user_id"`
	Bot    string `json:"bot_id"`
	URL    string `json:"url"`
	Scopes []string
	// Date is Slack's clock, in whole seconds; zero when it does not say.
	Date time.Time `json:"-"`
}

// Auth asks Slack who we are.
func (c *Client) Auth(ctx context.Context) (Identity, error) {
	var id Identity
	header, err := c.call(ctx, MethodAuth, url.Values{}, &id)
	if err != nil {
		return Identity{}, err
	}
	for scope := range strings.SplitSeq(header.Get("X-Oauth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			id.Scopes = append(id.Scopes, scope)
		}
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		id.Date = date
	}
	return id, nil
}

// Marker finds a message again: it travels in the message's metadata.
type Marker struct {
	Run       string `json:"run"`
	Milestone string `json:"milestone"`
}

type metadata struct {
	EventType string `json:"event_type"`
	Payload   Marker `json:"event_payload"`
}

// Outgoing is a message to post, or what a posted one shall become.
type Outgoing struct {
	Channel   string
	Thread    string // ts of the parent; empty in the channel itself
	TS        string // of the message to update
	Text      string
	Blocks    []byte // JSON; empty for none
	Broadcast bool
	Unfurl    bool // show what links lead to
	Marker    Marker
}

// Posted is where a message went.
type Posted struct{ Channel, TS string }

// Post sends a message once.
func (c *Client) Post(ctx context.Context, m Outgoing) (Posted, error) {
	form := m.form()
	mark, err := json.Marshal(metadata{EventType: EventType, Payload: m.Marker})
	if err != nil {
		return Posted{}, lost(MethodPost, false, err)
	}
	form.Set("metadata", string(mark))
	if !m.Unfurl {
		form.Set("unfurl_links", "false")
		form.Set("unfurl_media", "false")
	}
	if m.Thread != "" {
		form.Set("thread_ts", m.Thread)
	}
	if m.Broadcast {
		form.Set("reply_broadcast", "true")
	}
	var out struct {
		Channel string `json:"channel"`
		TS      string `json:"ts"`
	}
	if _, err := c.call(ctx, MethodPost, form, &out); err != nil {
		return Posted{}, err
	}
	if out.TS == "" {
		return Posted{}, &Error{Method: MethodPost, Outcome: Unknown, Code: "an answer without a timestamp"}
	}
	return Posted(out), nil
}

// Update changes a message; its metadata stays.
func (c *Client) Update(ctx context.Context, m Outgoing) error {
	form := m.form()
	form.Set("ts", m.TS)
	if len(m.Blocks) == 0 {
		form.Set("blocks", "[]")
	}
	_, err := c.call(ctx, MethodUpdate, form, nil)
	return err
}

func (m Outgoing) form() url.Values {
	form := url.Values{"channel": {m.Channel}, "text": {m.Text}}
	if len(m.Blocks) > 0 {
		form.Set("blocks", string(m.Blocks))
	}
	return form
}

// React adds a reaction; one that is there already is a success.
func (c *Client) React(ctx context.Context, channel, ts, emoji string) error {
	_, err := c.call(ctx, MethodReact, url.Values{"channel": {channel}, "timestamp": {ts}, "name": {emoji}}, nil)
	if CodeOf(err) == "already_reacted" {
		return nil
	}
	return err
}

// Unreact takes our own reaction away; that there is none is a success.
func (c *Client) Unreact(ctx context.Context, channel, ts, emoji string) error {
	_, err := c.call(ctx, MethodUnreact, url.Values{"channel": {channel}, "timestamp": {ts}, "name": {emoji}}, nil)
	if CodeOf(err) == "no_reaction" {
		return nil
	}
	return err
}

// AlreadyPinned is the code of a refusal to pin what is pinned. It is no success:
// the pin may be somebody else's.
const AlreadyPinned = "already_pinned"

// Pin pins a message to its channel.
func (c *Client) Pin(ctx context.Context, channel, ts string) error {
	_, err := c.call(ctx, MethodPin, url.Values{"channel": {channel}, "timestamp": {ts}}, nil)
	return err
}

// Unpin takes a pin away, whoever made it; that there is none is a success.
func (c *Client) Unpin(ctx context.Context, channel, ts string) error {
	_, err := c.call(ctx, MethodUnpin, url.Values{"channel": {channel}, "timestamp": {ts}}, nil)
	if code := CodeOf(err); code == "no_pin" || code == "not_pinned" {
		return nil
	}
	return err
}

// PinnedBy is the user who pinned a message; empty: it is not pinned.
func (c *Client) PinnedBy(ctx context.Context, channel, ts string) (string, error) {
	var out struct {
		Items []struct {
			By      string `json:"created_by"`
			Message struct {
				TS string `json:"ts"`
			} `json:"message"`
		} `json:"items"`
	}
	if _, err := c.call(ctx, MethodPins, url.Values{"channel": {channel}}, &out); err != nil {
		return "", err
	}
	for _, item := range out.Items {
		if item.Message.TS == ts && item.By != "" {
			return item.By, nil
		}
		if item.Message.TS == ts {
			return unknownUser, nil
		}
	}
	return "", nil
}

// unknownUser stands for one whom Slack does not name: surely not us.
const unknownUser = "?"

// OpenDirect returns the channel of the direct conversation with a user.
func (c *Client) OpenDirect(ctx context.Context, user string) (string, error) {
	var out struct {
		Channel struct {
			ID string `json:"id"`
		} `json:"channel"`
	}
	if _, err := c.call(ctx, MethodOpen, url.Values{"users": {user}}, &out); err != nil {
		return "", err
	}
	return out.Channel.ID, nil
}

const (
	// pageSize and maxPages bound one look: a channel with more than a thousand
	// messages within some minutes is not one for cards.
	pageSize = 200
	maxPages = 5
)

// Search is what to look for, and where.
type Search struct {
	Channel string
	Thread  string // ts of the parent; empty in the channel itself
	Oldest  time.Time
	Author  Identity
	Marker  Marker
	// File is the name of a file that the message carries instead of a marker:
	// what shares an upload takes no metadata.
	File string
}

// message is what a look needs of one in the history.
type message struct {
	TS       string `json:"ts"`
	User     string `json:"user"`
	Bot      string `json:"bot_id"`
	Metadata struct {
		EventType string          `json:"event_type"`
		Payload   json.RawMessage `json:"event_payload"`
	} `json:"metadata"`
	Files []struct {
		Name string `json:"name"`
	} `json:"files"`
}

type page struct {
	Messages []message `json:"messages"`
	More     bool      `json:"has_more"`
	Next     struct {
		Cursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// Find looks for our own message with a marker or a file and returns the ts of the
// oldest; empty when there is none.
func (c *Client) Find(ctx context.Context, s Search) (string, error) {
	method, form := MethodHistory, url.Values{
		"channel": {s.Channel}, "limit": {strconv.Itoa(pageSize)}, "include_all_metadata": {"true"},
		"oldest": {strconv.FormatInt(max(0, s.Oldest.Unix()), 10)},
	}
	if s.Thread != "" {
		method = MethodReplies
		form.Set("ts", s.Thread)
	}
	found := ""
	for range maxPages {
		var p page
		if _, err := c.call(ctx, method, form, &p); err != nil {
			return "", err
		}
		if ts := p.oldest(s); ts != "" && (found == "" || ts < found) {
			found = ts
		}
		if !p.More || p.Next.Cursor == "" {
			break
		}
		form.Set("cursor", p.Next.Cursor)
	}
	return found, nil
}

func (p *page) oldest(s Search) string {
	found := ""
	for i := range p.Messages {
		m := &p.Messages[i]
		ours := s.Author.Bot != "" && m.Bot == s.Author.Bot || s.Author.User != "" && m.User == s.Author.User
		if ours && (found == "" || m.TS < found) && m.is(s) {
			found = m.TS
		}
	}
	return found
}

// is tells whether the message is the one that is looked for.
func (m *message) is(s Search) bool {
	if s.File != "" {
		for _, f := range m.Files {
			if f.Name == s.File {
				return true
			}
		}
		return false
	}
	var mark Marker
	return m.Metadata.EventType == EventType && json.Unmarshal(m.Metadata.Payload, &mark) == nil && mark == s.Marker
}
