package card

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// maxReport is how many bytes of text one message holds: Slack shows 4,000
	// characters well. More becomes a file.
	maxReport = 3900
	// headLines and headBytes are how much of a file its message shows.
	headLines = 10
	headBytes = 700
	// maxSnippet is the largest file that is sent as a snippet: Slack takes 1 MB.
	maxSnippet = 900 << 10
)

// Output is what a job printed for people.
type Output struct {
	Data []byte
	// Size is how much there was; Data may be only its beginning.
	Size uint64
	// Lost says why Data could not be had; empty: it could.
	Lost string
}

func (o Output) cut() bool { return o.Size > uint64(len(o.Data)) }

// empty tells whether the job printed nothing. Of blocks, nothing but blanks, or
// an empty list, is nothing, too.
func (o Output) empty(format eventv1.Report_Format) bool {
	if format == eventv1.Report_FORMAT_BLOCKS && !o.cut() {
		text := bytes.Join(bytes.Fields(o.Data), nil)
		return len(text) == 0 || string(text) == "[]"
	}
	return o.Size == 0 && len(o.Data) == 0
}

// source is what a piece of output belongs to.
type source struct {
	what string // for people, with marks: "*test say_hello* `j-4f7k2`"
	name string // of a file, without its ending
	raw  string // for people, without marks
}

func (v View) source(suffix string) source {
	s := &v.Story.State
	return source{
		what: what(s) + " " + grammar.Code(v.Short),
		name: slug(s.Namespace+"-"+s.Job) + "-" + s.ID + suffix,
		raw:  printable(s.Namespace + " " + s.Job + " " + v.Short),
	}
}

var unsafe = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// slug is text that may be part of a file's name.
func slug(text string) string { return cut(unsafe.ReplaceAllString(text, "-"), maxName) }

// show makes a message of an output.
func show(src source, format eventv1.Report_Format, o Output) Message {
	switch format {
	case eventv1.Report_FORMAT_BLOCKS:
		return showBlocks(src, o)
	case eventv1.Report_FORMAT_CODE:
		return showCode(src, "", o)
	case eventv1.Report_FORMAT_FILE:
		return asFile(src, "📄 "+src.what, o)
	case eventv1.Report_FORMAT_UNSPECIFIED, eventv1.Report_FORMAT_TEXT:
	}
	return showText(src, o)
}

func showText(src source, o Output) Message {
	text := live(string(o.Data))
	switch {
	case strings.TrimSpace(text) == "":
		return Message{Text: src.what + " printed nothing but blanks."}
	case o.cut() || len(text) > maxReport:
		return asFile(src, head(text)+whole(o), o)
	}
	return Message{Text: text}
}

// showCode shows output literally, after a sentence.
func showCode(src source, before string, o Output) Message {
	body := fence(string(o.Data), maxReport)
	if before != "" {
		before += "\n"
	}
	if o.cut() || len(before)+len(body) > maxReport {
		return asFile(src, before+fence(head(string(o.Data)), 2*headBytes)+whole(o), o)
	}
	return Message{Text: before + body}
}

// whole says where the rest is, of which a message shows the first lines.
func whole(o Output) string {
	if o.cut() {
		return ""
	}
	return "\n_The whole is in the file._"
}

// asFile makes a file of an output, under a comment.
func asFile(src source, comment string, o Output) Message {
	if o.cut() {
		comment += fmt.Sprintf("\n_Only the first %s of %s are kept._", size(uint64(len(o.Data))), size(o.Size))
	}
	f := &File{Name: src.name + ".txt", Title: src.raw, Content: o.Data}
	if len(o.Data) <= maxSnippet && utf8.Valid(o.Data) {
		f.Kind = "text"
	}
	return Message{
		Text: comment, File: f,
		Instead: src.what + " printed " + size(o.Size) + ", and Slack refused the file. It begins:\n" + fence(head(string(o.Data)), 2*headBytes),
	}
}

// head is the first lines of a text.
func head(text string) string {
	lines := strings.SplitN(strings.ToValidUTF8(text[:min(len(text), headBytes)], ""), "\n", headLines+1)
	return strings.TrimRight(strings.Join(lines[:min(len(lines), headLines)], "\n"), "\n ")
}

// size is a number of bytes as people say it.
func size(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// fence is text between code marks, of at most limit bytes.
func fence(text string, limit int) string {
	text = strings.ReplaceAll(printable(text), "```", "ˋˋˋ")
	return "```\n" + strings.TrimRight(grammar.EscapeWithin(text, limit), "\n") + "\n```"
}

// colours are terminal sequences that programs print for people at a terminal.
var colours = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// printable removes what must never be shown: bytes that are no text, terminal
// sequences, control characters, and marks that reorder or hide text.
func printable(text string) string {
	text = colours.ReplaceAllString(strings.ToValidUTF8(text, "\ufffd"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, text)
}

// shout is what pings many people at once.
var shout = regexp.MustCompile(`<!(channel|here|everyone|group|subteam\^[^>|]*)(?:\|([^>]*))?>`)

// live is the text of a job, with its own marks, links and mentions, but without
// the power to ping a whole channel: arguments that people typed may be in it.
func live(text string) string {
	return shout.ReplaceAllStringFunc(printable(text), func(m string) string {
		parts := shout.FindStringSubmatch(m)
		word, label := parts[1], strings.TrimPrefix(parts[2], "@")
		if strings.HasPrefix(word, "subteam") {
			word = "group"
		}
		if label == "" {
			label = word
		}
		return "@\u2060" + label
	})
}

// NoteMessage is what a job said while it ran; number counts from 1.
func NoteMessage(v View, number int, n run.Note) Message {
	o := Output{Data: []byte(n.Text), Size: uint64(len(n.Text))}
	return show(v.source(fmt.Sprintf("-note-%d", number)), n.Format, o)
}
