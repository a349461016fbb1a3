package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// InitCmd writes a first configuration.
type InitCmd struct {
	Dir  string `arg:"" optional:"" default:"." help:"Folder of the repository."`
	Name string `placeholder:"NAME" help:"Name of the service; the folder's when left out."`
}

// Help shows examples.
func (InitCmd) Help() string {
	return "Looks at what the repository is made of and writes slipway.yaml beside it. A file that exists is never touched.\n\nExamples:\n\n  slipway init\n  slipway init services/shop --name shop"
}

//go:embed init.yaml.tmpl
var initText string

var initTemplate = template.Must(template.New("slipway.yaml").Parse(initText))

// kit is how a kind of repository is built and tested.
type kit struct {
	marker      string // a file that tells the kind
	Build, Test string
}

// kits are tried in order.
var kits = []kit{
	{"Makefile", "make", "make test"},
	{"go.mod", "go build ./...", "go test ./..."},
	{"package.json", "npm ci && npm run build --if-present", "npm test"},
	{"Cargo.toml", "cargo build --release --locked", "cargo test --locked"},
	{"pyproject.toml", "python3 -m venv .venv && .venv/bin/pip install .", ".venv/bin/python -m unittest"},
	{"pom.xml", "mvn -B package -DskipTests", "mvn -B test"},
}

// unknownKit says honestly that nobody knows, and fails until it is replaced.
var unknownKit = kit{"", `echo "replace this by your build" >&2; exit 1`, `echo "replace this by your tests" >&2; exit 1`}

// Run writes slipway.yaml.
func (c *InitCmd) Run(g *Globals) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("find the folder: %w", err)
	}
	service := c.Name
	if service == "" {
		service = serviceName(filepath.Base(dir))
	}
	found := kitOf(dir)
	var out bytes.Buffer
	if err := initTemplate.Execute(&out, map[string]any{"Service": service, "Kit": found}); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	path := filepath.Join(dir, "slipway.yaml")
	if err := create(path, out.Bytes()); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &failure{code: exitRefused, message: path + " exists, and is left as it is", next: "`slipway config check " + path + "` looks at it"}
		}
		return err
	}
	if g.JSON {
		return g.printJSON(map[string]any{"path": path, "service": service, "recognised": found.marker != ""})
	}
	g.printf("wrote %s\n", path)
	if found.marker == "" {
		g.notef("I do not know how this repository is built: replace the commands of its steps\n")
	}
	g.notef("next: edit it, `slipway config check %s`, then `slipway up`\n", path)
	return nil
}

// create writes a new file, and removes it again when that fails.
func create(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a file of the repository's owner
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func kitOf(dir string) kit {
	for _, k := range kits {
		if _, err := os.Stat(filepath.Join(dir, k.marker)); err == nil {
			return k
		}
	}
	return unknownKit
}

var unfit = regexp.MustCompile(`[^a-z0-9-]+`)

// serviceName makes a name that a sentence can hold out of a folder's.
func serviceName(folder string) string {
	out := strings.Trim(unfit.ReplaceAllString(strings.ToLower(folder), "-"), "-")
	if out == "" || slices.Contains(grammar.Reserved(), out) {
		return "service"
	}
	return out
}
