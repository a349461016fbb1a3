package world

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

// Fleet is several replicas of each service over the servers that run already;
// who is called stands behind a balancer.
type Fleet struct {
	*World
	API, Doors *Balancer
	Replicas   map[string][]*Process // by service

	mu sync.Mutex // Replicas, for who kills beside others
}

// At is the i-th replica of a service as it runs now, or ran last.
func (f *Fleet) At(name string, i int) *Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Replicas[name][i]
}

// Find is the replica that listens at this address.
func (f *Fleet) Find(name, address string) (at int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.Replicas[name] {
		if p != nil && strings.HasSuffix(p.URL(), address) {
			return i, true
		}
	}
	return 0, false
}

// Holder is the replica that took an office last.
func (f *Fleet) Holder(office, service string) (at int) {
	f.T.Helper()
	f.Eventually("a holder of the office "+office, func() bool {
		i, ok := f.holder(office, service)
		at = i
		return ok
	})
	return at
}

// Fleet starts n replicas of each service and waits until they serve.
func (w *World) Fleet(n int) *Fleet {
	w.T.Helper()
	f := &Fleet{World: w, API: w.Balance(), Doors: w.Balance(), Replicas: map[string][]*Process{}}
	w.api.Store(strings.TrimPrefix(f.API.URL, "http://"))
	w.Slack.SetTarget(f.Doors.URL)
	for _, name := range Services {
		for i := range n {
			f.Replicas[name] = append(f.Replicas[name], nil)
			f.Start(name, i)
		}
	}
	return f
}

// Start starts the i-th replica of a service, again with the folder that it had.
func (f *Fleet) Start(name string, i int) {
	f.T.Helper()
	var args []string
	if name == Runner {
		own := fmt.Sprintf("runner-%d", i)
		args = []string{"--data", filepath.Join(f.Dir, own), "--runner-name", own}
	}
	p := f.World.Start(name, args...)
	url := p.URL()
	f.mu.Lock()
	f.Replicas[name][i] = p
	f.mu.Unlock()
	if b := f.before(name); b != nil {
		b.Add(url)
	}
}

// before is the balancer before a service; nil: nobody calls it.
func (f *Fleet) before(name string) *Balancer {
	switch name {
	case Orchestrator:
		return f.API
	case Ingress:
		return f.Doors
	}
	return nil
}

// Stop ends a replica as an operator does. The balancer finds out by itself.
func (f *Fleet) Stop(name string, i int) {
	f.T.Helper()
	p := f.At(name, i)
	p.Signal(syscall.SIGTERM)
	if code := p.ExitCode(); code != 0 {
		f.T.Errorf("%s %d ended with %d", name, i, code)
	}
	f.forget(name, p)
}

// Kill is kill -9 of a replica.
func (f *Fleet) Kill(name string, i int) {
	f.T.Helper()
	p := f.At(name, i)
	p.Kill()
	f.forget(name, p)
}

func (f *Fleet) forget(name string, p *Process) {
	if b := f.before(name); b != nil {
		b.Remove(p.URL())
	}
}

// holder reads the office: the name of who has it ends with the number of the
// process and a nonce.
func (f *Fleet) holder(office, service string) (at int, ok bool) {
	lease := &commandv1.Lease{}
	err := f.jetstream(func(ctx context.Context, js jetstream.JetStream) error {
		kv, err := js.KeyValue(ctx, topology.BucketLeases)
		if err != nil {
			return err
		}
		entry, err := kv.Get(ctx, "office."+topology.Safe(office))
		if err != nil {
			return err
		}
		return proto.Unmarshal(entry.Value(), lease)
	})
	if err != nil {
		return 0, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.Replicas[service] {
		if strings.Contains(lease.GetHolder(), fmt.Sprintf("/%d/", p.PID())) {
			return i, true
		}
	}
	return 0, false
}
