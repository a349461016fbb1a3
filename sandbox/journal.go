package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxJournal bounds the memory of a sandbox that runs for days; the oldest entries go first.
const maxJournal = 20000

// maxJournalBody is how much of one body the journal keeps; more is noise in an inspector.
const maxJournalBody = 16 << 10

// Kinds of journal entries.
const (
	KindCommand     = "command"      // a slash command delivered to the app
	KindEvent       = "event"        // an event delivered to the app
	KindInteraction = "interaction"  // a click or a submitted view delivered to the app
	KindAPI         = "api"          // a Web API call of the app
	KindHook        = "response_url" // a post of the app to a response URL
	KindUpload      = "upload"       // bytes of a file
	KindSocket      = "socket"       // a Socket Mode connection opened, closed or pinged
	KindViolation   = "violation"    // something Slack forgives and we would rather fix
)

// Entry is one thing that went in or out. Secrets are replaced before it is made.
type Entry struct {
	Seq     uint64            `json:"seq"`
	ID      string            `json:"id,omitempty"` // of a delivery: what Redeliver takes
	Time    time.Time         `json:"time"`         // when it began
	Kind    string            `json:"kind"`
	Name    string            `json:"name"`             // method, command or event type
	Status  int               `json:"status,omitempty"` // HTTP status, 0 when no answer came
	OK      bool              `json:"ok"`
	Error   string            `json:"error,omitempty"`
	TookMS  float64           `json:"took_ms"`           // until the answer
	Attempt int               `json:"attempt,omitempty"` // 0 is the first delivery
	Fault   string            `json:"fault,omitempty"`   // what the fault plan did to it
	URL     string            `json:"url,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Args    map[string]string `json:"args,omitempty"`
	Answer  string            `json:"answer,omitempty"`
}

type journal struct {
	entries []Entry
	seq     uint64
}

// record appends an entry and tells whoever watches. The server's lock is held.
func (s *Server) record(e Entry) {
	s.journal.seq++
	e.Seq = s.journal.seq
	e.Body, e.Answer = clip(e.Body), clip(e.Answer)
	if len(s.journal.entries) >= maxJournal {
		s.journal.entries = slices.Delete(s.journal.entries, 0, maxJournal/10)
	}
	s.journal.entries = append(s.journal.entries, e)
	s.changed(changeJournal, e)
}

// violation notes something that Slack lets pass. The server's lock is held.
func (s *Server) violation(name, what string) {
	s.record(Entry{Time: s.cfg.Clock(), Kind: KindViolation, Name: name, Error: what})
}

func clip(body string) string {
	if len(body) > maxJournalBody {
		return strings.ToValidUTF8(body[:maxJournalBody], "") + "…"
	}
	return body
}

// Journal is everything that went in and out so far, oldest first.
func (s *Server) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal.entries)
}

// Violations are the sentences about calls that Slack forgives and a test should not.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.journal.entries {
		if e.Kind == KindViolation {
			out = append(out, e.Name+": "+e.Error)
		}
	}
	return out
}

const redacted = "[redacted]"

// secretFields never show their value in the journal.
var secretFields = map[string]bool{
	"token": true, "response_url": true, "trigger_id": true, "authorization": true, "upload_url": true, "url": false,
}

var (
	secretToken  = regexp.MustCompile(`x(?:ox[a-z]|app)-[A-Za-z0-9-]+`)
	secretHook   = regexp.MustCompile(`(/hooks/[a-z]+/[A-Z0-9]+/)[A-Za-z0-9]+`)
	secretTicket = regexp.MustCompile(`(ticket=)[A-Za-z0-9]+`)
	secretUpload = regexp.MustCompile(`(/upload/v1/)[A-Za-z0-9]+`)
	jsonSecret   = regexp.MustCompile(`("(?:token|trigger_id|response_url|upload_url)"\s*:\s*")[^"]*`)
)

// redact removes every secret from a piece of text.
func redact(text string) string {
	text = jsonSecret.ReplaceAllString(text, "${1}"+redacted)
	text = secretToken.ReplaceAllString(text, redacted)
	text = secretHook.ReplaceAllString(text, "${1}"+redacted)
	text = secretUpload.ReplaceAllString(text, "${1}"+redacted)
	return secretTicket.ReplaceAllString(text, "${1}"+redacted)
}

// redactForm shows a form body field by field, secrets replaced and JSON payloads readable.
func redactForm(body string) string {
	form, err := url.ParseQuery(body)
	if err != nil {
		return redact(body)
	}
	lines := make([]string, 0, len(form))
	for _, key := range sortedKeys(form) {
		value := form.Get(key)
		if secretFields[key] && value != "" {
			value = redacted
		}
		lines = append(lines, key+"="+redact(value))
	}
	return strings.Join(lines, "\n")
}

// redactHeaders keeps what explains a signed request; the signature is shown only by its beginning.
func redactHeaders(h http.Header) map[string]string {
	out := map[string]string{}
	for key := range h {
		value := h.Get(key)
		switch {
		case strings.EqualFold(key, "authorization"), strings.EqualFold(key, "cookie"):
			value = redacted
		case strings.EqualFold(key, signatureHeader) && len(value) > signatureShown:
			value = value[:signatureShown] + "…"
		}
		out[key] = value
	}
	return out
}

// signatureShown is "v0=" and eight digits: enough to see that it is there.
const signatureShown = 11

// redactArgs shows the arguments of a Web API call.
func redactArgs(args map[string]any) map[string]string {
	out := make(map[string]string, len(args))
	for key, value := range args {
		text, ok := value.(string)
		if !ok {
			raw, err := json.Marshal(value)
			if err != nil {
				continue
			}
			text = string(raw)
		}
		if secretFields[key] {
			text = redacted
		}
		out[key] = clip(redact(text))
	}
	return out
}
