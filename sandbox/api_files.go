package sandbox

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxUpload bounds one file; a sandbox keeps its files in memory.
	maxUpload = 8 << 20
	// maxUploads is how many uploads may be open at once.
	maxUploads = 200
	// maxShareChannels of one completeUploadExternal.
	maxShareChannels = 100
)

// upload is a file between its two API calls. The key of the map is the secret part of its URL.
type upload struct {
	file   File
	length int
	done   bool
}

func filesGetUploadURL(s *Server, c *call) (map[string]any, *apiError) {
	length, err := strconv.Atoi(c.str("length"))
	switch {
	case err != nil || length <= 0:
		return nil, fail("invalid_arguments", "[ERROR] length must be a positive number")
	case length > maxUpload:
		return nil, fail("file_upload_size_restricted")
	case len(s.uploads) >= maxUploads:
		return nil, fail("storage_limit_reached")
	}
	secret, err := randomHex(secretBytes)
	if err != nil {
		return nil, fail("internal_error")
	}
	u := &upload{length: length, file: File{ID: s.world.id("F"), Name: c.str("filename"), Title: c.str("filename")}}
	s.uploads[secret] = u
	return map[string]any{"upload_url": s.baseURL() + "/upload/v1/" + secret, "file_id": u.file.ID}, nil
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
		u.file.Content, u.file.Size, u.done = content, len(content), true
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
	s.record(Entry{Time: c.now, Kind: KindUpload, Name: FileUpload, Status: status, OK: status == http.StatusOK, TookMS: millis(time.Since(began)), Answer: answer})
	s.mu.Unlock()
	if fault != nil && fault.Kind == LostAfter {
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

func filesCompleteUpload(s *Server, c *call) (map[string]any, *apiError) {
	files, refused := s.finished(c)
	if refused != nil {
		return nil, refused
	}
	targets := strings.FieldsFunc(c.str("channels")+","+c.str("channel_id"), func(r rune) bool { return r == ',' })
	if len(targets) > maxShareChannels {
		return nil, fail("channels_limit_exceeded")
	}
	for _, target := range targets {
		if refused := s.share(c, target, files); refused != nil {
			return nil, refused
		}
	}
	out := make([]map[string]any, 0, len(files))
	for _, f := range files {
		s.world.files[f.ID] = &f
		out = append(out, map[string]any{"id": f.ID, "title": f.Title})
	}
	return map[string]any{"files": out}, nil
}

// finished takes the uploads that the call names out of the open ones.
func (s *Server) finished(c *call) ([]File, *apiError) {
	v, ok := c.raw("files")
	list, isList := v.([]any)
	if !ok || !isList {
		return nil, fail("invalid_arguments", "[ERROR] files must be a list")
	}
	files, secrets := []File{}, []string{}
	for _, item := range list {
		o, _ := item.(map[string]any)
		secret, u := s.uploadByID(str(o, "id"))
		if u == nil || !u.done {
			return nil, fail("file_not_found")
		}
		if title := str(o, "title"); title != "" {
			u.file.Title = title
		}
		files, secrets = append(files, u.file), append(secrets, secret)
	}
	for _, secret := range secrets {
		delete(s.uploads, secret)
	}
	return files, nil
}

func (s *Server) uploadByID(id string) (string, *upload) {
	for secret, u := range s.uploads {
		if u.file.ID == id {
			return secret, u
		}
	}
	return "", nil
}

func (s *Server) share(c *call, target string, files []File) *apiError {
	channel, refused := s.writable(target)
	if refused != nil {
		return refused
	}
	thread, refused := s.threadFor(channel, c.str("thread_ts"))
	if refused != nil {
		return refused
	}
	s.post(&Message{
		Channel: channel.ID, User: BotUserID, BotID: BotID, Text: c.str("initial_comment"), ThreadTS: thread, Files: files, Subtype: "file_share",
	})
	return nil
}

// FileContent is what was uploaded under the id, or false.
func (s *Server) FileContent(id string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.files[id]
	if f == nil {
		return nil, false
	}
	return append([]byte(nil), f.Content...), true
}
