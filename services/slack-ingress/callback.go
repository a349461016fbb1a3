package ingress

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/callback"
)

const (
	// maxCallbackBody holds the longest note in any encoding.
	maxCallbackBody = 40 << 10
	// maxNoteText, in characters, is what one section of a Slack message holds.
	maxNoteText = 3000
	// maxNoteID is the longest id that a job may choose.
	maxNoteID = 200
	// kindNote is the subject token of notes in INBOX.
	kindNote = "note"

	headerIdempotency = "Idempotency-Key"
)

// callbacks mounts the door at which running jobs speak.
func (s *Service) callbacks(mux *http.ServeMux) {
	mux.HandleFunc("POST "+callback.Prefix, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out, run := s.callback(w, r)
		s.meter.hook(r.Context(), kindNote, out.word, time.Since(began))
		s.log.InfoContext(r.Context(), "callback of a job", "run", run, "outcome", out.word, "status", out.status)
		if out.status == http.StatusAccepted {
			w.WriteHeader(out.status)
			_, _ = io.WriteString(w, "accepted\n")
			return
		}
		http.Error(w, out.text, out.status)
	})
}

// callback takes what a job says, if its address is good. The address itself is
// a secret and goes nowhere.
func (s *Service) callback(w http.ResponseWriter, r *http.Request) (out outcome, id string) {
	if s.cfg.CallbackKey == nil {
		return outcome{status: http.StatusNotFound, word: "off", text: "callbacks are off: this slack-ingress has no SLIPWAY_CALLBACK_KEY"}, ""
	}
	if !s.running.Load() {
		return outcome{status: http.StatusServiceUnavailable, word: "starting", text: "not running yet, or not any more"}, ""
	}
	id, err := callback.Verify([]byte(*s.cfg.CallbackKey), r.URL.Path, s.clock())
	switch {
	case errors.Is(err, callback.ErrMalformed):
		return outcome{status: http.StatusBadRequest, word: "malformed", text: err.Error()}, ""
	case errors.Is(err, callback.ErrExpired):
		return outcome{status: http.StatusForbidden, word: "expired", text: err.Error()}, ""
	case err != nil:
		return outcome{status: http.StatusForbidden, word: "unsigned", text: err.Error()}, ""
	}
	note, refused := readNote(w, r)
	if refused != nil {
		return *refused, id
	}
	note.Run = id
	return s.storeNote(r.Context(), note), id
}

func (s *Service) storeNote(ctx context.Context, note *commandv1.Note) outcome {
	env := &commandv1.Envelope{
		Identity:  "note|" + note.GetRun() + "|" + note.GetId(),
		Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "job"},
		Received:  timestamppb.New(s.clock()),
		Body:      &commandv1.Envelope_Note{Note: note},
	}
	first, err := s.submit(ctx, kindNote, env)
	switch {
	case err != nil:
		s.log.ErrorContext(ctx, "message of a job not stored", "run", note.GetRun(), "error", err)
		return outcome{status: http.StatusServiceUnavailable, word: "not_stored", text: "not stored; send it again, it is never posted twice"}
	case !first:
		return outcome{status: http.StatusAccepted, word: "repeated"}
	}
	return outcome{status: http.StatusAccepted, word: "accepted"}
}

// readNote reads what is said: text, or an object with text or blocks.
func readNote(w http.ResponseWriter, r *http.Request) (*commandv1.Note, *outcome) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallbackBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &outcome{status: http.StatusRequestEntityTooLarge, word: "too_large", text: fmt.Sprintf("a message may have %d KiB", maxCallbackBody>>10)}
	case err != nil:
		return nil, wrongNote("the body cannot be read")
	}
	note := &commandv1.Note{Text: string(body), Format: eventv1.Report_FORMAT_TEXT}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/json" {
		if refused := decodeNote(body, note); refused != nil {
			return nil, refused
		}
	}
	return finishNote(note, r.Header.Get(headerIdempotency), body)
}

func decodeNote(body []byte, note *commandv1.Note) *outcome {
	var said struct {
		Text   string          `json:"text"`
		Blocks json.RawMessage `json:"blocks"`
		ID     string          `json:"id"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return wrongNote("the body is not an object with text or blocks")
	}
	note.Text, note.Id = said.Text, said.ID
	if len(said.Blocks) == 0 || string(said.Blocks) == "null" {
		return nil
	}
	var blocks []map[string]any
	var plain bytes.Buffer
	switch {
	case said.Text != "":
		return wrongNote("give text or blocks, not both")
	case json.Unmarshal(said.Blocks, &blocks) != nil || len(blocks) == 0 || json.Compact(&plain, said.Blocks) != nil:
		return wrongNote("blocks is not an array of blocks")
	case plain.Len() > run.MaxNote:
		return tooLong(fmt.Sprintf("blocks may have %d bytes", run.MaxNote))
	}
	note.Text, note.Format = plain.String(), eventv1.Report_FORMAT_BLOCKS
	return nil
}

// finishNote checks the text and gives the note its id: the one that the job
// chose, or the digest of the body, so that a repeat changes nothing.
func finishNote(note *commandv1.Note, key string, body []byte) (*commandv1.Note, *outcome) {
	note.Text = strings.ToValidUTF8(note.GetText(), "\uFFFD")
	switch {
	case strings.TrimSpace(note.GetText()) == "":
		return nil, wrongNote("there is nothing to post")
	case note.GetFormat() == eventv1.Report_FORMAT_TEXT && utf8.RuneCountInString(note.GetText()) > maxNoteText:
		return nil, tooLong(fmt.Sprintf("a message may have %d characters", maxNoteText))
	}
	if key != "" {
		note.Id = key
	}
	switch {
	case len(note.GetId()) > maxNoteID:
		return nil, wrongNote(fmt.Sprintf("an id may have %d bytes", maxNoteID))
	case note.GetId() == "":
		sum := sha256.Sum256(body)
		note.Id = "sha256:" + hex.EncodeToString(sum[:])
	}
	note.Id = strings.ToValidUTF8(note.GetId(), "\uFFFD")
	return note, nil
}

func wrongNote(why string) *outcome {
	return &outcome{status: http.StatusBadRequest, word: "malformed", text: why}
}

func tooLong(why string) *outcome {
	return &outcome{status: http.StatusRequestEntityTooLarge, word: "too_large", text: why}
}
