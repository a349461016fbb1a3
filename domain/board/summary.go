package board

import (
	"encoding/base32"
	"hash/fnv"
	"strings"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/run"
)

// The texts of a row.
const (
	termService = iota
	termEnvironment
	termVersion
	termRequester
	termLane
	termNamespace
	termJob
	termArguments
	termSource
	termInto
	termReason
	terms
)

// segmentBits: a segment has SegmentRuns rows, some 3 MB when it is written down.
const segmentBits = 16

// SegmentRuns is how many ended runs a full segment holds.
const SegmentRuns = 1 << segmentBits

// row is one ended run. It never changes.
type row struct {
	id                         [16]byte // of kind 'd' or 'j'; of any other form odd is the whole id
	terms                      [terms]uint32
	odd                        uint32
	created, started, finished int64 // Unix ms; 0: never
	sequence, request          uint64
	next                       int32 // the next older row whose id begins alike, -1 for none
	kind                       byte
	status                     run.Status
	restricted                 bool
}

// segment is a span of rows with the texts that they name. Rows and texts are
// appended and never changed.
type segment struct {
	rows  []row
	words []string
}

// Summary is an ended run: what lists show. The rest is in the log. It is valid
// for as long as its board.
type Summary struct {
	segment *segment
	row     *row
}

func (s Summary) term(i int) string { return s.segment.words[s.row.terms[i]] }

// ID is the run's full id.
func (s Summary) ID() string {
	if s.row.kind == 0 {
		return s.segment.words[s.row.odd]
	}
	return unpack(s.row.id, s.row.kind)
}

// IsJob tells whether the run is one of a job, by its id.
func (s Summary) IsJob() bool {
	return s.row.kind == 'j' || s.row.kind == 0 && strings.HasPrefix(s.ID(), "j-")
}

// Service, Environment and Version are what was deployed, and where.
func (s Summary) Service() string { return s.term(termService) }

// Environment: see Service.
func (s Summary) Environment() string { return s.term(termEnvironment) }

// Version: see Service.
func (s Summary) Version() string { return s.term(termVersion) }

// Requester is who asked, as Requester names them.
func (s Summary) Requester() string { return s.term(termRequester) }

// Lane is the lane's name.
func (s Summary) Lane() string { return s.term(termLane) }

// Namespace and Job are a job's.
func (s Summary) Namespace() string { return s.term(termNamespace) }

// Job: see Namespace.
func (s Summary) Job() string { return s.term(termJob) }

// Arguments are the parameters, as Arguments writes them.
func (s Summary) Arguments() string { return s.term(termArguments) }

// Source is the webhook or schedule that asked.
func (s Summary) Source() string { return s.term(termSource) }

// Into is the run that executed for this one, or took its place.
func (s Summary) Into() string { return s.term(termInto) }

// Reason is why it ended so.
func (s Summary) Reason() string { return s.term(termReason) }

// Restricted: guests may not see it.
func (s Summary) Restricted() bool { return s.row.restricted }

// Status is how it ended.
func (s Summary) Status() run.Status { return s.row.status }

// Created, Started and Finished are in Unix milliseconds; 0: never.
func (s Summary) Created() int64 { return s.row.created }

// Started: see Created.
func (s Summary) Started() int64 { return s.row.started }

// Finished: see Created.
func (s Summary) Finished() int64 { return s.row.finished }

// Sequence is that of the commit that ended the run, and Request of its first.
func (s Summary) Sequence() uint64 { return s.row.sequence }

// Request: see Sequence.
func (s Summary) Request() uint64 { return s.row.request }

// words are the texts of a row, in the order of its terms.
func (s Summary) words() (out [terms]string) {
	for i := range out {
		out[i] = s.term(i)
	}
	return out
}

// same tells whether two summaries say the same.
func (s Summary) same(other Summary) bool {
	a, b := *s.row, *other.row
	a.next, a.odd, a.terms = b.next, b.odd, b.terms
	return a == b && s.ID() == other.ID() && s.words() == other.words()
}

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// pack writes an id of the usual form as its 128 bits; any other is not ok.
func pack(id string) (body [16]byte, kind byte, ok bool) {
	if len(id) < 2 || !identity.IsRunID(id) {
		return body, 0, false
	}
	var whole [17]byte
	if n, err := lower32.Decode(whole[:], []byte(id[2:])); err != nil || n != len(body) {
		return body, 0, false
	}
	copy(body[:], whole[:])
	return body, id[0], unpack(body, id[0]) == id // bits beyond the 128 make another id
}

func unpack(body [16]byte, kind byte) string {
	var out [28]byte
	out[0], out[1] = kind, '-'
	lower32.Encode(out[2:], body[:])
	return string(out[:])
}

// keyBits is what MinPrefix characters of base32 say.
const keyBits = 5 * MinPrefix

// keyOf is under which an id is found by its first characters: their bits, or a
// hash of what is no base32. Others may share it.
func keyOf(id string) (key uint32) {
	_, rest, _ := strings.Cut(id, "-")
	rest = rest[:min(MinPrefix, len(rest))]
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= 'a' && c <= 'z':
			key = key<<5 | uint32(c-'a')
		case c >= '2' && c <= '7':
			key = key<<5 | uint32(c-'2'+26)
		default:
			h := fnv.New32a()
			_, _ = h.Write([]byte(rest)) // a hash takes everything
			return h.Sum32() | 1<<keyBits
		}
	}
	return key
}
