package claim_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/slipway-hq/slipway/claim"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

// One message: a claim and its done marker, each on disk before it is answered.
func BenchmarkClaimAndDone(b *testing.B) {
	guard := open(b, natsnodetest.Connect(b, natsnodetest.Start(b, natsnode.Config{Dir: b.TempDir()})), claim.Options{})
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			held, err := guard.Claim(b.Context(), fmt.Sprint(n.Add(1)))
			if err == nil {
				err = held.Done(b.Context())
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A replica that comes second.
func BenchmarkTaken(b *testing.B) {
	node := natsnodetest.One(b)
	first, second := open(b, natsnodetest.Connect(b, node), claim.Options{}), open(b, natsnodetest.Connect(b, node), claim.Options{})
	mustClaim(b, first, "k")
	for b.Loop() {
		if _, err := second.Claim(b.Context(), "k"); err == nil {
			b.Fatal("claimed twice")
		}
	}
}
