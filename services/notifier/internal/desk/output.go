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

// readOutput reads what the last step of the result printed, once.
func (d *Desk) readOutput(ctx context.Context, t *track) error {
	s := &t.result().State
	if t.job.output != nil {
		return nil
	}
	o := card.Output{}
	if n := len(s.Steps); n > 0 && s.Status == run.Succeeded && s.Plan.GetReport().GetStdout() {
		last := &s.Steps[n-1]
		o.Data, o.Size = last.Stdout, max(last.StdoutBytes, uint64(len(last.Stdout)))
		switch {
		case last.StdoutObject != "":
			ctx, cancel := context.WithTimeout(ctx, readTimeout)
			defer cancel()
			data, err := d.objects.Head(ctx, last.StdoutObject, maxOutput)
			if err != nil && !errors.Is(err, ErrGone) {
				return err
			}
			if err != nil {
				o.Lost = "its output is no longer kept"
			}
			o.Data, o.Size = data, max(o.Size, uint64(len(data)))
		case len(last.Stdout) == 0 && last.StdoutBytes > 0:
			o.Lost = "its output could not be kept"
		}
	}
	t.job.output = &o
	return nil
}
