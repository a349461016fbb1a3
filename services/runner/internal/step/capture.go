package step

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// capture turns the raw bytes of an attempt's two streams into chunks for the
// sink, and keeps the tail. It never stops reading: what is over the limit is
// dropped here, so that the step goes on undisturbed.
type capture struct {
	mu        sync.Mutex
	sink      Sink
	now       func() time.Time
	limit     int64
	delivered int64 // bytes handed on or waiting, of both streams
	total     int64 // bytes after masking, of both streams
	truncated bool
	tail      tail
	report    report
	streams   [2]*stream
}

// report is the beginning of standard output, masked and otherwise as it was
// written: a report may be any file.
type report struct {
	limit int
	head  []byte
	total int64
}

func (r *report) add(b []byte) {
	if r.limit == 0 {
		return
	}
	r.total += int64(len(b))
	r.head = append(r.head, b[:min(len(b), r.limit-len(r.head))]...)
}

// stream is one of the two: raw bytes → masker → report, valid text → buffer →
// chunk.
type stream struct {
	c      *capture
	id     Stream
	mask   *masker
	rest   []byte // an incomplete UTF-8 sequence
	buf    []byte
	since  time.Time // when the first byte of buf arrived
	timer  *time.Timer
	offset int64
	line   []byte // the unfinished last line, for the tail
}

func newCapture(sink Sink, limit int64, secrets []string) *capture {
	c := &capture{sink: sink, now: time.Now, limit: limit}
	for i, id := range []Stream{Stdout, Stderr} {
		s := &stream{c: c, id: id, mask: newMasker(secrets)}
		s.timer = time.AfterFunc(time.Hour, s.flushLate)
		s.timer.Stop()
		c.streams[i] = s
	}
	return c
}

// drain reads one stream to its end.
func (s *stream) drain(r io.Reader) {
	buf := make([]byte, ChunkBytes)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.add(buf[:n], false)
		}
		if err != nil { // the end, or a pipe closed under us at the end
			s.add(nil, true)
			return
		}
	}
}

func (s *stream) add(b []byte, last bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	raw := s.mask.write(b, last)
	if s.id == Stdout {
		s.c.report.add(raw)
	}
	text := s.valid(raw, last)
	s.c.total += int64(len(text))
	s.toTail(text)
	s.deliver(text)
	if last {
		s.timer.Stop()
		s.flush()
	}
}

// deliver buffers what is within the limit and hands on full chunks.
func (s *stream) deliver(text []byte) {
	room := s.c.limit - s.c.delivered
	over := int64(len(text)) > room
	if over {
		text = wholeRunes(text[:max(room, 0)])
	}
	s.c.delivered += int64(len(text))
	for len(text) > 0 {
		if len(s.buf) == 0 {
			s.since = s.c.now()
			s.timer.Reset(ChunkDelay)
		}
		n := len(text)
		if free := ChunkBytes - len(s.buf); n > free {
			n = len(wholeRunes(text[:free]))
		}
		s.buf = append(s.buf, text[:n]...)
		text = text[n:]
		if len(text) > 0 || len(s.buf) == ChunkBytes {
			s.flush()
		}
	}
	if over && !s.c.truncated {
		s.c.truncate()
	}
}

func (s *stream) flush() {
	if len(s.buf) == 0 {
		return
	}
	s.c.sink.Write(Chunk{Stream: s.id, At: s.since, Data: bytes.Clone(s.buf), Offset: s.offset})
	s.offset += int64(len(s.buf))
	s.buf = s.buf[:0]
	s.timer.Stop()
}

func (s *stream) flushLate() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.flush()
}

// truncate says once that the rest is dropped.
func (c *capture) truncate() {
	c.truncated = true
	c.delivered = c.limit
	for _, s := range c.streams {
		s.flush()
	}
	note := fmt.Sprintf("[output over %d bytes is dropped; the step goes on]\n", c.limit)
	c.sink.Write(Chunk{Stream: Note, At: c.now(), Data: []byte(note)})
}

// wholeRunes cuts b before a rune that would be split.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			return b
		}
	}
	return b
}

// valid makes b text: what is not UTF-8, and NUL, becomes U+FFFD. A sequence that
// may go on in the next write waits for it.
func (s *stream) valid(b []byte, last bool) []byte {
	if len(s.rest) > 0 {
		b = append(s.rest, b...)
		s.rest = nil
	}
	if !last {
		whole := wholeRunes(b)
		s.rest = bytes.Clone(b[len(whole):])
		b = whole
	}
	b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	if bytes.IndexByte(b, 0) >= 0 {
		b = bytes.ReplaceAll(b, []byte{0}, []byte("\uFFFD"))
	}
	return b
}

// toTail keeps the ends of lines, whole lines of both streams in the order in which
// they ended.
func (s *stream) toTail(text []byte) {
	if over := len(text) - TailBytes; over > 0 {
		s.line = s.line[:0]
		text = text[over:]
	}
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			break
		}
		s.c.tail.add(string(s.line) + string(text[:i]))
		s.line = s.line[:0]
		text = text[i+1:]
	}
	s.line = append(s.line, text...)
	if over := len(s.line) - TailBytes; over > 0 {
		s.line = append(s.line[:0], s.line[over:]...)
	}
}

// finish returns the tail; the streams must have been drained.
func (c *capture) finish() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		if len(s.line) > 0 {
			c.tail.add(string(s.line))
			s.line = nil
		}
	}
	return c.tail.String()
}

// tail is the last lines of an attempt.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	t.lines = append(t.lines, line)
	if len(t.lines) > TailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
}

func (t *tail) String() string {
	s := strings.TrimRight(strings.Join(t.lines, "\n"), "\n")
	if over := len(s) - TailBytes; over > 0 {
		s = s[over:]
		for len(s) > 0 && !utf8.RuneStart(s[0]) {
			s = s[1:]
		}
	}
	return s
}
