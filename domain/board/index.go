package board

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

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

// index finds ended runs by id or prefix, in the order in which they ended: one
// row and one map entry without a pointer per run, so that a million of them
// cost little memory and the garbage collector nothing.
type index struct {
	heads    map[uint32]int32 // beginning of the id, see keyOf → newest row
	segments []*segment       // all full but the last
	count    int
	archived bitmap            // by number of the row
	recent   []string          // archived last, at most KeepArchived
	unsorted bool              // a row came after one that ended later
	terms    map[string]uint32 // of the last segment
}

func newIndex() index { return index{heads: map[uint32]int32{}} }

// bucket is what ids in memory are found by.
func bucket(id string) string {
	_, rest, _ := strings.Cut(id, "-")
	return rest[:min(MinPrefix, len(rest))]
}

// row returns the row with a number, and its segment.
func (x *index) row(i int32) (*segment, *row) {
	s := x.segments[i>>segmentBits]
	return s, &s.rows[i&(SegmentRuns-1)]
}

func (x *index) add(l *Live) {
	s := &l.State
	x.append(row{
		created: millis(s.Created), started: millis(s.Started), finished: millis(s.Finished),
		sequence: s.Sequence, request: l.Request, status: s.Status, restricted: s.Plan.GetRestricted(),
	}, s.ID, [terms]string{
		termService: s.Service, termEnvironment: s.Environment, termVersion: s.Version, termRequester: Requester(s), termLane: s.Plan.GetLane(),
		termNamespace: s.Namespace, termJob: s.Job, termArguments: Arguments(s.Parameters), termSource: s.Origin.GetSource(),
		termInto: s.MergedInto, termReason: s.Reason,
	})
}

// append adds a row at the end.
func (x *index) append(r row, id string, words [terms]string) {
	if x.count&(SegmentRuns-1) == 0 {
		x.segments = append(x.segments, &segment{})
		x.terms = map[string]uint32{}
	}
	tail := x.segments[len(x.segments)-1]
	for i, word := range words {
		r.terms[i] = x.term(tail, word)
	}
	if body, kind, ok := pack(id); ok {
		r.id, r.kind = body, kind
	} else {
		r.odd = x.term(tail, id)
	}
	if n := len(tail.rows); n > 0 && tail.rows[n-1].sequence > r.sequence {
		x.unsorted = true
	}
	key := keyOf(id)
	next, ok := x.heads[key]
	if !ok {
		next = -1
	}
	r.next = next
	tail.rows = append(tail.rows, r)
	x.heads[key] = int32(x.count) //nolint:gosec // a process never holds 2^31 runs
	x.count++
}

// term is the number of a text in the last segment.
func (x *index) term(tail *segment, text string) uint32 {
	n, ok := x.terms[text]
	if !ok {
		n = uint32(len(tail.words)) //nolint:gosec // at most one per field of a segment's runs
		tail.words = append(tail.words, text)
		x.terms[text] = n
	}
	return n
}

// Arguments writes parameters as one text, in order of their names, from which
// ParseArguments reads them again.
func Arguments(parameters map[string]string) string {
	if len(parameters) == 0 {
		return ""
	}
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

func (x *index) get(id string) (Summary, bool) {
	i, ok := x.find(id)
	if !ok {
		return Summary{}, false
	}
	s, r := x.row(i)
	return Summary{s, r}, true
}

// find returns the number of a run's row.
func (x *index) find(id string) (int32, bool) {
	body, kind, packed := pack(id)
	for i, ok := x.heads[keyOf(id)]; ok && i >= 0; {
		s, r := x.row(i)
		if packed && r.kind == kind && r.id == body || !packed && r.kind == 0 && s.words[r.odd] == id {
			return i, true
		}
		i = r.next
	}
	return 0, false
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
// key, and perhaps with a few more.
func (b *Board) alike(key string, f func(id string)) {
	for i, ok := b.index.heads[keyOf("-"+key)]; ok && i >= 0; {
		s, r := b.index.row(i)
		f(Summary{s, r}.ID())
		i = r.next
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
func (b *Board) Summaries(f func(Summary) bool) {
	for _, s := range slices.Backward(b.index.segments) {
		for i := range slices.Backward(s.rows) {
			if !f(Summary{s, &s.rows[i]}) {
				return
			}
		}
	}
}

// Summary returns an ended run's summary.
func (b *Board) Summary(id string) (Summary, bool) { return b.index.get(id) }

// EndedCount is how many ended runs are known.
func (b *Board) EndedCount() int { return b.index.count }

// Requester names who asked, for people and tools: a Slack user id, "api:NAME",
// or what stands behind a webhook or a schedule.
func Requester(s *run.State) string { return Who(s.Requester) }

// Count is how many runs are known, ended ones included.
func (b *Board) Count() int {
	n := b.index.count
	for _, l := range b.live {
		if !l.State.Status.Ended() {
			n++
		}
	}
	return n
}
