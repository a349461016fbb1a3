package main

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/claim"
)

// again is the pause before a message is tried again whose work failed.
const again = time.Second

// bot is one replica.
type bot struct {
	settings
	guard *claim.Guard
	light *light
	api   *slack.Client
}

// hear sees to it that a message is obeyed, by this replica or another: Do returns
// when it is done. The stream bounds how many messages there are.
func (b *bot) hear(ctx context.Context, m message) {
	if !strings.Contains(strings.ToLower(m.Text), "light") {
		return
	}
	go func() {
		for ctx.Err() == nil {
			err := b.guard.Do(ctx, m.key(), func(ctx context.Context, held *claim.Held) error { return b.obey(ctx, m, held) })
			if err == nil {
				return
			}
			log.Printf("%s: %v", m.key(), err)
			wait(ctx, again)
		}
	}()
}

// obey toggles the light and says so. ctx ends before another replica may begin
// the same; what was sent by then is harmless, since the light knows the key.
func (b *bot) obey(ctx context.Context, m message, held *claim.Held) error {
	if !wait(ctx, b.think) {
		return context.Cause(ctx)
	}
	did, err := b.light.toggle(ctx, obeyed{Key: m.key(), Fence: held.Fence(), By: b.name})
	if err != nil {
		return err
	}
	what := map[bool]string{true: ":bulb: the light is on", false: ":new_moon: the light is off"}[did.On]
	return b.say(ctx, m.Channel, fmt.Sprintf("%s, says %s (fence %d)", what, b.name, held.Fence()), m.TS)
}

// keep is the role that one replica has. It moves when its holder dies.
func (b *bot) keep(ctx context.Context) error {
	if b.channel != "" {
		if err := b.say(ctx, b.channel, b.name+" keeps the light now", ""); err != nil {
			log.Printf("not introduced: %v", err)
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// say posts. A replica that dies before Done may have said what its successor says
// again: Slack knows no fences.
func (b *bot) say(ctx context.Context, channel, text, thread string) error {
	_, _, err := b.api.PostMessageContext(ctx, channel, slack.MsgOptionText(text, false), slack.MsgOptionTS(thread))
	if err != nil {
		return fmt.Errorf("post to Slack: %w", err)
	}
	return nil
}

// wait tells whether ctx still lives after d.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
