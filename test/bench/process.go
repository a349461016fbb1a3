package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/internal/topology"
)

// envJob carries a job to a child process.
const envJob = "SLIPWAY_BENCH_JOB"

// process is a child of this program: real, so that its memory can be measured
// and it can be killed.
type process struct {
	past  []line // said while something else was waited for
	url   string
	born  time.Time
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan line
	runs  apiv1connect.RunServiceClient
}

// line is what a child said, and when.
type line struct {
	at   time.Time
	text string
}

// startWait bounds the start of a child: a large store takes seconds.
const startWait = 2 * time.Minute

// start runs a child until it is ready.
func start(ctx context.Context, j job) (*process, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), envJob+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, lines: make(chan line, 64), born: time.Now()}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen(stdout)
	l, err := p.await(ctx, wordReady)
	if err != nil {
		return nil, errors.Join(err, p.kill())
	}
	p.url = strings.TrimPrefix(l.text, wordReady+" ")
	p.runs = apiv1connect.NewRunServiceClient(client, p.url)
	return p, nil
}

func (p *process) listen(stdout io.Reader) {
	defer close(p.lines)
	for in := bufio.NewScanner(stdout); in.Scan(); {
		p.lines <- line{time.Now(), in.Text()}
	}
}

// await returns the first line that begins with word and was not returned yet.
func (p *process) await(ctx context.Context, word string) (line, error) {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for i, l := range p.past {
		if strings.HasPrefix(l.text, word) {
			p.past = slices.Delete(p.past, i, i+1)
			return l, nil
		}
	}
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				return line{}, fmt.Errorf("the child ended before it said %q", word)
			}
			if strings.HasPrefix(l.text, word) {
				return l, nil
			}
			p.past = append(p.past, l)
		case <-ctx.Done():
			return line{}, fmt.Errorf("wait for %q: %w", word, ctx.Err())
		}
	}
}

// kill is kill -9.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it says that it was killed
	client.CloseIdleConnections()
	return err
}

// memory returns the resident bytes now and at most since the start; zeros where
// the system does not say.
func (p *process) memory() (now, peak int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for l := range strings.Lines(string(text)) {
		field, value, _ := strings.Cut(l, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch field {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return now, peak
}

// clockTick is what Linux counts processor time in.
const clockTick = 10 * time.Millisecond

// processor returns the processor time that the child has used; 0 where the
// system does not say.
func (p *process) processor() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	const user, system = 11, 12 // of what follows the name, proc(5)
	if len(fields) <= system {
		return 0
	}
	a, _ := strconv.ParseInt(fields[user], 10, 64)
	b, _ := strconv.ParseInt(fields[system], 10, 64)
	return time.Duration(a+b) * clockTick
}

// client keeps enough connections for all workers.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * workers, IdleConnTimeout: time.Minute}}

// ask calls one of the child's own interfaces; in and out may be nil.
func (p *process) ask(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// commits returns the confirmed appends on a run's subject.
func (p *process) commits(ctx context.Context, run string) (out []commit, err error) {
	return out, p.ask(ctx, http.MethodGet, "/bench/commits?subject="+url.QueryEscape(topology.RunSubject(run)), nil, &out)
}

// counts follows how many runs have ended.
func (p *process) counts(ctx context.Context, each func(int)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/bench/ended", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it ends with ctx
	for in := bufio.NewScanner(answer.Body); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return err
		}
		each(n)
	}
	return ctx.Err()
}

// profile takes profiles of a saturated round that begins now; the returned
// function waits for them. What goes wrong with them spoils no measurement.
func (p *process) profile(ctx context.Context, plan plan, name string) (wait func()) {
	if plan.Profile == "" {
		return func() {}
	}
	var group sync.WaitGroup
	group.Go(func() {
		p.save(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(plan.Each.Seconds())), filepath.Join(plan.Profile, name+".cpu"))
		for _, kind := range []string{"mutex", "block", "allocs", "heap"} {
			p.save(ctx, "/debug/pprof/"+kind, filepath.Join(plan.Profile, name+"."+kind))
		}
	})
	return group.Wait
}

func (p *process) save(ctx context.Context, path, file string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return
	}
	answer, err := client.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	if data, err := io.ReadAll(answer.Body); err == nil {
		_ = os.WriteFile(file, data, 0o600)
	}
}
