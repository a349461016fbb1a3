package ingress

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

// Config is how Slack reaches us. Secrets are pointers, because one that is set
// but empty is a mistake and not an absence; they are hidden as flags, because a
// command line is for everybody to read.
type Config struct {
	SigningSecret *telemetry.Secret `name:"slack-signing-secret" env:"SLACK_SIGNING_SECRET" hidden:"" help:"Signing secret of the Slack app; opens the HTTP doors."`
	// SecondSigningSecret is accepted as well, while the secret is rotated.
	SecondSigningSecret *telemetry.Secret `name:"slack-signing-secret-second" env:"SLACK_SIGNING_SECRET_SECOND" hidden:"" help:"Accepted beside the signing secret while it is rotated."`
	AppToken            *telemetry.Secret `name:"slack-app-token" env:"SLACK_APP_TOKEN" hidden:"" help:"App-level token (xapp-...); opens Socket Mode."`
	BotToken            *telemetry.Secret `name:"slack-bot-token" env:"SLACK_BOT_TOKEN" hidden:"" help:"Bot token (xoxb-...); to answer mentions and to tell guests from members."`
	APIURL              string            `name:"slack-api-url" env:"SLACK_API_URL" default:"https://slack.com/api/" help:"Base of Slack's Web API."`

	// File is slipway.yaml, for webhooks, relays and listeners; empty: there are none. The
	// process that hosts us names it, as it does for the orchestrator.
	File string `kong:"-"`
	// CallbackKey is shared with the runners; nil: jobs cannot speak while they run.
	CallbackKey *telemetry.Secret `kong:"-"`

	DeployCommand  string `name:"deploy-command" env:"SLIPWAY_DEPLOY_COMMAND" default:"/deploy" help:"Name of the slash command that deploys."`
	StatusCommand  string `name:"status-command" env:"SLIPWAY_STATUS_COMMAND" default:"/check_status" help:"Name of the slash command that asks for the status."`
	SlipwayCommand string `name:"slipway-command" env:"SLIPWAY_COMMAND" default:"/slipway" help:"Name of the slash command for every sentence."`
}

var (
	// ErrNoDoor says that neither HTTP nor Socket Mode is configured.
	ErrNoDoor = errors.New("neither SLACK_SIGNING_SECRET nor SLACK_APP_TOKEN is set: Slack has no way in")
	// ErrEmptySecret says that a secret is set to nothing. An empty signing
	// secret would be known to everybody.
	ErrEmptySecret = errors.New("set but empty")
)

const defaultAPIURL = "https://slack.com/api/"

// CheckSecrets refuses a secret that is set but empty, whoever would use it.
func (c *Config) CheckSecrets() error {
	for name, secret := range map[string]*telemetry.Secret{
		"SLACK_SIGNING_SECRET": c.SigningSecret, "SLACK_SIGNING_SECRET_SECOND": c.SecondSigningSecret,
		"SLACK_APP_TOKEN": c.AppToken, "SLACK_BOT_TOKEN": c.BotToken, "SLIPWAY_CALLBACK_KEY": c.CallbackKey,
	} {
		if secret != nil && strings.TrimSpace(string(*secret)) == "" {
			return fmt.Errorf("%s is %w; unset it or give it a value", name, ErrEmptySecret)
		}
	}
	return nil
}

// complete checks the configuration and fills what is left out.
func (c *Config) complete() error {
	if err := c.CheckSecrets(); err != nil {
		return err
	}
	if c.SigningSecret == nil && c.AppToken == nil {
		return ErrNoDoor
	}
	return c.completeAPIURL()
}

func (c *Config) completeAPIURL() error {
	if c.APIURL == "" {
		c.APIURL = defaultAPIURL
	}
	u, err := url.Parse(c.APIURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("SLACK_API_URL is not an http or https address")
	}
	if !strings.HasSuffix(c.APIURL, "/") {
		c.APIURL += "/"
	}
	return nil
}

// secrets are the signing secrets that are accepted.
func (c *Config) secrets() []string {
	var out []string
	for _, s := range []*telemetry.Secret{c.SigningSecret, c.SecondSigningSecret} {
		if s != nil {
			out = append(out, string(*s))
		}
	}
	return out
}

// names maps the commands as configured to their canonical form.
func (c *Config) names() request.Names {
	or := func(name, canonical string) string {
		if name == "" {
			return canonical
		}
		return name
	}
	return request.Names{
		or(c.DeployCommand, request.CommandDeploy):   request.CommandDeploy,
		or(c.StatusCommand, request.CommandStatus):   request.CommandStatus,
		or(c.SlipwayCommand, request.CommandSlipway): request.CommandSlipway,
	}
}
