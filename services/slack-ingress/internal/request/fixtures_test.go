//go:build fixtures

package request_test

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

// fixturesVar names a folder of payloads that real Slack SDKs test with.
const fixturesVar = "SLIPWAY_SLACK_FIXTURES"

// people are the fixtures in which a person says something to the app. All
// others must have no effect; among them the mention in python-slack-sdk, whose
// made-up author is the bot itself.
var people = []string{
	"bolt-python/events/app_mention.json",
	"bolt-python/events/app_mention_org_install.json",
	"bolt-python/events/app_mention_shared_channel.json",
	"python-slack-sdk/socket_mode/00_slash_commands_command.json",
	"bolt-python/events/message_org.json", // just our name, in a channel
	"bolt-python/commands/slash_command_enterprise.form.txt",
}

func TestRealPayloadsMeanWhatTheySay(t *testing.T) {
	root := os.Getenv(fixturesVar)
	if root == "" {
		t.Fatalf("%s is not set", fixturesVar)
	}
	var spoke []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/api/") {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		delivery, err := decodeFixture(name, body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if delivery.Request != nil {
			spoke = append(spoke, name)
			assertStorable(t, name, body, delivery.Request)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(spoke)
	slices.Sort(people)
	if !slices.Equal(spoke, people) {
		t.Errorf("people speak in %q, want %q", spoke, people)
	}
}

var fixtureNames = request.Names{"/hello-world": "/deploy", "/hello-socket-mode": "/slipway"}

// decodeFixture delivers a fixture the way Slack would.
func decodeFixture(name string, body []byte) (request.Delivery, error) {
	switch {
	case strings.Contains(name, "/socket_mode/"):
		return decodeSocket(body)
	case strings.HasSuffix(name, ".form.txt"):
		return request.Decode(formType, []byte(strings.TrimSpace(string(body))), fixtureNames, received)
	case strings.Contains(name, "/slash-commands/"):
		// A template with empty values: nothing but its form can be checked.
		if !json.Valid(body) {
			return request.Delivery{}, request.ErrMalformed
		}
		return request.Delivery{}, nil
	case strings.Contains(name, "/events/"):
		return request.Decode(jsonType, body, fixtureNames, received)
	default:
		form := url.Values{"payload": {string(body)}}
		return request.Decode(formType, []byte(form.Encode()), fixtureNames, received)
	}
}

func decodeSocket(body []byte) (request.Delivery, error) {
	var frame struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(body, &frame); err != nil {
		return request.Delivery{}, err
	}
	switch frame.Type {
	case "slash_commands":
		return request.DecodeSlash(frame.Payload, fixtureNames, received)
	case "interactive":
		return request.DecodeInteraction(frame.Payload, received)
	case "events_api":
		return request.DecodeEvent(frame.Payload, received)
	default:
		return request.Delivery{}, nil
	}
}

// assertStorable checks that nothing secret of a fixture is stored.
func assertStorable(t *testing.T, name string, body []byte, req *request.Request) {
	t.Helper()
	data, err := proto.Marshal(req.Envelope)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, word := range []string{"verification_token", "verification-token", "hooks.slack.com", "111.111.xxx", "111.222.xxx"} {
		if strings.Contains(string(data), word) {
			t.Errorf("%s: %q of the payload is stored: %q", name, word, data)
		}
	}
	if req.Envelope.GetPrincipal().GetUser() == "" || req.Envelope.GetOrigin().GetTeam() == "" {
		t.Errorf("%s: nobody asked: %v (body of %d bytes)", name, req.Envelope, len(body))
	}
}
