package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// File is a file shared in a message.
type File struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Size    int       `json:"size"`
	Mime    string    `json:"mimetype,omitempty"`
	Kind    string    `json:"filetype,omitempty"` // Slack's word for it: text, python, png …
	Snippet bool      `json:"snippet,omitempty"`  // text that Slack shows in the message
	User    string    `json:"user,omitempty"`
	Created time.Time `json:"created,omitzero"`

	Content []byte `json:"-"`
}

// maxFiles is how many files are kept with their contents; the oldest make room.
const maxFiles = 200

// previewLines and previewChars bound what a message shows of a text file, as in Slack.
const (
	previewLines = 5
	previewChars = 400
)

// fileKinds are Slack's words for the endings that reports and logs have.
var fileKinds = map[string]string{
	".txt": "text", ".log": "text", ".md": "markdown", ".json": "json", ".csv": "csv", ".html": "html", ".yaml": "yaml", ".yml": "yaml",
	".go": "go", ".py": "python", ".sh": "shell", ".sql": "sql", ".diff": "diff", ".patch": "diff", ".png": "png", ".jpg": "jpg", ".gif": "gif",
}

// fill makes of an uploaded file what Slack says about it. snippetType is what the caller declared, if anything.
func (f *File) fill(snippetType string) {
	f.Size = len(f.Content)
	f.Mime, _, _ = strings.Cut(http.DetectContentType(f.Content), ";")
	f.Kind = fileKinds[strings.ToLower(path.Ext(f.Name))]
	f.Snippet = snippetType != ""
	switch {
	case f.Snippet:
		f.Kind = snippetType
	case f.Kind == "" && strings.HasPrefix(f.Mime, "text/"):
		f.Kind = "text"
	case f.Kind == "":
		f.Kind = "binary"
	}
}

// text says whether the contents can be shown as they are.
func (f *File) text() bool { return strings.HasPrefix(f.Mime, "text/") && utf8.Valid(f.Content) }

// preview is the beginning of a text file.
func (f *File) preview() string {
	if !f.text() {
		return ""
	}
	lines := strings.SplitAfterN(string(f.Content), "\n", previewLines+1)
	out := []rune(strings.Join(lines[:min(len(lines), previewLines)], ""))
	return string(out[:min(len(out), previewChars)])
}

// wireFile is a file as the Web API and events show it.
func (s *Server) wireFile(f *File) map[string]any {
	mode := "hosted"
	if f.Snippet {
		mode = "snippet"
	}
	link := s.baseURL() + "/sandbox/files/" + f.ID
	out := map[string]any{
		"id": f.ID, "created": f.Created.Unix(), "timestamp": f.Created.Unix(), "name": f.Name, "title": f.Title, "mimetype": f.Mime,
		"filetype": f.Kind, "pretty_type": strings.ToUpper(f.Kind), "user": f.User, "user_team": TeamID, "editable": f.Snippet, "size": f.Size,
		"mode": mode, "is_external": false, "external_type": "", "is_public": true, "public_url_shared": false, "display_as_bot": false,
		"username": "", "url_private": link, "url_private_download": link, "permalink": link, "file_access": "visible",
	}
	if text := f.preview(); text != "" {
		out["preview"], out["lines"] = text, strings.Count(string(f.Content), "\n")+1
	}
	return out
}

func (s *Server) wireFiles(files []File) []map[string]any {
	out := make([]map[string]any, 0, len(files))
	for i := range files {
		out = append(out, s.wireFile(&files[i]))
	}
	return out
}

// keepFile remembers a finished file; the oldest make room.
func (w *world) keepFile(f File) {
	w.files[f.ID] = &f
	w.fileOrder = append(w.fileOrder, f.ID)
	if len(w.fileOrder) > maxFiles {
		delete(w.files, w.fileOrder[0])
		w.fileOrder = slices.Delete(w.fileOrder, 0, 1)
	}
}

// Files that messages of the channel carry, replies included, oldest first.
func (s *Server) Files(channel string) []File {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []File
	for _, m := range s.world.messages[channel] {
		for _, f := range m.Files {
			f.Content = slices.Clone(f.Content)
			out = append(out, f)
		}
	}
	return out
}

// FileContent is what was uploaded under the id, or false.
func (s *Server) FileContent(id string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.world.files[id]
	if f == nil {
		return nil, false
	}
	return slices.Clone(f.Content), true
}

// shownAsImage are the kinds that a browser may draw: pictures that cannot hold a script.
var shownAsImage = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// serveFile gives out what was uploaded, as a download that no browser runs.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.world.files[r.PathValue("id")]
	s.mu.Unlock()
	if f == nil { // files are never changed once they are kept
		http.NotFound(w, r)
		return
	}
	kind := "text/plain; charset=utf-8"
	if slices.Contains(shownAsImage, f.Mime) {
		kind = f.Mime
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename*=UTF-8''%s", url.PathEscape(f.Name)))
	_, _ = w.Write(f.Content) // the client may be gone; nobody is left to tell
}
