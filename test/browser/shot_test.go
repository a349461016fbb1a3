//go:build browser

package browser

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// maxShot keeps the pictures of the project small, in bytes.
const maxShot = 240 << 10

// sharp is how many pixels of an image stand for one of the page.
const sharp = 2

// shot keeps a picture of the page as it is.
func (p *page) shot(name string) {
	p.t.Helper()
	p.still()
	p.keep("shots", name, ask(p, "take a picture", chromedp.CaptureScreenshot()))
}

// image keeps a picture for the documents: of the page, or of one thing on it.
func (p *page) image(name, selector string) {
	p.t.Helper()
	p.still()
	take := chromedp.CaptureScreenshot()
	if selector != "" {
		take = chromedp.ScreenshotScale(chromedp.CSS(selector), sharp)
	}
	p.keep(filepath.Join("..", "..", "docs", "images"), name, ask(p, "take a picture", take))
}

// still takes the mouse off whatever it hovers over.
func (p *page) still() {
	p.t.Helper()
	p.run("move the mouse away", chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 1, 1))
}

// keep writes a picture, into its place when -rewrite says so.
func (p *page) keep(folder, name string, data []byte) {
	p.t.Helper()
	small, err := compress(data)
	if err != nil {
		p.t.Fatalf("picture %s: %v", name, err)
	}
	if *rewrite && len(small) > maxShot {
		p.t.Errorf("picture %s has %d bytes, more than %d", name, len(small), maxShot)
	}
	if !*rewrite {
		folder = filepath.Join("shots", "last")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), small, 0o644); err != nil { //nolint:gosec // a picture for everybody
		p.t.Fatal(err)
	}
}

func compress(data []byte) ([]byte, error) {
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, picture); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
