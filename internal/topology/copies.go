package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsconn"
)

// silence is after how long a server that is not said to be away counts as away
// all the same: it answers its leader several times a second.
const silence = 10 * time.Second

// Copies is where the copies of one stream are.
type Copies struct {
	Stream string
	Wanted int    // how many there should be
	Leader string // the server that takes its writes; empty: nobody does
	Whole  []string
	Behind []string // servers that are there and lack the newest messages
	Away   []string // servers that do not answer
}

// CopiesOf reports the streams of spec in its order. A stream of which no server
// tells has no leader.
func CopiesOf(ctx context.Context, js jetstream.JetStream, spec Spec) ([]Copies, error) {
	found, err := infosOf(ctx, js)
	if err != nil {
		return nil, err
	}
	var out []Copies
	for _, cfg := range spec.Streams {
		switch info := found[cfg.Name]; {
		case info != nil:
			out = append(out, copiesIn(info, js.Conn().ConnectedServerName()))
		case !volatile(cfg):
			out = append(out, Copies{Stream: cfg.Name, Wanted: cfg.Replicas})
		}
	}
	return out, nil
}

// infosOf asks for all streams at once, by name.
func infosOf(ctx context.Context, js jetstream.JetStream) (map[string]*jetstream.StreamInfo, error) {
	if err := natsconn.Reach(js.Conn()); err != nil {
		return nil, err
	}
	found := map[string]*jetstream.StreamInfo{}
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		found[info.Config.Name] = info
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the streams: %w", err)
	}
	return found, nil
}

// codeUnavailable is what a server answers that sees no majority of its cluster.
const codeUnavailable = 10008

// NoMajority tells whether err says that too few servers of the cluster see each
// other: until more do, nothing is stored.
func NoMajority(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeUnavailable
}

// copiesIn reads what the leader of a stream told. A server alone tells of no
// cluster, and is the one that was asked.
func copiesIn(info *jetstream.StreamInfo, asked string) Copies {
	c := Copies{Stream: info.Config.Name, Wanted: max(info.Config.Replicas, 1)}
	if info.Cluster == nil {
		c.Leader, c.Whole = asked, []string{asked}
		return c
	}
	if c.Leader = info.Cluster.Leader; c.Leader != "" {
		c.Whole = append(c.Whole, c.Leader)
	}
	for _, peer := range info.Cluster.Replicas {
		switch {
		case peer.Offline || peer.Active > silence || peer.Active == 0 && !peer.Current: // zero: never heard of
			c.Away = append(c.Away, peer.Name)
		case !peer.Current:
			c.Behind = append(c.Behind, peer.Name)
		default:
			c.Whole = append(c.Whole, peer.Name)
		}
	}
	for _, names := range [][]string{c.Whole, c.Behind, c.Away} {
		slices.SortFunc(names, strings.Compare)
	}
	return c
}
