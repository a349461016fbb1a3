package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
)

// slash sends one signed slash command, as Slack does, and returns when it is
// acknowledged: then it is durable, and its first answer was given.
func (p *process) slash(ctx context.Context, slack *sandbox.Server, service string) error {
	ctx, cancel := context.WithTimeout(ctx, quickly)
	defer cancel()
	body := url.Values{
		"team_id": {sandbox.TeamID}, "channel_id": {sandbox.ChannelDeploys}, "user_id": {sandbox.UserRequester},
		"command": {"/deploy"}, "text": {service + " to " + environment}, "trigger_id": {rand.Text()},
	}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/slack/commands", strings.NewReader(body))
	if err != nil {
		return err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Slack-Request-Timestamp", at)
	r.Header.Set("X-Slack-Signature", sandbox.Sign(slack.SigningSecret(), at, []byte(body)))
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !strings.Contains(string(text), "d-")) {
		err = fmt.Errorf("not accepted: %s: %s", answer.Status, text)
	}
	return err
}
