package world

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// Fleet is several replicas of each service over the servers that run already;
// who is called stands behind a balancer.
type Fleet struct {
	*World
	API, Doors *Balancer
	Replicas   map[string][]*Process // by service
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
	f.Replicas[name][i] = p
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
	p := f.Replicas[name][i]
	p.Signal(syscall.SIGTERM)
	if code := p.ExitCode(); code != 0 {
		f.T.Errorf("%s %d ended with %d", name, i, code)
	}
	f.forget(name, p)
}

// Kill is kill -9 of a replica.
func (f *Fleet) Kill(name string, i int) {
	f.T.Helper()
	p := f.Replicas[name][i]
	p.Kill()
	f.forget(name, p)
}

func (f *Fleet) forget(name string, p *Process) {
	if b := f.before(name); b != nil {
		b.Remove(p.URL())
	}
}
