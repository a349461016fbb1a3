package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Ids of the seeded world. They never change, so that tests and configurations can name them.
const (
	TeamID      = "T0SANDBOX1"
	TeamDomain  = "sandbox"
	OtherTeamID = "T0ELSEWHERE"
	AppID       = "A0SLIPWAY01"
	BotID       = "B0SLIPWAY01"
	BotUserID   = "U0SLIPWAY01"
	BotName     = "slipway"

	UserRequester   = "U0REQUEST01"
	UserApprover    = "U0APPROVE01"
	UserGuest       = "U0GUEST0001" // a multi-channel guest: is_restricted
	UserSingleGuest = "U0SINGLE001" // a single-channel guest: is_restricted and is_ultra_restricted
	UserAdmin       = "U0ADMIN0001"
	UserGone        = "U0GONE00001" // deactivated
	UserOtherBot    = "U0ROBOT0001" // another app's bot
	UserStranger    = "U0STRANGE01" // from another workspace
	UserSlackbot    = "USLACKBOT"   // posts reminders; Slack does not call it a bot

	ChannelDeploys  = "C0DEPLOYS01" // public, the bot is a member
	ChannelGeneral  = "C0GENERAL01" // public, the bot is a member
	ChannelOps      = "C0OPS000001" // public, the bot is a member
	ChannelLogs     = "C0LOGS00001" // public, the bot is a member
	ChannelSupport  = "C0SUPPORT01" // public, the bot is a member: #tech-support
	ChannelRandom   = "C0RANDOM001" // public, the bot is NOT a member
	ChannelPrivate  = "C0PRIVATE01" // private, the bot is a member
	ChannelArchived = "C0ARCHIVE01"
	ChannelShared   = "C0SHARED001" // shared with another workspace, where the stranger sits

	GroupApprovers = "S0APPROVE01"

	otherBotID = "B0ROBOT0001"
)

// DM is the id of the direct conversation between the user and the bot.
func DM(user string) string { return "D" + strings.TrimPrefix(user, "U") }

// User is a person or a bot of the workspace.
type User struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	RealName   string `json:"real_name"`
	Team       string `json:"team_id"`
	TZ         string `json:"tz"`
	Admin      bool   `json:"is_admin"`
	Bot        bool   `json:"is_bot"`
	Restricted bool   `json:"is_restricted"`       // a guest of either kind
	Ultra      bool   `json:"is_ultra_restricted"` // a guest of one channel
	Stranger   bool   `json:"is_stranger"`
	Deleted    bool   `json:"deleted"` // deactivated: acts no more
	BotID      string `json:"bot_id,omitempty"`
}

// Channel is a conversation of the workspace.
type Channel struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Topic    string   `json:"topic,omitempty"`
	Private  bool     `json:"is_private"`
	Archived bool     `json:"is_archived"`
	IM       bool     `json:"is_im"`
	Shared   bool     `json:"is_ext_shared"`
	User     string   `json:"user,omitempty"` // the other side of a direct conversation
	Members  []string `json:"members"`
}

func (c *Channel) has(user string) bool { return slices.Contains(c.Members, user) }

// kind is the channel_type of events.
func (c *Channel) kind() string {
	switch {
	case c.IM:
		return "im"
	case c.Private:
		return "group"
	}
	return "channel"
}

// Message is what somebody sees in a channel, or, when For is set, what one person alone sees.
type Message struct {
	Channel     string              `json:"channel"`
	TS          string              `json:"ts"`
	ThreadTS    string              `json:"thread_ts,omitempty"`
	User        string              `json:"user,omitempty"`
	BotID       string              `json:"bot_id,omitempty"`
	Name        string              `json:"name,omitempty"` // shown instead of the user's name
	Subtype     string              `json:"subtype,omitempty"`
	Text        string              `json:"text"`
	Blocks      json.RawMessage     `json:"blocks,omitempty"`
	Attachments json.RawMessage     `json:"attachments,omitempty"`
	Metadata    json.RawMessage     `json:"metadata,omitempty"`
	Files       []File              `json:"files,omitempty"`
	Broadcast   bool                `json:"broadcast,omitempty"` // a reply also shown in the channel
	EditedTS    string              `json:"edited_ts,omitempty"`
	Edits       int                 `json:"edits,omitempty"` // how often it was changed
	Reactions   map[string][]string `json:"reactions,omitempty"`
	PinnedBy    string              `json:"pinned_by,omitempty"` // who pinned it to the channel; empty: nobody
	For         string              `json:"for,omitempty"`       // ephemeral: the only reader
}

// age is how long ago the message was posted.
func (m *Message) age(now time.Time) time.Duration { return now.Sub(time.UnixMicro(micros(m.TS))) }

// reply says whether the message lives in a thread under another one.
func (m *Message) reply() bool { return m.ThreadTS != "" && m.ThreadTS != m.TS }

// inChannel says whether the channel itself shows the message.
func (m *Message) inChannel() bool { return !m.reply() || m.Broadcast }

func (m *Message) clone() Message {
	c := *m
	c.Blocks, c.Attachments, c.Metadata = slices.Clone(m.Blocks), slices.Clone(m.Attachments), slices.Clone(m.Metadata)
	c.Files = slices.Clone(m.Files)
	c.Reactions = make(map[string][]string, len(m.Reactions))
	for name, users := range m.Reactions {
		c.Reactions[name] = slices.Clone(users)
	}
	return c
}

// Visible is everything a reader sees of the message as plain lines: its text when there are no blocks, otherwise the
// texts of the blocks in order, buttons as [label].
func (m *Message) Visible() string {
	if len(m.Blocks) == 0 {
		return m.Text
	}
	var blocks any
	if json.Unmarshal(m.Blocks, &blocks) != nil {
		return m.Text
	}
	var lines []string
	collectText(blocks, &lines)
	return strings.Join(lines, "\n")
}

// collectText walks blocks in reading order; maps are walked by the keys that carry text.
func collectText(v any, out *[]string) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			collectText(e, out)
		}
	case map[string]any:
		if x["type"] == "button" {
			if t, ok := x["text"].(map[string]any); ok {
				*out = append(*out, fmt.Sprintf("[%v]", t["text"]))
			}
			return
		}
		if status, ok := x["status"].(string); ok {
			*out = append(*out, status)
		}
		for _, key := range []string{"title", "text", "fields", "elements", "accessory", "tasks", "rows", "details", "output", "alt_text"} {
			if s, ok := x[key].(string); ok {
				*out = append(*out, s)
				continue
			}
			collectText(x[key], out)
		}
	}
}

// world is the state of the workspace; the server's lock guards it.
type world struct {
	users      map[string]*User
	channels   map[string]*Channel
	order      []string              // channels in the order of the sidebar
	messages   map[string][]*Message // by channel, oldest first
	ephemerals []*Message
	files      map[string]*File
	fileOrder  []string // oldest first
	lastMicro  int64
	nextID     uint64
}

func seedWorld() world {
	w := world{
		users:    map[string]*User{},
		channels: map[string]*Channel{},
		messages: map[string][]*Message{},
		files:    map[string]*File{},
	}
	for _, u := range []User{
		{ID: UserRequester, Name: "requester", RealName: "Robin Requester", TZ: "Europe/Amsterdam"},
		{ID: UserApprover, Name: "approver", RealName: "Avery Approver", TZ: "America/New_York"},
		{ID: UserGuest, Name: "guest", RealName: "Gale Guest", TZ: "Europe/London", Restricted: true},
		{ID: UserSingleGuest, Name: "visitor", RealName: "Val Visitor", TZ: "Europe/London", Restricted: true, Ultra: true},
		{ID: UserGone, Name: "gone", RealName: "Gil Gone", TZ: "Europe/Amsterdam", Deleted: true},
		{ID: UserAdmin, Name: "admin", RealName: "Alex Admin", TZ: "Europe/Amsterdam", Admin: true},
		{ID: BotUserID, Name: BotName, RealName: "Slipway", TZ: "UTC", Bot: true, BotID: BotID},
		{ID: UserOtherBot, Name: "robot", RealName: "Another Bot", TZ: "UTC", Bot: true, BotID: otherBotID},
		{ID: UserStranger, Name: "stranger", RealName: "Sam Stranger", TZ: "Asia/Tokyo", Team: OtherTeamID, Stranger: true},
		{ID: UserSlackbot, Name: "slackbot", RealName: "Slackbot", TZ: "America/Los_Angeles"},
	} {
		if u.Team == "" {
			u.Team = TeamID
		}
		w.users[u.ID] = &u
	}
	people := []string{UserRequester, UserApprover, UserAdmin}
	for _, c := range []Channel{
		{ID: ChannelDeploys, Name: "deploys", Topic: "Ship it, watch it, undo it", Members: append([]string{BotUserID, UserGuest, UserSingleGuest, UserOtherBot}, people...)},
		{ID: ChannelGeneral, Name: "general", Topic: "Everybody is here", Members: append([]string{BotUserID, UserGuest}, people...)},
		{ID: ChannelOps, Name: "ops", Topic: "Jobs by name: reports, restarts, holds", Members: append([]string{BotUserID, UserGuest}, people...)},
		{ID: ChannelLogs, Name: "logs", Topic: "What jobs began and how they ended", Members: append([]string{BotUserID}, people...)},
		{ID: ChannelSupport, Name: "tech-support", Topic: "Ask for help here", Members: append([]string{BotUserID, UserGuest}, people...)},
		{ID: ChannelRandom, Name: "random", Topic: "The bot has not been invited here", Members: append([]string{UserGuest}, people...)},
		{ID: ChannelPrivate, Name: "release-crew", Topic: "Private", Private: true, Members: append([]string{BotUserID}, people...)},
		{ID: ChannelShared, Name: "partners", Topic: "Shared with another workspace", Shared: true, Members: append([]string{BotUserID, UserStranger}, people...)},
		{ID: ChannelArchived, Name: "old-deploys", Topic: "Archived", Archived: true, Members: append([]string{BotUserID}, people...)},
	} {
		w.addChannel(c)
	}
	for _, u := range []string{UserRequester, UserApprover, UserGuest, UserSingleGuest, UserAdmin} {
		w.addChannel(Channel{ID: DM(u), Name: BotName, IM: true, Private: true, User: u, Members: []string{u, BotUserID}})
	}
	return w
}

func (w *world) addChannel(c Channel) {
	w.channels[c.ID] = &c
	w.order = append(w.order, c.ID)
}

// stamp makes a timestamp that no message of the workspace has, later than every other.
func (w *world) stamp(now time.Time) string {
	micro := now.UnixMicro()
	if micro <= w.lastMicro {
		micro = w.lastMicro + 1
	}
	w.lastMicro = micro
	return fmt.Sprintf("%d.%06d", micro/1e6, micro%1e6)
}

// id makes an identifier that is unique in this workspace.
func (w *world) id(prefix string) string {
	w.nextID++
	return fmt.Sprintf("%s%08X", prefix, w.nextID)
}

func (w *world) find(channel, ts string) *Message {
	for _, m := range w.messages[channel] {
		if m.TS == ts {
			return m
		}
	}
	return nil
}

func (w *world) findEphemeral(channel, user, ts string) *Message {
	for _, m := range w.ephemerals {
		if m.Channel == channel && m.TS == ts && (user == "" || m.For == user) {
			return m
		}
	}
	return nil
}

// remove takes a message out of its channel, or out of the ephemerals.
func (w *world) remove(m *Message) {
	same := func(o *Message) bool { return o == m }
	if m.For != "" {
		w.ephemerals = slices.DeleteFunc(w.ephemerals, same)
		return
	}
	w.messages[m.Channel] = slices.DeleteFunc(w.messages[m.Channel], same)
}

// replies of the thread under ts, oldest first, without the parent.
func (w *world) replies(channel, ts string) []*Message {
	var out []*Message
	for _, m := range w.messages[channel] {
		if m.reply() && m.ThreadTS == ts {
			out = append(out, m)
		}
	}
	return out
}

func (w *world) userByName(name string) *User {
	for _, u := range w.users {
		if strings.EqualFold(u.Name, name) {
			return u
		}
	}
	return nil
}

func (w *world) channelByName(name string) *Channel {
	for _, id := range w.order {
		if c := w.channels[id]; !c.IM && c.Name == name {
			return c
		}
	}
	return nil
}

func (w *world) sortedUsers() []*User {
	return slices.SortedFunc(maps.Values(w.users), func(a, b *User) int { return strings.Compare(a.ID, b.ID) })
}

func (c *Channel) clone() Channel {
	o := *c
	o.Members = slices.Clone(c.Members)
	return o
}
