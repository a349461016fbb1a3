package step

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// maskAll sends text through a masker in pieces of the given size.
func maskAll(secrets []string, text string, size int) string {
	m := newMasker(secrets)
	var out strings.Builder
	for len(text) > 0 {
		n := min(size, len(text))
		out.Write(m.write([]byte(text[:n]), false))
		text = text[n:]
	}
	out.Write(m.write(nil, true))
	return out.String()
}

func TestMaskHidesSecretsHoweverTheyAreSplit(t *testing.T) {
	const secret = "hunter2-s3cret"
	pem := "-----BEGIN KEY-----\nAAAABBBBCCCC\nDDDDEEEEFFFF\n-----END KEY-----"
	cases := []struct {
		name    string
		secrets []string
		in, out string
	}{
		{"plain", []string{secret}, "a hunter2-s3cret b", "a *** b"},
		{"almost", []string{secret}, "a hunter2-s3cre b", "a hunter2-s3cre b"},
		{"unfinished at the end", []string{secret}, "a hunter2-s3cre", "a hunter2-s3cre"},
		{"restarts inside a false start", []string{"aab"}, "aaab", "a***"},
		{"longest", []string{"abcd", "abcdef"}, "xabcdefx", "x***x"},
		{"overlapping", []string{"abcd", "cdef"}, "xabcdefx", "x***x"},
		{"base64", []string{secret}, "v=" + base64.StdEncoding.EncodeToString([]byte(secret)) + ".", "v=***0."},
		{"url", []string{"p@ss/wörd"}, "u=p%40ss%2Fw%C3%B6rd", "u=***"},
		{"line of a key", []string{pem}, "key: AAAABBBBCCCC!", "key: ***!"},
		{"none", nil, "text", "text"},
		{"short", []string{"x"}, "axb", "a***b"},
	}
	for _, c := range cases {
		for _, size := range []int{1, 2, 3, 5, 1000} {
			got := maskAll(c.secrets, c.in, size)
			if c.name == "base64" { // the last character also depends on what follows
				if strings.Contains(got, base64.RawStdEncoding.EncodeToString([]byte(secret))[:12]) || !strings.Contains(got, "***") {
					t.Errorf("%s, pieces of %d: %q", c.name, size, got)
				}
				continue
			}
			if diff := cmp.Diff(c.out, got); diff != "" {
				t.Errorf("%s, pieces of %d: %s", c.name, size, diff)
			}
		}
	}
}

func TestMaskFindsBase64InsideLongerText(t *testing.T) {
	const secret = "hunter2-s3cret"
	for _, before := range []string{"", "u", "us", "user:"} {
		enc := base64.StdEncoding.EncodeToString([]byte(before + secret + "\n"))
		if got := maskAll([]string{secret}, enc, 7); !strings.Contains(got, "***") || len(got) > len(enc)-14 {
			t.Errorf("%q: %q of %q", before, got, enc)
		}
	}
}

type memorySink struct{ chunks []Chunk }

func (m *memorySink) Write(c Chunk) { m.chunks = append(m.chunks, c) }

func (m *memorySink) text(s Stream) string {
	var b strings.Builder
	for _, c := range m.chunks {
		if c.Stream == s {
			b.Write(c.Data)
		}
	}
	return b.String()
}

func TestCaptureMakesBytesSafeText(t *testing.T) {
	sink := &memorySink{}
	c := newCapture(sink, 1<<20, nil)
	for _, b := range []string{"gr", "\xc3", "\xbc", "\xc3", "(", "\x00", "\xff", "\xe2\x82"} {
		c.streams[0].add([]byte(b), false)
	}
	c.streams[0].add(nil, true)
	if diff := cmp.Diff("grü\uFFFD(\uFFFD\uFFFD\uFFFD", sink.text(Stdout)); diff != "" {
		t.Error(diff)
	}
}

func TestCaptureTruncatesAtARuneWithOneNote(t *testing.T) {
	sink := &memorySink{}
	c := newCapture(sink, 4, nil)
	c.streams[0].add([]byte("abcü"), false)
	c.streams[1].add([]byte("more\n"), true)
	c.streams[0].add([]byte("\nlast line\n"), true)
	if diff := cmp.Diff([]string{"abc", "", "[output over 4 bytes is dropped; the step goes on]\n"},
		[]string{sink.text(Stdout), sink.text(Stderr), sink.text(Note)}); diff != "" {
		t.Error(diff)
	}
	if got := c.finish(); !strings.HasSuffix(got, "last line") || !c.truncated {
		t.Errorf("tail %q, truncated %v", got, c.truncated)
	}
}

func TestCaptureHandsOnBySizeAndTime(t *testing.T) {
	got := make(chan Chunk, 10)
	c := newCapture(sinkFunc(func(ch Chunk) { got <- ch }), 1<<20, nil)
	c.streams[0].add([]byte(strings.Repeat("x", ChunkBytes+5)), false)
	first := <-got
	select {
	case second := <-got:
		if len(first.Data) != ChunkBytes || len(second.Data) != 5 || second.Offset != ChunkBytes {
			t.Errorf("chunks of %d and %d at %d", len(first.Data), len(second.Data), second.Offset)
		}
	case <-time.After(10 * ChunkDelay):
		t.Fatal("the rest was not handed on in time")
	}
}

type sinkFunc func(Chunk)

func (f sinkFunc) Write(c Chunk) { f(c) }

func TestTailKeepsTheLastLines(t *testing.T) {
	sink := &memorySink{}
	c := newCapture(sink, 1<<20, []string{"topsecret"})
	for i := range 100 {
		c.streams[i%2].add([]byte("line "+strings.Repeat("é", i)+" topsecret\n"), false)
	}
	got := c.finish()
	if n := strings.Count(got, "\n") + 1; n > TailLines || len(got) > TailBytes {
		t.Errorf("%d lines, %d bytes", n, len(got))
	}
	if strings.Contains(got, "topsecret") || !strings.HasSuffix(got, "é ***") {
		t.Errorf("tail %q", got)
	}
}

func TestTheReportIsRawMaskedAndBounded(t *testing.T) {
	sink := &memorySink{}
	c := newCapture(sink, 4, []string{"hunter2-s3cret"}) // what the log takes does not bound the report
	c.report.limit = 20
	for _, b := range []string{"a\x00\xff hunt", "er2-s3", "cret b"} {
		c.streams[0].add([]byte(b), false)
	}
	c.streams[1].add([]byte("to stderr"), true)
	c.streams[0].add([]byte(" and much more than that"), true)
	if got := string(c.report.head); got != "a\x00\xff *** b and much m" {
		t.Errorf("report %q", got)
	}
	if want := int64(len("a\x00\xff *** b and much more than that")); c.report.total != want {
		t.Errorf("%d bytes, want %d", c.report.total, want)
	}
}

func TestMaskHidesSecretsInOurOwnWords(t *testing.T) {
	if got := Mask([]string{"hunter2-s3cret"}, "cannot store out/hunter2-s3cret.txt"); got != "cannot store out/***.txt" {
		t.Error(got)
	}
}
