package arch

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// wall says that no file below from may import anything below any of to.
type wall struct {
	from   string   // folder, "" for all
	to     []string // import paths; "@" stands for the module, a trailing "$" for exactly this one
	except []string // folders that may
	tests  bool     // whether tests are walled off, too
	why    string
}

var walls = []wall{
	{
		from: "domain", to: []string{"context", "log", "net$", "net/http", "os", "io/fs", "math/rand", "crypto/rand", "database", "syscall", "runtime$"},
		why: "the pure rooms have no clock, context, log, network or disk",
	},
	{
		from: "domain", to: []string{"@/internal", "@/services", "@/cmd", "@/sandbox", "@/examples"},
		why: "arrows point into the domain, never out of it",
	},
	{
		from: "", to: []string{"github.com/nats-io/nats-server"}, except: []string{"internal/natsnode", "test"},
		why: "one package embeds the server, everybody else is a client",
	},
	{
		from: "", to: []string{"github.com/slack-go/slack"}, except: []string{"services/slack-ingress", "services/notifier", "examples/lightbot", "test"},
		why: "Slack is known to slack-ingress and notifier; the sandbox must not share their idea of it",
	},
	{from: "internal", to: []string{"@/services", "@/cmd", "@/sandbox"}, tests: true, why: "machinery has no opinion about services"},
	{from: "services", to: []string{"@/cmd"}, tests: true, why: "arrows point from cmd to the services"},
	{from: "services", to: []string{"@/sandbox"}, why: "the sandbox is linked by cmd/slipway alone; tests may talk to it"},
	{from: "sandbox", to: []string{"@/"}, why: "the stand-in knows Slack's contract and nothing of Slipway"},
	{from: "claim", to: []string{"@/"}, why: "authors of bots import it: it brings nats.go and nothing of Slipway"},
	{from: "examples/lightbot", to: []string{"@/internal", "@/services", "@/cmd", "@/sandbox", "@/gen", "@/domain"}, why: "it shows what somebody else can do with claim"},
	{from: "examples/hello", to: []string{"@/", "github.com/"}, tests: true, why: "the example builds without a network"},
	{from: "", to: []string{"github.com/stretchr/testify", "go.uber.org/mock", "github.com/golang/mock"}, tests: true, why: "go-cmp and a few lines"},
	{from: "", to: []string{"@/internal/story", "@/internal/audit", "@/internal/natsnode/natsnodetest", "@/internal/eventlog/eventlogtest", "testing$"}, except: []string{
		"internal/story", "internal/audit", "internal/natsnode/natsnodetest", "internal/eventlog/eventlogtest", "test",
	}, why: "what exists for tests is not linked into a program"},
}

// services may not know each other: they meet on subjects.
var services = []string{"slack-ingress", "orchestrator", "runner", "notifier"}

func TestImportsKeepTheWalls(t *testing.T) {
	files := goFiles(t)
	for _, w := range slices.Concat(walls, strangers()) {
		for _, f := range files {
			if !below(f.path, w.from) || f.test && !w.tests || slices.ContainsFunc(w.except, func(dir string) bool { return below(f.path, dir) }) {
				continue
			}
			for _, imported := range f.imports {
				if slices.ContainsFunc(w.to, func(to string) bool { return forbids(to, imported) }) {
					t.Errorf("%s imports %s: %s", f.path, imported, w.why)
				}
			}
		}
	}
}

// strangers are the walls between each two services.
func strangers() []wall {
	var out []wall
	for _, from := range services {
		w := wall{from: "services/" + from, tests: true, why: "services meet on subjects, never in code"}
		for _, to := range services {
			if to != from {
				w.to = append(w.to, "@/services/"+to)
			}
		}
		out = append(out, w)
	}
	return out
}

func below(file, dir string) bool { return dir == "" || strings.HasPrefix(file, dir+"/") }

func forbids(to, imported string) bool {
	to = strings.Replace(to, "@", module, 1)
	if exact, ok := strings.CutSuffix(to, "$"); ok {
		return imported == exact
	}
	return imported == to || strings.HasPrefix(imported, strings.TrimSuffix(to, "/")+"/")
}

// The domain's only way to the world outside the standard library is the form
// of its events. One exception: domain/schedule reads cron texts with the parser
// that most people's texts were written for; the rest of that library, which
// runs goroutines, is not used.
func TestTheDomainImportsOnlyItsEvents(t *testing.T) {
	for _, f := range goFiles(t) {
		if !below(f.path, "domain") || f.test {
			continue
		}
		for _, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			outside := strings.Contains(first, ".")
			if f.path == "domain/schedule/spec.go" && imported == "github.com/robfig/cron/v3" {
				continue
			}
			if outside && !forbids("@/domain", imported) && !forbids("@/gen", imported) && !forbids("google.golang.org/protobuf", imported) {
				t.Errorf("%s imports %s: a pure room knows the standard library and its own events", f.path, imported)
			}
		}
	}
}

func TestAWallStopsWhatItNames(t *testing.T) {
	for _, c := range []struct {
		to, imported string
		want         bool
	}{
		{"@/services", module + "/services/runner", true},
		{"@/services", module + "/servicesque", false},
		{"net$", "net", true},
		{"net$", "net/netip", false},
		{"os", "os/exec", true},
		{"@/", module + "/gen/x", true},
	} {
		if got := forbids(c.to, c.imported); got != c.want {
			t.Errorf("forbids(%q, %q) = %v", c.to, c.imported, got)
		}
	}
}

// packages groups files by folder.
func packages(files []file) map[string][]file {
	out := map[string][]file{}
	for _, f := range files {
		out[path.Dir(f.path)] = append(out[path.Dir(f.path)], f)
	}
	return out
}
