package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// This file writes plain Go values down: every exported field in its order, so
// that a field that is added cannot be forgotten. What has another shape is not
// read, see shapeOf.

// errCodec: the bytes are not what encode writes.
var errCodec = errors.New("not a value of this shape")

var (
	timeType  = reflect.TypeFor[time.Time]()
	protoType = reflect.TypeFor[proto.Message]()
)

// shapeOf is a digest of everything that decides what encoded bytes mean: the
// names and types of all fields, and the event messages that are known.
func shapeOf(t reflect.Type) [sha256.Size]byte {
	var b strings.Builder
	describe(&b, t)
	var files []string
	protoregistry.GlobalFiles.RangeFilesByPackage("slipway.event.v1", func(f protoreflect.FileDescriptor) bool {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(f))
		if err != nil {
			panic(fmt.Sprintf("snapshot: describe %s: %v", f.Path(), err)) // generated files always encode
		}
		files = append(files, string(data))
		return true
	})
	slices.Sort(files)
	for _, f := range files {
		b.WriteString(f)
	}
	return sha256.Sum256([]byte(b.String()))
}

// describe panics on a type that encode does not write: a mistake of ours, which
// every test of this package meets.
func describe(b *strings.Builder, t reflect.Type) {
	fmt.Fprintf(b, "%s %s;", t.Kind(), t)
	if t == timeType || t.Implements(protoType) {
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				panic(fmt.Sprintf("snapshot: %s.%s is not exported", t, f.Name))
			}
			b.WriteString(f.Name)
			describe(b, f.Type)
		}
	case reflect.Slice, reflect.Pointer:
		describe(b, t.Elem())
	case reflect.Map:
		describe(b, t.Key())
		describe(b, t.Elem())
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64, reflect.Float64:
	default:
		panic(fmt.Sprintf("snapshot: cannot write a %s", t))
	}
}

// encode appends v to out.
func encode(out []byte, v reflect.Value) []byte {
	t := v.Type()
	if t == timeType {
		at, _ := v.Interface().(time.Time)
		if at.IsZero() {
			return append(out, 0)
		}
		return binary.AppendVarint(binary.AppendVarint(append(out, 1), at.Unix()), int64(at.Nanosecond()))
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(out, 0)
		}
		if m, ok := v.Interface().(proto.Message); ok {
			data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				panic(fmt.Sprintf("snapshot: encode a %T: %v", m, err)) // it was decoded before
			}
			return append(binary.AppendUvarint(append(out, 1), uint64(len(data))), data...)
		}
		return encode(append(out, 1), v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			out = encode(out, v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			return append(out, 0)
		}
		out = binary.AppendUvarint(out, uint64(v.Len())+1) //nolint:gosec // a length
		if t.Elem().Kind() == reflect.Uint8 {
			return append(out, v.Bytes()...)
		}
		for i := range v.Len() {
			out = encode(out, v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			return append(out, 0)
		}
		out = binary.AppendUvarint(out, uint64(v.Len())+1) //nolint:gosec // a length
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			out = encode(encode(out, key), v.MapIndex(key))
		}
	case reflect.String:
		return append(binary.AppendUvarint(out, uint64(v.Len())), v.String()...) //nolint:gosec // a length
	case reflect.Bool:
		if v.Bool() {
			return append(out, 1)
		}
		return append(out, 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(out, v.Int())
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(out, v.Uint())
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(out, math.Float64bits(v.Float()))
	default:
		panic(fmt.Sprintf("snapshot: cannot write a %s", t))
	}
	return out
}

// decoder reads what encode wrote. It stops at the first thing that cannot be.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail() {
	d.err, d.rest = errCodec, nil
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) byte() byte {
	b := d.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	out := d.rest[:n:n]
	d.rest = d.rest[n:]
	return out
}

// present reads whether something follows.
func (d *decoder) present() bool {
	switch d.byte() {
	case 0:
		return false
	case 1:
		return d.err == nil
	}
	d.fail()
	return false
}

// length reads how many elements follow; none: the value is nil. Each takes a
// byte at least.
func (d *decoder) length() (n int, some bool) {
	m := d.uint()
	if m == 0 || m-1 > uint64(len(d.rest)) {
		if m != 0 {
			d.fail()
		}
		return 0, false
	}
	return int(m - 1), true //nolint:gosec // checked
}

// decode reads into v, which can be set and is zero.
func (d *decoder) decode(v reflect.Value) {
	if d.err != nil {
		return
	}
	t := v.Type()
	if t == timeType {
		if d.present() {
			v.Set(reflect.ValueOf(time.Unix(d.int(), d.int()).UTC()))
		}
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		d.pointer(v)
	case reflect.Struct:
		for i := range v.NumField() {
			d.decode(v.Field(i))
		}
	case reflect.Slice:
		d.slice(v)
	case reflect.Map:
		n, some := d.length()
		if !some {
			return
		}
		v.Set(reflect.MakeMapWithSize(t, n))
		for range n {
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			d.decode(key)
			d.decode(value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(string(d.bytes(d.uint())))
	case reflect.Bool:
		v.SetBool(d.present())
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := d.int()
		if v.OverflowInt(n) {
			d.fail()
			return
		}
		v.SetInt(n)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		n := d.uint()
		if v.OverflowUint(n) {
			d.fail()
			return
		}
		v.SetUint(n)
	case reflect.Float64:
		if b := d.bytes(8); len(b) == 8 {
			v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	default:
		d.fail()
	}
}

func (d *decoder) pointer(v reflect.Value) {
	if !d.present() {
		return
	}
	fresh := reflect.New(v.Type().Elem())
	if m, ok := fresh.Interface().(proto.Message); ok {
		if err := proto.Unmarshal(d.bytes(d.uint()), m); err != nil {
			d.fail()
			return
		}
	} else {
		d.decode(fresh.Elem())
	}
	v.Set(fresh)
}

func (d *decoder) slice(v reflect.Value) {
	n, some := d.length()
	if !some {
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(d.bytes(uint64(n))) //nolint:gosec // a length
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		d.decode(v.Index(i))
	}
}
