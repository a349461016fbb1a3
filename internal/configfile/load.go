package configfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// MaxFile is the largest file, in bytes: ten times what the largest allowed
// configuration of ordinary commands needs.
const MaxFile = 1 << 20

// File is a configuration that was read and found good.
type File struct {
	// Name is the absolute path that it was read from.
	Name   string
	Config pipeline.Config
	// Digest is the SHA-256 of Raw, in hex.
	Digest string
	Raw    []byte
}

// Load reads a file. It answers a file or problems, never both.
func Load(path string) (*File, Problems) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	raw, err := read(absolute)
	if err != nil {
		return nil, unreadable(path, err)
	}
	c, problems := Parse(absolute, raw)
	if len(problems) > 0 {
		for i := range problems {
			problems[i].File = path
		}
		return nil, problems
	}
	return &File{Name: absolute, Config: c, Digest: Digest(raw), Raw: raw}, nil
}

// Digest names the content of a file: SHA-256 in hex.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(raw) > MaxFile {
		err = fmt.Errorf("it is larger than %d bytes", MaxFile)
	}
	return raw, err
}

func unreadable(path string, err error) Problems {
	why := err.Error()
	var p *os.PathError
	if errors.As(err, &p) {
		why = p.Err.Error()
	}
	return Problems{{File: path, Message: "cannot be read: " + why}}
}

// Parse reads the content of a file. Problems are reported under name; when
// name is an absolute path, relative source paths start at its folder. The
// configuration is empty when there are problems.
func Parse(name string, data []byte) (pipeline.Config, Problems) {
	d := &decoder{file: name, positions: map[string]position{}}
	root, ok := d.document(data)
	if !ok {
		return pipeline.Config{}, d.problems
	}
	c := document().decode(d, d.enter(root, nil, nil), nil)
	d.purpose(root, c)
	broken := map[string]bool{}
	for _, p := range d.problems {
		broken[p.Path] = true
	}
	for _, f := range c.Check() {
		if !broken[strings.Join(f.Path, ".")] { // a value that could not be read was faulted already
			d.fault(f)
		}
	}
	if len(d.problems) > 0 {
		return pipeline.Config{}, d.problems.sorted()
	}
	locate(c, name)
	return c, nil
}

// purpose wants a file to be about something: deployments, which need services
// and environments, or jobs, or both.
func (d *decoder) purpose(root *yaml.Node, c pipeline.Config) {
	if root.Kind != yaml.MappingNode {
		return
	}
	given := func(key string) bool { _, ok := d.positions[key]; return ok }
	for _, key := range []string{"services", "environments"} {
		if !given(key) && !given("namespaces") {
			d.fault(pipeline.Fault{Path: []string{key}, Message: fmt.Sprintf("the key %q is missing: deployments need services and environments, jobs need namespaces", key)})
		}
	}
	if len(c.Services)+len(c.Namespaces) == 0 && len(d.problems) == 0 {
		d.fault(pipeline.Fault{Path: []string{"services"}, Message: "there is nothing to deploy: at least one service or namespace is needed"})
	}
}

// locate makes relative source paths absolute.
func locate(c pipeline.Config, name string) {
	if !filepath.IsAbs(name) {
		return
	}
	absolute := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(name), *path)
		}
	}
	for k, s := range c.Services {
		absolute(&s.Source.Path)
		c.Services[k] = s
	}
	for k, n := range c.Namespaces {
		absolute(&n.Source.Path)
		c.Namespaces[k] = n
		for _, j := range n.Jobs {
			if j.Source != nil {
				absolute(&j.Source.Path)
			}
		}
	}
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// document parses YAML and returns the root of its one document.
func (d *decoder) document(data []byte) (*yaml.Node, bool) {
	reject := func(line int, message string) (*yaml.Node, bool) {
		d.problem(&yaml.Node{Line: line, Column: 1}, nil, "", "%s", message)
		return nil, false
	}
	if len(data) > MaxFile {
		return reject(1, fmt.Sprintf("the file is larger than %d bytes", MaxFile))
	}
	reader := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := reader.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return reject(1, "the file is empty; it needs services and environments, or namespaces")
	case err != nil:
		line, message := 1, strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
			message = m[2]
		}
		return reject(line, "this is not YAML: "+message)
	}
	if err := reader.Decode(&second); !errors.Is(err, io.EOF) {
		return reject(max(1, second.Line), "the file holds more than one YAML document")
	}
	if len(doc.Content) != 1 || isNull(doc.Content[0]) {
		return reject(1, "the file is empty; it needs services and environments, or namespaces")
	}
	return doc.Content[0], true
}

// fault gives a fault of the configuration its place in the file.
func (d *decoder) fault(f pipeline.Fault) {
	p := d.place(f.Path)
	d.problem(&yaml.Node{Line: p.line, Column: p.column}, f.Path, f.Suggestion, "%s", f.Message)
}
