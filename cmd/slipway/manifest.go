package main

import (
	"github.com/slipway-hq/slipway/internal/manifest"
)

// ManifestCmd prints the Slack app's manifest.
type ManifestCmd struct {
	Socket bool   `help:"For Socket Mode: no public address is needed."`
	URL    string `name:"url" placeholder:"URL" help:"Public https address under which Slack reaches Slipway (without --socket)."`
	Pins   bool   `help:"Also ask for the scopes of mirror: {pin: true}."`
	Name   string `default:"Slipway" help:"Name of the app, as people see it."`
}

// Help says what to do with it.
func (ManifestCmd) Help() string {
	return "In Slack: Create New App, From a manifest, and paste this. It asks for the scopes of what Slipway calls, and no others.\n\nExamples:\n\n  slipway manifest --socket\n  slipway manifest --url https://slipway.example.org --json"
}

// Run prints it as YAML, or as JSON.
func (m *ManifestCmd) Run(g *Globals) error {
	doc, err := manifest.New(manifest.Options{Name: m.Name, URL: m.URL, Socket: m.Socket, Pins: m.Pins})
	if err != nil {
		return &failure{code: exitUsage, message: err.Error(), next: "either --socket, or --url https://HOST"}
	}
	encode := doc.YAML
	if g.JSON {
		encode = doc.JSON
	}
	out, err := encode()
	if err != nil {
		return err
	}
	_, err = g.out.Write(out)
	return err
}
