package sandbox_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

// upload announces a file and sends its bytes; the file is not shared yet.
func upload(t *testing.T, s *sandbox.Server, name, content string) string {
	t.Helper()
	got, _ := form(t, s, "files.getUploadURLExternal", map[string]string{"filename": name, "length": strconv.Itoa(len(content)), "snippet_type": "text"})
	if got["ok"] != true {
		t.Fatalf("%v", got)
	}
	status, answer := put(t, got["upload_url"].(string), content)
	if status != 200 || answer != "OK - "+strconv.Itoa(len(content)) {
		t.Fatalf("%d %s", status, answer)
	}
	return got["file_id"].(string)
}

func put(t *testing.T, to, content string) (int, string) {
	t.Helper()
	resp, err := http.Post(to, "application/octet-stream", strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestAFileIsAMessageOfItsChannel(t *testing.T) {
	s, _, client := start(t, sandbox.Config{Strict: true, Scopes: append([]string{"files:read"}, sandbox.DefaultScopes...)})
	id := upload(t, s, "report.txt", "line 1\nline 2\n")
	done, _ := form(t, s, "files.completeUploadExternal", map[string]string{
		"files": `[{"id":"` + id + `","title":"The report"}]`, "channel_id": sandbox.ChannelOps, "initial_comment": "as you asked",
	})
	if done["ok"] != true {
		t.Fatalf("%v", done)
	}
	h, err := client.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: sandbox.ChannelOps})
	if err != nil || len(h.Messages) != 1 || len(h.Messages[0].Files) != 1 {
		t.Fatalf("%+v %v", h, err)
	}
	m := h.Messages[0]
	f := m.Files[0]
	if m.Text != "as you asked" || m.SubType != "file_share" || f.ID != id || f.Title != "The report" || f.Name != "report.txt" || f.Mimetype != "text/plain" ||
		f.Filetype != "text" || f.Mode != "snippet" || f.Size != 14 || f.Preview != "line 1\nline 2\n" || f.User != sandbox.BotUserID {
		t.Errorf("%+v", m)
	}
	if status, body := get(t, f.URLPrivateDownload); status != 200 || body != "line 1\nline 2\n" {
		t.Errorf("%d %q", status, body)
	}
	info, _, _, err := client.GetFileInfo(id, 0, 0)
	if err != nil || info.Shares.Public[sandbox.ChannelOps][0].Ts != m.Timestamp {
		t.Errorf("%+v %v", info, err)
	}
	if files := s.Files(sandbox.ChannelOps); len(files) != 1 || string(files[0].Content) != "line 1\nline 2\n" || !files[0].Snippet {
		t.Errorf("%+v", files)
	}
	if v := s.Violations(); len(v) != 0 {
		t.Error(v)
	}
}

func TestWhatIsWrongWithAFile(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{})
	for _, c := range []struct{ length, snippet, want string }{
		{"0", "", "invalid_arguments"}, {"many", "", "invalid_arguments"}, {"900000000", "", "file_upload_size_restricted"}, {"2000000", "text", "snippet_too_large"},
	} {
		if got, _ := form(t, s, "files.getUploadURLExternal", map[string]string{"filename": "a", "length": c.length, "snippet_type": c.snippet}); got["error"] != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	short, _ := form(t, s, "files.getUploadURLExternal", map[string]string{"filename": "a", "length": "10"})
	if status, _ := put(t, short["upload_url"].(string), "not ten"); status != 400 {
		t.Error(status)
	}
	if status, _ := put(t, s.URL()+"/upload/v1/nothing", "x"); status != 404 {
		t.Error(status)
	}
	files := func(id string) string { return `[{"id":"` + id + `"}]` }
	for id, want := range map[string]string{short["file_id"].(string): "file_not_found", "F404": "file_not_found"} {
		if got, _ := form(t, s, "files.completeUploadExternal", map[string]string{"files": files(id), "channel_id": sandbox.ChannelOps}); got["error"] != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
	id := upload(t, s, "a.txt", "hello")
	for _, c := range []struct{ channel, thread, want string }{
		{"C0NOWHERE", "", "channel_not_found"}, {sandbox.ChannelRandom, "", "not_in_channel"}, {sandbox.ChannelArchived, "", "is_archived"},
		{sandbox.ChannelOps, "1.000001", "cannot_reply_to_message"}, {sandbox.ChannelOps + "," + sandbox.ChannelRandom, "", "not_in_channel"},
	} {
		got, _ := form(t, s, "files.completeUploadExternal", map[string]string{"files": files(id), "channels": c.channel, "thread_ts": c.thread})
		if got["error"] != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if n := len(s.Messages(sandbox.ChannelOps)); n != 0 {
		t.Errorf("a refused call left %d messages", n)
	}
	// What was refused may be asked again, and only once done is it done.
	for _, want := range []any{nil, "file_not_found"} {
		if got, _ := form(t, s, "files.completeUploadExternal", map[string]string{"files": files(id), "channel_id": sandbox.ChannelOps}); got["error"] != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func TestFaultsOfFiles(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	id := upload(t, s, "a.txt", "hello")
	args := map[string]string{"files": `[{"id":"` + id + `"}]`, "channel_id": sandbox.ChannelOps}
	s.Faults().Set(sandbox.Fault{Kind: sandbox.RateLimited, Method: "files.completeUploadExternal", Times: 1, RetryAfter: 3})
	if got, resp := form(t, s, "files.completeUploadExternal", args); got["error"] != "ratelimited" || resp.Header.Get("Retry-After") != "3" {
		t.Errorf("%v %v", got, resp.Header)
	}
	// Done, and the answer lost: who looks into the history finds the file under its id.
	s.Faults().Set(sandbox.Fault{Kind: sandbox.LostAfter, Method: "files.completeUploadExternal", Channel: sandbox.ChannelOps, Times: 1})
	if _, err := client.CompleteUploadExternalContext(t.Context(), slack.CompleteUploadExternalParameters{
		Files: []slack.FileSummary{{ID: id}}, Channel: sandbox.ChannelOps,
	}); err == nil {
		t.Error("the answer arrived")
	}
	h, err := client.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: sandbox.ChannelOps})
	if err != nil || len(h.Messages) != 1 || h.Messages[0].Files[0].ID != id {
		t.Errorf("%+v %v", h, err)
	}
	// The bytes sent, and the answer lost: completing works.
	announced, _ := form(t, s, "files.getUploadURLExternal", map[string]string{"filename": "b.txt", "length": "5"})
	s.Faults().Set(sandbox.Fault{Kind: sandbox.LostAfter, Method: sandbox.FileUpload, Times: 1})
	if resp, err := http.Post(announced["upload_url"].(string), "text/plain", strings.NewReader("again")); err == nil {
		_ = resp.Body.Close()
		t.Error("the answer arrived")
	}
	args["files"] = `[{"id":"` + announced["file_id"].(string) + `"}]`
	// And Slack says that it is there before it is.
	s.Faults().Set(sandbox.Fault{Kind: sandbox.ShareDelayed, Times: 1, Delay: 20 * time.Millisecond})
	if got, _ := form(t, s, "files.completeUploadExternal", args); got["ok"] != true {
		t.Fatalf("%v", got)
	}
	wait(t, s, func(v sandbox.State) bool { return len(v.Messages(sandbox.ChannelOps)) == 2 })
}

func TestAPictureIsDrawnAndAPageIsNot(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{})
	for content, want := range map[string]string{
		"\x89PNG\r\n\x1a\n0000":             "image/png",
		"<!DOCTYPE html><script>1</script>": "text/plain; charset=utf-8",
	} {
		id := upload(t, s, "x", content)
		form(t, s, "files.completeUploadExternal", map[string]string{"files": `[{"id":"` + id + `"}]`, "channel_id": sandbox.ChannelOps})
		resp, err := http.Get(s.URL() + "/sandbox/files/" + id)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != want || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%q is served as %s", content, got)
		}
	}
}
