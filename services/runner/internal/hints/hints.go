// Package hints pulls the hints of runner pools from WORK. A hint only says
// that a look is worth while; what may be done is in the log. Hints are taken
// no faster than there is room for them, and the stream and the consumers are
// made again when a single server forgot them.
//
// Invariant: while there is room a pull is open, so that a hint arrives as soon
// as it is published.
package hints

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// maxPull bounds one pull request: what a runner of usual size starts at once.
	maxPull = 256
	// pullWait is how long one pull stays open; two missing heartbeats tell
	// earlier that the server has forgotten it.
	pullWait  = 30 * time.Second
	heartbeat = time.Second
	// minPause and maxPause bound the wait before a pull that failed is repeated.
	minPause = 10 * time.Millisecond
	maxPause = time.Second
	// minSetup and maxSetup bound the requests that look a consumer up: a lost
	// request is noticed soon at first, and an election (up to 7 s) is outlasted.
	minSetup = 500 * time.Millisecond
	maxSetup = 10 * time.Second
	// busyDelay is when a hint that found no room comes back, to any runner.
	busyDelay = 100 * time.Millisecond
)

// Hint is one hint and the right to say what became of it. Exactly one of Ack
// and Nak is called, soon: what is not acknowledged within seconds comes back.
type Hint struct {
	*commandv1.Hint
	msg   jetstream.Msg
	offer *offer // instead of msg
}

// offer is a hint that came to this runner alone: nobody else gets it back.
type offer struct {
	tries atomic.Uint64
	delay atomic.Int64 // to try again after; negative: not at all
}

// Offered reads a hint that came to this runner alone.
func Offered(data []byte) (Hint, error) {
	hint := &commandv1.Hint{}
	if err := proto.Unmarshal(data, hint); err != nil {
		return Hint{}, fmt.Errorf("read an offer: %w", err)
	}
	if hint.GetRun() == "" {
		return Hint{}, errors.New("read an offer: it names no run")
	}
	h := Hint{Hint: hint, offer: &offer{}}
	h.offer.tries.Store(1)
	h.offer.delay.Store(-1)
	return h, nil
}

// Again tells whether an offered hint was given back since the last call, and
// after which delay to try it once more.
func (h Hint) Again() (delay time.Duration, again bool) {
	delay = time.Duration(h.offer.delay.Swap(-1))
	h.offer.tries.Add(1)
	return delay, delay >= 0
}

// Ack removes the hint: the run is claimed, or the hint is of no use to anybody.
func (h Hint) Ack() {
	if h.offer == nil {
		_ = h.msg.Ack() // a lost acknowledgement only brings the hint back
	}
}

// Nak gives the hint back, to come again after delay.
func (h Hint) Nak(delay time.Duration) {
	if h.offer != nil {
		h.offer.delay.Store(int64(delay))
		return
	}
	_ = h.msg.NakWithDelay(delay) // it comes back anyway
}

// Tries returns how often the hint was delivered, from 1.
func (h Hint) Tries() uint64 {
	if h.offer != nil {
		return h.offer.tries.Load()
	}
	meta, err := h.msg.Metadata()
	if err != nil {
		return 1
	}
	return meta.NumDelivered
}

// Room is the number of hints that can be worked on.
type Room interface {
	// Wait returns how much room there is once there is some, or 0 when ctx ends.
	Wait(ctx context.Context) int
	// Take takes room for one hint, if there is any.
	Take() bool
}

// Source pulls the hints of several pools.
type Source struct {
	js       jetstream.JetStream
	nc       *nats.Conn
	pools    []string
	replicas int
	log      *slog.Logger
}

// New returns a source without touching the network. Replicas are those of the
// streams, should WORK have to be made again.
func New(nc *nats.Conn, js jetstream.JetStream, pools []string, replicas int, log *slog.Logger) *Source {
	return &Source{js: js, nc: nc, pools: pools, replicas: replicas, log: log}
}

// Run calls each with every hint, for which room was taken, until ctx ends.
// each must return at once. ready is called once all pools have been reached.
func (s *Source) Run(ctx context.Context, room Room, ready func(), each func(Hint)) {
	reached := make(chan struct{}, len(s.pools))
	ended := make(chan struct{}, len(s.pools))
	for _, pool := range s.pools {
		go func() {
			defer func() { ended <- struct{}{} }()
			p := &pull{Source: s, pool: pool, room: room, each: each, reached: reached}
			p.run(ctx)
		}()
	}
	for range s.pools {
		select {
		case <-reached:
		case <-ctx.Done():
		}
	}
	if ctx.Err() == nil {
		ready()
	}
	for range s.pools {
		<-ended
	}
}

// pull serves one pool.
type pull struct {
	*Source
	pool    string
	room    Room
	each    func(Hint)
	reached chan<- struct{} // gets one value, at the first success
}

func (p *pull) run(ctx context.Context) {
	back := p.nc.StatusChanged(nats.CONNECTED)
	defer p.nc.RemoveStatusListener(back)
	for failures := 0; ctx.Err() == nil; {
		err := p.whileConnected(ctx, back, min(maxSetup, minSetup<<min(failures, 10)))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			continue
		}
		if failures++; failures == 1 {
			p.log.Warn("cannot get hints, trying again", "pool", p.pool, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-back:
		case <-time.After(minPause + rand.N(min(maxPause, minPause<<min(failures, 10)))):
		}
	}
}

// whileConnected serves until that fails or the connection was made anew: a
// single server has then forgotten the consumer and everybody's pulls.
func (p *pull) whileConnected(ctx context.Context, back <-chan nats.Status, patience time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-back:
			cancel()
		case <-ctx.Done():
		}
	}()
	consumer, err := p.consumer(ctx, patience)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if p.reached != nil {
		p.reached <- struct{}{}
		p.reached = nil
	}
	for {
		n := p.room.Wait(ctx)
		if n == 0 {
			return nil
		}
		if err := p.fetch(ctx, consumer, min(n, maxPull)); err != nil {
			return err
		}
	}
}

// consumer looks the pool's consumer up and makes it when it is absent. A server
// that has just started drops requests, hence the patience.
func (p *pull) consumer(ctx context.Context, patience time.Duration) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := topology.EnsurePool(ctx, p.js, p.replicas, p.pool); err != nil {
		return nil, err
	}
	consumer, err := p.js.Consumer(ctx, topology.StreamWork, topology.PoolConsumerName(p.pool))
	if err != nil {
		return nil, fmt.Errorf("look up the consumer of pool %s: %w", p.pool, err)
	}
	return consumer, nil
}

// fetch keeps one pull open until it is used up or its time is over.
func (p *pull) fetch(ctx context.Context, consumer jetstream.Consumer, n int) error {
	ctx, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	batch, err := consumer.Fetch(n, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("pull hints of pool %s: %w", p.pool, err)
	}
	for msg := range batch.Messages() {
		p.take(msg)
	}
	err = batch.Error()
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("pull hints of pool %s: %w", p.pool, err)
}

func (p *pull) take(msg jetstream.Msg) {
	hint := &commandv1.Hint{}
	if err := proto.Unmarshal(msg.Data(), hint); err != nil || hint.GetRun() == "" {
		p.log.Error("a hint cannot be read and was dropped", "subject", msg.Subject())
		Hint{Hint: hint, msg: msg}.Ack()
		return
	}
	if !p.room.Take() { // another pool was quicker
		Hint{Hint: hint, msg: msg}.Nak(busyDelay)
		return
	}
	p.each(Hint{Hint: hint, msg: msg})
}
