package slackapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// files is a stand-in that answers the upload calls; upload answers the bytes.
func files(t *testing.T, upload http.HandlerFunc) *slackapi.Client {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/api/files.getUploadURLExternal", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("filename") != "a.txt" || r.PostFormValue("length") != "3" || r.PostFormValue("snippet_type") != "text" {
			t.Errorf("asked with %v", r.PostForm)
		}
		_, _ = io.WriteString(w, `{"ok":true,"upload_url":"`+server.URL+`/up/s3cret","file_id":"F1"}`)
	})
	mux.HandleFunc("/up/", upload)
	mux.HandleFunc("/api/files.completeUploadExternal", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("files") != `[{"id":"F1","title":"A"}]` || r.PostFormValue("channel_id") != "C1" || r.PostFormValue("thread_ts") != "1.2" || r.PostFormValue("initial_comment") != "hi" {
			t.Errorf("completed with %v", r.PostForm)
		}
		_, _ = io.WriteString(w, `{"ok":true,"files":[{"id":"F1"}]}`)
	})
	c, err := slackapi.New(server.URL+"/api/", token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAFileIsUploadedWithoutTheToken(t *testing.T) {
	t.Parallel()
	c := files(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "" || string(body) != "abc" {
			t.Errorf("uploaded %q with %v", body, r.Header)
		}
		_, _ = io.WriteString(w, "OK - 3")
	})
	to, err := c.UploadURL(t.Context(), "a.txt", "text", 3)
	if err == nil {
		err = c.Upload(t.Context(), to, []byte("abc"))
	}
	if err == nil {
		err = c.Complete(t.Context(), slackapi.Share{File: to.File, Title: "A", Channel: "C1", Thread: "1.2", Comment: "hi"})
	}
	if err != nil {
		t.Error(err)
	}
}

// Bytes alone show nothing, so a failed upload may be repeated; its address is a
// secret.
func TestAFailedUploadIsUnsentAndNamesNoAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		outcome slackapi.Outcome
		after   time.Duration
	}{
		"gone":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, slackapi.Unsent, 0},
		"503":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, slackapi.Unsent, 0},
		"broken": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, slackapi.Unsent, 0},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, slackapi.Unsent, 0},
		"limited": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(http.StatusTooManyRequests)
		}, slackapi.Limited, 9 * time.Second},
	} {
		client := files(t, c.handler)
		to, err := client.UploadURL(t.Context(), "a.txt", "text", 3)
		if err != nil {
			t.Fatal(err)
		}
		err = client.Upload(t.Context(), to, []byte("abc"))
		if slackapi.OutcomeOf(err) != c.outcome || slackapi.AfterOf(err) != c.after || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAddressThatIsNotSafeIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "ftp://files.example/x", "not a url", "javascript:x"} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"ok":true,"upload_url":"`+address+`","file_id":"F1"}`)
		})
		if _, err := c.UploadURL(t.Context(), "a.txt", "", 3); slackapi.OutcomeOf(err) != slackapi.Unsent {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestFindTakesAFileByItsName(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ok":true,"messages":[
			{"ts":"3.0","bot_id":"B1","files":[{"name":"other.txt"}]},
			{"ts":"2.0","bot_id":"B1","files":[{"name":"j-1.txt"}]},
			{"ts":"1.0","bot_id":"B2","files":[{"name":"j-1.txt"}]}]}`)
	})
	ts, err := c.Find(t.Context(), slackapi.Search{Channel: "C1", Author: slackapi.Identity{Bot: "B1"}, Marker: slackapi.Marker{Run: "j-1"}, File: "j-1.txt"})
	if err != nil || ts != "2.0" {
		t.Errorf("found %q, %v", ts, err)
	}
}

func TestChannelsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.PostFormValue("types") == "public_channel,private_channel":
			_, _ = io.WriteString(w, `{"ok":false,"error":"missing_scope","needed":"groups:read"}`)
		case r.PostFormValue("cursor") == "":
			_, _ = io.WriteString(w, `{"ok":true,"channels":[{"id":"C1","name":"one"}],"response_metadata":{"next_cursor":"n"}}`)
		default:
			_, _ = io.WriteString(w, `{"ok":true,"channels":[{"id":"C2","name":"two"}]}`)
		}
	})
	if _, _, err := c.Channels(t.Context(), "", true); slackapi.NeededOf(err) != "groups:read" {
		t.Errorf("without the scope: %v", err)
	}
	first, next, err := c.Channels(t.Context(), "", false)
	if err != nil || next != "n" || len(first) != 1 || first[0] != (slackapi.Channel{ID: "C1", Name: "one"}) {
		t.Errorf("%v, %q, %v", first, next, err)
	}
	if second, next, err := c.Channels(t.Context(), next, false); err != nil || next != "" || len(second) != 1 {
		t.Errorf("%v, %q, %v", second, next, err)
	}
}
