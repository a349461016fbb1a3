package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the path of the product's module; the second one lies below it.
const module = "github.com/slipway-hq/slipway"

// root is the repository, seen from this package's folder.
var root = filepath.Join("..", "..")

// file is one parsed Go file of the repository, on any platform.
type file struct {
	path    string // from the root, with slashes
	test    bool
	imports []string
	doc     string // above the package clause
	name    string // of the package
}

// goFiles parses the head of every Go file, of both modules, whatever its build
// constraints say: a wall does not depend on the platform.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	for _, path := range sources(t) {
		if strings.HasSuffix(path, ".go") {
			files = append(files, head(t, path))
		}
	}
	if len(files) == 0 {
		t.Fatal("no Go file found: the tests look at the wrong folder")
	}
	return files
}

func head(t *testing.T, path string) file {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		t.Fatalf("parse %s: %v", path, err)
	}
	f := file{path: path, test: strings.HasSuffix(path, "_test.go"), name: parsed.Name.Name, doc: docText(parsed)}
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s imports %s: %v", path, spec.Path.Value, err)
		}
		f.imports = append(f.imports, name)
	}
	return f
}

func docText(f *ast.File) string {
	if f.Doc == nil {
		return ""
	}
	return strings.TrimSpace(f.Doc.Text())
}

// sources lists every file that belongs to the project, with slashes, from the
// root: no hidden folder but .ci, no built or kept data, no test data.
func sources(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && skipped(name) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		paths = append(paths, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func skipped(dir string) bool {
	return strings.HasPrefix(dir, ".") && dir != ".ci" || dir == "bin" || dir == "testdata" || dir == "node_modules"
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
