package main

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// VersionCmd prints the version.
type VersionCmd struct{}

// build is what the Go tool knows about this program.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Run prints the version of this program.
func (VersionCmd) Run(g *Globals) error {
	b := thisBuild()
	if g.JSON {
		return g.printJSON(b)
	}
	parts := []string{"slipway", b.Version, b.Go, b.Platform}
	if b.Revision != "" {
		parts = append(parts, b.Revision)
	}
	g.printf("%s\n", strings.Join(parts, " "))
	return nil
}
