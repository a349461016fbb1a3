package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/settings"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

func TestConfigurationsThatDoNotStart(t *testing.T) {
	conn := natsnodetest.Connect(t, natsnodetest.One(t)).Conn()
	for name, c := range map[string]struct {
		cfg  ingress.Config
		want error
	}{
		"nothing":              {ingress.Config{}, ingress.ErrNoDoor},
		"only a bot token":     {ingress.Config{BotToken: secret("xoxb-x")}, ingress.ErrNoDoor},
		"empty signing secret": {ingress.Config{SigningSecret: secret("")}, ingress.ErrEmptySecret},
		"blank signing secret": {ingress.Config{SigningSecret: secret(" "), AppToken: secret("xapp-x")}, ingress.ErrEmptySecret},
		"empty second secret":  {ingress.Config{SigningSecret: secret("x"), SecondSigningSecret: secret("")}, ingress.ErrEmptySecret},
		"empty app token":      {ingress.Config{SigningSecret: secret("x"), AppToken: secret("")}, ingress.ErrEmptySecret},
	} {
		if _, err := ingress.New(c.cfg, ingress.Deps{Conn: conn}); !errors.Is(err, c.want) {
			t.Errorf("%s: New = %v, want %v", name, err, c.want)
		}
	}
	if _, err := ingress.New(ingress.Config{SigningSecret: secret("x"), APIURL: "ftp://x"}, ingress.Deps{Conn: conn}); err == nil {
		t.Error("an API URL of another scheme was taken")
	}
}

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	for _, name := range []string{"SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "SLACK_API_URL"} {
		t.Setenv(name, "http://"+name)
	}
	t.Setenv("SLACK_SIGNING_SECRET", "")
	var cfg ingress.Config
	parser, err := kong.New(&cfg, settings.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	if cfg.SigningSecret == nil || *cfg.SigningSecret != "" || cfg.SecondSigningSecret != nil {
		t.Errorf("set but empty must differ from unset: %v, %v", cfg.SigningSecret, cfg.SecondSigningSecret)
	}
	if *cfg.AppToken != "http://SLACK_APP_TOKEN" || *cfg.BotToken != "http://SLACK_BOT_TOKEN" || cfg.APIURL != "http://SLACK_API_URL" || cfg.DeployCommand != "/deploy" {
		t.Errorf("got %+v", cfg)
	}
	if data, _ := json.Marshal(cfg); bytes.Contains(data, []byte("SLACK_APP_TOKEN")) || strings.Contains(fmt.Sprintf("%+v %v", *cfg.AppToken, *cfg.BotToken), "http") {
		t.Error("a secret shows itself")
	}
}

func TestHandlerIsClosedBeforeAndAfterRunning(t *testing.T) {
	conn := natsnodetest.Connect(t, natsnodetest.One(t)).Conn()
	svc, err := ingress.New(ingress.Config{SigningSecret: secret("x")}, ingress.Deps{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		rec := httptest.NewRecorder()
		svc.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/slack/events", strings.NewReader("{}")))
		if rec.Code != http.StatusServiceUnavailable {
			t.Errorf("%s running: %d", when, rec.Code)
		}
	}
	check("before")
	ctx, cancel := context.WithCancel(context.Background())
	if err := svc.Run(ctx, cancel); err != nil {
		t.Fatal(err)
	}
	check("after")
}
