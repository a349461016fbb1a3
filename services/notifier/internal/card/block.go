package card

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
)

// Bounds of one message. Slack allows more (50 blocks, 3,000 characters), but
// refuses payloads near 13,000 characters.
const (
	MaxBlocks  = 10
	MaxText    = 2900
	MaxPayload = 12 << 10
)

// Message is what Slack shows.
type Message struct {
	// Text is read by notifications and screen readers, and shown when the
	// blocks are not.
	Text   string
	Blocks []Block
	// Broadcast shows a reply in the channel as well.
	Broadcast bool
	// Raw are blocks that a job made, instead of Blocks.
	Raw json.RawMessage
	// File is shown with the message; Text is then its comment.
	File *File
	// Instead stands in for a message that Slack refuses; empty: Text does.
	Instead string
	// Unfurl shows what links lead to.
	Unfurl bool
}

// File is the content of a message that is too long for one, or asked to be a
// file. Its name is unique to the run, so that it can be found again.
type File struct {
	Name, Title string
	// Kind is "text" for what Slack may show in place.
	Kind    string
	Content []byte
}

// Block is a piece of a message, in the shape of Slack's Block Kit.
type Block struct {
	Type     string    `json:"type"`
	ID       string    `json:"block_id,omitempty"`
	Text     *Text     `json:"text,omitempty"`
	Elements []Element `json:"elements,omitempty"`
}

// Element is a part of a context or actions block: a Text or a Button.
type Element interface{ element() }

// Text is a text object.
type Text struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"`
}

// Button is an interactive button.
type Button struct {
	Type     string   `json:"type"`
	Text     *Text    `json:"text"`
	ActionID string   `json:"action_id"`
	Value    string   `json:"value"`
	Style    string   `json:"style,omitempty"`
	Confirm  *Confirm `json:"confirm,omitempty"`
}

// Confirm is the dialog that asks before a button counts.
type Confirm struct {
	Title   *Text  `json:"title"`
	Text    *Text  `json:"text"`
	Confirm *Text  `json:"confirm"`
	Deny    *Text  `json:"deny"`
	Style   string `json:"style,omitempty"`
}

func (*Text) element()   {}
func (*Button) element() {}

// marked is text with Slack's marks; whatever came from outside is escaped in it.
func marked(text string) *Text { return &Text{Type: "mrkdwn", Text: text} }

// literal is text that Slack shows as it is: no marks, no mentions, no emoji.
func literal(text string) *Text {
	off := false
	return &Text{Type: "plain_text", Text: text, Emoji: &off}
}

func label(text string) *Text { return &Text{Type: "plain_text", Text: text} }

func section(t *Text) Block { return Block{Type: "section", Text: t} }

func contextOf(texts ...string) Block {
	b := Block{Type: "context"}
	for _, t := range texts {
		b.Elements = append(b.Elements, marked(t))
	}
	return b
}

// JSON is the blocks as Slack takes them.
func (m Message) JSON() []byte {
	if m.Raw != nil {
		return m.Raw
	}
	data, err := json.Marshal(m.Blocks)
	if err != nil {
		return []byte("[]") // never: the types above hold nothing that cannot be encoded
	}
	return data
}

// Digest tells messages apart: equal digests look equal.
func (m Message) Digest() []byte {
	h := sha256.New()
	h.Write([]byte(m.Text))
	h.Write([]byte{0})
	h.Write(m.JSON())
	return h.Sum(nil)
}

// named gives the blocks ids that change with the content: Slack keeps what it
// showed under an id that it knows.
func (m Message) named() Message {
	stamp := hex.EncodeToString(m.Digest()[:4])
	for i := range m.Blocks {
		m.Blocks[i].ID = stamp + "-" + strconv.Itoa(i)
	}
	return m
}

// Bare tells whether the message is text alone.
func (m Message) Bare() bool { return m.Raw == nil && len(m.Blocks) == 0 }

// maxPlain is how many characters stand in for a refused message: far from any
// limit that it may have been refused for.
const maxPlain = 2000

// Plain is the message without blocks and file, for the case that Slack refuses
// it.
func (m Message) Plain() Message {
	text := m.Text
	if m.Instead != "" {
		text = m.Instead
	}
	return Message{Text: cut(text, maxPlain), Broadcast: m.Broadcast, Unfurl: m.Unfurl}
}
