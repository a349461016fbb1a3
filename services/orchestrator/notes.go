package orchestrator

import (
	"context"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/topology"
)

// note stores what a running job says of its own. Its address was proof that it
// may; what it may say, and how often, the run decides.
func (c *clerk) note(ctx context.Context, e *commandv1.Envelope) (*commandv1.Answer, error) {
	n := e.GetNote()
	h, err := engine.Open(ctx, c.desk.log, topology.RunSubject(n.GetRun()), run.State{}, foldRun)
	if err != nil {
		return nil, err
	}
	who := asker{principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "job"}, command: e.GetIdentity()}
	words := run.Say{ID: n.GetId(), Text: n.GetText(), Format: n.GetFormat()}
	if e.GetReceived() != nil {
		words.Received = e.GetReceived().AsTime()
	}
	if _, err := c.desk.do(ctx, h, who, words); err != nil {
		refusal, ok := refusalOf(err)
		if !ok {
			return nil, err
		}
		c.desk.logger.Warn("a job's message was refused", "run", n.GetRun(), "code", refusal.Code, "reason", refusal.Sentence)
		return refusalAnswer(refusal.Code, refusal.Sentence, nil), nil
	}
	return private("", "Stored."), nil
}
