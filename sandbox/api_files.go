package sandbox

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxUpload bounds one file; a sandbox keeps its files in memory.
	maxUpload = 8 << 20
	// maxUploads is how many uploads may be open at once.
	maxUploads = 200
	// maxShareChannels of one completeUploadExternal.
	maxShareChannels = 100
	// maxSnippet is where Slack refuses to make a snippet of a text, in bytes.
	maxSnippet = 1 << 20
	// maxAltText of a picture, in characters.
	maxAltText = 1000
)

// upload is a file between its two API calls. The key of the map is the secret part of its URL.
type upload struct {
	file    File
	length  int
	snippet string // the type that was declared
	done    bool
}

func filesGetUploadURL(s *Server, c *call) (map[string]any, *apiError) {
	length, err := strconv.Atoi(c.str("length"))
	switch {
	case err != nil || length <= 0:
		return nil, fail("invalid_arguments", "[ERROR] length must be a positive number")
	case length > maxUpload:
		return nil, fail("file_upload_size_restricted")
	case c.has("snippet_type") && length > maxSnippet:
		return nil, fail("snippet_too_large")
	case utf8.RuneCountInString(c.str("alt_txt")) > maxAltText:
		return nil, fail("alt_txt_too_large")
	}
	secret, err := randomHex(secretBytes)
	if err != nil {
		return nil, fail("internal_error")
	}
	u := &upload{length: length, snippet: c.str("snippet_type"), file: File{
		ID: s.world.id("F"), Name: c.str("filename"), Title: c.str("filename"), User: BotUserID, Created: c.now,
	}}
	s.dropOldestUpload()
	s.uploads[secret] = u
	return map[string]any{"upload_url": s.baseURL() + "/upload/v1/" + secret, "file_id": u.file.ID}, nil
}

// dropOldestUpload makes room: uploads that nobody completed are forgotten one day in Slack, too.
func (s *Server) dropOldestUpload() {
	if len(s.uploads) < maxUploads {
		return
	}
	oldest := ""
	for secret, u := range s.uploads {
		if oldest == "" || u.file.ID < s.uploads[oldest].file.ID {
			oldest = secret
		}
	}
	delete(s.uploads, oldest)
}

// serveUpload takes the bytes of a file, raw or as the first part of a multipart form.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	began, fault := time.Now(), s.faults.take(FileUpload, "")
	content, err := uploadBody(w, r)
	c := &call{name: FileUpload, began: began, now: s.cfg.Clock(), fault: fault}
	if !s.faultBefore(w, r, c) {
		return
	}
	s.mu.Lock()
	u := s.uploads[r.PathValue("id")]
	if u != nil && err == nil && len(content) == u.length {
		u.file.Content, u.done = content, true
		u.file.fill(u.snippet)
	}
	s.mu.Unlock()
	status, answer := http.StatusOK, fmt.Sprintf("OK - %d", len(content))
	switch {
	case u == nil:
		status, answer = http.StatusNotFound, "unknown upload"
	case err != nil:
		status, answer = http.StatusBadRequest, "unreadable body"
	case len(content) != u.length:
		status, answer = http.StatusBadRequest, "length differs from the one announced"
	}
	s.mu.Lock()
	e := Entry{Time: c.now, Kind: KindUpload, Name: FileUpload, Status: status, OK: status == http.StatusOK, TookMS: millis(time.Since(began)), Answer: answer}
	lost := fault != nil && fault.Kind == LostAfter
	if lost {
		e.Status, e.OK, e.Error, e.Fault = 0, false, errLost, string(fault.Kind)
	}
	s.record(e)
	s.mu.Unlock()
	if lost {
		breakConnection(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer) // the client may be gone; nobody is left to tell
}

func uploadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload+maxFormMemory)
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return io.ReadAll(r.Body)
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return nil, err
		}
		if part.FileName() != "" {
			return io.ReadAll(part)
		}
	}
}

// filesCompleteUpload refuses before it shares anything, so that a refused call may be repeated with the same files.
func filesCompleteUpload(s *Server, c *call) (map[string]any, *apiError) {
	files, refused := s.finished(c)
	if refused != nil {
		return nil, refused
	}
	shares, refused := s.shares(c, files)
	if refused != nil {
		return nil, refused
	}
	out := make([]map[string]any, 0, len(files))
	for _, f := range files {
		s.world.keepFile(f)
		out = append(out, map[string]any{"id": f.ID, "title": f.Title})
	}
	for secret, u := range s.uploads {
		if slices.ContainsFunc(files, func(f File) bool { return f.ID == u.file.ID }) {
			delete(s.uploads, secret)
		}
	}
	s.shareAll(c, shares)
	return map[string]any{"files": out}, nil
}

// finished finds the uploads that the call names.
func (s *Server) finished(c *call) ([]File, *apiError) {
	v, ok := c.raw("files")
	list, isList := v.([]any)
	if !ok || !isList || len(list) == 0 {
		return nil, fail("invalid_arguments", "[ERROR] files must be a list")
	}
	var files []File
	for _, item := range list {
		o, _ := item.(map[string]any)
		u := s.uploadByID(str(o, "id"))
		if u == nil || !u.done {
			return nil, fail("file_not_found")
		}
		f := u.file
		if title := str(o, "title"); title != "" {
			f.Title = title
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *Server) uploadByID(id string) *upload {
	for _, u := range s.uploads {
		if u.file.ID == id {
			return u
		}
	}
	return nil
}

// shares are the messages that carry the files, one for each channel, not yet posted.
func (s *Server) shares(c *call, files []File) ([]*Message, *apiError) {
	targets := strings.FieldsFunc(c.str("channels")+","+c.str("channel_id"), func(r rune) bool { return r == ',' })
	if len(targets) > maxShareChannels {
		return nil, fail("channels_limit_exceeded")
	}
	body := content{text: c.str("initial_comment")}
	if refused := s.readBlocks(c, &body); refused != nil {
		return nil, refused
	}
	var out []*Message
	for _, target := range targets {
		channel, refused := s.writable(target)
		if refused != nil {
			return nil, refused
		}
		thread, refused := s.threadFor(channel, c.str("thread_ts"))
		if refused != nil {
			return nil, refused
		}
		m := s.botMessage(channel, body, c)
		m.ThreadTS, m.Files, m.Subtype = thread, files, "file_share"
		out = append(out, m)
	}
	return out, nil
}

// shareAll posts them: at once, or later when the fault plan says so.
func (s *Server) shareAll(c *call, shares []*Message) {
	if c.fault == nil || c.fault.Kind != ShareDelayed {
		for _, m := range shares {
			s.post(m)
		}
		return
	}
	late := c.fault.Delay
	s.backgroundLocked(func(ctx context.Context) {
		if !sleep(ctx, late) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range shares {
			s.post(m)
		}
	})
}

// filesInfo shows a file and where it was shared.
func filesInfo(s *Server, c *call) (map[string]any, *apiError) {
	f := s.world.files[c.str("file")]
	if f == nil {
		return nil, fail("file_not_found")
	}
	public, private, channels := map[string]any{}, map[string]any{}, []string{}
	for _, id := range s.world.order {
		var found []any
		for _, m := range s.world.messages[id] {
			if slices.ContainsFunc(m.Files, func(o File) bool { return o.ID == f.ID }) {
				found = append(found, map[string]any{"ts": m.TS, "thread_ts": m.ThreadTS, "channel_name": s.world.channels[id].Name, "team_id": TeamID})
			}
		}
		switch {
		case found == nil:
		case s.world.channels[id].Private:
			private[id] = found
		default:
			public[id] = found
			channels = append(channels, id)
		}
	}
	out := s.wireFile(f)
	out["shares"], out["channels"] = map[string]any{"public": public, "private": private}, channels
	return map[string]any{"file": out}, nil
}
