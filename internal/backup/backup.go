// Package backup copies everything that Slipway keeps into a folder, and back
// into an empty server or cluster, sequences included: fences and grants are
// sequences, so that anything else would not be the same log.
//
// It is for operators, through `slipway backup` and `slipway restore`; services
// never import it. What lives in memory (hints, leases) is no part of it.
//
// Invariants: a folder is a backup only with its manifest, which is written last
// and holds the digest of every file; requests are copied before the log, and
// objects after it, so that nothing that was acknowledged is in neither; a
// restore touches nothing that holds anything, and is complete only when every
// stream has what the manifest says.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/jsm.go"
	"github.com/nats-io/jsm.go/api"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// manifestFile is written last.
	manifestFile = "slipway-backup.json"
	// form is the version of this layout.
	form = 1
	// apiTimeout bounds one request to the server; a large stream's first chunk
	// may take a while.
	apiTimeout = 30 * time.Second
)

var (
	// ErrNotEmpty: the place already holds something, and nothing was changed.
	ErrNotEmpty = errors.New("it is not empty")
	// ErrDamaged: a file of the backup is missing or is not what was written.
	ErrDamaged = errors.New("the backup is damaged")
)

// Manifest says what a backup holds.
type Manifest struct {
	Form    int       `json:"form"`
	Time    time.Time `json:"time"`
	Streams []Stream  `json:"streams"`
}

// Stream is one copied stream.
type Stream struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	First    uint64 `json:"first_sequence"`
	Last     uint64 `json:"last_sequence"`
	// Bytes of its files, and their SHA-256 by name.
	Bytes int64             `json:"bytes"`
	Files map[string]string `json:"files"`
}

// order is how streams are copied: requests before the log, because one that is
// handled in between is in the log as well; objects after it, because the log
// names them.
func order(spec topology.Spec) []string {
	var before, after []string
	for _, s := range spec.Streams {
		switch {
		case s.Storage == jetstream.MemoryStorage || s.Name == topology.StreamCanary:
		case s.Name == topology.StreamInbox:
			before = append([]string{s.Name}, before...)
		case s.Name == topology.StreamEvents || s.Name == "KV_"+topology.BucketCards:
			before = append(before, s.Name)
		default:
			after = append(after, s.Name)
		}
	}
	// What was posted where, then the log: a card of a run that is not there yet
	// would be a card of nothing.
	slices.SortStableFunc(before, func(a, b string) int { return rank(a) - rank(b) })
	return append(before, after...)
}

func rank(stream string) int {
	return slices.Index([]string{topology.StreamInbox, "KV_" + topology.BucketCards, topology.StreamEvents}, stream)
}

// Take copies every lasting stream into dir, which must be empty or absent.
// Services may go on meanwhile. say is told of each stream when it is done; it
// may be nil.
func Take(ctx context.Context, conn *nats.Conn, dir string, now time.Time, say func(Stream)) (Manifest, error) {
	m := Manifest{Form: form, Time: now.UTC()}
	if err := empty(dir); err != nil {
		return m, err
	}
	manager, err := jsm.New(conn, jsm.WithTimeout(apiTimeout))
	if err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	for _, name := range order(topology.Topology(1, topology.LimitsFor(topology.DefaultStore))) {
		s, err := takeStream(ctx, manager, name, filepath.Join(dir, name))
		if err != nil {
			return m, fmt.Errorf("backup of %s: %w", name, err)
		}
		m.Streams = append(m.Streams, s)
		if say != nil {
			say(s)
		}
	}
	return m, writeManifest(dir, m)
}

func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return fmt.Errorf("backup: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("the folder %s: %w; name another one", dir, ErrNotEmpty)
	}
	return nil
}

func takeStream(ctx context.Context, manager *jsm.Manager, name, dir string) (Stream, error) {
	stream, err := manager.LoadStream(name)
	if err != nil {
		return Stream{}, err
	}
	if _, err := stream.SnapshotToDirectory(ctx, dir, jsm.SnapshotConsumers(), jsm.SnapshotHealthCheck()); err != nil {
		return Stream{}, err
	}
	state, err := copied(dir)
	if err != nil {
		return Stream{}, err
	}
	s := Stream{Name: name, Messages: state.Msgs, First: state.FirstSeq, Last: state.LastSeq}
	s.Files, s.Bytes, err = digests(dir)
	return s, err
}

// copied is the state of the stream as it was copied: the server writes it
// beside the messages.
func copied(dir string) (api.StreamState, error) {
	data, err := os.ReadFile(filepath.Join(dir, jsm.SnapshotMetaFile)) //nolint:gosec // a folder that the operator names
	if err != nil {
		return api.StreamState{}, err
	}
	var meta struct {
		State api.StreamState `json:"state"`
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return api.StreamState{}, fmt.Errorf("read what was copied: %w", err)
	}
	return meta.State, nil
}

func digests(dir string) (map[string]string, int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	files, total := map[string]string{}, int64(0)
	for _, e := range entries {
		sum, size, err := digest(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, 0, err
		}
		files[e.Name()], total = sum, total+size
	}
	return files, total, nil
}

func digest(path string) (string, int64, error) {
	f, err := os.Open(path) //nolint:gosec // a folder that the operator names
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

func writeManifest(dir string, m Manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	path := filepath.Join(dir, manifestFile)
	if err := os.WriteFile(path+".part", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return os.Rename(path+".part", path)
}

// Verify reads a backup's manifest and checks every file against it.
func Verify(dir string) (Manifest, error) {
	var m Manifest
	data, err := os.ReadFile(filepath.Join(dir, manifestFile)) //nolint:gosec // a folder that the operator names
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("the folder %s has no %s, so it is no backup, or one that was not finished: %w", dir, manifestFile, ErrDamaged)
	}
	if err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s cannot be read (%w): %w", manifestFile, err, ErrDamaged)
	}
	if m.Form != form {
		return m, fmt.Errorf("the backup has form %d, and this version reads %d", m.Form, form)
	}
	for _, s := range m.Streams {
		for name, want := range s.Files {
			path := filepath.Join(dir, s.Name, name)
			if got, _, err := digest(path); err != nil || got != want {
				return m, fmt.Errorf("%s is not what was written: %w", path, ErrDamaged)
			}
		}
	}
	return m, nil
}

// Restore puts a backup into a server or cluster that holds nothing of Slipway,
// with so many replicas. Streams that exist and are empty are replaced. Nothing
// is changed when any holds something, or the backup is damaged.
func Restore(ctx context.Context, conn *nats.Conn, dir string, spec topology.Spec, say func(Stream)) (Manifest, error) {
	m, err := Verify(dir)
	if err != nil {
		return m, err
	}
	manager, err := jsm.New(conn, jsm.WithTimeout(apiTimeout))
	if err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return m, fmt.Errorf("restore: %w", err)
	}
	if err := clear(ctx, js, m); err != nil {
		return m, err
	}
	for _, s := range m.Streams {
		if err := again(ctx, js, s.Name, func() error { return putStream(ctx, manager, s, filepath.Join(dir, s.Name), spec) }); err != nil {
			return m, fmt.Errorf("restore of %s: %w", s.Name, err)
		}
		if say != nil {
			say(s)
		}
	}
	return m, topology.Ensure(ctx, js, spec)
}

// clear removes streams that are empty, after a look that all are.
func clear(ctx context.Context, js jetstream.JetStream, m Manifest) error {
	var there []string
	for _, s := range m.Streams {
		stream, err := js.Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("restore: look at %s: %w", s.Name, err)
		}
		if state := stream.CachedInfo().State; state.LastSeq > 0 {
			return fmt.Errorf("the stream %s holds something (last sequence %d), and nothing was changed: %w; restore into an empty server", s.Name, state.LastSeq, ErrNotEmpty)
		}
		there = append(there, s.Name)
	}
	for _, name := range there {
		if err := js.DeleteStream(ctx, name); err != nil {
			return fmt.Errorf("restore: replace %s: %w", name, err)
		}
	}
	return nil
}

const (
	// maxTries and between: in a cluster the server that takes a stream may be
	// heard of a moment later than its answer, and then nobody takes the first
	// chunk.
	maxTries = 8
	between  = time.Second
)

// again repeats the restore of one stream, from the beginning, while nobody
// takes its chunks.
func again(ctx context.Context, js jetstream.JetStream, name string, restore func() error) error {
	for try := 1; ; try++ {
		err := restore()
		if err == nil || errors.Is(err, ErrDamaged) || try == maxTries {
			return err
		}
		select {
		case <-time.After(between):
		case <-ctx.Done():
			return err
		}
		// What was begun is ours: nothing was there before.
		if gone := js.DeleteStream(ctx, name); gone != nil && !errors.Is(gone, jetstream.ErrStreamNotFound) {
			return errors.Join(err, gone)
		}
	}
}

func putStream(ctx context.Context, manager *jsm.Manager, s Stream, dir string, spec topology.Spec) error {
	cfg, err := configuration(s.Name, spec)
	if err != nil {
		return err
	}
	_, state, err := manager.RestoreSnapshotFromDirectory(ctx, s.Name, dir, jsm.RestoreConfiguration(cfg))
	if err != nil {
		return err
	}
	if state.Msgs != s.Messages || state.LastSeq != s.Last || s.Messages > 0 && state.FirstSeq != s.First {
		return fmt.Errorf("it has %d messages up to %d, and %d up to %d were copied: %w", state.Msgs, state.LastSeq, s.Messages, s.Last, ErrDamaged)
	}
	return nil
}

// configuration is what the place wants of a stream: it may be larger, or have
// other replicas, than where the copy was taken.
func configuration(name string, spec topology.Spec) (cfg api.StreamConfig, err error) {
	i := slices.IndexFunc(spec.Streams, func(s jetstream.StreamConfig) bool { return s.Name == name })
	if i < 0 {
		return cfg, errors.New("this version knows no such stream")
	}
	data, err := json.Marshal(spec.Streams[i])
	if err == nil {
		err = json.Unmarshal(data, &cfg) // both are the server's own words
	}
	return cfg, err
}
