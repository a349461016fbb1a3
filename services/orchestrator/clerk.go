package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/projection"
)

// showWait is how long an answer waits for its own commit to be visible, so
// that it can name the place in the queue.
const showWait = 300 * time.Millisecond

// clerk speaks with people: it turns envelopes into wishes for the desk and
// questions for the view, and what they say into answers.
type clerk struct {
	desk *desk
	view *view
	proj *projection.Projection
	logs *logReader
	now  func() time.Time
	// runners says who is alive, if that is known.
	runners func() (alive []roster.Runner, known bool)
	// output is the address of the page with a run's output; nil: there is none.
	output func(run string, created time.Time) string
}

// command handles a durable request. An error other than a refusal means that
// nothing is decided; the answer is then nil.
func (c *clerk) command(ctx context.Context, e *commandv1.Envelope) (*commandv1.Answer, error) {
	switch e.GetBody().(type) {
	case *commandv1.Envelope_Press:
		return c.press(ctx, e, e.GetPress())
	case *commandv1.Envelope_Delivery:
		return c.delivery(ctx, e)
	case *commandv1.Envelope_Note:
		return c.note(ctx, e)
	case *commandv1.Envelope_Overheard:
		return c.overheard(ctx, e)
	case *commandv1.Envelope_Caught:
		return c.caught(ctx, e)
	}
	s, err := grammar.Parse(e.GetSentence().GetCommand(), e.GetSentence().GetText())
	if err != nil {
		return parseAnswer(err), nil
	}
	if !s.Verb.Mutates() {
		return c.question(ctx, e, s), nil
	}
	return c.say(ctx, e, s)
}

func (c *clerk) say(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) (*commandv1.Answer, error) {
	who := askerOf(e)
	if s.Verb == grammar.VerbDeploy {
		st, err := c.desk.start(ctx, who, deployment{
			identity: e.GetIdentity(), service: s.Service, environment: s.Environment, version: s.Ref, parameters: s.Parameters, record: true,
		})
		return c.accepted(ctx, st, err, s)
	}
	switch s.Verb {
	case grammar.VerbJob:
		return c.job(ctx, e, s)
	case grammar.VerbHold:
		return c.holdJob(ctx, e, s.Job, s.Window, s.Reason)
	case grammar.VerbRelease:
		return c.releaseJob(ctx, e, s.Job, s.Reason)
	case grammar.VerbSchedule:
		return c.schedule(ctx, e, s)
	case grammar.VerbAway:
		return c.away(ctx, e, s)
	default: // the rest is about one run
	}
	if s.Run == "" {
		return whichRun(s.Verb), nil
	}
	id, err := c.view.find(ctx, s.Run)
	if err != nil {
		return c.refuse(err, s.Run, s)
	}
	return c.steer(ctx, e, who, id, s)
}

// steer changes an existing run.
func (c *clerk) steer(ctx context.Context, e *commandv1.Envelope, who asker, id string, s grammar.Sentence) (*commandv1.Answer, error) {
	verb, word := s.Verb, s.Answer
	switch verb {
	case grammar.VerbCancel:
		before, _ := c.view.state(ctx, id)               // unknown: then the cancel says why
		st, err := c.desk.cancel(ctx, who, id, s.Reason) // the event names the person
		if err != nil {
			return c.refuse(err, c.view.short(id), grammar.Sentence{})
		}
		if again := cancelledBefore(before); again != "" {
			return private("", fmt.Sprintf("`%s` %s already; nothing was changed.", c.view.short(id), again)), nil
		}
		answer := public(id, fmt.Sprintf("`%s` %s%s.", c.view.short(id), cancelWord(st, personMention(e)), c.forOthers(id)))
		answer.Threaded = !st.IsJob()
		return answer, nil
	case grammar.VerbRetry:
		st, err := c.desk.retry(ctx, who, id, "")
		return c.accepted(ctx, st, err, grammar.Sentence{})
	case grammar.VerbAnswer:
		if _, err := c.desk.answer(ctx, who, id, answers[word], e.GetPress().GetSequence()); err != nil {
			return c.refuse(err, c.view.short(id), grammar.Sentence{})
		}
		return public(id, fmt.Sprintf("`%s`: %s answered *%s*.", c.view.short(id), personMention(e), word)), nil
	default:
		return c.question(ctx, e, grammar.Sentence{Verb: verb, Run: id}), nil
	}
}

// cancelledBefore is what an earlier cancel has come to; empty without one. Who
// asks again changes nothing, which concerns nobody else.
func cancelledBefore(s run.State) string {
	switch {
	case s.Status == run.Cancelled:
		return "was cancelled"
	case s.Cancel != nil && !s.Status.Ended():
		return "is being cancelled"
	}
	return ""
}

func cancelWord(s run.State, by string) string {
	if s.Status == run.Cancelled {
		return "is cancelled, on request of " + by
	}
	return "is being cancelled by " + by + ": its processes are being stopped"
}

func personMention(e *commandv1.Envelope) string { return "<@" + e.GetPrincipal().GetUser() + ">" }

// accepted answers a request that became a run, or its refusal.
func (c *clerk) accepted(ctx context.Context, s run.State, err error, asked grammar.Sentence) (*commandv1.Answer, error) {
	if err != nil {
		return c.refuse(err, s.ID, asked)
	}
	wait, cancel := context.WithTimeout(ctx, showWait)
	defer cancel()
	_ = c.proj.WaitFor(wait, s.Sequence) // not visible yet: the answer leaves the place out
	r, err := c.view.get(ctx, s.ID)
	if err != nil {
		r = wholeRun(&s, c.view.short(s.ID))
	}
	return acceptedAnswer(r), nil
}

// refuse turns a refusal into the private answer, with what was probably meant
// as choices; other errors stay errors.
func (c *clerk) refuse(err error, id string, asked grammar.Sentence) (*commandv1.Answer, error) {
	if transient(err) {
		return nil, err
	}
	code, sentence, known := sentenceOf(err, id)
	answer := refusalAnswer(code, sentence, choicesOf(err, asked))
	if !known {
		return answer, err
	}
	return answer, nil
}

// choicesOf repeats what was asked with each word that would have been
// understood.
func choicesOf(err error, asked grammar.Sentence) []string {
	var p *pipeline.Refusal
	if !errors.As(err, &p) || asked.Verb != grammar.VerbDeploy {
		return nil
	}
	var out []string
	for _, word := range p.Suggestions {
		again := asked
		switch p.Code {
		case pipeline.CodeServiceUnknown, pipeline.CodeServiceMissing:
			again.Service = word
		case pipeline.CodeEnvironmentUnknown, pipeline.CodeEnvironmentMissing:
			again.Environment = word
		default:
			return nil
		}
		out = append(out, again.String())
	}
	return out
}

// press handles a button of a card.
func (c *clerk) press(ctx context.Context, e *commandv1.Envelope, p *commandv1.Press) (*commandv1.Answer, error) {
	who := askerOf(e)
	switch p.GetAction() {
	case "cancel":
		return c.steer(ctx, e, who, p.GetRun(), grammar.Sentence{Verb: grammar.VerbCancel})
	case "retry":
		return c.steer(ctx, e, who, p.GetRun(), grammar.Sentence{Verb: grammar.VerbRetry})
	case "answer":
		return c.steer(ctx, e, who, p.GetRun(), grammar.Sentence{Verb: grammar.VerbAnswer, Answer: p.GetValue()})
	case "logs":
		return c.question(ctx, e, grammar.Sentence{Verb: grammar.VerbLogs, Run: p.GetRun()}), nil
	}
	return private("E-PRESS", "I do not know that button: the card may be from an older version. Try the same as a command, such as `/slipway status`."), nil
}

// query answers what needs no durable request.
func (c *clerk) query(ctx context.Context, e *commandv1.Envelope) *commandv1.Answer {
	if p := e.GetPress(); p != nil {
		return c.question(ctx, e, grammar.Sentence{Verb: grammar.VerbLogs, Run: p.GetRun()})
	}
	s, err := grammar.Parse(e.GetSentence().GetCommand(), e.GetSentence().GetText())
	if err != nil {
		return parseAnswer(err)
	}
	if s.Verb.Mutates() {
		return private("E-QUERY", "This needs to be stored first; please send it again.")
	}
	return c.question(ctx, e, s)
}

func (c *clerk) question(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) *commandv1.Answer {
	switch s.Verb {
	case grammar.VerbHelp:
		return helpAnswer(c.desk.config(), s.Topic)
	case grammar.VerbJobs:
		return jobsAnswer(c.desk.config(), s.Namespace)
	default: // the rest depends on who asks
	}
	subject := subjectOf(e)
	if denial := policy.MaySeeJob(policy.JobRule{}, subject); denial != nil { // a bot, or nobody
		return refusalAnswer(denial.Code, denial.Sentence, nil)
	}
	switch s.Verb {
	case grammar.VerbStatus:
		return c.status(ctx, e, s)
	case grammar.VerbHistory:
		return c.history(e, s)
	case grammar.VerbLogs:
		return c.tail(ctx, e, s)
	case grammar.VerbSchedules:
		return c.schedules(e)
	default: // lanes show everything
	}
	if denial := policy.MayAsk(subject); denial != nil {
		return refusalAnswer(denial.Code, denial.Sentence, nil)
	}
	lanes, _ := c.view.lanes()
	return lanesAnswer(lanes, s.Lane)
}

// status is one run, one service's runs, or everything that is active.
func (c *clerk) status(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) *commandv1.Answer {
	if s.Run == "" && s.Service == "" {
		return activeAnswer(c.view.activity(c.sees(e)), c.activeHolds(e), c.now())
	}
	id, err := c.view.find(ctx, s.Run)
	if err == nil {
		st, err := c.view.state(ctx, id)
		if err != nil {
			return c.failed(err, s.Run)
		}
		if no := c.mayLook(e, st); no != nil {
			return no
		}
		r, err := c.view.get(ctx, id)
		if err != nil {
			return c.failed(err, s.Run)
		}
		return statusAnswer(r, c.now())
	}
	if denial := policy.MayAsk(subjectOf(e)); denial != nil {
		return refusalAnswer(denial.Code, denial.Sentence, nil)
	}
	if runs := c.list(&apiv1.ListRunsRequest{Service: s.Service, PageSize: 5}); s.Service != "" && len(runs) > 0 {
		return serviceAnswer(s.Service, runs, c.now())
	}
	if runs := c.list(&apiv1.ListRunsRequest{Namespace: s.Service, PageSize: 5}); s.Service != "" && len(runs) > 0 {
		return serviceAnswer(s.Service, runs, c.now())
	}
	if s.Run == "" {
		err = board.ErrUnknownRun
	}
	if s.Service != "" && (errors.Is(err, board.ErrUnknownRun) || errors.Is(err, board.ErrShortPrefix)) {
		return c.unknown(s.Service, err)
	}
	return c.failed(err, s.Run)
}

// unknown answers a word that is neither a run nor a service with runs; err is
// why it is no run.
func (c *clerk) unknown(word string, err error) *commandv1.Answer {
	var services []string
	if cfg := c.desk.config(); cfg != nil {
		services = slices.Sorted(maps.Keys(cfg.config.Services))
	}
	if slices.Contains(services, word) {
		return private("", fmt.Sprintf("Nothing of *%s* has run yet. `/deploy %s` starts it.", grammar.Escape(word), grammar.Escape(word)))
	}
	near := grammar.Suggest(word, services, maxSuggested)
	if len(near) == 0 {
		return c.failed(err, word)
	}
	code, sentence, _ := sentenceOf(board.ErrUnknownRun, grammar.Quote(word))
	choices := make([]string, 0, len(near))
	for _, name := range near {
		choices = append(choices, grammar.Sentence{Verb: grammar.VerbStatus, Service: name}.String())
	}
	return refusalAnswer(code, sentence+didYouMean(near), choices)
}

func (c *clerk) list(q *apiv1.ListRunsRequest) []*apiv1.Run {
	runs, _, err := c.view.list(q)
	if err != nil {
		return nil // only a bad page token fails
	}
	return runs
}

// all is every page of a list.
func (c *clerk) all(q *apiv1.ListRunsRequest) (all []*apiv1.Run) {
	for {
		runs, next, err := c.view.list(q)
		all = append(all, runs...)
		if err != nil || next == "" {
			return all
		}
		q.PageToken = next
	}
}

// tailLines is what fits comfortably into one answer.
const tailLines = 20

func (c *clerk) tail(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) *commandv1.Answer {
	if s.Run == "" {
		return whichRun(s.Verb)
	}
	id, err := c.view.find(ctx, s.Run)
	if err != nil {
		return c.failed(err, s.Run)
	}
	st, err := c.view.state(ctx, id)
	if err != nil {
		return c.failed(err, s.Run)
	}
	if no := c.mayLook(e, st); no != nil {
		return no
	}
	if s.Step != "" && !hasStep(st, s.Step) {
		return refusalAnswer("E-STEP-404", sentenceCase(noStep(st, s.Step))+".", nil)
	}
	part := logPart(s)
	entries, _, err := c.logs.query(ctx, st, part)
	if err != nil {
		return c.failed(err, s.Run)
	}
	return logsAnswer(st, c.view.short(id), c.page(st), part, entries)
}

// maxShown is what one answer in Slack shows of a whole log; the rest is cut at
// its beginning.
const maxShown = 200

// page is where the whole output of a run is; empty for a restricted one, which
// an address does not open.
func (c *clerk) page(s run.State) string {
	if c.output == nil || s.Plan.GetRestricted() {
		return ""
	}
	return c.output(s.ID, s.Created)
}

func logPart(s grammar.Sentence) logQuery {
	q := logQuery{step: s.Step, stream: s.Stream, tail: tailLines}
	switch s.Part {
	case grammar.PartHead:
		q.head, q.tail = tailLines, 0
	case grammar.PartAll:
		q.tail = maxShown
	}
	return q
}

// forOthers says for whom else a run executes.
func (c *clerk) forOthers(id string) (words string) {
	c.proj.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok && len(l.Merged) > 0 {
			words = fmt.Sprintf(", also for the %s that it executes", count(len(l.Merged), "other request"))
		}
	})
	return words
}

// whichRun answers a sentence that names no run.
func whichRun(verb grammar.Verb) *commandv1.Answer {
	return refusalAnswer("E-RUN-ID", fmt.Sprintf("Which run? It goes `/slipway %s`; `/check_status` shows the ids of what runs and waits.", grammar.Usage(verb)), nil)
}

func (c *clerk) failed(err error, word string) *commandv1.Answer {
	code, sentence, _ := sentenceOf(err, grammar.Quote(word))
	return refusalAnswer(code, sentence, nil)
}

func parseAnswer(err error) *commandv1.Answer {
	var bad *grammar.Error
	if !errors.As(err, &bad) {
		return refusalAnswer("E-GRAMMAR", err.Error(), nil)
	}
	return refusalAnswer(bad.Code, bad.Sentence, nil)
}

func askerOf(e *commandv1.Envelope) asker {
	return asker{principal: e.GetPrincipal(), subject: subjectOf(e), origin: e.GetOrigin(), command: e.GetIdentity()}
}

func subjectOf(e *commandv1.Envelope) policy.Subject {
	st := e.GetStanding()
	return policy.Subject{
		Kind: policy.KindSlack, Team: e.GetPrincipal().GetTeam(), User: e.GetPrincipal().GetUser(),
		Known: st.GetKnown(), Guest: st.GetGuest(), Bot: st.GetBot(), Deleted: st.GetDeleted(), Reminder: st.GetReminder(),
		Stranger: st.GetStranger() || e.GetPrincipal().GetTeam() != e.GetOrigin().GetTeam(),
	}
}
