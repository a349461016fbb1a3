package projection

import "sync"

const anyKey = "*"

// watchers wakes those who wait for a key. The zero value is ready.
type watchers struct {
	mu    sync.Mutex
	byKey map[string]map[chan struct{}]bool
}

func (w *watchers) add(key string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = map[string]map[chan struct{}]bool{}
	}
	if w.byKey[key] == nil {
		w.byKey[key] = map[chan struct{}]bool{}
	}
	w.byKey[key][ch] = true
	return ch, func() { w.remove(key, ch) }
}

func (w *watchers) remove(key string, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byKey[key], ch)
	if len(w.byKey[key]) == 0 {
		delete(w.byKey, key)
	}
}

func (w *watchers) wake(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byKey) == 0 {
		return
	}
	w.poke(anyKey)
	if c.Run != "" {
		w.poke("run:" + c.Run)
	}
	if c.Lane != "" {
		w.poke("lane:" + c.Lane)
	}
}

func (w *watchers) poke(key string) {
	for ch := range w.byKey[key] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
