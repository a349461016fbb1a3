// Command platforms type-checks a module for platforms that nothing here runs on.
//
//	cd tools && GOWORK=off go run ./platforms FOLDER darwin/arm64 windows/amd64:./cmd/slipway
//
// A platform is followed by the packages to look at, ./... when none are named.
// Compiling them says little more and costs a minute of two cores for each
// platform, since every dependency is compiled, too: here their functions are not
// even read. CI alone runs it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: platforms FOLDER OS/ARCH[:PACKAGES]...")
		os.Exit(2)
	}
	failed := false
	for _, platform := range os.Args[2:] {
		n, err := check(os.Args[1], platform)
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s:\n%v\n", platform, err)
			continue
		}
		fmt.Printf("%s: %d packages\n", platform, n)
	}
	if failed {
		os.Exit(1)
	}
}

// source is what `go list` says of a package.
type source struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Module          *struct{ Main bool }
	Error           *struct{ Err string }
}

// ours tells whether somebody here can mend it.
func (s source) ours() bool { return s.Module != nil && s.Module.Main }

// check looks at everything that the packages need, in the order of `go list`:
// what is imported comes before who imports it.
func check(folder, platform string) (ours int, err error) {
	target, packages, given := strings.Cut(platform, ":")
	if !given {
		packages = "./..."
	}
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok {
		return 0, fmt.Errorf("%q is no OS/ARCH", target)
	}
	list := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Module,Error", packages)
	list.Dir, list.Stderr = folder, os.Stderr
	list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	out, err := list.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := list.Start(); err != nil {
		return 0, err
	}
	c := checker{files: token.NewFileSet(), known: map[string]*types.Package{"unsafe": types.Unsafe}, sizes: types.SizesFor("gc", goarch)}
	for decoder := json.NewDecoder(out); ; {
		var s source
		switch err := decoder.Decode(&s); {
		case errors.Is(err, io.EOF):
			return ours, errors.Join(append(c.errs, list.Wait())...)
		case err != nil:
			return 0, err
		case s.Error != nil:
			c.errs = append(c.errs, errors.New(s.Error.Err))
		case s.ImportPath != "unsafe":
			c.add(s)
		}
		if s.ours() {
			ours++
		}
	}
}

type checker struct {
	files *token.FileSet
	known map[string]*types.Package
	sizes types.Sizes
	errs  []error
}

// add checks one package: as a whole when it is ours, else what it declares.
func (c *checker) add(s source) {
	var parsed []*ast.File
	for _, name := range s.GoFiles {
		file, err := parser.ParseFile(c.files, filepath.Join(s.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			c.errs = append(c.errs, err)
			return
		}
		parsed = append(parsed, file)
	}
	config := types.Config{
		IgnoreFuncBodies: !s.ours(), FakeImportC: true, Sizes: c.sizes,
		Importer: importer(func(path string) (*types.Package, error) {
			if mapped, ok := s.ImportMap[path]; ok {
				path = mapped
			}
			if p := c.known[path]; p != nil {
				return p, nil
			}
			return nil, fmt.Errorf("nothing is known of %s", path)
		}),
		Error: func(err error) {
			if s.ours() {
				c.errs = append(c.errs, err)
			}
		},
	}
	c.known[s.ImportPath], _ = config.Check(s.ImportPath, c.files, parsed, nil) // errors of ours went to Error
}

type importer func(path string) (*types.Package, error)

func (i importer) Import(path string) (*types.Package, error) { return i(path) }
