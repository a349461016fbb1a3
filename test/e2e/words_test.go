package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestAWrongTokenIsSaidAndHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Unset("SLACK_BOT_TOKEN"), world.Env("SLIPWAY_CARD_TICK", "1s"))
	w.Configure(w.Pipelines(three(w)))
	p := w.Up("--slack-bot-token", "xoxb-wrong")
	p.Said("invalid_auth")
	w.Succeeded(w.Deploy("web", "staging", "", ""))
}

func TestWhereTheBotIsNoMemberTheRequesterIsTold(t *testing.T) {
	w := up(t, three)
	d, err := w.Slack.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelRandom, "/deploy", "web to staging")
	if err != nil {
		t.Fatal(err)
	}
	w.Succeeded(w.Get(world.IDIn(d.Body)).GetId())
	ctx, cancel := context.WithTimeout(t.Context(), world.Patience)
	defer cancel()
	err = w.Slack.Wait(ctx, func(s sandbox.State) bool {
		told := append(s.Messages(sandbox.ChannelRandom), s.Messages(sandbox.DM(sandbox.UserRequester))...)
		told = append(told, s.Ephemerals(sandbox.UserRequester, sandbox.ChannelRandom)...)
		return slices.ContainsFunc(told, func(m sandbox.Message) bool { return m.BotID != "" && strings.Contains(m.Visible(), "cannot show") })
	})
	if err != nil {
		t.Errorf("nobody was told: %v", w.Slack.Journal())
	}
}

func TestWithoutGoTheExampleSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", withoutGo(t))
	dir := t.TempDir()
	p := world.Alone(t, dir)
	p.Said("the example cannot be built here")
	line := p.Said("  API      http://")
	server := strings.Fields(strings.TrimPrefix(line, "API"))[0]
	run := world.Command(t, dir, "deploy", "hello", "to", "staging", "--wait", "--server", server)
	if code := run.ExitCode(); code == 0 || !strings.Contains(run.Output(), "go.dev/dl") {
		t.Errorf("deploy ended with %d: %s", code, run.Output())
	}
}

// withoutGo is a folder with every usual program but Go.
func withoutGo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range []string{"/bin", "/usr/bin"} {
		programs, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range programs {
			if p.Name() == "go" {
				continue
			}
			if err := os.Symlink(filepath.Join(from, p.Name()), filepath.Join(dir, p.Name())); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
		}
	}
	return dir
}
