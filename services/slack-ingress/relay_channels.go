package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/socket"
)

const (
	// channelsEvery is how often the list of channels is read anew: it heals
	// whatever event was missed.
	channelsEvery = time.Hour
	// channelsAgain is the first pause after a failure; each next one is twice as
	// long, up to channelsEvery.
	channelsAgain = 30 * time.Second
	// channelsPage is Slack's advice for one call; maxChannels bounds the list.
	channelsPage = 200
	maxChannels  = 50_000
	// maxMade bounds new channels that wait to be joined; beyond it the next look
	// at the list finds them.
	maxMade = 256
	// maxJoinTries bounds repeats of one join after "rate limited".
	maxJoinTries = 5
)

// channels knows the public channels by name and joins them, so that relays
// hear what is said there. Its methods may be called from any goroutine.
type channels struct {
	api *slack.Client // nil without a bot token: then nothing is known
	log *slog.Logger

	look  chan struct{} // the list is to be read now
	fresh chan string   // ids of channels that were made

	mu      sync.Mutex
	ids     map[string]string // by name
	trouble string
}

func newChannels(api *slack.Client, log *slog.Logger) *channels {
	return &channels{api: api, log: log, look: make(chan struct{}, 1), fresh: make(chan string, maxMade), ids: map[string]string{}}
}

// poke has the list read soon: the configuration has changed.
func (c *channels) poke() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

// made tells of a new channel.
func (c *channels) made(id string) {
	select {
	case c.fresh <- id:
	default:
		c.poke()
	}
}

// is tells whether a configured channel, an id or a #name, is the one with this
// id. A name that is not known is none.
func (c *channels) is(configured, id string) bool {
	name, named := strings.CutPrefix(configured, "#")
	if !named {
		return configured == id
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids[name] == id && id != ""
}

// problem is what an operator should know; empty: nothing.
func (c *channels) problem() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

func (c *channels) settle(trouble string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = trouble
}

// run looks at the channels at every poke, every hour, and again
// after a failure, until ctx ends. No failure ends it.
func (c *channels) run(ctx context.Context, config func() *pipeline.Config) {
	if c.api == nil {
		return
	}
	wait, pause := time.NewTimer(channelsEvery), channelsAgain
	defer wait.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case id := <-c.fresh:
			if cfg := config(); cfg == nil || !cfg.Slack.JoinChannels {
				continue
			}
			if err = c.join(ctx, id); err == nil {
				continue // the next look at the list stays when it was due
			}
		case <-c.look:
			err = c.survey(ctx, config())
		case <-wait.C:
			err = c.survey(ctx, config())
		}
		next := channelsEvery
		if err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "channels not joined or not listed; will try again", "error", err, "after", pause)
			c.settle(err.Error())
			next, pause = pause, min(2*pause, channelsEvery)
		} else if err == nil {
			pause = channelsAgain
		}
		wait.Reset(next)
	}
}

// survey reads the list if anything depends on it, joins what is to be joined,
// and checks the channels that relays name.
func (c *channels) survey(ctx context.Context, config *pipeline.Config) error {
	if config == nil || (!config.Slack.JoinChannels && !namesChannels(config)) {
		c.settle("")
		return nil
	}
	list, err := c.list(ctx)
	if err != nil {
		return fmt.Errorf("list the channels: %w", err)
	}
	c.learn(list)
	c.log.InfoContext(ctx, "channels listed", "count", len(list))
	var failed []error
	for _, ch := range list {
		if config.Slack.JoinChannels && !ch.IsMember && !ch.IsArchived {
			if err := c.join(ctx, ch.ID); err != nil {
				failed = append(failed, err)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	failed = append(failed, c.unknown(config)...)
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d channels: %w", len(failed), len(list), failed[0])
	}
	c.settle("")
	return nil
}

// wanted are the channels that relays and listeners call by their names, and who
// does.
func wanted(config *pipeline.Config) map[string]string {
	out := map[string]string{}
	note := func(channel, by string) {
		if name, named := strings.CutPrefix(channel, "#"); named {
			out[name] = by
		}
	}
	for name, r := range config.Relays {
		note(r.Channel, "the relay "+name)
	}
	for namespace, n := range config.Namespaces {
		for name, l := range n.Listen {
			for _, channel := range l.Channels {
				note(channel, "the listener "+namespace+"/"+name)
			}
		}
	}
	return out
}

func namesChannels(config *pipeline.Config) bool { return len(wanted(config)) > 0 }

// unknown are the relays and listeners whose channel nobody knows.
func (c *channels) unknown(config *pipeline.Config) (failed []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, by := range wanted(config) {
		if c.ids[name] == "" {
			failed = append(failed, fmt.Errorf("the channel #%s of %s is no public channel here", name, by))
		}
	}
	return failed
}

func (c *channels) learn(list []slack.Channel) {
	ids := make(map[string]string, len(list))
	for _, ch := range list {
		ids[ch.Name] = ch.ID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = ids
}

func (c *channels) list(ctx context.Context) (out []slack.Channel, err error) {
	cursor := ""
	for len(out) < maxChannels {
		var page []slack.Channel
		var next string
		err := patiently(ctx, func() error {
			var err error
			page, next, err = c.api.GetConversationsContext(ctx, &slack.GetConversationsParameters{
				Cursor: cursor, ExcludeArchived: true, Limit: channelsPage, Types: []string{"public_channel"},
			})
			return err
		})
		if err != nil {
			return nil, socket.Unaddressed(err)
		}
		if out = append(out, page...); next == "" || next == cursor {
			return out, nil
		}
		cursor = next
	}
	return out, nil
}

// settled are answers to a join that no repeat would change.
var settled = []string{"is_archived", "already_in_channel", "method_not_supported_for_channel_type", "channel_not_found"}

func (c *channels) join(ctx context.Context, id string) error {
	err := patiently(ctx, func() error {
		_, _, _, err := c.api.JoinConversationContext(ctx, id)
		return err
	})
	var said slack.SlackErrorResponse
	switch {
	case err == nil:
		c.log.InfoContext(ctx, "channel joined", "channel", id)
		return nil
	case errors.As(err, &said) && slices.Contains(settled, said.Err):
		return nil
	}
	return fmt.Errorf("join %s: %w", id, socket.Unaddressed(err))
}

// patiently repeats a call while Slack says that it is called too often.
func patiently(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		var limited *slack.RateLimitedError
		if !errors.As(err, &limited) || try == maxJoinTries {
			return err
		}
		select {
		case <-time.After(limited.RetryAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
