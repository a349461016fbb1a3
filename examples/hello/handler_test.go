package main

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	newHandler("staging<", time.Unix(0, 0)).ServeHTTP(rec, req)
	return rec
}

func TestProgramsGetJSON(t *testing.T) {
	var g greeting
	if err := json.Unmarshal(get(t, "/", "*/*").Body.Bytes(), &g); err != nil {
		t.Fatal(err)
	}
	if g.Service != "hello" || g.Version != version() || g.Environment != "staging<" {
		t.Errorf("got %+v", g)
	}
}

func TestPeopleGetAPage(t *testing.T) {
	body := get(t, "/", "text/html,*/*").Body.String()
	for _, want := range []string{"<html", html.EscapeString(version()), "staging&lt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestVersionIsPlainText(t *testing.T) {
	if got := get(t, "/version", "").Body.String(); got != version()+"\n" || version() == "" {
		t.Errorf("got %q", got)
	}
}

func TestHealth(t *testing.T) {
	if got := get(t, "/healthz", ""); got.Code != http.StatusOK {
		t.Errorf("got %d", got.Code)
	}
}

func TestUnknownPathsAreNotFound(t *testing.T) {
	if got := get(t, "/nothing", ""); got.Code != http.StatusNotFound {
		t.Errorf("got %d", got.Code)
	}
}
