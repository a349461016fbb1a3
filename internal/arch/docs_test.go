package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/domain/run"
)

const architecture = "docs/ARCHITECTURE.md"

// chart is the one state diagram of a document.
var chart = regexp.MustCompile("(?s)```mermaid\nstateDiagram-v2\n.*?```")

// The state chart is printed from the table that Decide and Fold are held to.
func TestReferenceOfTheStateChart(t *testing.T) {
	text := read(t, architecture)
	if got := len(chart.FindAllString(text, -1)); got != 1 {
		t.Fatalf("%s has %d state charts, want one", architecture, got)
	}
	current(t, architecture, chart.ReplaceAllLiteralString(text, "```mermaid\n"+run.Chart()+"```"))
}

var (
	code  = regexp.MustCompile("`([^`\n]+)`")
	place = regexp.MustCompile(`^((?:[\w.-]+/)*[\w.-]+\.go):([\w.]+)$`)
	named = regexp.MustCompile(`^(?:Test|Fuzz)[A-Z]\w*$`)
	link  = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
)

// TestDocumentsNameWhatExists: the tour's functions, the tests that hold a
// guarantee, the files, and the pages that a link leads to.
func TestDocumentsNameWhatExists(t *testing.T) {
	tests := testNames(t)
	for _, page := range documents(t) {
		text := withoutFences(read(t, page))
		for _, m := range code.FindAllStringSubmatch(text, -1) {
			checkName(t, page, m[1], tests)
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(m[1], "://") {
				exists(t, page, path.Join(path.Dir(page), m[1]))
			}
		}
	}
}

func checkName(t *testing.T, page, span string, tests map[string]bool) {
	t.Helper()
	if m := place.FindStringSubmatch(span); m != nil {
		if exists(t, page, m[1]) && !declared(t, m[1])[m[2]] {
			t.Errorf("%s: %s declares no %s any more", page, m[1], m[2])
		}
		return
	}
	if named.MatchString(span) && !tests[span] {
		t.Errorf("%s: there is no test %s", page, span)
	}
	first, _, slash := strings.Cut(span, "/")
	if slash && slices.Contains(folders, first) && !strings.ContainsAny(span, "*{<… ") {
		exists(t, page, span)
	}
}

// folders are the first parts of paths that a document may name.
var folders = []string{"cmd", "docs", "domain", "examples", "gen", "internal", "proto", "sandbox", "services", "test", "tools", ".ci"}

func exists(t *testing.T, page, name string) bool {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
		t.Errorf("%s: %s does not exist", page, name)
		return false
	}
	return true
}

func documents(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(sources(t), func(p string) bool { return path.Ext(p) != ".md" })
}

// fence is a block of code; what stands in it is an example.
var fence = regexp.MustCompile("(?s)```.*?```")

func withoutFences(text string) string { return fence.ReplaceAllLiteralString(text, "") }

// testNames are all tests of the repository, whatever tags they need.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, p := range sources(t) {
		if strings.HasSuffix(p, "_test.go") {
			for name := range declared(t, p) {
				out[name] = true
			}
		}
	}
	return out
}

// declared are the names that a file declares: functions, Type.Method, types,
// constants and variables.
func declared(t *testing.T, name string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			out[receiver(d)+d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					out[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						out[n.Name] = true
					}
				}
			}
		}
	}
	return out
}

// receiver is "Type." for a method, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	at := d.Recv.List[0].Type
	for {
		switch e := at.(type) {
		case *ast.StarExpr:
			at = e.X
		case *ast.IndexExpr:
			at = e.X
		case *ast.Ident:
			return e.Name + "."
		default:
			return ""
		}
	}
}
