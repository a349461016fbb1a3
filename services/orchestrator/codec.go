package orchestrator

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jsonCodec speaks JSON to callers without generated code. Unlike Connect's own
// it writes fields that have their default value, too: an empty list is [] and
// not a missing key, so that a script need not guess.
type jsonCodec struct{ name string }

// codecNames are the content types that mean JSON.
var codecNames = []string{"json", "json; charset=utf-8"}

var (
	errNotProto = errors.New("not a protobuf message")
	errNoJSON   = errors.New("the body is empty: send a JSON object, {} at least")
)

// Name is the part of the content type that chooses this codec.
func (c jsonCodec) Name() string { return c.name }

// Marshal writes a message as protobuf's JSON mapping says.
func (c jsonCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("encode %T: %w", message, errNotProto)
	}
	return protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
}

// Unmarshal reads both forms of a field's name. Unknown fields are ignored, as
// they are in protobuf.
func (c jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	switch {
	case !ok:
		return fmt.Errorf("decode %T: %w", message, errNotProto)
	case len(data) == 0:
		return errNoJSON
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
}
