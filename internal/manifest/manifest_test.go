package manifest_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/internal/manifest"
)

// needs is what Slack's references say of the methods and events that Slipway
// uses; nil needs nothing. Where several are listed, each opens one kind of
// conversation.
var needs = map[string][]string{
	"auth.test":             nil,
	"chat.postMessage":      {"chat:write"},
	"chat.postEphemeral":    {"chat:write"},
	"chat.update":           {"chat:write"},
	"reactions.add":         {"reactions:write"},
	"reactions.remove":      {"reactions:write"},
	"users.info":            {"users:read"},
	"conversations.open":    {"im:write"},
	"conversations.history": {"channels:history", "groups:history", "im:history"},
	"conversations.replies": {"channels:history", "groups:history", "im:history"},
	"conversations.list":    {"channels:read", "groups:read"},
	"conversations.join":    {"channels:join"},
	"chat.getPermalink":     nil,

	"files.getUploadURLExternal":   {"files:write"},
	"files.completeUploadExternal": {"files:write"},

	"app_mention":      {"app_mentions:read"},
	"message.im":       {"im:history"},
	"message.channels": {"channels:history"},
	"message.groups":   {"groups:history"},
	"channel_created":  {"channels:read"},
	"/deploy":          {"commands"},
}

// pinNeeds are those of mirror: {pin: true} alone.
var pinNeeds = map[string][]string{"pins.add": {"pins:write"}, "pins.remove": {"pins:write"}, "pins.list": {"pins:read"}}

func TestEveryMethodAndEventHasItsScopeAndNoScopeIsIdle(t *testing.T) {
	justified(t, manifest.Scopes(false), needs)
	with := maps.Clone(needs)
	maps.Copy(with, pinNeeds)
	justified(t, manifest.Scopes(true), with)
}

// justified holds scopes against what needs them.
func justified(t *testing.T, scopes []string, needs map[string][]string) {
	t.Helper()
	used := map[string]bool{}
	for name, wanted := range needs {
		for _, scope := range wanted {
			used[scope] = true
			if !slices.Contains(scopes, scope) {
				t.Errorf("%s needs %s", name, scope)
			}
		}
	}
	for _, scope := range scopes {
		if !used[scope] {
			t.Errorf("nothing needs %s", scope)
		}
		if len(manifest.Reasons()[scope]) == 0 {
			t.Errorf("nobody says what %s is for", scope)
		}
	}
	if !slices.IsSorted(scopes) {
		t.Errorf("scopes %v are not in order", scopes)
	}
}

func TestHTTPNamesEveryDoorAndSocketModeNone(t *testing.T) {
	web, err := manifest.New(manifest.Options{URL: "https://slipway.example.org/base/"})
	if err != nil {
		t.Fatal(err)
	}
	if web.Settings.Socket || web.Settings.Events.URL != "https://slipway.example.org/base/slack/events" ||
		web.Settings.Interactivity.URL != "https://slipway.example.org/base/slack/interactions" || !web.Settings.Interactivity.Enabled {
		t.Errorf("settings %+v", web.Settings)
	}
	socket, err := manifest.New(manifest.Options{Socket: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := socket.JSON()
	if err != nil || !socket.Settings.Socket || strings.Contains(string(out), "url") {
		t.Errorf("with Socket Mode: %v\n%s", err, out)
	}
	for _, m := range []manifest.Manifest{web, socket} {
		if got := m.Settings.Events.Events; !slices.Equal(got, []string{"app_mention", "message.im", "message.channels", "message.groups", "channel_created", "user_change"}) {
			t.Errorf("events %v", got)
		}
		var names []string
		for _, c := range m.Features.Commands {
			names = append(names, c.Command)
			if !c.Escape || (c.URL == "") != m.Settings.Socket {
				t.Errorf("command %+v", c)
			}
		}
		if !slices.Equal(names, []string{"/deploy", "/check_status", "/slipway"}) {
			t.Errorf("commands %v", names)
		}
	}
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	m, err := manifest.New(manifest.Options{URL: "https://slipway.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := m.YAML()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := m.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(yaml.Unmarshal(asYAML, &a), json.Unmarshal(asJSON, &b)); err != nil {
		t.Fatal(err)
	}
	one, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(two) {
		t.Errorf("YAML says\n%s\nJSON says\n%s", one, two)
	}
}

func TestWhatSlackDoesNotTakeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		options manifest.Options
		want    error
	}{
		"no address":     {manifest.Options{}, manifest.ErrAddress},
		"not https":      {manifest.Options{URL: "http://h"}, manifest.ErrAddress},
		"a password":     {manifest.Options{URL: "https://u:p@h"}, manifest.ErrAddress},
		"a query":        {manifest.Options{URL: "https://h/?a=b"}, manifest.ErrAddress},
		"both":           {manifest.Options{URL: "https://h", Socket: true}, manifest.ErrBoth},
		"a long name":    {manifest.Options{Name: strings.Repeat("n", 36), Socket: true}, manifest.ErrLimit},
		"the limit fits": {manifest.Options{Name: strings.Repeat("ü", 35), Socket: true}, nil},
	} {
		if _, err := manifest.New(c.options); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Slack's limits hold for our own words.
func TestTheTextsKeepSlacksLimits(t *testing.T) {
	m, err := manifest.New(manifest.Options{Socket: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := len([]rune(m.Information.Description)); n < 1 || n > 140 {
		t.Errorf("the description has %d characters", n)
	}
	for _, c := range m.Features.Commands {
		if !strings.HasPrefix(c.Command, "/") || len(c.Command) < 2 || len(c.Command) > 32 || len(c.Description) > 2000 || len(c.UsageHint) > 1000 {
			t.Errorf("command %+v", c)
		}
	}
}
