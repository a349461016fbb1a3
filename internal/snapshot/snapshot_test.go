package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// bench is a log in memory, a fold of it, and a real object store.
type bench struct {
	t       *testing.T
	js      jetstream.JetStream
	log     *memlog.Log
	proj    *projection.Projection
	ends    map[string]eventlog.Position
	store   *Store
	objects jetstream.ObjectStore
}

func newBench(t *testing.T) *bench {
	t.Helper()
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	if err := topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(1<<30))); err != nil {
		t.Fatal(err)
	}
	objects, err := topology.Objects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.New()
	store := NewStore(js, log)
	store.again = time.Millisecond // this log never lags
	return &bench{t: t, js: js, log: log, proj: projection.New(log, nil), ends: map[string]eventlog.Position{}, store: store, objects: objects}
}

func (b *bench) append(subject string, events ...*eventv1.Event) uint64 {
	b.t.Helper()
	c := &eventv1.Commit{Id: "x", Time: timestamppb.New(time.Unix(1_800_000_000, 0)), Actor: &eventv1.Principal{User: "U1"}, Events: events}
	end := b.ends[subject]
	end.Chain(c)
	data, err := proto.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	at, err := b.log.Append(b.t.Context(), subject, end.Sequence, data)
	if err != nil {
		b.t.Fatal(err)
	}
	rec := eventlog.Decode(subject, at, time.Now(), data)
	b.ends[subject] = rec.Position()
	b.proj.Apply(rec)
	return at
}

func (b *bench) request(name string) string {
	id := identity.RunID(identity.Deployment, name)
	b.append(topology.RunSubject(id), &eventv1.Event{Kind: &eventv1.Event_RunRequested{RunRequested: &eventv1.RunRequested{
		Run: id, Identity: name, Service: "web", Environment: "staging", Version: name, Parameters: map[string]string{"a": "1"},
		Plan: &eventv1.Plan{Lane: "web/staging", Pool: "default", Steps: []*eventv1.Step{{Name: "ship"}}},
	}}})
	return id
}

func (b *bench) end(id string) {
	b.append(topology.RunSubject(id), &eventv1.Event{Kind: &eventv1.Event_RunEnded{RunEnded: &eventv1.RunEnded{Outcome: eventv1.RunEnded_OUTCOME_SUCCEEDED}}})
}

// history is a bit of everything, with so many ended runs, and returns one that lives.
func (b *bench) history(ended int) string {
	for i := range ended {
		b.end(b.request(fmt.Sprint("old ", i)))
	}
	live := b.request("live")
	b.append(topology.LaneSubject("web/staging"), &eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: &eventv1.LaneGranted{Lane: "web/staging", Runs: []string{live}}}})
	b.append(topology.SubjectConfig, &eventv1.Event{Kind: &eventv1.Event_ConfigAdopted{ConfigAdopted: &eventv1.ConfigAdopted{Digest: "d"}}})
	b.request("waits")
	return live
}

func (b *bench) save() {
	b.t.Helper()
	if at, err := b.store.Writer(b.proj).Save(b.t.Context()); err != nil || at != b.proj.Sequence() {
		b.t.Fatalf("saved up to %d, error %v", at, err)
	}
}

// resume reads the newest snapshot.
func (b *bench) resume() (*projection.Projection, error) {
	p := projection.New(b.log, nil)
	_, err := b.store.Resume(b.t.Context(), p)
	return p, err
}

func (b *bench) wantMismatch(what string) {
	b.t.Helper()
	p, err := b.resume()
	if !errors.Is(err, ErrMismatch) {
		b.t.Errorf("%s: %v", what, err)
	}
	if p.Sequence() != 0 {
		b.t.Errorf("%s: something was taken over", what)
	}
}

func TestASnapshotIsTheFold(t *testing.T) {
	b := newBench(t)
	if _, err := b.resume(); !errors.Is(err, ErrNone) {
		t.Errorf("without any: %v", err)
	}
	b.history(300)
	b.save()
	p, err := b.resume()
	if err != nil || !bytes.Equal(Bytes(p), Bytes(b.proj)) {
		t.Fatalf("another state was read, error %v", err)
	}
	// It goes on from there as the fold does.
	from := p.Sequence()
	b.end(b.request("later"))
	for at := from + 1; at <= b.proj.Sequence(); at++ {
		rec, err := b.log.Get(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		p.Apply(rec)
	}
	if !bytes.Equal(Bytes(p), Bytes(b.proj)) {
		t.Error("the state that went on differs")
	}
}

func TestFullSegmentsAreWrittenOnceAndReadBack(t *testing.T) {
	b := newBench(t)
	w := b.store.Writer(b.proj)
	for i := range board.SegmentRuns + 10 {
		b.end(b.request(fmt.Sprint("run ", i)))
	}
	for range 3 {
		b.end(b.request(fmt.Sprint("more ", b.proj.Sequence())))
		if _, err := w.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	infos, err := b.objects.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	segment := ""
	for _, info := range infos {
		if strings.HasPrefix(info.Name, prefix+"segment/") {
			if segment != "" {
				t.Error("a second segment was written")
			}
			segment = info.Name
		}
	}
	p, err := b.resume()
	if err != nil || !bytes.Equal(Bytes(p), Bytes(b.proj)) {
		t.Fatalf("another state was read, error %v", err)
	}
	if err := w.Clean(t.Context(), time.Now().Add(2*keepOthers)); err != nil {
		t.Fatal(err)
	}
	if p, err = b.resume(); err != nil || p.Sequence() != b.proj.Sequence() {
		t.Fatalf("after the old ones were deleted: %d, %v", p.Sequence(), err)
	}
	data, err := b.objects.GetBytes(t.Context(), segment)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if _, err := b.objects.PutBytes(t.Context(), segment, data); err != nil {
		t.Fatal(err)
	}
	b.wantMismatch("a segment with a flipped bit")
	if err := b.objects.Delete(t.Context(), segment); err != nil {
		t.Fatal(err)
	}
	b.wantMismatch("a missing segment")
}

// Whatever byte of a head is changed, or missing, it is refused.
func TestADamagedHeadIsRefused(t *testing.T) {
	b := newBench(t)
	b.history(3)
	state, segments := b.proj.State()
	h := &head{Form: foldForm, State: state, Tail: segments[0].Encode()}
	data := h.seal()
	if again, err := unseal(data); err != nil || !bytes.Equal(again.seal(), data) {
		t.Fatalf("an undamaged one: %v", err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		if _, err := unseal(bad); !errors.Is(err, ErrMismatch) {
			t.Fatalf("byte %d of %d: %v", i, len(data), err)
		}
	}
	for n := range len(data) {
		if _, err := unseal(data[:n]); !errors.Is(err, ErrMismatch) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(data), err)
		}
	}
	// Behind the digest as well nothing but errors comes of nonsense.
	body := encode(nil, reflect.ValueOf(h).Elem())
	for i := range body {
		bad := bytes.Clone(body)
		bad[i] ^= 0xff
		d := decoder{rest: bad}
		d.decode(reflect.ValueOf(&head{}).Elem())
	}
	future := *h
	future.Form++
	if _, err := unseal(future.seal()); !errors.Is(err, ErrMismatch) {
		t.Errorf("one of a later form: %v", err)
	}
}

// The newer of two heads is damaged: the older one serves.
func TestTheOlderHeadServes(t *testing.T) {
	b := newBench(t)
	b.history(300)
	w := b.store.Writer(b.proj)
	var at [2]uint64
	for i := range at {
		b.request(fmt.Sprint("more ", i))
		var err error
		if at[i], err = w.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := b.resume(); err != nil || p.Sequence() != at[1] {
		t.Fatalf("read %d, %v", p.Sequence(), err)
	}
	if _, err := b.objects.PutString(t.Context(), heads()[1], "nonsense"); err != nil {
		t.Fatal(err)
	}
	if p, err := b.resume(); err != nil || p.Sequence() != at[0] {
		t.Errorf("read %d, %v", p.Sequence(), err)
	}
	// The next writer replaces the damaged one's neighbour or itself, never both.
	if _, err := b.store.Writer(b.proj).Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := b.resume(); err != nil || p.Sequence() != b.proj.Sequence() {
		t.Errorf("after the next one: %d, %v", p.Sequence(), err)
	}
}

func TestASnapshotOfAnotherLogIsRefused(t *testing.T) {
	b := newBench(t)
	b.history(300)
	b.save()
	other := memlog.New()
	for range b.proj.Sequence() {
		data, err := proto.Marshal(&eventv1.Commit{Id: "y", Version: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Append(t.Context(), fmt.Sprint("ev.other.", b.append("ev.future.x")), 0, data); err != nil {
			t.Fatal(err)
		}
	}
	b.store.log = other
	b.wantMismatch("other records with the same sequences")
	b.store.log = b.log
	if err := b.js.DeleteStream(t.Context(), topology.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if err := topology.Ensure(t.Context(), b.js, topology.Topology(1, topology.LimitsFor(1<<30))); err != nil {
		t.Fatal(err)
	}
	b.wantMismatch("another stream")
}

// The log does not know any more what a snapshot knows: the last record of a run
// is gone, or the end of the log is.
func TestASnapshotShowsWhatWasLost(t *testing.T) {
	b := newBench(t)
	live := b.history(300)
	lost := b.append(topology.RunSubject(live), &eventv1.Event{Kind: &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{}}})
	b.request("later")
	b.save()
	b.log.Lose(lost)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := projection.New(b.log, nil)
	if _, err := b.store.Resume(ctx, p); err != nil {
		t.Fatal(err)
	}
	p.Read(func(bd *board.Board) {
		if l, _ := bd.Live(live); !strings.Contains(l.Quarantined, fmt.Sprint("record ", lost)) {
			t.Errorf("the run that lost its last record: %q", l.Quarantined)
		}
	})
	for at := lost + 1; at <= b.proj.Sequence(); at++ {
		b.log.Lose(at)
	}
	p = projection.New(b.log, nil)
	if _, err := b.store.Resume(ctx, p); !errors.Is(err, ErrMismatch) || p.Sequence() != 0 {
		t.Errorf("a log that lost its end: %v", err)
	}
	if why := p.Damage().Broken[EndOfLog]; why == "" {
		t.Error("the lost end is not noted")
	}
}

// Every field of everything comes back, however it is set.
func TestEveryFieldComesBack(t *testing.T) {
	in := &projection.State{}
	fill(t, reflect.ValueOf(in).Elem(), 0)
	out := &projection.State{}
	d := decoder{rest: encode(nil, reflect.ValueOf(in).Elem())}
	d.decode(reflect.ValueOf(out).Elem())
	if d.err != nil || len(d.rest) > 0 {
		t.Fatal(d.err, len(d.rest))
	}
	if !bytes.Equal(encode(nil, reflect.ValueOf(out).Elem()), encode(nil, reflect.ValueOf(in).Elem())) || !reflect.DeepEqual(in.Board.Config, out.Board.Config) {
		t.Error("something else came back")
	}
	zero(t, reflect.ValueOf(out).Elem(), "State")
}

// fill sets every field to something that is not zero.
func fill(t *testing.T, v reflect.Value, depth int) {
	t.Helper()
	if v.Type() == timeType {
		v.Set(reflect.ValueOf(time.Unix(1_800_000_000, 123).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth+1)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if _, ok := v.Interface().(proto.Message); !ok {
			fill(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, depth+1)
		fill(t, value, depth+1)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(0.5)
	default:
		t.Fatalf("a %s", v.Type())
	}
}

// zero reports fields that came back empty.
func zero(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is lost", path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			zero(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			zero(t, v.Index(i), path+"[]")
		}
	default:
	}
}
