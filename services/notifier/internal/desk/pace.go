package desk

import (
	"math/rand/v2"
	"time"

	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// postEvery is Slack's rate of messages to one channel.
	postEvery = time.Second
	// editEvery and editBurst keep all edits of a workspace within the tier of
	// chat.update, 50 a minute and somewhat more in bursts.
	editEvery = 1200 * time.Millisecond
	editBurst = 10
	// callEvery keeps the rest (looks, reactions) within the same tier.
	callEvery = editEvery
	callBurst = 20
	// asideEvery and asideBurst keep what mirrors claims within its tier, 20 a
	// minute for each method.
	asideEvery = 3 * time.Second
	asideBurst = 5
	// maxAsidePause is the longest rest of such a method after failures.
	maxAsidePause = 5 * time.Minute
	// firstPause doubles with every failure in a row up to lastPause.
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
	// credentialPause is how long a token that Slack does not accept rests: only
	// a person can help.
	credentialPause = time.Minute
	// maxChannels bounds the memory of channels posted to; a forgotten one may
	// get a second post within a second, which Slack answers with a 429.
	maxChannels = 4096
)

// rate admits burst calls at once and one every period (GCRA).
type rate struct {
	every time.Duration
	burst int
	full  time.Time // when the allowance is whole again
}

// free is when the next call may go out; not after now: at once.
func (r *rate) free(now time.Time) time.Time {
	return r.full.Add(-time.Duration(r.burst-1) * r.every)
}

func (r *rate) take(now time.Time) {
	if r.full.Before(now) {
		r.full = now
	}
	r.full = r.full.Add(r.every)
}

// pace says when Slack may be called.
type pace struct {
	channels map[string]*rate
	methods  map[string]*rate
	rests    map[string]time.Time // by method, after a 429
	pause    time.Time            // for all, after failures
	failures int
	aside    map[string]int // failures in a row of what mirrors claims, by method
	off      bool           // tests of other things
	jitter   func(time.Duration) time.Duration
}

func newPace() pace {
	return pace{
		channels: map[string]*rate{},
		methods:  map[string]*rate{slackapi.MethodUpdate: {every: editEvery, burst: editBurst}},
		rests:    map[string]time.Time{},
		jitter:   spread,
		aside:    map[string]int{},
	}
}

// asideName is the allowance of a method for what mirrors claims. Reactions share
// theirs with the marks of the end, of which they leave the larger part alone.
func asideName(method string) string { return "mirror " + method }

// asideFree is free for what mirrors claims.
func (p *pace) asideFree(method string, now time.Time) time.Time {
	name := asideName(method)
	if p.methods[name] == nil {
		p.methods[name] = &rate{every: asideEvery, burst: asideBurst}
	}
	return latest(p.free(method, "", now), p.free(name, "", now))
}

// asideAnswered notes how such a call ended. Its failures are its own: they hold
// up no card.
func (p *pace) asideAnswered(method string, err error, now time.Time) {
	name := asideName(method)
	switch slackapi.OutcomeOf(err) {
	case slackapi.Limited:
		p.rests[method] = now.Add(slackapi.AfterOf(err))
	case slackapi.Unknown, slackapi.Unsent:
		p.aside[name]++
		p.rests[name] = now.Add(p.jitter(min(backoff(p.aside[name])*time.Duration(p.aside[name]), maxAsidePause)))
	case slackapi.Refused:
		if slackapi.Credential(err) {
			p.pause = now.Add(credentialPause)
		}
	default:
		p.aside[name] = 0
	}
}

// free is when the method may be called for a channel; not after now: at once.
func (p *pace) free(method, channel string, now time.Time) time.Time {
	at := p.pause
	if rest := p.rests[method]; rest.After(at) {
		at = rest
	}
	if p.off {
		return at
	}
	if f := p.of(method, channel, now).free(now); f.After(at) {
		at = f
	}
	return at
}

// took counts a call.
func (p *pace) took(method, channel string, now time.Time) { p.of(method, channel, now).take(now) }

func (p *pace) of(method, channel string, now time.Time) *rate {
	if method != slackapi.MethodPost {
		if p.methods[method] == nil {
			p.methods[method] = &rate{every: callEvery, burst: callBurst}
		}
		return p.methods[method]
	}
	if p.channels[channel] == nil {
		p.prune(now)
		p.channels[channel] = &rate{every: postEvery, burst: 1}
	}
	return p.channels[channel]
}

func (p *pace) prune(now time.Time) {
	if len(p.channels) < maxChannels {
		return
	}
	for id, r := range p.channels {
		if !r.full.After(now) {
			delete(p.channels, id)
		}
	}
	if len(p.channels) >= maxChannels {
		clear(p.channels)
	}
}

// answered notes how a call ended.
func (p *pace) answered(method string, err error, now time.Time) {
	switch slackapi.OutcomeOf(err) {
	case slackapi.Limited:
		p.rests[method] = now.Add(slackapi.AfterOf(err))
	case slackapi.Unknown, slackapi.Unsent:
		p.failures++
		p.pause = now.Add(p.jitter(backoff(p.failures)))
	case slackapi.Refused:
		p.failures = 0
		if slackapi.Credential(err) {
			p.pause = now.Add(credentialPause)
		}
	default:
		p.failures = 0
	}
}

// backoff doubles with every failure in a row.
func backoff(failures int) time.Duration {
	if shift := failures - 1; shift < 10 {
		return min(firstPause<<shift, lastPause)
	}
	return lastPause
}

// spread keeps many notifiers from coming back at the same moment.
func spread(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // spreads load, keeps no secret
}
