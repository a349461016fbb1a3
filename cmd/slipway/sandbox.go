package main

import (
	"context"
	"net/url"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/sandbox"
)

// SandboxCmd runs the stand-in for Slack alone.
type SandboxCmd struct {
	Listen settings.Address `env:"SLIPWAY_SANDBOX_LISTEN" default:"127.0.0.1:8065" help:"Address of the page and of the Web API."`
	Target string           `default:"http://127.0.0.1:8080" placeholder:"URL" help:"Where the app's doors are: /slack/commands and so on."`
	Socket bool             `help:"Deliver over Socket Mode instead of HTTP."`
}

// Help shows examples.
func (SandboxCmd) Help() string {
	return "A simulation for development: it is not Slack and nothing leaves this machine. Its tokens are taken from SLACK_SIGNING_SECRET, SLACK_BOT_TOKEN and SLACK_APP_TOKEN (or _FILE), and made up otherwise; what an app needs is printed.\n\nExamples:\n\n  slipway sandbox --target http://127.0.0.1:8080"
}

// Run serves until Ctrl-C.
func (s *SandboxCmd) Run(g *Globals) error {
	if !s.Listen.Loopback() {
		return &failure{code: exitUsage, message: "the sandbox shows everything to everybody who reaches it, so it listens on this machine only", next: "use --listen 127.0.0.1:PORT"}
	}
	if u, err := url.Parse(s.Target); err != nil || u.Host == "" {
		return &failure{code: exitUsage, message: "--target is not a URL", next: "write --target http://HOST:PORT"}
	}
	cfg, err := s.config(g)
	if err != nil {
		return err
	}
	server, err := sandbox.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	if err := server.Start(ctx); err != nil {
		return &failure{code: exitFailed, message: err.Error(), next: "choose another address with --listen"}
	}
	if err := s.tell(g, server); err != nil {
		_ = server.Close() // the first error is the one to tell
		return err
	}
	<-ctx.Done()
	return server.Close()
}

func (s *SandboxCmd) config(g *Globals) (sandbox.Config, error) {
	cfg := sandbox.Config{Listen: string(s.Listen), Target: s.Target, Logger: g.log}
	if s.Socket {
		cfg.Delivery = sandbox.Socket
	}
	for name, into := range map[string]*string{"SLACK_SIGNING_SECRET": &cfg.SigningSecret, "SLACK_BOT_TOKEN": &cfg.BotToken, "SLACK_APP_TOKEN": &cfg.AppToken} {
		secret, _, err := settings.LookupSecret(name)
		if err != nil {
			return cfg, &failure{code: exitUsage, message: err.Error()}
		}
		*into = string(secret)
	}
	return cfg, nil
}

// tell prints where the page is and what an app needs. The tokens that were made
// up here open this simulation only; those that were given are not repeated.
func (s *SandboxCmd) tell(g *Globals, server *sandbox.Server) error {
	if g.JSON {
		return g.printJSON(map[string]string{"url": server.URL(), "api_url": server.APIURL()})
	}
	g.printf("the sandbox, a simulation of Slack: %s\n\n", g.outPaint().in(bold, server.URL()))
	g.printf("an app on this machine reaches it with\n  export SLACK_API_URL=%s\n", server.APIURL())
	for _, v := range [][2]string{{"SLACK_BOT_TOKEN", server.BotToken()}, {"SLACK_SIGNING_SECRET", server.SigningSecret()}, {"SLACK_APP_TOKEN", server.AppToken()}} {
		if _, given, _ := settings.LookupSecret(v[0]); !given { // an error was reported before
			g.printf("  export %s=%s\n", v[0], v[1])
		}
	}
	return nil
}
