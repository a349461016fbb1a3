package step

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

const (
	// minEncoded is the shortest secret that is also looked for in encoded forms:
	// shorter ones would match ordinary words.
	minEncoded = 6
	// minLine is the shortest line of a many-line secret (a PEM key) that is masked
	// for itself, since tools print such secrets indented or cut.
	minLine = 8
	// maxPattern bounds what is held back while a match is undecided; of a longer
	// secret its beginning and its lines are masked.
	maxPattern = 4 << 10
)

var masked = []byte("***")

// masker replaces secrets in a stream, also those split between two writes. What
// may yet become a secret is held back; ordinary output never is.
type masker struct {
	byFirst [256][][]byte
	any     bool
	held    []byte
	inside  int // bytes at the front of held that belong to a secret already found
}

func newMasker(secrets []string) *masker {
	m := &masker{}
	seen := map[string]bool{}
	for _, s := range secrets {
		for _, p := range patterns(s) {
			if p == "" || seen[p] {
				continue
			}
			seen[p], m.any = true, true
			m.byFirst[p[0]] = append(m.byFirst[p[0]], []byte(p))
		}
	}
	return m
}

// Mask hides the secrets in a text of our own, such as an error that quotes what
// a step made.
func Mask(secrets []string, text string) string {
	return string(newMasker(secrets).write([]byte(text), true))
}

// patterns lists the forms in which a secret is looked for.
func patterns(secret string) []string {
	out := []string{cut(secret)}
	if trimmed := strings.TrimSpace(secret); trimmed != secret {
		out = append(out, cut(trimmed))
	}
	if len(secret) < minEncoded {
		return out
	}
	for _, line := range strings.Split(secret, "\n") {
		if line = strings.TrimSpace(line); len(line) >= minLine {
			out = append(out, cut(line))
		}
	}
	if quoted, err := json.Marshal(secret); err == nil {
		out = append(out, cut(string(quoted[1:len(quoted)-1])))
	}
	out = append(out, cut(url.QueryEscape(secret)), cut(url.PathEscape(secret)))
	return append(out, base64Forms(secret)...)
}

func cut(s string) string { return s[:min(len(s), maxPattern)] }

// base64Forms gives the stable middle of the secret's encoding at each of the
// three alignments it can have inside a longer text such as "user:password".
func base64Forms(secret string) []string {
	var out []string
	for pad := range 3 {
		padded := append(make([]byte, pad), secret...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s := enc.EncodeToString(padded)
			from := []int{0, 2, 3}[pad] // characters that also depend on what stands before
			to := len(padded) * 8 / 6   // those that do not depend on what follows
			if to-from >= minEncoded {
				out = append(out, cut(s[from:to]))
			}
		}
	}
	return out
}

// write returns what of the stream is decided after b; the result is valid until
// the next call. With last set nothing is held back.
func (m *masker) write(b []byte, last bool) []byte {
	if !m.any {
		return b
	}
	m.held = append(m.held, b...)
	out := make([]byte, 0, len(m.held))
	i, until := 0, m.inside
	for ; i < len(m.held); i++ {
		end, undecided := m.match(m.held[i:])
		if undecided && !last {
			break
		}
		if end > 0 {
			if until <= i {
				out = append(out, masked...)
			}
			until = max(until, i+end)
		}
		if i >= until {
			out = append(out, m.held[i])
		}
	}
	m.inside = max(until-i, 0)
	m.held = append(m.held[:0], m.held[i:]...)
	return out
}

// match finds the longest secret at the front of b, and says whether b may be the
// beginning of a longer one.
func (m *masker) match(b []byte) (length int, undecided bool) {
	for _, p := range m.byFirst[b[0]] {
		if len(b) >= len(p) {
			if len(p) > length && bytes.Equal(b[:len(p)], p) {
				length = len(p)
			}
		} else if bytes.HasPrefix(p, b) {
			undecided = true
		}
	}
	return length, undecided
}
