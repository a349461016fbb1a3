package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// maxObeyed is how many commands a light remembers: far more than can be under way.
const maxObeyed = 100

// light is a light that can be reached from every replica. It is what work changes
// in the world, and it does what every such thing has to do: it obeys a command
// once, however often it comes, for a holder may die between its work and Done.
type light struct {
	kv jetstream.KeyValue
}

// state of the light, and the commands that it obeyed last.
type state struct {
	On      bool     `json:"on"`
	Toggles int      `json:"toggles"`
	Obeyed  []obeyed `json:"obeyed"`
}

// obeyed is one command: after it, the light was On.
type obeyed struct {
	Key   string `json:"key"`
	Fence uint64 `json:"fence"`
	By    string `json:"by"`
	On    bool   `json:"on"`
}

func openLight(ctx context.Context, js jetstream.JetStream, replicas int) (*light, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "lightbot", Replicas: replicas})
	if err != nil {
		return nil, fmt.Errorf("open the light: %w", err)
	}
	return &light{kv}, nil
}

// toggle obeys a command and tells what came of it, now or when it came before.
func (l *light) toggle(ctx context.Context, command obeyed) (obeyed, error) {
	for {
		now, revision, err := l.state(ctx)
		if err != nil {
			return obeyed{}, err
		}
		if i := slices.IndexFunc(now.Obeyed, func(o obeyed) bool { return o.Key == command.Key }); i >= 0 {
			return now.Obeyed[i], nil
		}
		now.On, now.Toggles = !now.On, now.Toggles+1
		command.On = now.On
		now.Obeyed = append(now.Obeyed[max(0, len(now.Obeyed)+1-maxObeyed):], command)
		data, err := json.Marshal(now)
		if err != nil {
			return obeyed{}, err
		}
		_, err = l.kv.Update(ctx, "light", data, revision)
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return command, err
		}
	}
}

func (l *light) state(ctx context.Context) (state, uint64, error) {
	var s state
	entry, err := l.kv.Get(ctx, "light")
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return s, 0, nil
	}
	if err != nil {
		return s, 0, fmt.Errorf("look at the light: %w", err)
	}
	return s, entry.Revision(), json.Unmarshal(entry.Value(), &s)
}
