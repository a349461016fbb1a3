package orchestrator

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/topology"
)

// servers tells which servers of NATS hold the streams, and which should and do
// not: a cluster of three works on with two, and nobody would notice.
func (a *systemAPI) servers(ctx context.Context) []*apiv1.Check {
	copies, err := topology.CopiesOf(ctx, a.o.js, a.o.spec())
	switch {
	case topology.NoMajority(err):
		return []*apiv1.Check{bad("servers", "too few of them see each other: nothing can be stored", "two of three have to be up and to reach each other; nothing else needs a restart")}
	case err != nil:
		return []*apiv1.Check{bad("servers", "they do not answer: "+err.Error(), "is NATS up?")}
	}
	return judgeCopies(copies, a.o.deps.Conn.ConnectedServerVersion())
}

// judgeCopies speaks of what is wrong, the worst first; version is of the server
// that was asked.
func judgeCopies(copies []topology.Copies, version string) []*apiv1.Check {
	var leaderless, few []string
	away, behind, whole := map[string][]string{}, map[string][]string{}, map[string]bool{}
	for _, c := range copies {
		if c.Leader == "" {
			leaderless = append(leaderless, c.Stream)
		}
		for _, name := range c.Away {
			away[name] = append(away[name], c.Stream)
		}
		for _, name := range c.Behind {
			behind[name] = append(behind[name], c.Stream)
		}
		for _, name := range c.Whole {
			whole[name] = true
		}
		if n := len(c.Whole) + len(c.Behind) + len(c.Away); n < c.Wanted && c.Leader != "" {
			few = append(few, fmt.Sprintf("%s has %d of %d copies", c.Stream, n, c.Wanted))
		}
	}
	var out []*apiv1.Check
	if len(leaderless) > 0 {
		out = append(out, bad("servers", "no server takes writes of "+strings.Join(leaderless, ", "), "an election takes some seconds; if it stays, bring the missing servers back"))
	}
	for _, name := range slices.Sorted(maps.Keys(away)) {
		out = append(out, warn("servers", fmt.Sprintf("%s is away: %s without its copy", name, fewOf(away[name])), "bring it back: when one more goes, nothing can be stored"))
	}
	for _, name := range slices.Sorted(maps.Keys(behind)) {
		out = append(out, warn("servers", fmt.Sprintf("%s is catching up with %s", name, fewOf(behind[name])), "stop no other server until it has"))
	}
	for _, sentence := range few {
		out = append(out, warn("servers", sentence, "was a server removed? Add one while all others are whole"))
	}
	if len(out) == 0 {
		out = append(out, good("servers", healthy(slices.Sorted(maps.Keys(whole)), version)))
	}
	return out
}

// fewOf names a few and counts many.
func fewOf(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d streams", len(names))
}

func healthy(names []string, version string) string {
	if len(names) == 1 {
		return fmt.Sprintf("%s alone, NATS %s: its disk has the only copy", names[0], version)
	}
	return fmt.Sprintf("%s, NATS %s: each has a whole copy of every stream", strings.Join(names, ", "), version)
}

// expiresSoon is when people are told of a certificate that ends.
const expiresSoon = 14 * 24 * time.Hour

// connection tries another one to NATS, as every service makes after a restart:
// the one in use may be older than a certificate that has ended or a credential
// that was taken away. A server in this process needs neither.
func (a *systemAPI) connection(context.Context) []*apiv1.Check {
	if a.o.deps.Conn.Opts.InProcessServer != nil {
		return nil
	}
	state, err := natsconn.Again(a.o.deps.Conn)
	switch {
	case err != nil:
		return []*apiv1.Check{bad("connection", "a new one fails: "+err.Error(), "before anything restarts; see the runbook, Credentials and certificates")}
	case state == nil:
		return []*apiv1.Check{good("connection", "a new one succeeds, without TLS")}
	case len(state.VerifiedChains) > 0:
		return judgeCertificates(state.VerifiedChains[0], a.o.deps.Now())
	}
	return judgeCertificates(state.PeerCertificates, a.o.deps.Now())
}

// judgeCertificates looks at the one that ends first.
func judgeCertificates(chain []*x509.Certificate, now time.Time) []*apiv1.Check {
	first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	finding := fmt.Sprintf("a new one succeeds; the certificate of %q is good until %s", first.Subject.CommonName, first.NotAfter.UTC().Format(time.DateOnly))
	if first.NotAfter.Sub(now) < expiresSoon {
		return []*apiv1.Check{warn("connection", finding, "renew it before; see the runbook, Credentials and certificates")}
	}
	return []*apiv1.Check{good("connection", finding)}
}
