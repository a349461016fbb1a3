package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// adopted is the configuration in force.
type adopted struct {
	config   pipeline.Config
	digest   string
	sequence uint64
	origin   string
	phrases  map[string]phrasebook // by namespace
}

// settings are the lane limits of the configuration in force; nil for a lane
// that it does not name.
func (a *adopted) settings(lane string) *eventv1.LaneSettings {
	if a == nil {
		return nil
	}
	return a.config.LaneSettings(lane)
}

// rule is who may start something in an environment.
func (a *adopted) rule(environment string) policy.Rule {
	e := a.config.Environments[environment]
	return policy.Rule{Environment: environment, Protected: e.Protected, Users: e.Allow.Users, Channels: e.Allow.Channels}
}

// maxInline is the largest configuration that goes into the log itself; a
// larger one goes to the object store by its digest.
const maxInline = 32 << 10

// configDigests is the state of the configuration's aggregate: what was adopted
// last.
type configDigests struct {
	digest   string
	sequence uint64
}

func foldConfig(s configDigests, rec eventlog.Record) configDigests {
	for _, e := range rec.Commit.GetEvents() {
		if a := e.GetConfigAdopted(); a != nil {
			s.digest, s.sequence = a.GetDigest(), rec.Sequence
		}
	}
	return s
}

// adopt puts a valid configuration into the log, unless it is the one in force.
// It returns the sequence of its adoption.
func adopt(ctx context.Context, log eventlog.Log, objects jetstream.ObjectStore, file *configfile.File, now time.Time) (uint64, error) {
	event := &eventv1.ConfigAdopted{Digest: file.Digest, Origin: file.Name}
	if len(file.Raw) <= maxInline {
		event.Content = file.Raw
	} else if _, err := objects.PutBytes(ctx, configObject(file.Digest), file.Raw); err != nil {
		return 0, fmt.Errorf("store configuration %s: %w", file.Name, err)
	}
	h, err := engine.Open(ctx, log, topology.SubjectConfig, configDigests{}, foldConfig)
	if err != nil {
		return 0, fmt.Errorf("load the adopted configuration: %w", err)
	}
	res, err := h.Do(ctx, engine.Meta{Actor: configActor, Time: now}, func(s configDigests) ([]*eventv1.Event, error) {
		if s.digest == file.Digest {
			return nil, nil
		}
		return []*eventv1.Event{{Kind: &eventv1.Event_ConfigAdopted{ConfigAdopted: event}}}, nil
	})
	if err != nil {
		return 0, fmt.Errorf("adopt configuration %s: %w", file.Name, err)
	}
	return res.State.sequence, nil
}

var configActor = &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "configuration"}

func configObject(digest string) string { return "config/" + digest }

// errForeignConfig: the log holds a configuration that this binary cannot read.
var errForeignConfig = errors.New("the adopted configuration cannot be read by this version")

// parseAdopted reads the configuration that the log names.
func parseAdopted(ctx context.Context, objects jetstream.ObjectStore, c board.Config) (*adopted, error) {
	content := c.Content
	if len(content) == 0 {
		var err error
		if content, err = objects.GetBytes(ctx, configObject(c.Digest)); err != nil {
			return nil, fmt.Errorf("fetch configuration %s: %w", c.Digest, err)
		}
	}
	cfg, problems := configfile.Parse(c.Origin, content)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%w: %s", errForeignConfig, problems[0])
	}
	return newAdopted(cfg, c), nil
}

func newAdopted(cfg pipeline.Config, c board.Config) *adopted {
	a := &adopted{config: cfg, digest: c.Digest, sequence: c.Sequence, origin: c.Origin, phrases: map[string]phrasebook{}}
	for name, ns := range cfg.Namespaces {
		a.phrases[name] = newPhrasebook(ns)
	}
	return a
}
