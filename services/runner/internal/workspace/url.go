package workspace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxURLBytes bounds a source that is one file: scripts, not archives.
	maxURLBytes = 32 << 20
	// urlTimeout bounds a whole fetch, redirects and body included.
	urlTimeout = time.Minute
	// maxRedirects is what raw files of the usual forges need, twice over.
	maxRedirects = 5
	// urlFileMode lets a step run a fetched script.
	urlFileMode = 0o700
	digestName  = "sha256:"
)

// fetchURL puts the one file of the source into the folder into. A digest that
// the source names, or that was recorded before, is the only content that counts.
func (r *Root) fetchURL(ctx context.Context, src Source, into string) (Checkout, error) {
	if err := checkFileSource(src); err != nil {
		return Checkout{}, err
	}
	want := strings.ToLower(src.SHA256)
	if recorded := strings.TrimPrefix(src.Commit, digestName); recorded != "" {
		want = recorded
	}
	tmp, err := os.CreateTemp(r.copyDir(), aside)
	if err != nil {
		return Checkout{}, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // it has moved when all went well
	digest, err := download(ctx, src.URL, tmp)
	if err = errors.Join(err, tmp.Close()); err == nil && want != "" && digest != want {
		err = fmt.Errorf("%w: %s has the SHA-256 %s and not %s", ErrFetch, Shown(src.URL), digest, want)
	}
	if err != nil {
		return r.fallBack(ctx, src, want, into, err)
	}
	if err := copyFile(tmp.Name(), filepath.Join(into, filepath.FromSlash(src.File))); err != nil {
		return Checkout{}, fmt.Errorf("write %s: %w", src.File, err)
	}
	r.keepCopy(src.URL, tmp.Name())
	return Checkout{Digest: digestName + digest}, nil
}

func checkFileSource(src Source) error {
	u, err := url.Parse(src.URL)
	if err != nil || len(src.URL) > maxURL || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%w: not an HTTP URL", ErrSource)
	}
	if !fs.ValidPath(src.File) || src.File == "." || path.Base(src.File) == recordName {
		return fmt.Errorf("%w: %.80q is not a file's name in the workspace", ErrSource, src.File)
	}
	return nil
}

// Shown is a URL as people may see it: without credentials, query and fragment,
// any of which can be a secret.
func Shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the URL"
	}
	u.User, u.RawQuery, u.Fragment, u.ForceQuery = nil, "", "", false
	return u.String()
}

// download writes what raw answers to out and returns its SHA-256.
func download(ctx context.Context, raw string, out io.Writer) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, urlTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
	if err != nil {
		return "", fmt.Errorf("%w: not an HTTP URL", ErrSource)
	}
	client := &http.Client{CheckRedirect: redirect}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrFetch, Shown(raw), withoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w: %s answered %d %s", ErrFetch, Shown(raw), resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(resp.Body, maxURLBytes+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %s: %w", ErrFetch, Shown(raw), withoutURL(err))
	case n > maxURLBytes:
		return "", fmt.Errorf("%w: %s: %w: more than %d bytes", ErrFetch, Shown(raw), ErrTooLarge, maxURLBytes)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// errRedirect says why a redirect was not followed.
var errRedirect = errors.New("redirected")

// redirect follows a few redirects, never to a line that others can read, and
// does not tell the next server where it came from: a query may hold a secret.
func redirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w more than %d times", errRedirect, maxRedirects)
	case req.URL.Scheme != "https" && via[0].URL.Scheme == "https":
		return fmt.Errorf("%w from https to %s", errRedirect, req.URL.Scheme)
	}
	req.Header.Del("Referer")
	return nil
}

// withoutURL takes the URL, which may hold a secret, out of a client's error.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), dirMode); err != nil {
		return err
	}
	in, err := os.Open(from) //nolint:gosec // our own temporary file or copy
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	return writeFile(to, in, urlFileMode)
}
