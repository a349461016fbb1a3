package main

import (
	"fmt"
	"slices"
	"time"
)

// samples are durations in milliseconds.
type samples []float64

func (s *samples) add(d time.Duration) { *s = append(*s, float64(d)/float64(time.Millisecond)) }

// quantile returns the value below which the part q of the samples lies.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// spread are the quantiles that are reported.
type spread struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	N   int     `json:"samples"`
}

func (s spread) String() string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f / %.1f", s.P50, s.P99)
}

// rounds are the spreads of several rounds.
type rounds []spread

func (r *rounds) add(s samples) { *r = append(*r, spread{s.quantile(0.5), s.quantile(0.99), len(s)}) }

// median is the median of each quantile over the rounds.
func (r rounds) median() spread {
	var p50, p99 samples
	n := 0
	for _, s := range r {
		p50, p99, n = append(p50, s.P50), append(p99, s.P99), n+s.N
	}
	return spread{p50.quantile(0.5), p99.quantile(0.5), n}
}
