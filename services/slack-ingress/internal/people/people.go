// Package people asks Slack who a user is, so that guests, bots and strangers
// can be told from members. What follows from that is policy, and decided by
// the orchestrator.
//
// Only slack-ingress uses it. Invariants: a look-up never takes longer than its
// context; what cannot be learnt is "not known", never "member"; the cache is
// bounded and an entry is used beyond its freshness only while Slack is away.
package people

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

const (
	// fresh is how long an answer of Slack is believed: long enough to stay far
	// below the method's 100 calls a minute, short enough for a new guest flag.
	fresh = 5 * time.Minute
	// stale is how long it is believed while Slack cannot be asked.
	stale = time.Hour
	// maxKnown bounds the cache; beyond it everything is asked again.
	maxKnown = 4096
)

// Book is what is known about people. Its methods may be called from any goroutine.
type Book struct {
	api *slack.Client

	mu    sync.Mutex
	known map[string]entry
	// forgets counts Forget: an answer that was asked for before one is not kept.
	forgets uint64
}

type entry struct {
	standing *commandv1.Standing
	asked    time.Time
}

// New makes an empty book that asks with api.
func New(api *slack.Client) *Book {
	return &Book{api: api, known: map[string]entry{}}
}

// Standing is what Slack says of a user, seen from a team. An error comes with
// a standing that is not known.
func (b *Book) Standing(ctx context.Context, team, user string) (*commandv1.Standing, error) {
	key := team + "|" + user
	now := time.Now()
	b.mu.Lock()
	e, ok := b.known[key]
	forgets := b.forgets
	b.mu.Unlock()
	if ok && now.Sub(e.asked) < fresh {
		return e.standing, nil
	}
	info, err := b.api.GetUserInfoContext(ctx, user)
	if err != nil && ok && now.Sub(e.asked) < stale {
		return e.standing, nil
	}
	if err != nil {
		return &commandv1.Standing{}, fmt.Errorf("ask Slack for the user %s: %w", user, err)
	}
	e = entry{standing: standing(info), asked: now}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.forgets != forgets {
		return e.standing, nil
	}
	if len(b.known) >= maxKnown {
		clear(b.known)
	}
	b.known[key] = e
	return e.standing, nil
}

// Forget makes the next question about a user go to Slack: what was known of
// them has changed.
func (b *Book) Forget(user string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.known {
		if strings.HasSuffix(key, "|"+user) {
			delete(b.known, key)
		}
	}
	b.forgets++
}

func standing(u *slack.User) *commandv1.Standing {
	return &commandv1.Standing{
		Known:    true,
		Guest:    u.IsRestricted || u.IsUltraRestricted,
		Bot:      u.IsBot || u.IsWorkflowBot || u.IsConnectorBot,
		Stranger: u.IsStranger,
		Deleted:  u.Deleted,
		Name:     firstOf(u.Profile.DisplayName, u.RealName, u.Name),
		Zone:     u.TZ,
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
