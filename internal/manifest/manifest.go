// Package manifest makes the manifest from which Slack creates the app: its
// commands, events, doors and scopes, for HTTP and for Socket Mode.
//
// It knows nothing of tokens or of a running workspace. The command line prints
// it; the doctor compares the scopes of a token with those without pins.
//
// Invariants: every scope asked for is needed by a method or an event of the
// tables in uses.go, and every one of those has its scope; all of Slack's limits
// on manifests are kept, or New fails.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Slack's limits on manifests, in characters or entries.
const (
	maxName               = 35
	maxDescription        = 140
	maxDisplayName        = 80
	maxCommands           = 50
	maxCommand            = 32
	maxCommandDescription = 2000
	maxUsageHint          = 1000
	maxEvents             = 100
	maxScopes             = 255
)

var (
	// ErrAddress: HTTP needs the public https address of the doors.
	ErrAddress = errors.New("Slack has to reach the app at a public https address") //nolint:staticcheck // a name
	// ErrBoth: Socket Mode has no address.
	ErrBoth = errors.New("with Socket Mode there is no address")
	// ErrLimit: one of Slack's limits is broken.
	ErrLimit = errors.New("Slack does not take this") //nolint:staticcheck // a name
)

// Options say which app.
type Options struct {
	Name   string // as people see it; "Slipway" when empty
	URL    string // of the doors, without the path; empty with Socket
	Socket bool   // deliver over Socket Mode
	Pins   bool   // ask for the scopes of mirror: {pin: true}
}

// Manifest is a document in Slack's format, version 1.
type Manifest struct {
	Metadata    Metadata `json:"_metadata" yaml:"_metadata"`
	Information Display  `json:"display_information" yaml:"display_information"`
	Features    Features `json:"features" yaml:"features"`
	OAuth       OAuth    `json:"oauth_config" yaml:"oauth_config"`
	Settings    Settings `json:"settings" yaml:"settings"`
}

// Metadata is the format's version.
type Metadata struct {
	Major int `json:"major_version" yaml:"major_version"`
	Minor int `json:"minor_version" yaml:"minor_version"`
}

// Display is how the app is shown.
type Display struct {
	Name        string `json:"name" yaml:"name"`
	Description string `json:"description" yaml:"description"`
}

// Features are what people see of the app.
type Features struct {
	Home     Home      `json:"app_home" yaml:"app_home"`
	Bot      Bot       `json:"bot_user" yaml:"bot_user"`
	Commands []Command `json:"slash_commands" yaml:"slash_commands"`
}

// Home opens direct messages to the bot.
type Home struct {
	Home     bool `json:"home_tab_enabled" yaml:"home_tab_enabled"`
	Messages bool `json:"messages_tab_enabled" yaml:"messages_tab_enabled"`
	ReadOnly bool `json:"messages_tab_read_only_enabled" yaml:"messages_tab_read_only_enabled"`
}

// Bot is the app's user.
type Bot struct {
	DisplayName  string `json:"display_name" yaml:"display_name"`
	AlwaysOnline bool   `json:"always_online" yaml:"always_online"`
}

// Command is a slash command. Escaping makes Slack send ids of people and
// channels instead of their names, which anybody can change.
type Command struct {
	Command     string `json:"command" yaml:"command"`
	URL         string `json:"url,omitempty" yaml:"url,omitempty"`
	Description string `json:"description" yaml:"description"`
	UsageHint   string `json:"usage_hint" yaml:"usage_hint"`
	Escape      bool   `json:"should_escape" yaml:"should_escape"`
}

// OAuth is what the app may do.
type OAuth struct {
	Scopes ScopeSet `json:"scopes" yaml:"scopes"`
}

// ScopeSet are the scopes of the tokens.
type ScopeSet struct {
	Bot []string `json:"bot" yaml:"bot"`
}

// Settings are how Slack reaches the app.
type Settings struct {
	Events        Subscriptions `json:"event_subscriptions" yaml:"event_subscriptions"`
	Interactivity Door          `json:"interactivity" yaml:"interactivity"`
	OrgDeploy     bool          `json:"org_deploy_enabled" yaml:"org_deploy_enabled"`
	Socket        bool          `json:"socket_mode_enabled" yaml:"socket_mode_enabled"`
	Rotation      bool          `json:"token_rotation_enabled" yaml:"token_rotation_enabled"`
}

// Subscriptions are the events that Slack delivers.
type Subscriptions struct {
	URL    string   `json:"request_url,omitempty" yaml:"request_url,omitempty"`
	Events []string `json:"bot_events" yaml:"bot_events"`
}

// Door is where buttons arrive.
type Door struct {
	Enabled bool   `json:"is_enabled" yaml:"is_enabled"`
	URL     string `json:"request_url,omitempty" yaml:"request_url,omitempty"`
}

// The doors of the app, as services/slack-ingress opens them.
const (
	pathCommands     = "/slack/commands"
	pathEvents       = "/slack/events"
	pathInteractions = "/slack/interactions"
)

// New makes the manifest.
func New(o Options) (Manifest, error) {
	base, err := o.base()
	if err != nil {
		return Manifest{}, err
	}
	if o.Name == "" {
		o.Name = "Slipway"
	}
	door := func(path string) string {
		if o.Socket {
			return ""
		}
		return base + path
	}
	m := Manifest{
		Metadata:    Metadata{Major: 1, Minor: 1},
		Information: Display{Name: o.Name, Description: "Deployments from Slack: ask, watch one live card, cancel, retry."},
		Features: Features{
			Home:     Home{Messages: true},
			Bot:      Bot{DisplayName: strings.ToLower(o.Name), AlwaysOnline: true},
			Commands: commands(door(pathCommands)),
		},
		OAuth: OAuth{Scopes: ScopeSet{Bot: Scopes(o.Pins)}},
		Settings: Settings{
			Events:        Subscriptions{URL: door(pathEvents), Events: Events()},
			Interactivity: Door{Enabled: true, URL: door(pathInteractions)},
			Socket:        o.Socket,
		},
	}
	return m, m.check()
}

// base is the address that the doors' paths are appended to.
func (o Options) base() (string, error) {
	if o.Socket {
		if o.URL != "" {
			return "", ErrBoth
		}
		return "", nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%w, and %q is none", ErrAddress, o.URL)
	}
	return strings.TrimRight(o.URL, "/"), nil
}

// check holds the manifest against Slack's limits.
func (m Manifest) check() error {
	var all []error
	length := func(what, text string, most int) {
		if n := utf8.RuneCountInString(text); n < 1 || n > most {
			all = append(all, fmt.Errorf("%w: %s has %d characters, from 1 to %d are allowed", ErrLimit, what, n, most))
		}
	}
	count := func(what string, n, most int) {
		if n > most {
			all = append(all, fmt.Errorf("%w: there are %d %s, at most %d are allowed", ErrLimit, n, what, most))
		}
	}
	length("the name", m.Information.Name, maxName)
	length("the description", m.Information.Description, maxDescription)
	length("the bot's name", m.Features.Bot.DisplayName, maxDisplayName)
	for _, c := range m.Features.Commands {
		length("the command "+c.Command, c.Command, maxCommand)
		length("the description of "+c.Command, c.Description, maxCommandDescription)
		length("the hint of "+c.Command, c.UsageHint, maxUsageHint)
	}
	count("commands", len(m.Features.Commands), maxCommands)
	count("events", len(m.Settings.Events.Events), maxEvents)
	count("scopes", len(m.OAuth.Scopes.Bot), maxScopes)
	return errors.Join(all...)
}

// YAML is the manifest as people read it.
func (m Manifest) YAML() ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(m), enc.Close()); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return out.Bytes(), nil
}

// JSON is the manifest as the API takes it.
func (m Manifest) JSON() ([]byte, error) {
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return append(out, '\n'), nil
}
