package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is the user that everything runs as; the manifests name the same number.
const nobody = "65532"

// rootsFile is where Go, Git and curl look for roots of trust.
const rootsFile = "etc/ssl/certs/ca-certificates.crt"

// zonesFile holds all time zones, and is what ZONEINFO names.
const zonesFile = "usr/share/zoneinfo.zip"

// errNoTools: the base of the runner cannot run a step.
var errNoTools = errors.New("the base has no shell or no Git, which the steps of the runner need")

// pack writes the image of a program and returns its digest.
func (c *cli) pack(p program, binary string, about facts) (v1.Hash, error) {
	image, err := c.base(p)
	if err != nil {
		return v1.Hash{}, err
	}
	content, err := os.ReadFile(binary) //nolint:gosec // just built
	if err != nil {
		return v1.Hash{}, err
	}
	entry := strings.TrimPrefix(p.image, "slipway-")
	if p.image == "slipway-nats" {
		entry = "nats-server"
	}
	layer, err := layerOf([]entryOf{{name: entry, mode: 0o755, data: content}}, about.created)
	if err != nil {
		return v1.Hash{}, err
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return v1.Hash{}, err
	}
	if image, err = c.configure(image, p, entry, about); err != nil {
		return v1.Hash{}, err
	}
	if err := c.write(image, p, about); err != nil {
		return v1.Hash{}, err
	}
	return image.Digest()
}

// base is what is below the binary.
func (c *cli) base(p program) (v1.Image, error) {
	if p.image == runnerImage {
		return c.runnerBase()
	}
	roots, err := roots()
	if err != nil {
		return nil, err
	}
	goroot, err := output("", "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	zones, err := os.ReadFile(filepath.Join(goroot, "lib", "time", "zoneinfo.zip")) //nolint:gosec // of the toolchain
	if err != nil {
		return nil, fmt.Errorf("read the time zones of Go: %w", err)
	}
	layer, err := layerOf([]entryOf{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:" + nobody + ":\n")},
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:" + nobody + ":" + nobody + ":nonroot:/tmp:/sbin/nologin\n")},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: rootsFile, mode: 0o644, data: roots},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/share/", mode: 0o755},
		{name: zonesFile, mode: 0o644, data: zones},
	}, time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), layer)
}

// runnerBase reads the operator's base and looks for what steps need.
func (c *cli) runnerBase() (v1.Image, error) {
	info, err := os.Stat(c.RunnerBase)
	if err != nil {
		return nil, err
	}
	var image v1.Image
	if info.IsDir() {
		image, err = fromLayout(c.RunnerBase)
	} else {
		image, err = fromFiles(c.RunnerBase)
	}
	if err != nil {
		return nil, fmt.Errorf("read the base %s: %w", c.RunnerBase, err)
	}
	return image, tools(image)
}

func fromLayout(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("it holds %d images, want one", len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

func fromFiles(file string) (v1.Image, error) {
	layer, err := tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), layer)
}

// tools fails unless there are a shell and Git. /bin may be a link.
func tools(image v1.Image) error {
	files := mutate.Extract(image)
	defer func() { _ = files.Close() }()
	var shell, git bool
	for r := tar.NewReader(files); ; {
		header, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			if !shell || !git {
				return errNoTools
			}
			return nil
		case err != nil:
			return fmt.Errorf("read the base: %w", err)
		}
		switch path.Clean("/" + header.Name) {
		case "/bin/sh", "/usr/bin/sh":
			shell = true
		case "/bin/git", "/usr/bin/git", "/usr/local/bin/git":
			git = true
		}
	}
}

func (c *cli) configure(image v1.Image, p program, entry string, about facts) (v1.Image, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", c.Arch, v1.Time{Time: about.created}
	file.Config.User = nobody + ":" + nobody
	file.Config.Entrypoint, file.Config.Cmd = []string{"/" + entry}, nil
	file.Config.WorkingDir = "/tmp"
	if p.image == runnerImage && len(file.Config.Env) == 0 {
		file.Config.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"} // steps get it from the runner
	} else if p.image != runnerImage {
		file.Config.Env = []string{"PATH=/", "ZONEINFO=/" + zonesFile}
	}
	file.Config.Labels = map[string]string{
		"org.opencontainers.image.title":    p.title,
		"org.opencontainers.image.version":  about.version,
		"org.opencontainers.image.revision": about.revision,
		"org.opencontainers.image.created":  about.created.Format(time.RFC3339),
		"org.opencontainers.image.source":   "https://github.com/slipway-hq/slipway",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	return mutate.ConfigFile(image, file)
}

// write replaces what an earlier call wrote.
func (c *cli) write(image v1.Image, p program, about facts) error {
	dir := filepath.Join(c.Out, p.image)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	ref := map[string]string{"org.opencontainers.image.ref.name": about.version}
	if err := to.AppendImage(image, layout.WithAnnotations(ref)); err != nil {
		return err
	}
	tag, err := name.NewTag(p.image + ":" + about.version)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(dir+".tar", tag, image)
}

// entryOf is a file, or a folder when its name ends with a slash.
type entryOf struct {
	name string
	mode int64
	data []byte
}

// layerOf is a layer that is the same for the same content.
func layerOf(entries []entryOf, at time.Time) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.data)), ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if strings.HasSuffix(e.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}

// roots are the public roots of trust, from a module with a version and not from
// this machine.
func roots() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // it is trusted in part, which a file cannot say
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("there are no roots of trust")
	}
	return out.Bytes(), nil
}
