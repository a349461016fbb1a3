package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

func TestTableAlignsByCharactersAndLeavesEmptyColumnsOut(t *testing.T) {
	var out bytes.Buffer
	tab := table{head: []string{"NAME", "EMPTY", "NOTE"}}
	tab.add(text("Ünï"), text(""), text("a\nb"))
	tab.add(cell{"longer", red}, text(""), text("c\x1b[2Jd"))
	tab.write(&out, false)
	want := "NAME    NOTE\nÜnï     a b\nlonger  c[2Jd\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	tab.write(&out, true)
	if !strings.Contains(out.String(), "\x1b[31mlonger\x1b[0m  c[2Jd\n") {
		t.Errorf("coloured: %q", out.String())
	}
}

func TestTextFromOutsideCannotSteerTheTerminal(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b]0;title\x07b": "a]0;titleb",
		"a\u202egnp.exe":     "agnp.exe",
		"a\r\nb":             "a  b",
		"\x00\x7f\u009b31m":  "31m",
		"plain – ünïcode 🚀":  "plain – ünïcode 🚀",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) is %q, want %q", in, got, want)
		}
	}
	log := "\x1b[32mok\x1b[0m\n\x1b[2J\x1b]0;x\x07\ttab\r\n\x1b"
	if got, want := logText(log, true), "\x1b[32mok\x1b[0m\n[2J]0;x\ttab\n"; got != want {
		t.Errorf("with colours %q, want %q", got, want)
	}
	if got, want := logText(log, false), "ok\n[2J]0;x\ttab\n"; got != want {
		t.Errorf("without colours %q, want %q", got, want)
	}
}

func TestDurationsAndAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 1250 * time.Millisecond: "1.2s", 59990 * time.Millisecond: "59.9s",
		62 * time.Second: "1m02s", 3*time.Hour + 4*time.Minute: "3h04m",
	} {
		if got := lasting(d); got != want {
			t.Errorf("lasting(%v) is %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 90 * time.Second: "1m", 47 * time.Hour: "47h", 50 * time.Hour: "2d"} {
		if got := age(after(0), noon.Add(d)); got != want {
			t.Errorf("age(%v) is %s, want %s", d, got, want)
		}
	}
}

func TestLiveLineIsUpdatedInPlaceAndStepsThatEndedStay(t *testing.T) {
	var out bytes.Buffer
	g := &Globals{out: &out, err: io.Discard}
	p := newProgress(g)
	p.live = true
	run := begin(1, &apiv1.StartRunRequest{Service: "hello", Environment: "staging"})
	for i, s := range run.states {
		p.update(s, noon.Add(time.Duration(10+i)*time.Second))
	}
	const erase = "\r\x1b[2K"
	want := strings.Join([]string{
		"  queued\n", erase, "d-00001 queued  ○ build  ○ test",
		erase, "  running\n", erase, "d-00001 running 10.0s  ● build 10.0s  ○ test",
		erase, "  ✓ build succeeded after 2.5s\n", erase, "d-00001 running 11.0s  ✓ build  ● test 8.5s",
		erase, "  waiting: test is tried again soon\n", "  ◌ test waiting after 1.5s, attempt 1 of 3: exit 1; next attempt at " + after(10).AsTime().Local().Format("15:04:05") + "\n",
		erase, "d-00001 waiting 12.0s  ✓ build  ◌ test",
		erase, "  running\n", erase, "d-00001 running 13.0s  ✓ build  ● test 10.5s (attempt 2 of 3)",
		erase, "  ✓ test succeeded after 1m10s, attempt 2 of 3\n", "d-00001 succeeded (1m14s)\n",
	}, "")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if got := fit("d-00001 running", 8); got != "d-00001…" {
		t.Errorf("a narrow terminal shows %q", got)
	}
}

func TestALostServerIsWaitedForButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, lost := time.Now(), 0
		f := &follower{lost: func(error) { lost++ }, heard: began}
		gone := connect.NewError(connect.CodeUnavailable, errors.New("gone"))
		err := f.follow(t.Context(), func(context.Context, func()) (bool, error) { return false, gone })
		if !errors.Is(err, gone) || time.Since(began) < patience || time.Since(began) > patience+lastPause {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if most := int(patience/lastPause) + 10; lost > most {
			t.Errorf("asked %d times, at most %d are polite", lost, most)
		}
	})
}

func TestAServerThatNeverAnsweredIsNotWaitedFor(t *testing.T) {
	gone := connect.NewError(connect.CodeUnavailable, errors.New("gone"))
	calls := 0
	f := &follower{lost: func(error) { t.Error("it was never there") }}
	err := f.follow(t.Context(), func(context.Context, func()) (bool, error) { calls++; return false, gone })
	if !errors.Is(err, gone) || calls != 1 {
		t.Errorf("%d calls: %v", calls, err)
	}
}

// A balancer may still choose a replica that is just going away.
func TestAnAnswerThatBreaksOffIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := connect.NewError(connect.CodeUnavailable, io.ErrUnexpectedEOF)
		calls, lost := 0, 0
		f := &follower{lost: func(error) { lost++ }}
		err := f.follow(t.Context(), func(context.Context, func()) (bool, error) {
			if calls++; calls < firstTries {
				return false, cut
			}
			return true, nil
		})
		if err != nil || calls != firstTries || lost != firstTries-1 {
			t.Errorf("%d calls, %d lost: %v", calls, lost, err)
		}
		calls = 0
		err = f.follow(t.Context(), func(context.Context, func()) (bool, error) { calls++; return false, cut })
		if !errors.Is(err, cut) || calls != firstTries {
			t.Errorf("%d calls: %v", calls, err)
		}
	})
}

func TestTheServersAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "https://s.example.org/": "https://s.example.org", "http://[::1]:1": "http://[::1]:1",
		"": defaultServer, "ftp://x": "", "http://": "", "http://u:p@h": "", "::::": "",
	} {
		got, err := serverURL(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestFlagWinsOverEnvironmentAndEnvironmentOverDefault(t *testing.T) {
	for _, c := range []struct {
		env  string
		args []string
		want string
	}{
		{"", []string{"runs"}, defaultServer},
		{"http://env", []string{"runs"}, "http://env"},
		{"http://env", []string{"--server", "http://flag", "runs"}, "http://flag"},
	} {
		if c.env != "" {
			t.Setenv("SLIPWAY_API_URL", c.env)
		}
		cli := &CLI{}
		parser, err := newParser(cli, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(c.args); err != nil || cli.Server != c.want {
			t.Errorf("%+v gives %q, %v", c, cli.Server, err)
		}
	}
}
