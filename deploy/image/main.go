// Command image builds a container image of each program without a container
// engine: it compiles static binaries and packs them itself. The same commit gives
// the same digests. Each image is written as an OCI layout (a folder, for crane,
// skopeo and registries) and as an archive (for docker, podman, ctr and kind load).
//
// An image holds one binary, the public roots of trust, the time zones and a user
// without rights; there is no shell in it. The exception is the runner, whose steps
// need a shell, Git and whatever they call: its base is the operator's to choose.
// The module is its own, so that the product does not depend on what packs it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type cli struct {
	Out        string `arg:"" type:"path" help:"Folder to write the images into."`
	Arch       string `default:"amd64" enum:"amd64,arm64" help:"Processor that the images are for."`
	Version    string `help:"Version to tag and label with; the commit when left out."`
	RunnerBase string `type:"path" placeholder:"PATH" help:"What the runner's image begins with: an OCI layout (a folder), or a file system (a .tar) with /bin/sh and Git. Without it there is no image of the runner."`

	source string // a folder of the repository; empty: this one
}

func main() {
	var c cli
	ctx := kong.Parse(&c, kong.Name("image"), kong.Description("Build Slipway's container images without a container engine."))
	ctx.FatalIfErrorf(c.run())
}

// program is one image.
type program struct {
	image string // and its name in the manifests of deploy/k8s
	pkg   string // what is compiled
	title string
}

// programs are all images. The NATS server is the version that the product is
// tested with.
var programs = []program{
	{"slipway", "./cmd/slipway", "Slipway: everything in one, and the command line"},
	{"slipway-slack-ingress", "./cmd/slack-ingress", "Slipway: takes Slack's requests"},
	{"slipway-orchestrator", "./cmd/orchestrator", "Slipway: decides, dispatches and answers"},
	{"slipway-notifier", "./cmd/notifier", "Slipway: keeps the cards in Slack"},
	{"slipway-nats", "github.com/nats-io/nats-server/v2", "NATS server for Slipway"},
	{runnerImage, "./cmd/runner", "Slipway: claims runs and executes their steps"},
}

const runnerImage = "slipway-runner"

func (c *cli) run() error {
	root, err := output(c.source, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	about, err := describe(root, c.Version)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "slipway-image")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	for _, p := range programs {
		if p.image == runnerImage && c.RunnerBase == "" {
			fmt.Println("no image of the runner: it needs --runner-base, see README.md")
			continue
		}
		binary := filepath.Join(work, p.image)
		if err := compile(root, p.pkg, binary, c.Arch); err != nil {
			return err
		}
		digest, err := c.pack(p, binary, about)
		if err != nil {
			return fmt.Errorf("pack %s: %w", p.image, err)
		}
		fmt.Printf("%s:%s %s\n", p.image, about.version, digest)
	}
	return nil
}

// facts label the images.
type facts struct {
	version, revision string
	created           time.Time // of the commit, so that it is the same each time
}

func describe(root, version string) (facts, error) {
	revision, err := output(root, "git", "rev-parse", "HEAD")
	if err != nil {
		return facts{}, err
	}
	stamp, err := output(root, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return facts{}, err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return facts{}, fmt.Errorf("read the time of the commit: %w", err)
	}
	if version == "" {
		version = revision[:12]
	}
	return facts{version: version, revision: revision, created: time.Unix(seconds, 0).UTC()}, nil
}

func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...) //nolint:gosec // our own words
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// compile makes a static binary that is the same wherever it is made.
func compile(root, pkg, to, arch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w -buildid=", "-o", to, pkg) //nolint:gosec // our own words
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}
