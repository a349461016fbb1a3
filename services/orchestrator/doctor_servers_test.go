package orchestrator

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

// findings are checks without what to do.
func findings(checks []*apiv1.Check) (out []string) {
	for _, c := range checks {
		out = append(out, fmt.Sprintf("%s %s: %s", c.GetLevel(), c.GetName(), c.GetFinding()))
	}
	return out
}

func TestDoctorTellsOfServersThatAreAwayBehindOrLeadNothing(t *testing.T) {
	of := func(stream, leader string, whole, behind, away []string) topology.Copies {
		return topology.Copies{Stream: stream, Wanted: 3, Leader: leader, Whole: whole, Behind: behind, Away: away}
	}
	for name, c := range map[string]struct {
		copies []topology.Copies
		want   []string
	}{
		"all well": {
			[]topology.Copies{of("EVENTS", "a", []string{"a", "b", "c"}, nil, nil), of("INBOX", "b", []string{"a", "b", "c"}, nil, nil)},
			[]string{"LEVEL_OK servers: a, b, c, NATS 2.15.2: each has a whole copy of every stream"},
		},
		"alone": {
			[]topology.Copies{{Stream: "EVENTS", Wanted: 1, Leader: "a", Whole: []string{"a"}}},
			[]string{"LEVEL_OK servers: a alone, NATS 2.15.2: its disk has the only copy"},
		},
		"one is away, another catches up": {
			[]topology.Copies{
				of("EVENTS", "a", []string{"a"}, []string{"b"}, []string{"c"}), of("INBOX", "a", []string{"a", "b"}, nil, []string{"c"}),
				of("LOGS", "a", []string{"a", "b"}, nil, []string{"c"}), of("DEAD", "a", []string{"a", "b"}, nil, []string{"c"}),
			},
			[]string{"LEVEL_WARNING servers: c is away: 4 streams without its copy", "LEVEL_WARNING servers: b is catching up with EVENTS"},
		},
		"nobody leads": {
			[]topology.Copies{of("EVENTS", "", []string{"a"}, nil, nil), of("WORK", "a", []string{"a", "b", "c"}, nil, nil)},
			[]string{"LEVEL_ERROR servers: no server takes writes of EVENTS"},
		},
		"a server was removed": {
			[]topology.Copies{of("EVENTS", "a", []string{"a", "b"}, nil, nil)},
			[]string{"LEVEL_WARNING servers: EVENTS has 2 of 3 copies"},
		},
	} {
		if diff := cmp.Diff(c.want, findings(judgeCopies(c.copies, "2.15.2"))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDoctorTellsOfACertificateBeforeItEnds(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	chain := func(leaf, root time.Duration) []*x509.Certificate {
		of := func(name string, left time.Duration) *x509.Certificate {
			return &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: now.Add(left)}
		}
		return []*x509.Certificate{of("nats", leaf), of("root", root)}
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		leaf, root time.Duration
		want       []string
	}{
		{15 * day, 99 * day, []string{`LEVEL_OK connection: a new one succeeds; the certificate of "nats" is good until 2026-03-16`}},
		{13 * day, 99 * day, []string{`LEVEL_WARNING connection: a new one succeeds; the certificate of "nats" is good until 2026-03-14`}},
		{99 * day, day, []string{`LEVEL_WARNING connection: a new one succeeds; the certificate of "root" is good until 2026-03-02`}},
	} {
		if diff := cmp.Diff(c.want, findings(judgeCertificates(chain(c.leaf, c.root), now))); diff != "" {
			t.Error(diff)
		}
	}
}
