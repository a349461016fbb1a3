package board

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/slipway-hq/slipway/domain/run"
)

// Segment is a span of SegmentRuns summaries, or of fewer at the end, that can be
// written down. A full one never changes again.
type Segment struct {
	own  *segment
	keys []uint32 // of the rows, see keyOf; of a decoded one alone
}

// Full tells whether nothing will be added.
func (s *Segment) Full() bool { return len(s.own.rows) == SegmentRuns }

// Len is how many summaries it has.
func (s *Segment) Len() int { return len(s.own.rows) }

// Segments are the board's summaries as of now, oldest end first. They may be
// read while the board goes on.
func (b *Board) Segments() []*Segment {
	out := make([]*Segment, len(b.index.segments))
	for i, s := range b.index.segments {
		rows, words := len(s.rows), len(s.words)
		out[i] = &Segment{own: &segment{rows: s.rows[:rows:rows], words: s.words[:words:words]}}
	}
	return out
}

// segmentForm is the version of the layout below.
const segmentForm = 1

// Encode writes the segment down: its texts, then each row as differences from
// the one before, in variable length. Equal segments have equal bytes.
func (s *Segment) Encode() []byte {
	const perRun = 56 // some more than a run takes (48), so that the buffer seldom grows
	out := make([]byte, 0, len(s.own.rows)*perRun)
	put := func(n uint64) { out = binary.AppendUvarint(out, n) }
	signed := func(n int64) { out = binary.AppendVarint(out, n) }
	put(segmentForm)
	put(uint64(len(s.own.rows)))
	put(uint64(len(s.own.words)))
	for _, word := range s.own.words {
		put(uint64(len(word)))
	}
	for _, word := range s.own.words {
		out = append(out, word...)
	}
	var last row
	for i := range s.own.rows {
		r := &s.own.rows[i]
		out = append(out, r.kind, byte(r.status)<<1|flag(r.restricted))
		if r.kind == 0 {
			put(uint64(r.odd))
		} else {
			out = append(out, r.id[:]...)
		}
		for _, term := range r.terms {
			put(uint64(term))
		}
		signed(r.created - last.created)
		signed(r.started - r.created)
		signed(r.finished - r.created)
		signed(int64(r.sequence - last.sequence)) //nolint:gosec // both directions fit: sequences are far below 2^63
		signed(int64(r.sequence - r.request))     //nolint:gosec // as above
		last = *r
	}
	return out
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// errSegment: the bytes are no segment of this version.
var errSegment = errors.New("not a segment of ended runs")

// DecodeSegment reads what Encode wrote.
func DecodeSegment(data []byte) (*Segment, error) {
	d := decoder{rest: data}
	if form := d.uint(); form != segmentForm {
		return nil, fmt.Errorf("%w: form %d", errSegment, form)
	}
	rows, words := d.count(SegmentRuns, 2), d.count(len(data), 1)
	s := &Segment{own: &segment{rows: make([]row, rows), words: d.words(words)}, keys: make([]uint32, rows)}
	var last row
	for i := range s.own.rows {
		r := &s.own.rows[i]
		d.row(r, last, words)
		last = *r
		if r.kind != 0 {
			s.keys[i] = uint32(r.id[0])<<17 | uint32(r.id[1])<<9 | uint32(r.id[2])<<1 | uint32(r.id[3])>>7
		} else if !d.bad {
			s.keys[i] = keyOf(s.own.words[r.odd])
		}
		if d.bad {
			break
		}
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errSegment
	}
	return s, nil
}

// decoder reads a segment; bad: it is none.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count reads how many things follow, of which each takes so many bytes at least.
func (d *decoder) count(most, bytes int) int {
	n := d.uint()
	if n > uint64(most) || n*uint64(bytes) > uint64(len(d.rest)) { //nolint:gosec // both are small and positive
		d.bad = true
		return 0
	}
	return int(n) //nolint:gosec // checked
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.rest) {
		d.bad, d.rest = true, nil
		return make([]byte, n)
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

// words reads texts that share one piece of memory.
func (d *decoder) words(n int) []string {
	sizes, total := make([]int, n), 0
	for i := range sizes {
		sizes[i] = d.count(len(d.rest), 1)
		total += sizes[i]
	}
	if d.bad || total > len(d.rest) {
		d.bad = true
		return nil
	}
	all, out := string(d.bytes(total)), make([]string, n)
	for i, size := range sizes {
		out[i], all = all[:size], all[size:]
	}
	return out
}

func (d *decoder) row(r *row, last row, words int) {
	head := d.bytes(2)
	r.kind, r.status, r.restricted = head[0], run.Status(head[1]>>1), head[1]&1 == 1
	if !r.status.Ended() || r.status > run.Merged || r.kind != 0 && r.kind != 'd' && r.kind != 'j' {
		d.bad = true
	}
	if r.kind == 0 {
		r.odd = d.term(words)
	} else {
		copy(r.id[:], d.bytes(len(r.id)))
	}
	for i := range r.terms {
		r.terms[i] = d.term(words)
	}
	r.created = last.created + d.int()
	r.started = r.created + d.int()
	r.finished = r.created + d.int()
	r.sequence = last.sequence + uint64(d.int()) //nolint:gosec // the inverse of Encode, by wrapping
	r.request = r.sequence - uint64(d.int())     //nolint:gosec // as above
}

func (d *decoder) term(words int) uint32 {
	n := d.uint()
	if n >= uint64(words) { //nolint:gosec // a length
		d.bad = true
		return 0
	}
	return uint32(n) //nolint:gosec // checked
}
