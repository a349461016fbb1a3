package orchestrator

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/audit"
)

// letter is a request in INBOX: it is delivered until it is acknowledged, to
// whichever replica, and at times again.
type letter struct {
	envelope *commandv1.Envelope
	opens    bool // a run
	handled  bool
}

// wish is a call of the API, which the caller repeats with the same key.
type wish struct {
	name string
	do   func(context.Context, *simReplica) (done func(), err error)
}

const simBoss = "U0BOSS"

// ask is a new request of somebody.
func (s *sim) ask() {
	n := len(s.inbox) + len(s.wishes) + 1
	switch k := s.rng.IntN(100); {
	case k < 50 && s.asked() != "":
		s.steer(n)
	case k < 55:
		s.write(n)
	case k < 75:
		s.call(n)
	case k < 85:
		s.steer(n)
	case k < 93:
		s.limit(n)
	default:
		if len(s.wishes) > 0 { // again, with the same key
			s.try(s.wishes[s.rng.IntN(len(s.wishes))])
		}
	}
}

var simSentences = []string{
	"shop merge", "shop merge", "shop merge now", "shop newest", "shop newest", "shop reject", "shop reject", "shop each", "shop pool a", "shop pool b", "back pool",
	"shop merge --in 20s", "shop newest --in 5s", "shop each --in 1m", "shop merge cancel",
	"deploy checkout@v1 to production", "deploy checkout@v2 to staging", "deploy search@v1 to production", "deploy ledger@v3 to staging", "deploy nothing@v1 to production",
}

// write puts a sentence into INBOX.
func (s *sim) write(n int) {
	text := simSentences[s.rng.IntN(len(simSentences))]
	if s.chance(10) && len(s.runs) > 0 {
		text = []string{"cancel ", "cancel ", "retry "}[s.rng.IntN(3)] + s.runs[s.rng.IntN(len(s.runs))]
	}
	ts := fmt.Sprintf("17.%d", n)
	s.inbox = append(s.inbox, &letter{opens: text[:5] == "shop " || text[:5] == "back " || text[:6] == "deploy", envelope: &commandv1.Envelope{
		Identity: "mention|T1|C1|" + ts, Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: simBoss},
		Origin:   &eventv1.Origin{Door: eventv1.Origin_DOOR_MENTION, Team: "T1", Channel: "C1", MessageTs: ts},
		Received: timestamppb.New(s.now), Standing: &commandv1.Standing{Known: true},
		Body: &commandv1.Envelope_Sentence{Sentence: &commandv1.Sentence{Command: "@", Text: "<@UBOT> " + text}},
	}})
	s.note("somebody writes %q", text)
}

// deliver gives a letter to a replica, also one that was handled or is being
// handled elsewhere.
func (s *sim) deliver(r *simReplica) {
	if len(s.inbox) == 0 {
		return
	}
	l := s.inbox[s.rng.IntN(len(s.inbox))]
	for i := 0; i < 4 && l.handled; i++ {
		l = s.inbox[s.rng.IntN(len(s.inbox))]
	}
	if l.handled && !s.chance(20) {
		return
	}
	s.deliverTo(r, l)
}

func (s *sim) deliverTo(r *simReplica, l *letter) {
	s.spawn(&r.process, "letter "+l.envelope.GetIdentity(), func(ctx context.Context) func() {
		answer, err := r.clerk.command(ctx, l.envelope)
		return func() { s.handled(l, answer, err) }
	})
}

func (s *sim) handled(l *letter, answer *commandv1.Answer, err error) {
	switch {
	case transient(err):
		return
	case err != nil:
		s.broken = append(s.broken, fmt.Sprintf("command: %s is not handled: %v", l.envelope.GetIdentity(), err))
	case answer.GetCode() == "" && answer.GetRun() != "" && l.opens:
		s.accepted(audit.Command{Identity: l.envelope.GetIdentity(), Run: answer.GetRun()})
	case answer.GetCode() == "" && answer.GetRun() != "":
		s.accepted(audit.Command{Run: answer.GetRun()})
	}
	s.note("%s is answered: %s %s", l.envelope.GetIdentity(), answer.GetCode(), answer.GetText())
	if s.healed || !s.chance(10) { // else the acknowledgement is lost
		l.handled = true
	}
}

func (s *sim) accepted(c audit.Command) {
	s.told.Accepted = append(s.told.Accepted, c)
	s.runs = append(s.runs, c.Run)
}

// call asks for a run over the API.
func (s *sim) call(n int) {
	key := fmt.Sprintf("api|local|k%d", n)
	jobs := []string{"merge", "newest", "reject", "each"}
	job, delay := jobs[s.rng.IntN(len(jobs))], time.Duration(s.rng.IntN(3)*10)*time.Second
	places, services := []string{"staging", "production"}, []string{"checkout", "search", "ledger"}
	service, place := services[s.rng.IntN(3)], places[s.rng.IntN(2)]
	deploys, despite := s.chance(40), s.chance(10)
	s.wishes = append(s.wishes, &wish{"call " + key, func(ctx context.Context, r *simReplica) (func(), error) {
		var st run.State
		var err error
		if deploys {
			st, err = r.desk.start(ctx, local(), deployment{identity: key, service: service, environment: place, version: "v1"})
		} else {
			want := jobWish{identity: key, namespace: "shop", job: job, delay: delay}
			if despite {
				want.despiteHold = "it is urgent"
			}
			st, err = r.desk.startJob(ctx, local(), want)
		}
		return func() { s.accepted(audit.Command{Identity: key, Run: st.ID}) }, err
	}})
	s.try(s.wishes[len(s.wishes)-1])
}

// try calls a replica's API.
func (s *sim) try(w *wish) {
	r := s.replicas[s.rng.IntN(len(s.replicas))]
	s.spawn(&r.process, w.name, func(ctx context.Context) func() {
		confirmed, err := w.do(ctx, r)
		return func() {
			s.note("%s is answered: %s", w.name, spoken(err))
			if err == nil {
				confirmed()
			}
		}
	})
}

// spoken is an error in words that do not name a commit, whose id is random.
func spoken(err error) string {
	code, sentence, _ := sentenceOf(err, "")
	if err == nil {
		return "yes"
	}
	return code + " " + sentence
}

// steer cancels, retries or answers for a run.
func (s *sim) steer(n int) {
	if len(s.runs) == 0 {
		return
	}
	id := s.runs[s.rng.IntN(len(s.runs))]
	what := s.rng.IntN(4)
	if asks := s.asked(); asks != "" {
		id, what = asks, 3
	}
	word := []eventv1.StepAnswered_Answer{eventv1.StepAnswered_ANSWER_REPEAT, eventv1.StepAnswered_ANSWER_DONE, eventv1.StepAnswered_ANSWER_FAIL}[s.rng.IntN(3)]
	name := fmt.Sprintf("%s %s", []string{"cancel", "cancel", "retry", "answer for"}[what], id[:9])
	s.wishes = append(s.wishes, &wish{fmt.Sprintf("call k%d %s", n, name), func(ctx context.Context, r *simReplica) (func(), error) {
		switch what {
		case 2:
			st, err := r.desk.retry(ctx, local(), id, fmt.Sprint(n%3))
			return func() { s.accepted(audit.Command{Run: st.ID}) }, err
		case 3:
			_, err := r.desk.answer(ctx, local(), id, word, 0)
			return func() {}, err
		}
		_, err := r.desk.cancel(ctx, local(), id, "")
		return func() { s.told.Cancelled = append(s.told.Cancelled, id) }, err
	}})
	s.try(s.wishes[len(s.wishes)-1])
}

// asked is a run that waits for a person's word; empty when none does.
func (s *sim) asked() (id string) {
	s.replicas[0].proj.Read(func(b *board.Board) {
		for _, run := range s.runs {
			if l, ok := b.Live(run); ok && l.State.Question != nil {
				id = run
			}
		}
	})
	return id
}

// limit holds, releases, pauses or resizes.
func (s *sim) limit(n int) {
	job := []string{"shop/merge", "shop/each", "shop/newest"}[s.rng.IntN(3)]
	name := []string{"shared", "shop:merge", "checkout/production"}[s.rng.IntN(3)]
	what, paused, concurrency := s.rng.IntN(4), s.chance(50), uint32(s.rng.IntN(4)) //nolint:gosec // small
	switch {
	case what == 0:
		s.heldJob = job
	case what == 1 && s.heldJob != "":
		job = s.heldJob
	}
	from := s.now.Add(time.Duration(s.rng.IntN(3)*5) * time.Second)
	until := from.Add(time.Duration(1+s.rng.IntN(30)) * time.Second)
	who := local()
	who.command = fmt.Sprintf("k%d", n)
	s.wishes = append(s.wishes, &wish{fmt.Sprintf("call k%d %s", n, []string{"hold " + job, "release " + job, "pause " + name, "resize " + name}[what]), func(ctx context.Context, r *simReplica) (func(), error) {
		switch what {
		case 0:
			_, h, err := r.desk.hold(ctx, who, job, lane.Hold{From: from, Until: until})
			return func() { s.told.Holds = append(s.told.Holds, h.ID) }, err
		case 1:
			_, _, err := r.desk.releaseHolds(ctx, who, job, "", "")
			return func() {}, err
		case 2:
			_, err := r.desk.setLane(ctx, who, name, &paused, nil, "")
			return func() {}, err
		}
		_, err := r.desk.setLane(ctx, who, name, nil, &concurrency, "")
		return func() {}, err
	}})
	s.try(s.wishes[len(s.wishes)-1])
}

// resume ends every pause, so that what waits there can end.
func (s *sim) resume() {
	no := false
	for _, name := range []string{"shared", "shop:merge", "checkout/production"} {
		s.try(&wish{"resume " + name, func(ctx context.Context, r *simReplica) (func(), error) {
			_, err := r.desk.setLane(ctx, local(), name, &no, nil, "")
			return func() {}, err
		}})
	}
	s.flow()
}
