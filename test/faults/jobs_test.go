package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// support is where failures are passed on to.
const support = sandbox.ChannelOps

// jobs are one for each kind of moment. Each says its label, and the label is
// its gate.
func jobs(w *world.World) world.Map {
	const say = "\nprintf 'said %s!\\n' {label}"
	job := func(body string, more ...world.Map) world.Map {
		j := world.Map{
			"steps":  []world.Map{w.Shared("run", body+say)},
			"params": world.Map{"label": world.Map{}}, "report": world.Map{"stdout": true, "escalate": true},
		}
		for _, extra := range more {
			for k, v := range extra {
				j[k] = v
			}
		}
		return j
	}
	all := world.Map{
		"quick": job(""), "held": job(w.Hold("{label}")), "sorry": job("printf 'said %s!\\n' {label}; exit 3"),
		"large": job("seq 1 20000", world.Map{"report": world.Map{"stdout": true, "format": "file"}}),
		"later": job(""),
	}
	var commands []world.Map
	for name := range all {
		c := world.Map{"match": name + " [label]", "job": name}
		if name == "later" || name == "held" {
			c["delay"] = "1s" // so that two who ask wait together
		}
		commands = append(commands, c)
	}
	slices.SortFunc(commands, func(a, b world.Map) int { return strings.Compare(a["match"].(string), b["match"].(string)) }) //nolint:errcheck // a string, above
	config := world.Namespace(all, commands)
	config["slack"] = world.Map{"support_channel": support}
	return config
}

// request is what one person asked in one place.
type request struct{ channel, ts string }

// jobMoment is one durable point of a job; see moment. Two people ask.
type jobMoment struct {
	name, job string
	people    int
	at, then  func(s *site, label string, runs []string, asked []request)
	sign      string // of the end, on each person's message; ✅ when empty
}

// began waits for the first line that the run has written which executes.
func began(kind string) func(*site, string, []string, []request) {
	return func(s *site, _ string, runs []string, _ []request) {
		s.Eventually(kind+" of one of "+strings.Join(runs, ", "), func() bool {
			return slices.ContainsFunc(s.Effects(), func(e world.Effect) bool { return e.Kind == kind && slices.Contains(runs, e.Run) })
		})
	}
}

func unlock(s *site, label string, _ []string, _ []request) { s.Open(label) }

// stands waits for a status of all that were asked for.
func stands(want apiv1.RunStatus) func(*site, string, []string, []request) {
	return func(s *site, _ string, runs []string, _ []request) { status(want)(s, runs[0]) }
}

func marked(s *site, _ string, _ []string, asked []request) {
	s.Reacted(asked[0].channel, asked[0].ts, "white_check_mark")
}

var jobMoments = []jobMoment{
	{name: "accepted", job: "quick"},
	{name: "two put off", job: "later", people: 2, at: stands(apiv1.RunStatus_RUN_STATUS_QUEUED)},
	{name: "one begins for two", job: "held", people: 2, at: began("start"), then: unlock},
	{name: "has run for two", job: "later", people: 2, at: began("end")},
	{name: "has run", job: "quick", at: began("end")},
	{name: "ended", job: "quick", at: stands(apiv1.RunStatus_RUN_STATUS_SUCCEEDED)},
	{name: "marked", job: "quick", at: marked},
	{name: "reported", job: "quick", at: func(s *site, label string, _ []string, asked []request) {
		s.Heard(asked[0].channel, "", "said "+label+"!")
	}},
	{name: "failed", job: "sorry", sign: "x", at: stands(apiv1.RunStatus_RUN_STATUS_FAILED)},
	{name: "said that it failed", job: "sorry", sign: "x", at: func(s *site, label string, _ []string, asked []request) {
		s.Heard(asked[0].channel, "", "said "+label+"!")
	}},
	{name: "to be uploaded", job: "large", at: marked},
	{name: "being uploaded", job: "large", at: func(s *site, _ string, runs []string, _ []request) {
		ended := s.Succeeded(runs[0]).GetFinished().AsTime()
		s.Call("files.getUploadURLExternal", func(e sandbox.Entry) bool { return e.Time.After(ended) })
	}},
}

// throughJobs brings one job after the other through the moments, with a kill at
// each, and checks what everybody was told.
func throughJobs(t *testing.T, s *site, moments []jobMoment) {
	t.Helper()
	users := []string{sandbox.UserRequester, sandbox.UserApprover}
	for n, m := range moments {
		label := strings.ReplaceAll(m.name, " ", "-")
		var asked []request
		for i := range max(1, m.people) {
			channel := world.Rooms[(n+i)%3] // the fourth is one person's own
			asked = append(asked, request{channel, s.ask(users[i], channel, "test "+m.job+" "+label)})
		}
		runs := s.of(m.job, label, len(asked))
		if m.at != nil {
			m.at(s, label, runs, asked)
		}
		s.crash()
		since := time.Now()
		if m.then != nil {
			m.then(s, label, runs, asked)
		}
		s.told(m, label, runs, asked)
		t.Logf("%s: all was told %s after the restart", m.name, time.Since(since).Round(time.Millisecond))
		if t.Failed() {
			t.Fatalf("killed when: %s", m.name)
		}
	}
	s.readable()
	s.Judge(s.All(), nil)
}

// readable waits until the API reaches the log again.
func (s *site) readable() {
	s.T.Helper()
	s.Eventually("the log", func() bool {
		_, err := s.Runs.GetRunEvents(s.T.Context(), &apiv1.GetRunEventsRequest{Id: s.All()[0].GetId()})
		return err == nil
	})
}

// ask mentions the bot, and delivers again, as Slack does, what was not
// acknowledged.
func (s *site) ask(user, channel, text string) (ts string) {
	s.T.Helper()
	posted, err := s.Slack.Post(s.T.Context(), user, channel, world.Mention+text, "")
	if err != nil {
		s.T.Fatal(err)
	}
	for _, d := range posted.Deliveries {
		s.Eventually("an acknowledgement of "+text, func() bool {
			if d.OK() {
				return true
			}
			again, err := s.Slack.Redeliver(s.T.Context(), d.ID, 1, false)
			if err != nil {
				s.T.Fatal(err)
			}
			return slices.ContainsFunc(again, func(d sandbox.Delivery) bool { return d.OK() })
		})
	}
	return posted.TS
}

// of are the runs of a job with this label, once there are so many.
func (s *site) of(job, label string, many int) (ids []string) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%d runs of %s %s", many, job, label), func() bool {
		ids = nil
		for _, r := range s.JobsOf(job) {
			if r.GetParameters()["label"] == label {
				ids = append(ids, r.GetId())
			}
		}
		return len(ids) >= many
	})
	return ids
}

// told waits until everybody has a sign and the report, once each, and counts
// executions: all that were asked for together are one, unless they did not wait
// together.
func (s *site) told(m jobMoment, label string, runs []string, asked []request) {
	s.T.Helper()
	sign := m.sign
	if sign == "" {
		sign = "white_check_mark"
	}
	merged := 0
	for _, id := range runs {
		r := s.Await(id, "its end", func(r *apiv1.Run) bool { return world.Terminal(r.GetStatus()) })
		if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_MERGED {
			merged++
		}
	}
	for _, a := range asked {
		s.Reacted(a.channel, a.ts, sign)
		if m.job == "large" {
			continue
		}
		s.Heard(a.channel, "", "said "+label+"!")
		if said := s.Said(a.channel, "said "+label+"!"); len(said) != 1 && len(asked) == merged+1 {
			s.T.Errorf("%s: the end was told %d times", label, len(said))
		}
	}
	switch m.job {
	case "large":
		s.Eventually("the file of "+label, func() bool {
			return slices.ContainsFunc(s.Slack.AllMessages(asked[0].channel), func(msg world.Message) bool { return len(msg.Files) > 0 })
		})
	case "sorry":
		s.Heard(support, "", runs[0][:7])
	case "later", "held":
		if m.people > 1 && merged != m.people-1 {
			s.T.Errorf("%s: %d of %d merged", label, merged, m.people)
		}
	}
	ends := 0
	for _, e := range s.Effects() {
		if e.Kind == "end" && slices.Contains(runs, e.Run) && e.Step == "run" {
			ends++
		}
	}
	// Killed between the end of the process and its commit, a step runs again.
	if executed := len(runs) - merged; m.job != "sorry" && (ends < executed || ends > executed+1) {
		s.T.Errorf("%s: %d of %d merged and %d came to their end", label, merged, len(runs), ends)
	}
}

func TestKillNineOfEverythingAtEveryDurablePointOfAJob(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(jobs(w))
	restart := func() *world.Process { return w.Up() }
	throughJobs(t, &site{World: w, victim: restart(), restart: restart}, jobMoments)
}

func TestKillNineOfEachServiceAtEveryDurablePointOfAJob(t *testing.T) {
	for _, name := range append([]string{"nats"}, world.Services...) {
		for part, moments := range parts(name) {
			t.Run(fmt.Sprintf("%s/%d", name, part), func(t *testing.T) {
				t.Parallel()
				w := world.New(t)
				w.Configure(jobs(w))
				all := w.Split()
				restart := func() *world.Process { return w.Service(name) }
				if name == "nats" {
					restart = w.NATS
				}
				throughJobs(t, &site{World: w, victim: all[name], restart: restart}, moments)
			})
		}
	}
}

// parts are the moments in worlds of their own, side by side: after the end of
// NATS or of the notifier a message whose fate is unknown waits for its deadline.
func parts(victim string) [][]jobMoment {
	if victim == "nats" || victim == "notifier" {
		return slices.Collect(slices.Chunk(jobMoments, (len(jobMoments)+2)/3))
	}
	return [][]jobMoment{jobMoments}
}

// TestKillNineAnywhereInAMergedJob sweeps the instant of the kill through two
// equal requests, from the first's delivery to the reports.
func TestKillNineAnywhereInAMergedJob(t *testing.T) {
	const (
		step  = 12 * time.Millisecond
		kills = 14
	)
	t.Parallel()
	w := world.New(t)
	w.Configure(jobs(w))
	restart := func() *world.Process { return w.Up() }
	s := &site{World: w, victim: restart(), restart: restart}
	for n := range kills {
		label := fmt.Sprint("sweep-", n)
		var asked []request
		for i, user := range []string{sandbox.UserRequester, sandbox.UserApprover} {
			channel := world.Rooms[(n+i)%3]
			asked = append(asked, request{channel, s.ask(user, channel, "test quick "+label)})
		}
		<-time.After(time.Duration(n) * step)
		s.crash()
		s.told(jobMoment{job: "quick"}, label, s.of("quick", label, 2), asked)
	}
	w.Judge(w.All(), nil)
}
