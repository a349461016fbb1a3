package sandbox

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed static
var static embed.FS

var pageTemplate = template.Must(template.ParseFS(static, "static/page.html"))

func staticFiles() http.Handler {
	files := http.FileServerFS(static)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // a newer build must show at once
		files.ServeHTTP(w, r)
	})
}

// pageData is what the template needs; everything that changes comes by the stream.
type pageData struct {
	Target     string
	Delivery   string
	KillRunner bool
}

func (s *Server) servePage(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	data := pageData{Target: s.target, Delivery: s.cfg.Delivery.String(), KillRunner: s.cfg.KillRunner != nil}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := pageTemplate.Execute(w, data); err != nil {
		s.log.Error("sandbox page failed", "error", err)
	}
}

// servePermalink leads a link from chat.getPermalink to the message on the page.
func (s *Server) servePermalink(w http.ResponseWriter, r *http.Request) {
	digits := strings.TrimPrefix(r.PathValue("message"), "p")
	if len(digits) <= 6 || strings.Trim(digits, "0123456789") != "" {
		http.NotFound(w, r)
		return
	}
	ts := digits[:len(digits)-6] + "." + digits[len(digits)-6:]
	at := url.Values{"channel": {r.PathValue("channel")}, "ts": {ts}}
	http.Redirect(w, r, "/#"+at.Encode(), http.StatusFound)
}
