package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

const (
	// maxOutput is how much of a report is read and passed on; the logs have all.
	maxOutput = 4 << 20
	// readTimeout bounds the reading of it.
	readTimeout = 20 * time.Second
)

// ErrGone: there is no such object, or no longer.
var ErrGone = errors.New("the output is gone")

// Objects holds what runs printed, as far as it is too long for the log.
type Objects interface {
	// Head returns at most limit bytes of an object, or ErrGone.
	Head(ctx context.Context, name string, limit int64) ([]byte, error)
}

// bucketObjects reads the bucket OBJECTS.
type bucketObjects struct{ js jetstream.JetStream }

// NewObjects reads from the bucket OBJECTS, which is opened when it is needed.
func NewObjects(js jetstream.JetStream) Objects { return &bucketObjects{js: js} }

func (o *bucketObjects) Head(ctx context.Context, name string, limit int64) ([]byte, error) {
	store, err := topology.Objects(ctx, o.js)
	if err != nil {
		return nil, err
	}
	object, err := store.Get(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	defer func() { _ = object.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(object, limit))
	if err != nil {
		return nil, fmt.Errorf("read output: %w", err)
	}
	return data, nil
}

// kept is the output that was read last: one alone, since each may be large and
// many may wait for Slack.
type kept struct {
	run    string
	output card.Output
}

// readOutput is what the last step of a result printed.
func (d *Desk) readOutput(ctx context.Context, s *run.State) (card.Output, error) {
	n := len(s.Steps)
	if n == 0 || s.Status != run.Succeeded || !s.Plan.GetReport().GetStdout() {
		return card.Output{}, nil
	}
	last := &s.Steps[n-1]
	o := card.Output{Data: last.Stdout, Size: max(last.StdoutBytes, uint64(len(last.Stdout)))}
	switch {
	case last.StdoutObject == "":
		if len(o.Data) == 0 && o.Size > 0 {
			o.Lost = "its output could not be kept"
		}
		return o, nil
	case d.kept.run == s.ID:
		return d.kept.output, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	data, err := d.objects.Head(ctx, last.StdoutObject, maxOutput)
	switch {
	case errors.Is(err, ErrGone):
		o.Lost = "its output is no longer kept"
	case err != nil:
		return card.Output{}, err
	}
	o.Data, o.Size = data, max(o.Size, uint64(len(data)))
	d.kept = kept{run: s.ID, output: o}
	return o, nil
}
