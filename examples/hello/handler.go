package main

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// versionText is written by the build step before the program is compiled, so the
// version is text in a file and never part of a command line.
//
//go:embed version.txt
var versionText string

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// greeting is what "/" answers, as a page or as JSON.
type greeting struct {
	Service     string    `json:"service"`
	Version     string    `json:"version"`
	Environment string    `json:"environment"`
	Started     time.Time `json:"started"`
}

func version() string { return strings.TrimSpace(versionText) }

// newHandler answers /, /version and /healthz.
func newHandler(environment string, started time.Time) http.Handler {
	if environment == "" {
		environment = "local"
	}
	g := greeting{Service: "hello", Version: version(), Environment: environment, Started: started.UTC()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", g.ServeHTTP)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { text(w, g.Version+"\n") })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, "ok\n") })
	return mux
}

// ServeHTTP gives people a page and programs JSON.
func (g greeting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err = page.Execute(w, g)
	} else {
		w.Header().Set("Content-Type", "application/json")
		err = json.NewEncoder(w).Encode(g)
	}
	if err != nil {
		slog.Warn("answer not sent", "error", err)
	}
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := io.WriteString(w, s); err != nil {
		slog.Warn("answer not sent", "error", err)
	}
}
