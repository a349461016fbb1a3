package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// kind is a way in which things go wrong.
type kind string

const (
	killed    kind = "kill -9"
	allKilled kind = "kill -9 of all"
	restarted kind = "restart"
	frozen    kind = "freeze"
	asleep    kind = "freeze past the lease"
	cutOff    kind = "cut"
	oneWay    kind = "one-way cut"
	refused   kind = "broken connections"
	delayed   kind = "delay"
	isolated  kind = "isolation"
	slowDisk  kind = "slow disk"
	fullDisk  kind = "full disk"
	wiped     kind = "wipe"
	clockJump kind = "clock jump"
	slackErr  kind = "Slack"
	refreshed kind = "sockets refreshed"
)

// kinds is all of them, as reports list them.
var kinds = []kind{killed, allKilled, restarted, frozen, asleep, cutOff, oneWay, refused, delayed, isolated, slowDisk, fullDisk, wiped, clockJump, slackErr, refreshed}

// mishap is one thing that goes wrong.
type mishap struct {
	at, lasts time.Duration // from the beginning
	kind      kind
	on, with  string // a process, and another one where it takes two
	by        time.Duration
	trouble   sandbox.Fault
}

func (m mishap) String() string {
	text := fmt.Sprintf("%6.2fs %s", m.at.Seconds(), m.kind)
	if m.on != "" {
		text += " of " + m.on
	}
	if m.with != "" {
		text += " and " + m.with
	}
	switch {
	case m.kind == slackErr:
		text += fmt.Sprintf(": %s %s, %d times", m.trouble.Kind, cmp.Or(m.trouble.Method, "anything"), m.trouble.Times)
	case m.by != 0:
		text += fmt.Sprintf(" by %s", m.by)
	}
	if m.lasts > 0 {
		text += fmt.Sprintf(", for %.1fs", m.lasts.Seconds())
	}
	return text
}

const (
	// sleepFor is longer than a lease lasts: who sleeps so long has lost what it held.
	sleepFor = 31 * time.Second
	// sleepMore is how much longer it may be.
	sleepMore = 6 * time.Second
	// wipeNeeds is how long a server that lost its disk needs, with those around
	// it left alone before and after.
	wipeNeeds = 12 * time.Second
	// between is the longest pause from one mishap to the next.
	between = 1500 * time.Millisecond
)

// share says how often a kind is drawn.
type share struct {
	kind   kind
	weight int
}

// bag is for a town of many.
var bag = []share{
	{killed, 16}, {allKilled, 3}, {restarted, 7}, {frozen, 9}, {cutOff, 10}, {oneWay, 9}, {refused, 5}, {delayed, 6}, {isolated, 4}, {slowDisk, 4}, {fullDisk, 3}, {clockJump, 8}, {slackErr, 13}, {refreshed, 2},
}

// bagAlone is bag for a town that is one process.
var bagAlone = []share{{killed, 8}, {restarted, 4}, {frozen, 6}, {clockJump, 4}, {slackErr, 8}, {refreshed, 1}}

// misfortuneAlone draws everything that goes wrong where all is one process.
func misfortuneAlone(seed uint64, length time.Duration) (all []mishap) {
	d := drawer{dice: rand.New(rand.NewPCG(seed, 0xa10e)), others: []string{aloneName}, length: length, bag: bagAlone}
	for at := d.upTo(between); at < length; at += 2*time.Second + d.upTo(between) {
		all = append(all, d.one(at))
	}
	return all
}

// misfortune draws everything that goes wrong: the same from the same seed.
func misfortune(seed uint64, length time.Duration) []mishap {
	dice := rand.New(rand.NewPCG(seed, 0xbad))
	var nodes, others []string
	for n := range each {
		nodes = append(nodes, host("nats", n+1))
	}
	for _, service := range services {
		for n := range each {
			others = append(others, host(service, n+1))
		}
	}
	d := drawer{dice: dice, nodes: nodes, others: others, length: length, bag: bag}
	var all []mishap
	if d.length > sleepFor+sleepMore {
		all = append(all, d.sleeps()...)
	}
	wipe := d.wipe()
	for at := d.upTo(between); at < length; at += 200*time.Millisecond + d.upTo(between) {
		m := d.one(at)
		if !wipe.collides(m) {
			all = append(all, m)
		}
	}
	all = slices.DeleteFunc(all, wipe.collides)
	if wipe.kind != "" {
		all = append(all, wipe)
	}
	slices.SortStableFunc(all, func(a, b mishap) int { return cmp.Compare(a.at, b.at) })
	return all
}

type drawer struct {
	dice          *rand.Rand
	nodes, others []string
	length        time.Duration
	bag           []share
}

func (d drawer) upTo(most time.Duration) time.Duration {
	return time.Duration(d.dice.Int64N(int64(most)))
}

func (d drawer) of(names []string) string { return names[d.dice.IntN(len(names))] }

// anybody is NATS as often as all other kinds together: what is stored there
// deserves it.
func (d drawer) anybody() string {
	if len(d.nodes) > 0 && d.dice.IntN(5) < 2 {
		return d.of(d.nodes)
	}
	return d.of(d.others)
}

// sleeps are one or two processes that sleep past their leases.
func (d drawer) sleeps() []mishap {
	begin := func() time.Duration { return d.upTo(d.length - sleepFor) }
	all := []mishap{{at: begin(), lasts: sleepFor + d.upTo(sleepMore), kind: asleep, on: host(world.Runner, 1+d.dice.IntN(each))}}
	if d.dice.IntN(2) == 0 {
		all = append(all, mishap{at: begin(), lasts: sleepFor + d.upTo(sleepMore), kind: asleep, on: d.anybody()})
	}
	return all
}

// wipe is a server that loses its disk, perhaps.
func (d drawer) wipe() mishap {
	if d.dice.IntN(3) == 0 || d.length < 2*wipeNeeds {
		return mishap{}
	}
	return mishap{at: d.upTo(d.length - wipeNeeds), lasts: wipeNeeds, kind: wiped, on: d.of(d.nodes)}
}

// collides tells whether something would harm a server while another one has
// lost its disk: two at once are more than three copies can bear.
func (m mishap) collides(other mishap) bool {
	if m.kind != wiped || !strings.HasPrefix(other.on, "nats") {
		return false
	}
	const before = 3 * time.Second // to be well again
	return other.at < m.at+m.lasts && m.at < other.at+other.lasts+before
}

var troubles = []sandbox.Fault{
	{Kind: sandbox.RateLimited, Times: 3}, {Kind: sandbox.RateLimitedBare, Times: 1}, {Kind: sandbox.ServerError, Times: 3}, {Kind: sandbox.HTMLBody, Times: 1},
	{Kind: sandbox.Latency, Delay: 2 * time.Second, Times: 3}, {Kind: sandbox.LostBefore, Times: 2},
	{Kind: sandbox.LostAfter, Method: "chat.postMessage", Times: 2}, {Kind: sandbox.LostAfter, Method: "chat.update", Times: 2}, {Kind: sandbox.LostAfter, Method: "reactions.add", Times: 1},
	{Kind: sandbox.Duplicate, Method: sandbox.DeliverCommand, Times: 3}, {Kind: sandbox.Duplicate, Method: sandbox.DeliverEvent, Times: 3},
	{Kind: sandbox.LostAfter, Method: sandbox.DeliverEvent, Times: 1},
	{Kind: sandbox.HistoryDelayed, Delay: time.Second, Times: 2},
}

// one draws a mishap that begins at a time.
func (d drawer) one(at time.Duration) mishap {
	m := mishap{at: at, kind: d.kind()}
	switch m.kind {
	case killed:
		m.on, m.lasts = d.anybody(), 50*time.Millisecond+d.upTo(2*time.Second)
	case allKilled:
		m.on, m.lasts = d.of(append([]string{"nats", "nats"}, services...)), 50*time.Millisecond+d.upTo(time.Second)
	case restarted:
		m.on = d.anybody()
	case frozen:
		m.on, m.lasts = d.anybody(), 200*time.Millisecond+d.upTo(4*time.Second)
	case cutOff, oneWay, refused, delayed:
		m.on, m.with = d.pair()
		m.lasts = 500*time.Millisecond + d.upTo(9*time.Second)
		if m.kind == delayed {
			m.by = 20*time.Millisecond + d.upTo(400*time.Millisecond)
		}
	case isolated:
		m.on, m.lasts = d.anybody(), time.Second+d.upTo(11*time.Second)
	case slowDisk:
		m.on, m.lasts = d.of(d.nodes), 2*time.Second+d.upTo(5*time.Second)
	case fullDisk:
		m.on, m.lasts = d.of(d.nodes), 2*time.Second+d.upTo(6*time.Second)
	case clockJump:
		m.on, m.lasts, m.by = d.anybody(), time.Second+d.upTo(20*time.Second), time.Hour
		if d.dice.IntN(2) == 0 {
			m.by = -time.Hour
		}
	case slackErr:
		m.trouble = troubles[d.dice.IntN(len(troubles))]
	case refreshed: // by Slack, all of them
	case asleep, wiped: // drawn apart
	}
	return m
}

// pair is two that talk to each other: two servers, or a service and a server.
func (d drawer) pair() (on, with string) {
	i := d.dice.IntN(len(d.nodes))
	if d.dice.IntN(5) < 2 {
		return d.nodes[i], d.nodes[(i+1+d.dice.IntN(len(d.nodes)-1))%len(d.nodes)]
	}
	return d.of(d.others), d.nodes[i]
}

func (d drawer) kind() kind {
	sum := 0
	for _, b := range d.bag {
		sum += b.weight
	}
	pick := d.dice.IntN(sum)
	for _, b := range d.bag {
		if pick -= b.weight; pick < 0 {
			return b.kind
		}
	}
	return slackErr
}

func TestASeedIsAlwaysTheSameMisfortune(t *testing.T) {
	t.Parallel()
	seen := map[kind]bool{}
	for seed := range uint64(200) {
		first := misfortune(seed, time.Minute)
		if again := misfortune(seed, time.Minute); !slices.Equal(first, again) {
			t.Fatalf("seed %d differs:\n%v\n%v", seed, first, again)
		}
		for i, m := range first {
			seen[m.kind] = true
			if slices.ContainsFunc(first[i+1:], func(other mishap) bool { return m.collides(other) || other.collides(m) }) {
				t.Errorf("seed %d strikes a server beside a wiped one: %s", seed, m)
			}
		}
	}
	for _, k := range kinds {
		if !seen[k] {
			t.Errorf("no seed draws: %s", k)
		}
	}
}
