package orchestrator

import (
	"container/heap"

	"github.com/slipway-hq/slipway/domain/board"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// page keeps the newest n runs that it is given, by the sequence of their
// request, in one pass and bounded memory.
type page struct {
	n     int
	items oldestFirst
}

// pageItem is a run that is kept whole, or one of which the index knows.
type pageItem struct {
	request uint64
	live    *board.Live
	ended   board.Summary
}

// show is for what the page has in the end, not for all that were ever in it.
func (i pageItem) show(b *board.Board, w board.World) *apiv1.Run {
	if i.live != nil {
		return liveRun(b, i.live, w)
	}
	return endedRun(b, i.ended)
}

type oldestFirst []pageItem

func (h oldestFirst) Len() int           { return len(h) }
func (h oldestFirst) Less(i, j int) bool { return h[i].request < h[j].request }
func (h oldestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are heap.Interface.
func (h *oldestFirst) Push(x any) { *h = append(*h, x.(pageItem)) }

// Pop removes the last element.
func (h *oldestFirst) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newPage(n int) *page { return &page{n: n} }

// wants tells whether a run with this request would be among the newest n.
func (p *page) wants(request uint64) bool {
	return len(p.items) < p.n || request > p.items[0].request
}

func (p *page) add(item pageItem) {
	heap.Push(&p.items, item)
	if len(p.items) > p.n {
		heap.Pop(&p.items)
	}
}

// sorted empties the page, newest first.
func (p *page) sorted() []pageItem {
	out := make([]pageItem, len(p.items))
	for i := len(out) - 1; i >= 0; i-- {
		out[i], _ = heap.Pop(&p.items).(pageItem)
	}
	return out
}
