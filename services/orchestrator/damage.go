package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// history tells doctor what the log shows of lost or altered records: runs and
// lanes that are quarantined for it, and sequences without a record.
func (a *systemAPI) history(ctx context.Context) []*apiv1.Check {
	end, err := a.logEnd(ctx)
	if err != nil {
		return []*apiv1.Check{bad("history", "the log's state cannot be read: "+err.Error(), "is NATS up?")}
	}
	out := a.quarantined()
	damage := a.o.proj.Damage()
	for _, subject := range slices.Sorted(maps.Keys(damage.Broken)) {
		out = append(out, bad("history", subject+" is damaged: "+damage.Broken[subject], "nothing behind the damage counts there; "+restore))
	}
	missing := damage.Missing
	if seen := a.o.proj.Sequence(); end > seen { // the fold has stopped, so what is there cannot be read
		missing = append(missing, projection.Range{First: seen + 1, Last: end})
	}
	if len(missing) > 0 {
		out = append(out, a.missing(missing))
	}
	if len(out) == 0 {
		out = append(out, good("history", "every chain is whole"))
	}
	return out
}

// restore is what brings lost records back.
const restore = "`slipway restore` brings back what a backup has"

// foldWait is how long the fold may take for what is in the log when doctor asks.
const foldWait = 2 * time.Second

// logEnd is the last sequence that the log gave. It returns when the fold has
// come there, or does not move any more.
func (a *systemAPI) logEnd(ctx context.Context) (uint64, error) {
	stream, err := a.o.js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		return 0, err
	}
	end := stream.CachedInfo().State.LastSeq
	ctx, cancel := context.WithTimeout(ctx, foldWait)
	defer cancel()
	_ = a.o.proj.WaitFor(ctx, end) // the records at the end may be what is lost
	return end, nil
}

func (a *systemAPI) quarantined() (out []*apiv1.Check) {
	a.o.proj.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) {
			if l.Quarantined == "" {
				return
			}
			remedy := "nothing is decided about it any more; " + restore
			if l.Grant != 0 && !l.Released {
				remedy = "it keeps its slot: look whether its last step still runs, then `slipway release " + b.Short(l.State.ID) + "` gives the slot away; " + restore
			}
			out = append(out, bad("history", "run "+l.State.ID+" is quarantined: "+l.Quarantined, remedy))
		})
		b.Lanes(func(ln *board.Lane) {
			if ln.Quarantined != "" {
				out = append(out, bad("history", "lane "+ln.Name+" is quarantined: "+ln.Quarantined, "nothing starts there any more; "+restore))
			}
		})
	})
	slices.SortFunc(out, func(a, b *apiv1.Check) int { return strings.Compare(a.GetFinding(), b.GetFinding()) })
	return out
}

// maxSuspects bounds the runs that doctor names.
const maxSuspects = 5

// missing names lost records, and whose they may have been: a record inside a
// chain is missed by the next one, so that only the last of a chain can be lost
// without a quarantine.
func (a *systemAPI) missing(missing []projection.Range) *apiv1.Check {
	var suspects []string
	a.o.proj.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) {
			if !l.State.Status.Ended() && l.Quarantined == "" && slices.ContainsFunc(missing, func(r projection.Range) bool { return l.Request < r.Last && l.State.Sequence < r.Last }) {
				suspects = append(suspects, l.State.ID)
			}
		})
	})
	slices.Sort(suspects)
	verb := "is"
	if len(missing) > 1 || missing[0].First != missing[0].Last {
		verb = "are"
	}
	finding := fmt.Sprintf("%s of the log %s gone, and no archive took them away", projection.Ranges(missing), verb)
	remedy := restore
	if n := len(suspects); n > 0 {
		if n > maxSuspects {
			suspects = append(suspects[:maxSuspects], fmt.Sprintf("%d more", n-maxSuspects))
		}
		remedy = "it may have been the last word of " + strings.Join(suspects, ", ") + ": look at what they did before you let them go on; " + restore
	}
	return bad("history", finding, remedy)
}
