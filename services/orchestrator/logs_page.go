package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/runlog"
)

const (
	// maxPages bounds the pages that are open at one time: each holds a reader.
	maxPages = 64
	// maxPageTime bounds one page; a run that goes on longer is shown by a reload.
	maxPageTime = time.Hour
	// maxPageLines bounds the numbers in an address.
	maxPageLines = 1_000_000
)

// logPage shows people the output of a run: all of it, and while the run lives
// what comes. Whoever may use the API may see it, and whoever has an address
// that carries the right to, except for restricted runs: an address in a channel
// is read by everybody there.
type logPage struct {
	guard guard
	link  runlog.Link
	view  *view
	proj  *projection.Projection
	logs  *logReader
	now   func() time.Time
	open  chan struct{} // holds one value per open page
}

func (p *logPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer") // the address carries the right
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "this page is only read", http.StatusMethodNotAllowed)
		return
	}
	s, status, sentence := p.admit(r)
	if status != 0 {
		http.Error(w, sentence, status)
		return
	}
	q, err := pageQuery(r.URL.Query())
	if err == nil && q.step != "" && !hasStep(s, q.step) {
		err = errors.New(noStep(s, q.step))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case p.open <- struct{}{}:
		defer func() { <-p.open }()
	default:
		http.Error(w, "too many of these pages are open: close some, or try again", http.StatusServiceUnavailable)
		return
	}
	p.show(w, r, s, q)
}

// admit finds the run, if the caller may see it; else the status is set.
func (p *logPage) admit(r *http.Request) (s run.State, status int, sentence string) {
	id := strings.TrimPrefix(r.URL.Path, runlog.PagePath)
	status, sentence = p.guard.refuse(r)
	signed := p.link.Verify(id, r.URL.Query(), p.now())
	if status != 0 && !signed {
		return s, status, "this address does not give the right to see the output, or no longer. " + sentence
	}
	found, err := p.view.find(r.Context(), id)
	if err == nil {
		s, err = p.view.state(r.Context(), found)
	}
	switch {
	case err != nil:
		return s, http.StatusNotFound, "there is no run " + strconv.Quote(id)
	case status != 0 && s.Plan.GetRestricted():
		return s, http.StatusForbidden, "the output of a restricted job is shown to its people alone: ask for it in Slack, or with the API's token"
	}
	return s, 0, ""
}

func pageQuery(values url.Values) (logQuery, error) {
	q := logQuery{step: values.Get("step"), stream: values.Get("stream")}
	attempt := 0
	for name, into := range map[string]*int{"head": &q.head, "tail": &q.tail, "attempt": &attempt} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxPageLines {
			return q, fmt.Errorf("%s is a number of at most %d", name, maxPageLines)
		}
		*into = n
	}
	q.attempt = uint32(attempt) //nolint:gosec // bounded above
	return q, q.check()
}

// show writes the page and, unless only an end of the output is wanted, follows
// the run.
func (p *logPage) show(w http.ResponseWriter, r *http.Request, s run.State, q logQuery) {
	ctx, cancel := context.WithTimeout(r.Context(), maxPageTime)
	defer cancel()
	plain := r.URL.Query().Get("format") == "text" || !strings.Contains(r.Header.Get("Accept"), "text/html")
	out := &pageWriter{w: w, control: http.NewResponseController(w), plain: plain, several: len(s.Steps) > 1}
	out.begin(&s, r.URL.Query())
	if r.Method == http.MethodHead {
		return
	}
	err := p.copy(ctx, s, q, out)
	if err != nil && ctx.Err() == nil {
		out.remark("the rest could not be read; reload the page")
	} else if ctx.Err() != nil {
		out.remark("the run goes on; reload the page to see more")
	}
	if now, err := p.view.state(context.WithoutCancel(ctx), s.ID); err == nil {
		s = now
	}
	out.end(&s)
}

func (p *logPage) copy(ctx context.Context, s run.State, q logQuery, out *pageWriter) error {
	if q.head > 0 || q.tail > 0 {
		entries, cut, err := p.logs.query(ctx, s, q)
		if cut {
			out.remark(fmt.Sprintf("only %s of it are shown", bytesOf(maxLogAnswer)))
		}
		for _, e := range entries {
			if err := out.entry(e); err != nil {
				return err
			}
		}
		return err
	}
	wake, stop := p.proj.WatchRun(s.ID)
	defer stop()
	done := func() bool {
		now, err := p.view.state(ctx, s.ID)
		return err != nil || now.Status.Ended()
	}
	return p.logs.stream(ctx, s, q, 0, done, wake, out.entry)
}

// pageWriter writes entries as text or HTML, each at once.
type pageWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	plain   bool
	several bool   // steps
	part    string // that the last entry belonged to
	open    bool   // the last line has no end yet
}

const pageStyle = `body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1d1c1d;background:#fff}
pre{font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:1rem;border-radius:6px}
.stderr{color:#a3331e}.note{color:#666;font-style:italic}nav a{margin-right:1rem}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#1a1d21}pre{background:#222529}.stderr{color:#f09a86}.note{color:#999}a{color:#7cb7ff}}`

// begin writes what comes before the output.
func (o *pageWriter) begin(s *run.State, query url.Values) {
	if o.plain {
		o.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_ = o.control.Flush()
		return
	}
	o.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	title := html.EscapeString(s.ID + ": " + s.Name())
	o.write(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>` + title +
		`</title><style>` + pageStyle + `</style><h1>` + title + `</h1><nav>`)
	for _, view := range [][2]string{{"all", ""}, {"stdout", "stdout"}, {"stderr", "stderr"}, {"text", ""}} {
		to := runlog.Right(query)
		if view[1] != "" {
			to.Set("stream", view[1])
		}
		if view[0] == "text" {
			to.Set("format", "text")
		}
		o.write(`<a href="?` + html.EscapeString(to.Encode()) + `">` + view[0] + `</a>`)
	}
	o.write("</nav><pre>")
	_ = o.control.Flush()
}

// sequences are what steers a terminal; a page has no use for it.
var sequences = regexp.MustCompile(`\x1b(\[[0-9;?]*[A-Za-z]|\][^\a\x1b]*(\a|\x1b\\)|[@-_])`)

// entry writes a piece of output. An error means that the reader has gone.
func (o *pageWriter) entry(e *apiv1.LogEntry) error {
	if part := fmt.Sprintf("%s, attempt %d", e.GetStep(), e.GetAttempt()); part != o.part && (o.several || e.GetAttempt() > 1) {
		o.part = part
		o.remark(part)
	}
	text := e.GetText()
	if e.GetStream() == "note" {
		o.remark(strings.TrimRight(text, "\n"))
		return o.control.Flush()
	}
	o.open = !strings.HasSuffix(text, "\n")
	if o.plain {
		o.write(text)
		return o.control.Flush()
	}
	o.write(`<span class="` + e.GetStream() + `">` + html.EscapeString(sequences.ReplaceAllString(text, "")) + `</span>`)
	return o.control.Flush()
}

// remark writes a line of ours between those of the run.
func (o *pageWriter) remark(words string) {
	if o.open {
		o.write("\n")
		o.open = false
	}
	if o.plain {
		o.write("# " + words + "\n")
		return
	}
	o.write(`<span class="note"># ` + html.EscapeString(words) + "</span>\n")
}

// end writes what comes after the output.
func (o *pageWriter) end(s *run.State) {
	if o.plain {
		return
	}
	words := s.Status.String()
	if s.Reason != "" {
		words += ": " + s.Reason
	}
	o.write("</pre><p>" + html.EscapeString(words) + "</p></html>\n")
}

func (o *pageWriter) write(text string) {
	_, _ = o.w.Write([]byte(text)) //nolint:gosec // escaped by every caller, or plain text; a reader that has gone is noticed by the flush
}
