package main

import (
	"context"
	"io"
	"regexp"
	"strings"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// LogsCmd prints output.
type LogsCmd struct {
	ID      string `arg:"" help:"Id of the run, or its unique beginning."`
	Follow  bool   `short:"f" help:"Go on until the run ended."`
	Step    string `placeholder:"NAME" help:"Only this step."`
	Stream  string `placeholder:"NAME" enum:",stdout,stderr,note" default:"" help:"Only this: stdout, stderr, or note for what the runner adds."`
	Attempt uint32 `placeholder:"N" help:"Only this attempt of each step. Not together with --follow."`
	Head    uint32 `xor:"end" placeholder:"N" help:"Only the first N lines."`
	Tail    uint32 `xor:"end" placeholder:"N" help:"Start with the last N lines."`
}

// Help shows examples.
func (LogsCmd) Help() string {
	return "Lines carry the name of their step when there are several.\n\nExamples:\n\n  slipway logs d-4f7kq --follow\n  slipway logs d-4f7kq --step build --tail 50\n  slipway logs j-7kq2m --stream stderr --attempt 1"
}

// Run prints what is stored, and with --follow what comes.
func (l *LogsCmd) Run(g *Globals) error {
	if l.Follow && (l.Head > 0 || l.Attempt > 0) {
		return &failure{code: exitUsage, message: "--head and --attempt are about what is stored, --follow about what comes"}
	}
	return g.follow(func(ctx context.Context, c *client) error { return l.print(ctx, c, g) })
}

func (l *LogsCmd) print(ctx context.Context, c *client, g *Globals) error {
	resp, err := c.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: l.ID})
	if err != nil {
		return err
	}
	run := resp.GetRun()
	p := &logPrinter{g: g, w: g.out, several: l.Step == "" && len(run.GetSteps()) > 1, terminal: isTerminal(g.out), paint: g.outPaint()}
	defer p.close()
	part := l.Tail > 0 || l.Head > 0 || l.Attempt > 0
	after := uint64(0)
	if part {
		if after, err = l.stored(ctx, c, run.GetId(), p); err != nil || !l.Follow {
			return err
		}
	}
	return l.stream(ctx, c, run.GetId(), after, p)
}

// stored prints the part that was asked for, and returns its last sequence.
func (l *LogsCmd) stored(ctx context.Context, c *client, id string, p *logPrinter) (after uint64, err error) {
	resp, err := c.runs.GetLogs(ctx, &apiv1.GetLogsRequest{Id: id, Step: l.Step, Stream: l.Stream, Attempt: l.Attempt, TailLines: l.Tail, HeadLines: l.Head})
	if err != nil {
		return 0, err
	}
	for _, e := range resp.GetEntries() {
		after = max(after, e.GetSequence())
		if err := p.print(e); err != nil {
			return after, err
		}
	}
	if resp.GetTruncated() {
		p.g.notef("this is not all of it: slipway logs %s prints everything\n", id)
	}
	return after, nil
}

// stream prints everything after a sequence, and takes a broken stream up.
func (l *LogsCmd) stream(ctx context.Context, c *client, id string, after uint64, p *logPrinter) error {
	f := &follower{lost: p.g.lost}
	return f.follow(ctx, func(ctx context.Context, heard func()) (bool, error) {
		stream, err := c.runs.StreamLogs(ctx, &apiv1.StreamLogsRequest{Id: id, Step: l.Step, Stream: l.Stream, Follow: l.Follow, AfterSequence: after})
		if err != nil {
			return false, err
		}
		defer func() { _ = stream.Close() }() // the answer is complete or broken by now
		for stream.Receive() {
			e := stream.Msg().GetEntry()
			heard()
			after = max(after, e.GetSequence())
			if err := p.print(e); err != nil {
				return true, err
			}
		}
		return stream.Err() == nil, stream.Err()
	})
}

// logPrinter writes entries as lines.
type logPrinter struct {
	g        *Globals
	w        io.Writer
	several  bool
	terminal bool
	paint    paint
	// open is the step whose last line has no end yet.
	open string
}

func (p *logPrinter) print(e *apiv1.LogEntry) error {
	if p.g.JSON {
		return p.g.printProto(e)
	}
	if p.open != "" && p.open != e.GetStep() {
		p.close()
	}
	out := e.GetText()
	if p.terminal {
		out = logText(out, bool(p.paint))
	}
	if e.GetStream() == "note" {
		out = "# " + strings.TrimRight(out, "\n") + "\n"
	}
	whole := strings.HasSuffix(out, "\n")
	if p.several {
		out = p.prefixed(e.GetStep(), out)
	}
	p.open = ""
	if !whole {
		p.open = e.GetStep()
	}
	_, err := io.WriteString(p.w, out)
	return err
}

// prefixed puts the step before every line that begins here.
func (p *logPrinter) prefixed(step, out string) string {
	prefix := p.paint.in(faint, clean(step)+" | ")
	var b strings.Builder
	for i, line := range strings.SplitAfter(out, "\n") {
		if line != "" && (i > 0 || p.open == "") {
			b.WriteString(prefix)
		}
		b.WriteString(line)
	}
	return b.String()
}

// close ends a line that has no end yet.
func (p *logPrinter) close() {
	if p.open != "" && !p.g.JSON {
		_, _ = io.WriteString(p.w, "\n") // the reader has gone when this fails
		p.open = ""
	}
}

// sgr is a sequence that only colours.
var sgr = regexp.MustCompile(`^\x1b\[[0-9;]*m`)

// logText makes output of a step safe for a terminal: colours may stay, nothing
// else may steer it.
func logText(out string, colours bool) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(out, 0x1b)
		if i < 0 {
			b.WriteString(cleanLines(out))
			return b.String()
		}
		b.WriteString(cleanLines(out[:i]))
		out = out[i:]
		seq := sgr.FindString(out)
		if seq != "" && colours {
			b.WriteString(seq)
		}
		out = out[max(len(seq), 1):]
	}
}
