package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-hq/slipway/internal/bennettbot"
)

// ImportCmd takes over what other systems were configured with.
type ImportCmd struct {
	Bennettbot ImportBennettbotCmd `cmd:"" help:"Turn BennettBot's job_configs.py into namespaces of slipway.yaml."`
}

// ImportBennettbotCmd reads a job_configs.py.
type ImportBennettbotCmd struct {
	File           string `arg:"" help:"The job_configs.py; - reads standard input."`
	Output         string `short:"o" placeholder:"FILE" help:"Write this file, which must not exist. Left out: standard output."`
	Workspace      string `placeholder:"DIR" help:"BennettBot's folder workspace. Left out: looked for beside FILE and one folder above."`
	SupportChannel string `placeholder:"CHANNEL" help:"What SLACK_TECH_SUPPORT_CHANNEL was: an id or a #name."`
	AdminsChannel  string `placeholder:"CHANNEL" help:"What SLACK_BENNETT_ADMINS_CHANNEL was."`
	LogsChannel    string `placeholder:"CHANNEL" help:"What SLACK_LOGS_CHANNEL was."`
}

// Help shows examples.
func (ImportBennettbotCmd) Help() string {
	return "Reads the data of raw_config without running any Python. What it writes always loads;\nwhat a person has to look at is a comment in it, and listed with its Python line.\nNeeds no server.\n\nExamples:\n\n  slipway import bennettbot bennettbot/job_configs.py -o slipway.yaml\n  slipway import bennettbot job_configs.py --support-channel '#tech-support' --json"
}

// Run writes the configuration and lists what is left to a person.
func (c *ImportBennettbotCmd) Run(g *Globals) error {
	src, err := c.read()
	if err != nil {
		return &failure{code: exitUsage, message: "cannot read " + c.File + ": " + err.Error()}
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	result, err := bennettbot.Import(src, o)
	if err != nil {
		return &failure{code: exitUsage, message: c.File + ": " + err.Error()}
	}
	if err := c.write(g, result); err != nil {
		return err
	}
	if g.JSON {
		return g.printJSON(importReport{Output: c.Output, YAML: c.inline(result), Namespaces: result.Namespaces, Jobs: result.Jobs, Commands: result.Commands, Findings: result.Findings})
	}
	c.tell(g, result)
	return nil
}

// importReport is what became of it, as JSON.
type importReport struct {
	Output     string               `json:"output,omitempty"`
	YAML       string               `json:"yaml,omitempty"`
	Namespaces int                  `json:"namespaces"`
	Jobs       int                  `json:"jobs"`
	Commands   int                  `json:"commands"`
	Findings   []bennettbot.Finding `json:"findings"`
}

// inline is the configuration itself when no file holds it.
func (c *ImportBennettbotCmd) inline(r *bennettbot.Result) string {
	if c.Output != "" {
		return ""
	}
	return string(r.YAML)
}

func (c *ImportBennettbotCmd) read() ([]byte, error) {
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // only read
		in = f
	}
	return io.ReadAll(io.LimitReader(in, bennettbot.MaxFile+1))
}

// options finds the folder that jobs ran in, as a path from the configuration.
func (c *ImportBennettbotCmd) options() (bennettbot.Options, error) {
	o := bennettbot.Options{File: filepath.Base(c.File), SupportChannel: c.SupportChannel, AdminsChannel: c.AdminsChannel, LogsChannel: c.LogsChannel}
	folder := c.folder()
	if folder == "" {
		return o, nil
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return o, &failure{code: exitUsage, message: "there is no folder " + folder, next: "name BennettBot's folder workspace with --workspace"}
	}
	from, err := filepath.Abs(filepath.Dir(c.Output))
	if err != nil {
		return o, fmt.Errorf("find the folder of the configuration: %w", err)
	}
	to, err := filepath.Abs(folder)
	if err != nil {
		return o, fmt.Errorf("find the folder workspace: %w", err)
	}
	o.Workspace, o.Path = os.DirFS(to), to
	if relative, err := filepath.Rel(from, to); err == nil {
		o.Path = filepath.ToSlash(relative)
	}
	return o, nil
}

// folder is the one that was named, or one that exists, or empty.
func (c *ImportBennettbotCmd) folder() string {
	if c.Workspace != "" || c.File == "-" {
		return c.Workspace
	}
	for _, folder := range []string{filepath.Join(filepath.Dir(c.File), "workspace"), filepath.Join(filepath.Dir(c.File), "..", "workspace")} {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return folder
		}
	}
	return ""
}

func (c *ImportBennettbotCmd) write(g *Globals, r *bennettbot.Result) error {
	if c.Output == "" {
		if g.JSON {
			return nil // part of the document
		}
		_, err := g.out.Write(r.YAML)
		return err
	}
	err := create(c.Output, r.YAML)
	if errors.Is(err, fs.ErrExist) {
		return &failure{code: exitRefused, message: c.Output + " exists, and is left as it is", next: "name another with -o, and join them by hand"}
	}
	return err
}

// tell lists what is left to a person.
func (c *ImportBennettbotCmd) tell(g *Globals, r *bennettbot.Result) {
	people := 0
	for _, f := range r.Findings {
		if f.Human {
			people++
			g.notef("%s: %s\n", clean(c.File), clean(f.String()))
		}
	}
	g.notef("%s, %s, %s; %s for a person\n", plural(uint64(r.Namespaces), "namespace"), plural(uint64(r.Jobs), "job"), plural(uint64(r.Commands), "command"), plural(uint64(people), "line")) //nolint:gosec // counts
	if c.Output != "" {
		g.notef("next: look at the comments in %s, then `slipway config check %s`\n", c.Output, c.Output)
	}
}
