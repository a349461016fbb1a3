package topology

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsconn"
)

const (
	// minAPILevel is the JetStream API that has everything we rely on.
	minAPILevel = 4
	// minServer is the first release whose atomic batches are whole around
	// changes of the leader (nats-server issues 7460, 8305, 8369).
	minServer = "2.14.9"
)

var (
	// ErrServerTooOld: the NATS server lacks what Slipway relies on.
	ErrServerTooOld = errors.New("the NATS server is too old")
	// ErrNoJetStream: the NATS server has JetStream switched off.
	ErrNoJetStream = errors.New("the NATS server has no JetStream")
)

// CheckServer refuses a server that Slipway cannot rely on.
func CheckServer(ctx context.Context, js jetstream.JetStream) error {
	if err := natsconn.Reach(js.Conn()); err != nil {
		return err
	}
	version := js.Conn().ConnectedServerVersion()
	if !atLeast(version, minServer) {
		return fmt.Errorf("%w: it is %s, Slipway needs %s or newer", ErrServerTooOld, version, minServer)
	}
	info, err := js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: %w", ErrNoJetStream, err)
	case err != nil:
		return fmt.Errorf("ask JetStream for its version: %w", err)
	case info.API.Level < minAPILevel:
		return fmt.Errorf("%w: its JetStream has API level %d, Slipway needs %d", ErrServerTooOld, info.API.Level, minAPILevel)
	}
	return nil
}

// atLeast compares "major.minor.patch", with anything behind. An unreadable
// version is too old.
func atLeast(version, least string) bool {
	have, want := [3]int{}, [3]int{}
	if !scanVersion(version, &have) || !scanVersion(least, &want) {
		return false
	}
	for i := range have {
		if have[i] != want[i] {
			return have[i] > want[i]
		}
	}
	return true
}

func scanVersion(text string, v *[3]int) bool {
	n, _ := fmt.Sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2])
	return n == len(v)
}

// Replicas tells how many replicas the cluster was bootstrapped with.
func Replicas(ctx context.Context, js jetstream.JetStream) (int, error) {
	stream, err := js.Stream(ctx, StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("look up the stream %s: %w", StreamEvents, err)
	}
	return max(stream.CachedInfo().Config.Replicas, 1), nil
}
