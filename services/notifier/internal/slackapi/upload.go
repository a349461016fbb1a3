package slackapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Upload is where Slack wants the bytes of a file. Its address is a secret: who
// has it may write the file.
type Upload struct {
	File string
	url  string
}

// UploadURL opens an upload of size bytes. kind may be "text" for a snippet that
// Slack shows in place, or empty. Nobody sees anything of it before Complete.
func (c *Client) UploadURL(ctx context.Context, name, kind string, size int) (Upload, error) {
	form := url.Values{"filename": {name}, "length": {strconv.Itoa(size)}}
	if kind != "" {
		form.Set("snippet_type", kind)
	}
	var out struct {
		URL  string `json:"upload_url"`
		File string `json:"file_id"`
	}
	if _, err := c.call(ctx, MethodUploadURL, form, &out); err != nil {
		return Upload{}, err
	}
	if !c.trusted(out.URL) || out.File == "" {
		return Upload{}, &Error{Method: MethodUploadURL, Outcome: Unsent, Code: "an answer that names no address to upload to"}
	}
	return Upload{File: out.File, url: out.URL}, nil
}

// trusted tells whether an address that Slack named may get a report: one that
// is no less safe than the Web API's own.
func (c *Client) trusted(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && c.plain)
}

// maxVerdict is how much is read of what an upload answers: "OK - 1234".
const maxVerdict = 4 << 10

// Upload sends the bytes, without the token. It is done whole or not at all, and
// may be repeated: every failure is Unsent or Limited.
func (c *Client) Upload(ctx context.Context, to Upload, content []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(content))
	if err != nil {
		return lost(MethodUpload, false, errors.New("the request cannot be made"))
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the rest repeats the address
		}
		return lost(MethodUpload, false, err)
	}
	defer func() { _ = resp.Body.Close() }() // read to the end already, or abandoned
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxVerdict))
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusTooManyRequests:
		return checkStatus(MethodUpload, resp)
	}
	return &Error{Method: MethodUpload, Outcome: Unsent, Code: fmt.Sprintf("status %d", resp.StatusCode)}
}

// Share is an uploaded file on its way to a place.
type Share struct {
	File, Title     string
	Channel, Thread string
	Comment         string
}

// Complete shows an uploaded file. Like Post it is sent once, and has no
// idempotency key: after an unknown outcome look for the file's name.
func (c *Client) Complete(ctx context.Context, s Share) error {
	files, err := json.Marshal([]map[string]string{{"id": s.File, "title": s.Title}})
	if err != nil {
		return lost(MethodComplete, false, err)
	}
	form := url.Values{"files": {string(files)}, "channel_id": {s.Channel}}
	if s.Thread != "" {
		form.Set("thread_ts", s.Thread)
	}
	if s.Comment != "" {
		form.Set("initial_comment", s.Comment)
	}
	_, err = c.call(ctx, MethodComplete, form, nil)
	return err
}
