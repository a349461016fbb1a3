package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/webhook"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// configLag is how long a delivery waits for a configuration that knows what the
// door's knew: both watch the same file, and the door may be a look ahead.
const configLag = 15 * time.Second

// delivery starts the jobs whose rules fit a webhook's delivery, by the
// configuration in force. Each has a run of its own, the same for every time
// that the delivery comes.
func (c *clerk) delivery(ctx context.Context, e *commandv1.Envelope) (*commandv1.Answer, error) {
	d := e.GetDelivery()
	cfg := c.desk.config()
	if cfg == nil {
		return nil, fmt.Errorf("start the jobs of a delivery: no configuration yet: %w", eventlog.ErrUnavailable)
	}
	at, ok := webhook.Named(cfg.config, d.GetNamespace(), d.GetWebhook())
	starts, why := webhook.Evaluate(at.Webhook, factsOf(d))
	if !ok {
		why = []string{fmt.Sprintf("the webhook %s/%s is not in the configuration", d.GetNamespace(), d.GetWebhook())}
	}
	if len(starts) == 0 || behind(d, starts) {
		if c.now().Sub(e.GetReceived().AsTime()) < configLag {
			return nil, fmt.Errorf("start the jobs of a delivery: the configuration is behind its door's: %w", eventlog.ErrUnavailable)
		}
	}
	if len(starts) == 0 {
		c.desk.logger.Warn("a delivery that was accepted starts nothing", "identity", e.GetIdentity(), "why", strings.Join(why, "; "))
		return private("E-WEBHOOK-IGNORED", strings.Join(why, "; ")), nil
	}
	who := c.sender(e, at, cmp.Or(at.Webhook.Channel, cfg.config.Namespaces[at.Namespace].DefaultChannel))
	var said []string
	for _, s := range starts {
		line, err := c.startRule(ctx, e, who, at.Namespace, s)
		if err != nil {
			return nil, err
		}
		said = append(said, line)
	}
	return private("", strings.Join(said, "; ")), nil
}

// behind tells whether the door knew of a rule that fits and is not known here.
func behind(d *commandv1.Delivery, starts []webhook.Start) bool {
	for _, index := range d.GetRules() {
		if !slices.ContainsFunc(starts, func(s webhook.Start) bool { return s.Index == int(index) }) {
			return true
		}
	}
	return false
}

// startRule starts one job. A refusal is recorded as the run's end, and no error.
func (c *clerk) startRule(ctx context.Context, e *commandv1.Envelope, who asker, namespace string, s webhook.Start) (string, error) {
	st, err := c.desk.startJob(ctx, who, jobWish{
		identity: webhook.RunIdentity(e.GetIdentity(), s.Index), namespace: namespace, job: s.Rule.Job,
		parameters: s.Params, delay: s.Rule.Delay, record: true,
	})
	refusal, refused := refusalOf(err)
	switch {
	case refused:
		c.desk.logger.Warn("a webhook's job was refused", "identity", e.GetIdentity(), "job", namespace+"/"+s.Rule.Job, "code", refusal.Code, "reason", refusal.Sentence)
		return s.Rule.Job + " was refused: " + refusal.Sentence, nil
	case err != nil:
		return "", fmt.Errorf("start %s/%s for a delivery: %w", namespace, s.Rule.Job, err)
	}
	if s.Why != "" {
		c.desk.logger.Info("a webhook's rule fits without being certain", "run", st.ID, "why", s.Why)
	}
	return "started " + s.Rule.Job + " as " + st.ID, nil
}

// sender is who stands behind a delivery: nobody in person. That it may start
// the job was decided by whoever wrote the rule and gave the secret away.
func (c *clerk) sender(e *commandv1.Envelope, at webhook.Address, channel string) asker {
	return asker{
		principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "webhook:" + at.Source()},
		subject:   policy.Subject{Kind: policy.KindSystem},
		origin: &eventv1.Origin{
			Door: eventv1.Origin_DOOR_WEBHOOK, Team: e.GetOrigin().GetTeam(), Channel: channel, Source: at.Source(), Url: e.GetDelivery().GetUrl(),
		},
		command: e.GetIdentity(),
	}
}

func factsOf(d *commandv1.Delivery) webhook.Facts {
	return webhook.Facts{
		Known: d.GetFacts(), Fields: d.GetFields(), URL: d.GetUrl(),
		Paths: d.GetPaths(), PathsCut: d.GetPathsCut(), PathsKnown: len(d.GetPaths()) > 0 || d.GetPathsCut(),
	}
}
