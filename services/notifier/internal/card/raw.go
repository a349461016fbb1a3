package card

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// maxRawBlocks is Slack's limit for one message.
	maxRawBlocks = 50
	// maxDepth bounds how deep blocks may nest: rich text needs six levels.
	maxDepth = 20
	// ourActions begin the ids of Slipway's own buttons.
	ourActions = "slipway"
)

// showBlocks shows blocks that a job made. What is no list of blocks is said to
// be none, and shown literally.
func showBlocks(src source, o Output) Message {
	raw, text, err := blocksOf(o)
	if err != nil {
		return showCode(src, fmt.Sprintf("⚠️ %s was to print a list of Slack blocks, but %s. This is what it printed:", src.what, flat(err.Error(), maxReason)), o)
	}
	said := cut(text, maxPlain-headBytes)
	if said == "" {
		said = fence(head(string(o.Data)), 2*headBytes)
	}
	return Message{
		Text: cut(src.what+"\n"+text, maxReport/2), Raw: raw,
		Instead: "⚠️ Slack refused the blocks that " + src.what + " printed. This is their text:\n" + said,
	}
}

// blocksOf reads and checks a list of blocks and returns them, made harmless,
// together with their text.
func blocksOf(o Output) (json.RawMessage, string, error) {
	if o.cut() {
		return nil, "", errors.New("it printed more than is kept")
	}
	decoder := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(o.Data, []byte("\ufffd"))))
	decoder.UseNumber()
	var list []any
	if err := decoder.Decode(&list); err != nil {
		return nil, "", errors.New("it is not a JSON array")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, "", errors.New("something follows the JSON array")
	}
	if len(list) > maxRawBlocks {
		return nil, "", fmt.Errorf("there are %d and Slack takes %d at most", len(list), maxRawBlocks)
	}
	var said []string
	for i := range list {
		block, ok := list[i].(map[string]any)
		if kind, _ := block["type"].(string); !ok || kind == "" {
			return nil, "", fmt.Errorf("number %d is no block", i+1)
		}
		tamed, err := tame(block, 0, &said)
		if err != nil {
			return nil, "", fmt.Errorf("number %d is refused: %w", i+1, err)
		}
		list[i] = tamed
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(list); err != nil {
		return nil, "", errors.New("it cannot be encoded again")
	}
	return bytes.TrimSpace(b.Bytes()), strings.Join(said, "\n"), nil
}

// tame takes from a block the power to ping a whole channel and to pose as one of
// Slipway's own buttons, and collects its texts.
func tame(v any, depth int, said *[]string) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("it nests too deep")
	}
	switch v := v.(type) {
	case string:
		return live(v), nil
	case []any:
		for i := range v {
			tamed, err := tame(v[i], depth+1, said)
			if err != nil {
				return nil, err
			}
			v[i] = tamed
		}
	case map[string]any:
		return tameObject(v, depth, said)
	}
	return v, nil
}

func tameObject(o map[string]any, depth int, said *[]string) (any, error) {
	if id, _ := o["action_id"].(string); strings.HasPrefix(strings.ToLower(id), ourActions) {
		return nil, fmt.Errorf("action ids that begin with %s are Slipway's own", ourActions)
	}
	kind, _ := o["type"].(string)
	if kind == "broadcast" || kind == "usergroup" {
		return map[string]any{"type": "text", "text": "@\u2060group"}, nil
	}
	if text, ok := o["text"].(string); ok && strings.TrimSpace(text) != "" {
		*said = append(*said, live(text))
	}
	for key, value := range o {
		tamed, err := tame(value, depth+1, said)
		if err != nil {
			return nil, err
		}
		o[key] = tamed
	}
	return o, nil
}
