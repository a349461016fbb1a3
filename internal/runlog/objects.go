package runlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

// The layout of an object store is ADR-20 of NATS: chunks on one subject per
// upload, then one message that names them, on one subject per object. Clients
// replace that message blindly; here it is compared and set, which the layout
// allows and the client's own Put does not offer. What is written here any client
// reads, and the other way round.
const (
	chunkSubject = "$O." + topology.BucketObjects + ".C."
	metaSubject  = "$O." + topology.BucketObjects + ".M."
	streamName   = "OBJ_" + topology.BucketObjects
	// chunkBytes is the usual size of a chunk in an object store.
	chunkBytes = 128 << 10
)

var (
	// errGone: the object was replaced or deleted while it was read.
	errGone = errors.New("the object is gone")
	// errRaced: another writer was quicker.
	errRaced = errors.New("the object was changed by another writer")
	// errDamaged: the content is not what was stored.
	errDamaged = errors.New("the object is damaged")
)

// objects is the object store with compare-and-set.
type objects struct{ js jetstream.JetStream }

func metaOf(name string) string {
	return metaSubject + base64.URLEncoding.EncodeToString([]byte(name))
}

// lookup returns what is stored under name, and the sequence to compare with
// when it is replaced; nil and that sequence when there is nothing.
func (o objects) lookup(ctx context.Context, name string) (*jetstream.ObjectInfo, uint64, error) {
	stream, err := o.js.Stream(ctx, streamName)
	if err != nil {
		return nil, 0, fmt.Errorf("open the object store: %w", err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, metaOf(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look up object %s: %w", name, err)
	}
	info := &jetstream.ObjectInfo{}
	if err := json.Unmarshal(m.Data, info); err != nil {
		return nil, 0, fmt.Errorf("look up object %s: %w", name, errDamaged)
	}
	if info.Deleted {
		return nil, m.Sequence, nil
	}
	return info, m.Sequence, nil
}

// open reads an object. The reader returns errGone when it is replaced meanwhile
// and errDamaged when it is not what was stored.
func (o objects) open(ctx context.Context, info *jetstream.ObjectInfo) (io.Reader, error) {
	stream, err := o.js.Stream(ctx, streamName)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	return &chunks{ctx: ctx, stream: stream, info: info, sum: sha256.New()}, nil
}

// chunks reads the chunks of one upload, one at a time.
type chunks struct {
	ctx    context.Context //nolint:containedctx // of one reading, as io.Reader takes none
	stream jetstream.Stream
	info   *jetstream.ObjectInfo
	sum    hash.Hash
	rest   []byte
	after  uint64 // sequence of the last chunk
	read   uint32
}

func (c *chunks) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.read == c.info.Chunks {
			return 0, c.end()
		}
		m, err := c.stream.GetMsg(c.ctx, c.after+1, jetstream.WithGetMsgSubject(chunkSubject+c.info.NUID))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, errGone
		}
		if err != nil {
			return 0, fmt.Errorf("read object %s: %w", c.info.Name, err)
		}
		c.rest, c.after = m.Data, m.Sequence
		c.sum.Write(m.Data)
		c.read++
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *chunks) end() error {
	if jetstream.GetObjectDigestValue(c.sum) != c.info.Digest {
		return fmt.Errorf("object %s: %w", c.info.Name, errDamaged)
	}
	return io.EOF
}

// upload is an object that is being written. Until commit nobody sees it.
type upload struct {
	ctx  context.Context //nolint:containedctx // of one writing, as io.Writer takes none
	js   jetstream.JetStream
	info jetstream.ObjectInfo
	sum  hash.Hash
	buf  bytes.Buffer
}

func (o objects) create(ctx context.Context, name string) *upload {
	return &upload{ctx: ctx, js: o.js, sum: sha256.New(), info: jetstream.ObjectInfo{
		Bucket: topology.BucketObjects, NUID: rand.Text(),
		ObjectMeta: jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: chunkBytes}},
	}}
}

func (u *upload) Write(b []byte) (int, error) {
	u.buf.Write(b)
	for u.buf.Len() >= chunkBytes {
		if err := u.flush(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (u *upload) flush() error {
	chunk := u.buf.Next(chunkBytes)
	if len(chunk) == 0 {
		return nil
	}
	if _, err := u.js.Publish(u.ctx, chunkSubject+u.info.NUID, chunk); err != nil {
		return fmt.Errorf("store a chunk of %s: %w", u.info.Name, err)
	}
	u.sum.Write(chunk)
	u.info.Size += uint64(len(chunk))
	u.info.Chunks++
	return nil
}

// commit makes the upload the object, if that is still as it was at sequence
// expect; else errRaced. Any other error leaves open whether it did.
func (u *upload) commit(expect uint64) error {
	if err := u.flush(); err != nil {
		return err
	}
	u.info.Digest = jetstream.GetObjectDigestValue(u.sum)
	data, err := json.Marshal(&u.info)
	if err != nil {
		return fmt.Errorf("store %s: %w", u.info.Name, err)
	}
	m := nats.NewMsg(metaOf(u.info.Name))
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Data = data
	_, err = u.js.PublishMsg(u.ctx, m, jetstream.WithExpectLastSequencePerSubject(expect), jetstream.WithRetryAttempts(0))
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return errRaced
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", u.info.Name, err)
	}
	return nil
}

// purgeChunks removes the content of an upload that no object names any more.
func (o objects) purgeChunks(ctx context.Context, upload string) error {
	return o.purge(ctx, chunkSubject+upload)
}

func (o objects) purge(ctx context.Context, subject string) error {
	stream, err := o.js.Stream(ctx, streamName)
	if err != nil {
		return fmt.Errorf("open the object store: %w", err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return fmt.Errorf("purge the object store: %w", err)
	}
	return nil
}

// remove deletes an object: content first, so that one that was stopped in
// between is still found and removed the next time.
func (o objects) remove(ctx context.Context, info *jetstream.ObjectInfo) error {
	if err := o.purgeChunks(ctx, info.NUID); err != nil {
		return err
	}
	return o.purge(ctx, metaOf(info.Name))
}
