package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/sandbox"
)

func TestBlockValidation(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{NoRateLimits: true})
	section := func(n int) string {
		return fmt.Sprintf(`{"type":"section","text":{"type":"mrkdwn","text":"%s"}}`, strings.Repeat("é", n))
	}
	button := func(fields string) string {
		return `{"type":"actions","elements":[{"type":"button","action_id":"a","text":{"type":"plain_text","text":"Go"}` + fields + `}]}`
	}
	task := func(status string) string {
		return `{"type":"task_card","task_id":"1","title":"Build","status":"` + status + `"}`
	}
	for _, c := range []struct{ name, blocks, code, says string }{
		{"plain section", section(3000), "", ""},
		{"section too long", section(3001), "invalid_blocks", "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"},
		{"section without text", `{"type":"section"}`, "invalid_blocks", "missing required field"},
		{"empty text", section(0), "invalid_blocks", "must be more than 0 characters"},
		{"header with mrkdwn", `{"type":"header","text":{"type":"mrkdwn","text":"x"}}`, "invalid_blocks", "must be one of: plain_text"},
		{"header too long", `{"type":"header","text":{"type":"plain_text","text":"` + strings.Repeat("x", 151) + `"}}`, "invalid_blocks", "less than 151"},
		{"button", button(`,"value":"v","style":"danger","confirm":{"title":{"type":"plain_text","text":"Sure?"},"text":{"type":"mrkdwn","text":"x"}}`), "", ""},
		{"button style", button(`,"style":"red"`), "invalid_blocks", "/style"},
		{"button value", button(`,"value":"` + strings.Repeat("v", 2001) + `"`), "invalid_blocks", "/value"},
		{"unknown property", button(`,"colour":"red"`), "invalid_blocks", "invalid additional property: colour"},
		{"confirm too long", button(`,"confirm":{"text":{"type":"plain_text","text":"` + strings.Repeat("x", 301) + `"}}`), "invalid_blocks", "confirm/text"},
		{"duplicate action_id", `{"type":"actions","elements":[{"type":"button","action_id":"a","text":{"type":"plain_text","text":"1"}},{"type":"button","action_id":"a","text":{"type":"plain_text","text":"2"}}]}`, "invalid_blocks", "already exists"},
		{"duplicate block_id", `{"type":"divider","block_id":"b"},{"type":"divider","block_id":"b"}`, "invalid_blocks", "already exists"},
		{"no elements", `{"type":"actions","elements":[]}`, "invalid_blocks", "1 to 25 items"},
		{"text input outside an input block", `{"type":"actions","elements":[{"type":"plain_text_input","action_id":"a"}]}`, "invalid_blocks", "unsupported type"},
		{"unknown type", `{"type":"hologram"}`, "invalid_blocks", "unsupported type: hologram"},
		{"alert on a message", `{"type":"alert","text":{"type":"plain_text","text":"x"}}`, "invalid_blocks", "surface"},
		{"fifty-one blocks", strings.Repeat(`{"type":"divider"},`, 50) + `{"type":"divider"}`, "invalid_blocks", "no more than 50"},
		{"plan", `{"type":"plan","title":"2 of 4","tasks":[` + task("complete") + `,` + task("in_progress") + `]}`, "", ""},
		{"plan with a wrong status", `{"type":"plan","title":"2 of 4","tasks":[` + task("completed") + `]}`, "invalid_blocks", "must be one of: pending"},
		{"two tables", `{"type":"table","rows":[[]]},{"type":"table","rows":[[]]}`, "invalid_blocks", "only one table"},
		{"markdown", `{"type":"markdown","text":"# hi"}`, "", ""},
		{"markdown too long together", `{"type":"markdown","text":"` + strings.Repeat("x", 7000) + `"},{"type":"markdown","text":"` + strings.Repeat("x", 7000) + `"}`, "invalid_blocks", "together"},
		{"all together too long", strings.TrimSuffix(strings.Repeat(section(2900)+",", 6), ","), "msg_blocks_too_long", ""},
		{"rich text", `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"x"}]}]}`, "", ""},
		{"not a list", `"`, "invalid_blocks_format", ""},
	} {
		got, _ := form(t, s, "chat.postMessage", map[string]string{"channel": sandbox.ChannelDeploys, "text": "x", "blocks": "[" + c.blocks + "]"})
		code, _ := got["error"].(string)
		if code != c.code || !strings.Contains(fmt.Sprint(got["response_metadata"]), c.says) {
			t.Errorf("%s: %v, want %s %q", c.name, got, c.code, c.says)
		}
	}
}
