package sandbox

import (
	"context"
	"fmt"
	"regexp"
)

// SayInThread is Post as a reply under threadTS.
func (s *Server) SayInThread(ctx context.Context, user, channel, threadTS, text string) (Posted, error) {
	if threadTS == "" {
		return Posted{}, fmt.Errorf("sandbox: reply without a thread: %w", ErrNoMessage)
	}
	return s.Post(ctx, user, channel, text, threadTS)
}

// DirectMessage is Post in the user's direct conversation with the bot, where a mention is not needed.
func (s *Server) DirectMessage(ctx context.Context, user, text string) (Posted, error) {
	return s.Post(ctx, user, DM(user), text, "")
}

// Remind makes Slackbot post a reminder in the channel, as after `/remind #channel "TEXT"`: the text behind "Reminder: ",
// mentions with their names behind a bar, a full stop at the end. A mention of the bot in it is an app_mention by USLACKBOT.
func (s *Server) Remind(ctx context.Context, channel, text string) (Posted, error) {
	s.mu.Lock()
	c, u := s.world.channels[channel], s.world.users[UserSlackbot]
	if c == nil || c.Archived {
		s.mu.Unlock()
		return Posted{}, fmt.Errorf("sandbox: remind in %s: %w", channel, ErrNoChannel)
	}
	m := &Message{Channel: channel, User: u.ID, Text: "Reminder: " + s.wireText(text, true) + "."}
	s.mu.Unlock()
	return s.say(ctx, u, c, m), nil
}

// Edit acts as if the user had changed his own message. The app hears of it as message_changed when it subscribed to the
// channel's messages; there is no second app_mention.
func (s *Server) Edit(ctx context.Context, user, channel, ts, text string) (Posted, error) {
	return s.change(ctx, user, channel, ts, func(u *User, c *Channel, m *Message) map[string]any {
		before := s.typed(u, m)
		m.Text, m.EditedTS = s.wireText(text, false), s.world.stamp(s.cfg.Clock())
		m.Edits++
		s.messageChanged(m)
		now := s.typed(u, m)
		now["client_msg_id"] = before["client_msg_id"]
		return s.changeEvent(c, now, before)
	})
}

// Delete acts as if the user had removed his own message; the app may hear message_deleted.
func (s *Server) Delete(ctx context.Context, user, channel, ts string) (Posted, error) {
	return s.change(ctx, user, channel, ts, func(u *User, c *Channel, m *Message) map[string]any {
		before := s.typed(u, m)
		s.removeMessage(m)
		return s.deleteEvent(c, before)
	})
}

// change finds a message of the user, changes it and delivers the event, if the app is told about the channel.
func (s *Server) change(ctx context.Context, user, channel, ts string, how func(*User, *Channel, *Message) map[string]any) (Posted, error) {
	u, c, err := s.person(user, channel)
	if err != nil {
		return Posted{}, err
	}
	s.mu.Lock()
	m := s.world.find(channel, ts)
	if m == nil || m.User != user {
		s.mu.Unlock()
		if m == nil {
			return Posted{}, fmt.Errorf("sandbox: message %s: %w", ts, ErrNoMessage)
		}
		return Posted{}, fmt.Errorf("sandbox: message %s: %w", ts, ErrNotYours)
	}
	var requests []outgoing
	if inner := how(u, c, m); s.heard(c) {
		requests = append(requests, s.eventRequest(TeamID, inner))
	}
	s.mu.Unlock()
	return Posted{TS: ts, Deliveries: s.deliverAll(ctx, requests)}, nil
}

// Standing is what somebody is in the workspace.
type Standing string

// What somebody can be.
const (
	FullMember   Standing = "member"
	MultiGuest   Standing = "guest"        // of several channels: is_restricted
	SingleGuest  Standing = "single_guest" // of one channel: is_ultra_restricted, too
	Deactivated  Standing = "deactivated"
	OtherCompany Standing = "stranger" // from another workspace, over a shared channel
)

// SetStanding changes what somebody is, as an administrator does. users.info says so at once, and the app hears user_change
// when it subscribed to it; what it does before it hears is its own affair.
func (s *Server) SetStanding(ctx context.Context, user string, standing Standing) error {
	s.mu.Lock()
	u := s.world.users[user]
	if u == nil || u.Bot {
		s.mu.Unlock()
		return fmt.Errorf("sandbox: user %s: %w", user, ErrNoUser)
	}
	next := *u
	next.Restricted, next.Ultra, next.Deleted, next.Stranger, next.Team = false, false, false, false, TeamID
	switch standing {
	case FullMember:
	case MultiGuest:
		next.Restricted = true
	case SingleGuest:
		next.Restricted, next.Ultra = true, true
	case Deactivated:
		next.Deleted = true
	case OtherCompany:
		next.Stranger, next.Team = true, OtherTeamID
	default:
		s.mu.Unlock()
		return fmt.Errorf("sandbox: %q is no standing", standing)
	}
	s.world.users[user] = &next // whoever holds the old one goes on with it
	s.changed(changeUser, next)
	cached := s.cfg.Clock().Unix()
	s.mu.Unlock()
	s.announce(ctx, "user_change", map[string]any{"user": wireUser(&next), "cache_ts": cached})
	return nil
}

// SetGuest makes somebody a guest of several channels, or a full member again.
func (s *Server) SetGuest(ctx context.Context, user string, guest bool) error {
	if guest {
		return s.SetStanding(ctx, user, MultiGuest)
	}
	return s.SetStanding(ctx, user, FullMember)
}

// channelName is what Slack allows.
var channelName = regexp.MustCompile(`^[\p{Ll}\p{Lo}\d_-]{1,80}$`)

// CreateChannel acts as if the user had opened a public channel. The app hears channel_created when it subscribed to it; it
// is not a member before it joins.
func (s *Server) CreateChannel(ctx context.Context, user, name string) (Channel, error) {
	s.mu.Lock()
	u := s.world.users[user]
	if u == nil || u.Deleted {
		s.mu.Unlock()
		return Channel{}, fmt.Errorf("sandbox: user %s: %w", user, ErrNoUser)
	}
	if !channelName.MatchString(name) || s.world.channelByName(name) != nil {
		s.mu.Unlock()
		return Channel{}, fmt.Errorf("sandbox: channel %q: %w", name, ErrName)
	}
	c := Channel{ID: s.world.id("C0"), Name: name, Members: []string{user}}
	s.world.addChannel(c)
	s.changed(changeChannel, c.clone())
	created := s.cfg.Clock().Unix()
	s.mu.Unlock()
	s.announce(ctx, "channel_created", map[string]any{
		"channel": map[string]any{"id": c.ID, "name": c.Name, "created": created, "creator": user, "is_channel": true, "context_team_id": TeamID},
	})
	return c, nil
}

// Invite brings somebody, or the bot, into a channel; the app may hear member_joined_channel.
func (s *Server) Invite(ctx context.Context, inviter, channel, user string) error {
	_, c, err := s.person(inviter, channel)
	if err != nil {
		return err
	}
	s.mu.Lock()
	u := s.world.users[user]
	if u == nil || c.has(user) {
		s.mu.Unlock()
		if u == nil {
			return fmt.Errorf("sandbox: user %s: %w", user, ErrNoUser)
		}
		return nil
	}
	c.Members = append(c.Members, user)
	s.changed(changeChannel, c.clone())
	told := s.member(c)
	s.mu.Unlock()
	if told {
		s.announce(ctx, "member_joined_channel", map[string]any{"user": user, "channel": channel, "channel_type": "C", "team": TeamID, "inviter": inviter})
	}
	return nil
}
