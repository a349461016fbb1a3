package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
)

// failoverConfig has a run that is over at once, one whose first attempt hangs,
// one that can be handed on between two steps, and one for runners of their own.
const failoverConfig = `
environments: {bench: {}}
services:
  quick: {pipeline: quick}
  hang: {pipeline: hang}
  steps: {pipeline: steps}
  lost: {pipeline: lost}
pipelines:
  quick: {steps: [{name: one, run: [/bin/true]}]}
  hang: {steps: [{name: one, run: 'test $SLIPWAY_ATTEMPT -ge 2 || sleep 300'}]}
  steps: {steps: [{name: one, run: sleep 0.5}, {name: two, run: [/bin/true]}]}
  lost: {pool: lost, lane: lost, steps: [{name: one, run: 'test $SLIPWAY_ATTEMPT -ge 2 || sleep 300'}]}
pools: {lost: {}}
lanes: {lost: {concurrency: 100}}
`

// failovers is how long it takes others to go on where one has failed.
type failovers struct {
	Rounds int       `json:"rounds"`
	Rows   []*outage `json:"rows"`
}

// outage is one kind of failure, and what goes on after it.
type outage struct {
	What  string  `json:"what"`
	Until string  `json:"until"`
	Took  samples `json:"took_ms"`

	measure func(ctx context.Context, s *site, round int) (time.Duration, error)
}

// lapseRunners is how many runners of one round vanish for good.
const lapseRunners = 6

// lapseRounds: one round of runners that vanish gives so many samples and takes so
// long, that few are enough.
func lapseRounds(rounds int) int { return (rounds + 4) / 5 }

func (f *failovers) measure(ctx context.Context, p plan) (err error) {
	s, err := openSite(ctx, filepath.Join(p.Dir, "failover"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	f.Rounds = p.Failover
	const (
		kill = syscall.SIGKILL
		stop = syscall.SIGTERM
	)
	f.Rows = []*outage{
		{What: "nothing", Until: "a run that was asked for has started", measure: startUndisturbed},
		{What: "dispatcher, kill -9", Until: "a run that was asked for has started", measure: dispatcherFails(kill)},
		{What: "dispatcher, stopped", Until: "a run that was asked for has started", measure: dispatcherFails(stop)},
		{What: "nothing", Until: "a card is there", measure: cardUndisturbed},
		{What: "notifier, kill -9", Until: "a card is there", measure: notifierFails(kill)},
		{What: "notifier, stopped", Until: "a card is there", measure: notifierFails(stop)},
		{What: "runner, kill -9, started again", Until: "its step runs again", measure: runnerFails},
		{What: "runner, stopped", Until: "from the end of its step to the next one elsewhere", measure: runnerStops},
		{What: "NATS server that leads EVENTS, kill -9", Until: "a command is accepted", measure: leaderFails(kill)},
		{What: "NATS server that leads EVENTS, stopped", Until: "a command is accepted", measure: leaderFails(stop)},
	}
	for i := range p.Failover {
		for _, o := range f.Rows {
			if !strings.HasPrefix(o.What, p.Fails) {
				continue
			}
			took, err := o.measure(ctx, s, i)
			if err != nil {
				return fmt.Errorf("%s: %w", o.What, err)
			}
			o.Took.add(took)
			fmt.Fprintf(os.Stderr, "round %d: %s: %s\n", i+1, o.What, took.Round(time.Millisecond))
		}
	}
	lost := &outage{What: "runner, kill -9, its machine gone", Until: "its step runs again elsewhere"}
	f.Rows = append(f.Rows, lost)
	for range lapseRounds(p.Failover) {
		if !strings.HasPrefix(lost.What, p.Fails) {
			break
		}
		if err := s.runnersVanish(ctx, &lost.Took); err != nil {
			return fmt.Errorf("%s: %w", lost.What, err)
		}
	}
	return nil
}

func started(r *apiv1.Run) bool { return r.GetStarted() != nil }

// startedAfter asks for a run at an orchestrator and waits until it has started.
func (s *site) startedAfter(ctx context.Context, at *daemon, begin time.Time) (time.Duration, error) {
	run, err := s.ask(ctx, at, "quick", rand.Text())
	if err != nil {
		return 0, err
	}
	_, err = s.await(ctx, at, run.GetId(), "its start", started)
	return time.Since(begin), err
}

func startUndisturbed(ctx context.Context, s *site, _ int) (time.Duration, error) {
	return s.startedAfter(ctx, s.services[cmdOrchestrator][0], time.Now())
}

// dispatcherFails ends the orchestrator that dispatches, and asks another one.
func dispatcherFails(signal syscall.Signal) func(context.Context, *site, int) (time.Duration, error) {
	return func(ctx context.Context, s *site, _ int) (time.Duration, error) {
		at, err := s.holder(ctx, "dispatcher", cmdOrchestrator)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		victim := s.services[cmdOrchestrator][at]
		victim.end(signal)
		took, err := s.startedAfter(ctx, s.services[cmdOrchestrator][(at+1)%replicas], begin)
		if err != nil {
			return 0, err
		}
		<-victim.gone
		return took, s.start(ctx, cmdOrchestrator, at)
	}
}

// rooms are where people ask, in turn: each takes a message a second, which is
// Slack's pace and no fail-over.
var rooms = []string{sandbox.ChannelDeploys, sandbox.ChannelGeneral, sandbox.ChannelPrivate, sandbox.DM(sandbox.UserRequester)}

// card asks in Slack and waits for the card.
func (s *site) card(ctx context.Context, begin time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	version, channel := rand.Text(), rooms[s.cards%len(rooms)]
	s.cards++
	if _, err := s.slack.SlashCommand(ctx, sandbox.UserRequester, channel, "/deploy", "quick@"+version+" to "+environment); err != nil {
		return 0, err
	}
	err := s.slack.Wait(ctx, func(state sandbox.State) bool {
		for _, m := range s.slack.AllMessages(channel) {
			if json.Valid(m.Metadata) && strings.Contains(m.Visible(), version) {
				return true
			}
		}
		return false
	})
	return time.Since(begin), err
}

func cardUndisturbed(ctx context.Context, s *site, _ int) (time.Duration, error) {
	return s.card(ctx, time.Now())
}

// notifierFails ends the notifier that works.
func notifierFails(signal syscall.Signal) func(context.Context, *site, int) (time.Duration, error) {
	return func(ctx context.Context, s *site, _ int) (time.Duration, error) {
		at, err := s.holder(ctx, "notifier", cmdNotifier)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		victim := s.services[cmdNotifier][at]
		victim.end(signal)
		took, err := s.card(ctx, begin)
		if err != nil {
			return 0, err
		}
		<-victim.gone
		return took, s.start(ctx, cmdNotifier, at)
	}
}

// held starts a run and returns it once a runner executes it, and whose it is.
func (s *site) held(ctx context.Context, service string) (*apiv1.Run, int, error) {
	at := s.services[cmdOrchestrator][0]
	run, err := s.ask(ctx, at, service, rand.Text())
	if err != nil {
		return nil, 0, err
	}
	if run, err = s.await(ctx, at, run.GetId(), "its start", started); err != nil {
		return nil, 0, err
	}
	i, err := s.runner(run.GetRunner())
	return run, i, err
}

// runner is the index of the runner with an id, which is in its folder.
func (s *site) runner(id string) (int, error) {
	for i := range replicas {
		if text, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprint("r", i), "id")); err == nil && strings.TrimSpace(string(text)) == id {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no runner has the id %s", id)
}

func ended(r *apiv1.Run) bool { return r.GetFinished() != nil }

// runnerFails kills a runner and starts it again at once.
func runnerFails(ctx context.Context, s *site, _ int) (time.Duration, error) {
	run, i, err := s.held(ctx, "hang")
	if err != nil {
		return 0, err
	}
	victim, begin := s.services[cmdRunner][i], time.Now()
	victim.end(syscall.SIGKILL)
	<-victim.gone
	if err := s.start(ctx, cmdRunner, i); err != nil {
		return 0, err
	}
	at := s.services[cmdOrchestrator][0]
	if _, err := s.await(ctx, at, run.GetId(), "its end", ended); err != nil {
		return 0, err
	}
	when, err := s.lastAttempt(ctx, at, run.GetId())
	return when.Sub(begin), err
}

// lastAttempt is when the last attempt of a run's steps began.
func (s *site) lastAttempt(ctx context.Context, at *daemon, id string) (when time.Time, err error) {
	answer, err := at.runs.GetRunEvents(ctx, &apiv1.GetRunEventsRequest{Id: id})
	for _, e := range answer.GetEvents() {
		if e.GetName() == "StepStarted" {
			when = e.GetTime().AsTime()
		}
	}
	return when, err
}

// runnerStops stops a runner in the middle of a step; what it holds is handed on
// when that is over.
func runnerStops(ctx context.Context, s *site, _ int) (time.Duration, error) {
	run, i, err := s.held(ctx, "steps")
	if err != nil {
		return 0, err
	}
	victim := s.services[cmdRunner][i]
	victim.end(syscall.SIGTERM)
	if run, err = s.await(ctx, s.services[cmdOrchestrator][0], run.GetId(), "its end", ended); err != nil {
		return 0, err
	}
	<-victim.gone
	steps := run.GetSteps()
	return steps[1].GetStarted().AsTime().Sub(steps[0].GetFinished().AsTime()), s.start(ctx, cmdRunner, i)
}

// leaderFails ends the server that leads the log, and asks an orchestrator.
func leaderFails(signal syscall.Signal) func(context.Context, *site, int) (time.Duration, error) {
	return func(ctx context.Context, s *site, round int) (time.Duration, error) {
		if err := s.servers.whole(ctx, false); err != nil {
			return 0, err
		}
		i, err := s.servers.leader(ctx, s.js, topology.StreamEvents)
		if err != nil {
			return 0, err
		}
		begin := time.Now()
		if err := s.servers.nodes[i].cmd.Process.Signal(signal); err != nil {
			return 0, err
		}
		_, err = s.ask(ctx, s.services[cmdOrchestrator][round%replicas], "quick", rand.Text())
		took := time.Since(begin)
		if err != nil {
			return 0, err
		}
		_ = s.servers.nodes[i].cmd.Wait() // it was told to end
		if err := s.servers.again(ctx, i); err != nil {
			return 0, err
		}
		return took, s.servers.whole(ctx, false)
	}
}

// runnersVanish kills runners that are not started again: their leases have to
// run out before somebody else may go on.
func (s *site) runnersVanish(ctx context.Context, took *samples) error {
	at := s.services[cmdOrchestrator][0]
	killed := map[string]time.Time{}
	for i := range lapseRunners {
		d, err := s.launch(ctx, cmdRunner, s.runnerArgs("lost-"+rand.Text(), "--runner-pools", "lost", "--runner-capacity", "1")...)
		if err != nil {
			return err
		}
		s.services["lost"] = append(s.services["lost"], d)
		run, err := s.ask(ctx, at, "lost", rand.Text())
		if err != nil {
			return err
		}
		if _, err := s.await(ctx, at, run.GetId(), "its start", started); err != nil {
			return err
		}
		if i > 0 { // somewhere between two renewals of the lease
			<-time.After(time.Duration(i) * 300 * time.Millisecond)
		}
		killed[run.GetId()] = time.Now()
		d.end(syscall.SIGKILL)
		<-d.gone
	}
	other, err := s.launch(ctx, cmdRunner, s.runnerArgs("other", "--runner-pools", "lost", "--runner-capacity", "100")...)
	if err != nil {
		return err
	}
	s.services["lost"] = append(s.services["lost"], other)
	for id, begin := range killed {
		if _, err := s.await(ctx, at, id, "its end", ended); err != nil {
			return err
		}
		when, err := s.lastAttempt(ctx, at, id)
		if err != nil {
			return err
		}
		took.add(when.Sub(begin))
	}
	other.end(syscall.SIGTERM)
	<-other.gone
	return nil
}

func (f *failovers) markdown() string {
	if f.Rounds == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nFail-over with three of each service and three NATS servers (R3), all on this machine; ms from the signal.\n\n")
	b.WriteString("| what fails | until | n | min | p50 | p90 | max |\n|---|---|---|---|---|---|---|\n")
	for _, o := range f.Rows {
		if len(o.Took) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %.0f | %.0f | %.0f | %.0f |\n", o.What, o.Until, len(o.Took), o.Took.quantile(0), o.Took.quantile(0.5), o.Took.quantile(0.9), o.Took.quantile(1))
	}
	return b.String()
}
