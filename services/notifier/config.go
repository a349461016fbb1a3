package notifier

import (
	"errors"
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/internal/runlog"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// ErrNoToken: there is no bot token, so there is no Slack to show anything in.
var ErrNoToken = errors.New("SLACK_BOT_TOKEN is not set: the notifier needs the bot token (xoxb-...) of the Slack app")

// Config is what may be set from outside. Zero durations mean the defaults.
type Config struct {
	BotToken telemetry.Secret `name:"slack-bot-token" env:"SLACK_BOT_TOKEN" hidden:"" help:"Bot token (xoxb-...) of the Slack app."`
	APIURL   string           `name:"slack-api-url" env:"SLACK_API_URL" default:"https://slack.com/api/" help:"Base of Slack's Web API."`

	EditInterval time.Duration `name:"card-edit-interval" env:"SLIPWAY_CARD_EDIT_INTERVAL" default:"3s" help:"Least time between two edits of one card."`
	Tick         time.Duration `name:"card-tick" env:"SLIPWAY_CARD_TICK" default:"15s" help:"How often the elapsed time of a running card moves on."`

	// CallTimeout bounds one call of Slack. Window is after how long such a call
	// is certainly over; LookInterval lies between two looks into the history.
	CallTimeout  time.Duration `kong:"-"`
	Window       time.Duration `kong:"-"`
	LookInterval time.Duration `kong:"-"`
	// Output makes the addresses of the page with a run's output; its zero value
	// makes none.
	Output runlog.Link `kong:"-"`
	// NoLimits ignores Slack's published rates: for tests against a stand-in.
	NoLimits bool `kong:"-"`
}

const (
	defaultEditInterval = 3 * time.Second
	defaultTick         = 15 * time.Second
	// defaultCallTimeout: Slack answers within a second; ten mean that it will not.
	defaultCallTimeout = 10 * time.Second
	// defaultWindow leaves Slack twice as long again for a request that it read.
	defaultWindow       = 30 * time.Second
	defaultLookInterval = 5 * time.Second
	// catchUp and keep: a run that ended a week ago without a card gets none, so
	// what was settled may be forgotten after a month.
	catchUp = 7 * 24 * time.Hour
	keep    = 30 * 24 * time.Hour
)

func (c *Config) complete() error {
	if c.BotToken == "" {
		return ErrNoToken
	}
	if c.APIURL == "" {
		c.APIURL = slackapi.DefaultURL
	}
	for _, f := range []struct {
		to       *time.Duration
		standard time.Duration
	}{
		{&c.EditInterval, defaultEditInterval}, {&c.Tick, defaultTick}, {&c.CallTimeout, defaultCallTimeout},
		{&c.Window, defaultWindow}, {&c.LookInterval, defaultLookInterval},
	} {
		switch {
		case *f.to < 0:
			return fmt.Errorf("a duration of %s makes no sense here", *f.to)
		case *f.to == 0:
			*f.to = f.standard
		}
	}
	if c.Window <= c.CallTimeout {
		c.Window = 2 * c.CallTimeout // what is still under way must never count as over
	}
	return nil
}
