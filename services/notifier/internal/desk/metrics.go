package desk

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// scope names our instruments and spans.
const scope = "github.com/slipway-hq/slipway/services/notifier"

// metrics are the notifier's numbers.
type metrics struct {
	calls       metric.Int64Counter
	duplicates  metric.Int64Counter
	adopted     metric.Int64Counter
	undelivered metric.Int64Counter
	settled     metric.Int64Counter
}

func newMetrics() *metrics {
	meter := otel.Meter(scope)
	counter := func(name, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithDescription(description))
		if err != nil { // never: the names below are valid
			return noop.Int64Counter{}
		}
		return c
	}
	return &metrics{
		calls:       counter("slipway.notifier.slack_calls", "Calls of Slack by method and outcome"),
		duplicates:  counter("slipway.notifier.possible_duplicates", "Posts repeated because Slack did not show the first"),
		adopted:     counter("slipway.notifier.adopted", "Posts of unknown outcome that were found in the history"),
		undelivered: counter("slipway.notifier.undelivered", "Messages that Slack refused for good"),
		settled:     counter("slipway.notifier.settled", "Cards that show the final state"),
	}
}

var outcomeNames = map[slackapi.Outcome]string{
	0: "ok", slackapi.Unknown: "unknown", slackapi.Unsent: "unsent", slackapi.Limited: "limited", slackapi.Refused: "refused",
}

func (m *metrics) call(ctx context.Context, method string, err error) {
	m.calls.Add(ctx, 1, metric.WithAttributes(
		attribute.String("method", method), attribute.String("outcome", outcomeNames[slackapi.OutcomeOf(err)])))
}
