package main

import (
	"fmt"

	"github.com/slipway-hq/slipway/internal/configfile"
)

// ConfigCmd looks at slipway.yaml.
type ConfigCmd struct {
	Check  ConfigCheckCmd  `cmd:"" help:"Report every problem of a file, with line, column and a suggestion."`
	Schema ConfigSchemaCmd `cmd:"" help:"Print the JSON Schema of slipway.yaml, for editors."`
}

// ConfigCheckCmd checks a file.
type ConfigCheckCmd struct {
	File string `arg:"" optional:"" default:"slipway.yaml" help:"The file; slipway.yaml when left out."`
}

// Help shows examples.
func (ConfigCheckCmd) Help() string {
	return "Needs no server. Exit code 1 when there are problems.\n\nExamples:\n\n  slipway config check\n  slipway config check deploy/slipway.yaml --json"
}

// verdict is the result of a check as JSON.
type verdict struct {
	OK       bool      `json:"ok"`
	Problems []problem `json:"problems"`
}

type problem struct {
	File       string `json:"file"`
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Path       string `json:"path,omitempty"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion,omitempty"`
}

// Run reports all problems at once, as compilers do.
func (c *ConfigCheckCmd) Run(g *Globals) error {
	file, problems := configfile.Load(c.File)
	if g.JSON {
		v := verdict{OK: len(problems) == 0, Problems: []problem{}}
		for _, p := range problems {
			v.Problems = append(v.Problems, problem(p))
		}
		if err := g.printJSON(v); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		if !g.JSON {
			g.printf("%s\n", cleanLines(problems.String()))
			g.notef("%s in %s\n", plural(uint64(len(problems)), "problem"), c.File)
		}
		return &failure{code: exitFailed, quiet: true}
	}
	if !g.JSON {
		jobs := len(file.Config.Jobs())
		g.printf("%s is good: %s, %s, %s\n", c.File, plural(uint64(len(file.Config.Services)), "service"), plural(uint64(len(file.Config.Environments)), "environment"), plural(uint64(jobs), "job")) //nolint:gosec // a count
	}
	return nil
}

// ConfigSchemaCmd prints the schema.
type ConfigSchemaCmd struct{}

// Help says what to do with it.
func (ConfigSchemaCmd) Help() string {
	return "Editors complete and check with it when slipway.yaml begins with:\n\n  # yaml-language-server: $schema=./slipway.schema.json\n\nExamples:\n\n  slipway config schema > slipway.schema.json"
}

// Run prints the schema.
func (ConfigSchemaCmd) Run(g *Globals) error {
	_, err := fmt.Fprintf(g.out, "%s\n", configfile.Schema())
	return err
}
