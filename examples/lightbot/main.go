// Lightbot is an example for authors of bots: any number of replicas of one small
// Slack bot that toggles one light when somebody says "light". Every replica hears
// every message, one acts and says which, and another takes over when it dies: see
// README.md here, and package claim, which does it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hq/slipway/claim"
)

// settings of one replica. The tokens come from the environment alone.
type settings struct {
	nats, name, channel string
	replicas            int
	lease, think        time.Duration
}

func main() {
	host, _ := os.Hostname() // a name for people; without one the process id has to do
	var s settings
	flag.StringVar(&s.nats, "nats", cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), "address of the NATS server or servers")
	flag.StringVar(&s.name, "name", fmt.Sprintf("%s/%d", host, os.Getpid()), "what this replica calls itself")
	flag.StringVar(&s.channel, "channel", "", "id of the channel in which the keeper of the light introduces itself; empty: nowhere")
	flag.IntVar(&s.replicas, "replicas", 1, "copies that NATS keeps: 3 in a cluster of three")
	flag.DurationVar(&s.lease, "lease", claim.DefaultLease, "how long others wait for a dead replica")
	flag.DurationVar(&s.think, "think", 0, "how long to think before acting, which leaves time to kill the one that acts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil && ctx.Err() == nil {
		stop()
		log.Fatalf("lightbot: %v", err)
	}
}

func run(ctx context.Context, s settings) error {
	nc, err := nats.Connect(s.nats, nats.Name("lightbot "+s.name), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	guard, err := claim.Open(ctx, js, claim.Options{Bucket: "lightbot-claims", Holder: s.name, Lease: s.lease, Replicas: s.replicas})
	if err != nil {
		return err
	}
	ear, err := openEar(ctx, js, s.replicas)
	if err != nil {
		return err
	}
	light, err := openLight(ctx, js, s.replicas)
	if err != nil {
		return err
	}
	api, err := client()
	if err != nil {
		return err
	}
	bot := &bot{settings: s, guard: guard, light: light, api: api}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		return listen(ctx, socketmode.New(api, socketmode.OptionLog(log.New(io.Discard, "", 0))), ear)
	})
	all.Go(func() error { return ear.follow(ctx, bot.hear) })
	all.Go(func() error { return guard.Role(ctx, "keeper", bot.keep) })
	return all.Wait()
}

// client speaks to Slack, or to its stand-in when SLACK_API_URL names one.
func client() (*slack.Client, error) {
	bot, app := os.Getenv("SLACK_BOT_TOKEN"), os.Getenv("SLACK_APP_TOKEN")
	if bot == "" || app == "" {
		return nil, errors.New("set SLACK_BOT_TOKEN and SLACK_APP_TOKEN")
	}
	options := []slack.Option{slack.OptionAppLevelToken(app)}
	if url := os.Getenv("SLACK_API_URL"); url != "" {
		options = append(options, slack.OptionAPIURL(url))
	}
	return slack.New(bot, options...), nil
}
