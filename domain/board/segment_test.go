package board_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
)

// ended is a board with so many ended runs.
func ended(n int) *world {
	w := newWorld()
	for i := range n {
		if err := w.run(w.request(fmt.Sprintf("v%d", i), "a lane", 0), run.RequestCancel{Reason: fmt.Sprint(i % 7)}); err != nil {
			panic(err) // a queued run can always be cancelled
		}
	}
	return w
}

// What a segment says of every run comes back; equal segments have equal bytes.
func TestASegmentComesBackAsItWas(t *testing.T) {
	const runs = board.SegmentRuns + 500
	b := ended(runs).board
	var again []*board.Segment
	for i, s := range b.Segments() {
		if s.Full() != (i == 0) {
			t.Fatalf("segment %d of %d runs", i, s.Len())
		}
		data := s.Encode()
		read, err := board.DecodeSegment(data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read.Encode(), data) {
			t.Errorf("segment %d differs when it is written again", i)
		}
		again = append(again, read)
	}
	copied := board.FromImage(b.Image(), again)
	if diff := board.Compare(b, copied, 10); len(diff) > 0 {
		t.Error(diff)
	}
	if copied.EndedCount() != runs {
		t.Errorf("%d runs, want %d", copied.EndedCount(), runs)
	}
	var first, second []string
	b.Summaries(func(s board.Summary) bool { first = append(first, s.ID()+b.Short(s.ID())); return true })
	copied.Summaries(func(s board.Summary) bool { second = append(second, s.ID()+copied.Short(s.ID())); return true })
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("number %d is %s, and was %s", i, second[i], first[i])
		}
	}
}

// No byte of a segment can be changed so that decoding does more than refuse it
// or read another segment; digests keep the latter away.
func TestADamagedSegmentIsReadWithoutHarm(t *testing.T) {
	data := ended(20).board.Segments()[0].Encode()
	for i := range data {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			if s, err := board.DecodeSegment(bad); err == nil {
				board.FromImage(board.Image{}, []*board.Segment{s}).Summaries(func(s board.Summary) bool { return s.ID()+s.Reason() != "" })
			}
		}
		if s, err := board.DecodeSegment(data[:i]); err == nil {
			t.Errorf("the first %d bytes are a segment of %d runs", i, s.Len())
		}
	}
}
