package board

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/slipway-hq/slipway/domain/run"
)

// MinPrefix is how many characters of an id, after its "d-", people must give
// at least, and see at least.
const MinPrefix = 5

var (
	// ErrUnknownRun: no run has this id or prefix.
	ErrUnknownRun = errors.New("no such run")
	// ErrAmbiguousRun: several runs begin so.
	ErrAmbiguousRun = errors.New("several runs begin so")
	// ErrShortPrefix: fewer than MinPrefix characters.
	ErrShortPrefix = fmt.Errorf("an id needs at least %d characters after its d- or j-", MinPrefix)
)

// Summary is an ended run: what lists show. The rest is in the log.
type Summary struct {
	ID          string
	Service     unique.Handle[string]
	Environment unique.Handle[string]
	Version     unique.Handle[string]
	Requester   unique.Handle[string]
	Lane        unique.Handle[string]
	Namespace   unique.Handle[string]
	Job         unique.Handle[string]
	// Arguments are the parameters, as Arguments writes them.
	Arguments unique.Handle[string]
	// Source is the webhook or schedule that asked; Into the run that executed.
	Source     unique.Handle[string]
	Into       string
	Restricted bool
	Reason     string
	Created    int64 // Unix ms
	Started    int64
	Finished   int64
	Sequence   uint64
	Request    uint64 // sequence of the first commit
	Status     run.Status
	next       int32 // the next summary whose id begins alike, -1 for none
}

// index finds ended runs by id or prefix: one map entry and one summary per
// run, so that a million of them stay affordable.
type index struct {
	heads     map[string]int32 // first MinPrefix characters → newest summary
	summaries []Summary
}

func newIndex() index { return index{heads: map[string]int32{}} }

func bucket(id string) string {
	_, rest, _ := strings.Cut(id, "-")
	return rest[:min(MinPrefix, len(rest))]
}

func (x *index) add(l *Live) {
	s := &l.State
	key := bucket(s.ID)
	next, ok := x.heads[key]
	if !ok {
		next = -1
	}
	x.summaries = append(x.summaries, Summary{
		ID: s.ID, Service: unique.Make(s.Service), Environment: unique.Make(s.Environment), Version: unique.Make(s.Version),
		Requester: unique.Make(Requester(s)), Lane: unique.Make(s.Plan.GetLane()), Reason: s.Reason,
		Namespace: unique.Make(s.Namespace), Job: unique.Make(s.Job), Arguments: unique.Make(Arguments(s.Parameters)),
		Source: unique.Make(s.Origin.GetSource()), Into: s.MergedInto, Restricted: s.Plan.GetRestricted(),
		Created: millis(s.Created), Started: millis(s.Started), Finished: millis(s.Finished),
		Sequence: s.Sequence, Request: l.Request, Status: s.Status, next: next,
	})
	x.heads[key] = int32(len(x.summaries) - 1) //nolint:gosec // a process never holds 2^31 runs
}

// Arguments writes parameters as one text, in order of their names, from which
// ParseArguments reads them again.
func Arguments(parameters map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(parameters)) {
		fmt.Fprintf(&b, "%s=%s\x00", k, parameters[k])
	}
	return b.String()
}

// ParseArguments is the inverse of Arguments.
func ParseArguments(text string) map[string]string {
	if text == "" {
		return nil
	}
	parameters := map[string]string{}
	for _, pair := range strings.Split(strings.TrimSuffix(text, "\x00"), "\x00") {
		k, v, _ := strings.Cut(pair, "=")
		parameters[k] = v
	}
	return parameters
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func (x *index) has(id string) bool {
	_, ok := x.get(id)
	return ok
}

func (x *index) get(id string) (*Summary, bool) {
	i, ok := x.heads[bucket(id)]
	for ok && i >= 0 {
		if x.summaries[i].ID == id {
			return &x.summaries[i], true
		}
		i = x.summaries[i].next
	}
	return nil, false
}

// Find returns the full id of the one run that begins with prefix. "d-" or
// "j-" may be left out; case does not matter. Errors: ErrUnknownRun,
// ErrAmbiguousRun, ErrShortPrefix.
func (b *Board) Find(prefix string) (string, error) {
	prefix = strings.ToLower(strings.TrimSpace(prefix))
	kind, rest := "", prefix
	if k, r, ok := strings.Cut(prefix, "-"); ok {
		kind, rest = k+"-", r
	}
	if len(rest) < MinPrefix {
		return "", ErrShortPrefix
	}
	found := map[string]bool{}
	match := func(id string) {
		_, tail, _ := strings.Cut(id, "-")
		if strings.HasPrefix(id, kind) && strings.HasPrefix(tail, rest) {
			found[id] = true
		}
	}
	b.alike(rest[:MinPrefix], match)
	switch len(found) {
	case 0:
		return "", ErrUnknownRun
	case 1:
		for id := range found {
			return id, nil
		}
	}
	return "", ErrAmbiguousRun
}

// alike calls f with every known id whose characters after the kind begin with
// key.
func (b *Board) alike(key string, f func(id string)) {
	for i, ok := b.index.heads[key]; ok && i >= 0; i = b.index.summaries[i].next {
		f(b.index.summaries[i].ID)
	}
	for _, id := range b.near[key] {
		f(id)
	}
}

// Short is the shortest prefix of the id, of at least MinPrefix characters
// after its kind, that no other known run shares.
func (b *Board) Short(id string) string {
	kind, rest, ok := strings.Cut(id, "-")
	if !ok || len(rest) <= MinPrefix {
		return id
	}
	n := MinPrefix
	b.alike(rest[:MinPrefix], func(other string) {
		_, tail, _ := strings.Cut(other, "-")
		if other == id {
			return
		}
		for n < len(rest) && strings.HasPrefix(tail, rest[:n]) {
			n++
		}
	})
	return kind + "-" + rest[:n]
}

// Summaries calls f with every ended run, newest end first, until it returns false.
func (b *Board) Summaries(f func(*Summary) bool) {
	for i := len(b.index.summaries) - 1; i >= 0; i-- {
		if !f(&b.index.summaries[i]) {
			return
		}
	}
}

// Summary returns an ended run's summary.
func (b *Board) Summary(id string) (*Summary, bool) { return b.index.get(id) }

// EndedCount is how many ended runs are known.
func (b *Board) EndedCount() int { return len(b.index.summaries) }

// Requester names who asked, for people and tools: a Slack user id, "api:NAME",
// or what stands behind a webhook or a schedule.
func Requester(s *run.State) string { return Who(s.Requester) }

// Count is how many runs are known, ended ones included.
func (b *Board) Count() int {
	n := len(b.index.summaries)
	for _, l := range b.live {
		if !l.State.Status.Ended() {
			n++
		}
	}
	return n
}
