package main

import (
	"context"
	"strings"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// JobsCmd lists what can be run.
type JobsCmd struct {
	Namespace string `arg:"" optional:"" help:"Only this namespace, with the parameters of its jobs. Left out: all."`
}

// Help shows examples.
func (JobsCmd) Help() string {
	return "Examples:\n\n  slipway jobs\n  slipway jobs op\n  slipway jobs op --json | jq -r '.namespaces[].jobs[].name'"
}

// Run lists the jobs of the configuration in force.
func (c *JobsCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.jobs.ListJobs(ctx, &apiv1.ListJobsRequest{Namespace: c.Namespace})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		if len(resp.GetNamespaces()) == 0 {
			g.notef("no jobs: the configuration has no namespaces\n")
			return nil
		}
		for i, n := range resp.GetNamespaces() {
			if i > 0 {
				g.printf("\n")
			}
			g.printNamespace(n, c.Namespace != "")
		}
		return nil
	})
}

// printNamespace is a namespace with its jobs, and with detail all about them.
func (g *Globals) printNamespace(n *apiv1.Namespace, detail bool) {
	p := g.outPaint()
	g.printf("%s%s%s\n", p.in(bold, clean(n.GetName())), because(n.GetDescription()), p.in(yellow, mark(n.GetRestricted())))
	jobs := table{head: []string{"  JOB", "TAKES", "QUEUE", "EQUAL ONES", "", "HELP"}}
	for _, j := range n.GetJobs() {
		lane, dedupe := j.GetLane(), j.GetDedupe()
		if !detail {
			lane, dedupe = "", ""
		}
		jobs.add(cell{"  " + n.GetName() + "/" + j.GetName(), bold}, text(takes(j)), text(lane), text(dedupe), text(strings.TrimSpace(mark(j.GetRestricted()))), text(j.GetHelp()))
	}
	jobs.write(g.out, p)
	if len(n.GetCommands()) > 0 {
		said := table{head: []string{"  IN SLACK", "DOES", "AFTER", "HELP"}}
		for _, c := range n.GetCommands() {
			for i, match := range append([]string{c.GetMatch()}, c.GetAliases()...) {
				help, does := c.GetHelp(), c.GetAction()+" "+c.GetJob()
				if i > 0 {
					help, does = "", "the same"
				}
				after := ""
				if d := c.GetDelay().AsDuration(); d > 0 {
					after = lasting(d)
				}
				said.add(text("  "+n.GetName()+" "+match), text(does), text(after), text(help))
			}
		}
		said.write(g.out, p)
	}
	for _, j := range n.GetJobs() {
		if detail {
			g.printParameters(j)
		}
	}
}

// mark says that not everybody may.
func mark(restricted bool) string {
	if restricted {
		return " (restricted)"
	}
	return ""
}

// takes is "NAME=… [ENV=staging]".
func takes(j *apiv1.Job) string {
	var out []string
	for _, p := range j.GetParameters() {
		one := p.GetName() + "=…"
		if p.GetDefault() != "" {
			one = p.GetName() + "=" + p.GetDefault()
		}
		if !p.GetRequired() {
			one = "[" + one + "]"
		}
		out = append(out, one)
	}
	return strings.Join(out, " ")
}

// printParameters says what each parameter of a job takes.
func (g *Globals) printParameters(j *apiv1.Job) {
	t := table{head: []string{"  OF " + strings.ToUpper(j.GetName()), "TYPE", "DEFAULT", "VALUES", "HELP"}}
	for _, p := range j.GetParameters() {
		t.add(text("  "+p.GetName()), text(p.GetType()), text(p.GetDefault()), text(strings.Join(p.GetValues(), ", ")), text(p.GetHelp()))
	}
	if len(t.rows) > 0 {
		t.write(g.out, g.outPaint())
	}
}
