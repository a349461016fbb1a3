package orchestrator

import (
	"container/heap"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// page keeps the newest n runs that it is given, by the sequence of their
// request, in one pass and bounded memory.
type page struct {
	n     int
	items oldestFirst
}

type pageItem struct {
	request uint64
	run     *apiv1.Run
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

func (p *page) add(request uint64, r *apiv1.Run) {
	heap.Push(&p.items, pageItem{request, r})
	if len(p.items) > p.n {
		heap.Pop(&p.items)
	}
}

// sorted empties the page, newest first.
func (p *page) sorted() ([]*apiv1.Run, []uint64) {
	runs, requests := make([]*apiv1.Run, len(p.items)), make([]uint64, len(p.items))
	for i := len(p.items) - 1; i >= 0; i-- {
		item, _ := heap.Pop(&p.items).(pageItem)
		runs[i], requests[i] = item.run, item.request
	}
	return runs, requests
}
