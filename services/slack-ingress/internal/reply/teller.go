package reply

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/slack-go/slack"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const (
	// queueLen bounds answers that wait to be sent; beyond it they are
	// dropped and counted, never awaited by an acknowledgement.
	queueLen = 512
	// workers send side by side: one slow channel must not hold the others.
	workers = 4
	// sendTimeout bounds one call of Slack.
	sendTimeout = 5 * time.Second
	// life is how long an answer is worth telling.
	life = time.Minute
	// maxTries bounds repeats after "rate limited".
	maxTries = 4
)

// errNowhere says that a person cannot be told at all.
var errNowhere = errors.New("neither a response URL nor a bot token to answer with")

// Config is what a Teller needs.
type Config struct {
	// API posts with the bot token; nil without one.
	API *slack.Client
	// APIURL is the base of the Web API; it widens where a response URL may lead.
	APIURL string
	Logger *slog.Logger
	// Sent hears how each answer fared: "sent", "failed" or "dropped".
	Sent func(outcome string)
}

// Teller sends answers in the background. Its methods may be called from any
// goroutine.
type Teller struct {
	cfg   Config
	http  *http.Client
	queue chan job
}

type job struct {
	to     request.Reply
	answer *commandv1.Answer
	until  time.Time
}

// New prepares a Teller; Run sends.
func New(cfg Config) *Teller {
	return &Teller{
		cfg:   cfg,
		queue: make(chan job, queueLen),
		http: &http.Client{
			Timeout: sendTimeout,
			// A redirect would carry the answer to a host that Slack did not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Tell enqueues an answer. It never blocks; false means that it was dropped.
func (t *Teller) Tell(to request.Reply, answer *commandv1.Answer) bool {
	select {
	case t.queue <- job{to: to, answer: answer, until: time.Now().Add(life)}:
		return true
	default:
		t.cfg.Sent("dropped")
		t.cfg.Logger.Warn("answer dropped because too many wait")
		return false
	}
}

// Run sends until ctx ends, then what is queued already for as long as grace
// allows.
func (t *Teller) Run(ctx context.Context, grace time.Duration) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { t.work(ctx, work) })
	}
	group.Wait()
}

// work takes jobs until ctx ends and the queue is empty, or work ends.
func (t *Teller) work(ctx, work context.Context) {
	for work.Err() == nil {
		select {
		case j := <-t.queue:
			t.send(work, j)
			continue
		default:
		}
		select {
		case j := <-t.queue:
			t.send(work, j)
		case <-ctx.Done():
			return
		}
	}
}

func (t *Teller) send(ctx context.Context, j job) {
	ctx, cancel := context.WithDeadline(ctx, j.until)
	defer cancel()
	err := t.deliver(ctx, j)
	if err == nil {
		t.cfg.Sent("sent")
		return
	}
	t.cfg.Sent("failed")
	t.cfg.Logger.Warn("answer not delivered", "channel", j.to.Channel, "code", j.answer.GetCode(), "error", err)
}

// deliver tries the response URL, and the Web API when there is none or when
// it proved unusable.
func (t *Teller) deliver(ctx context.Context, j job) error {
	var err error
	if j.to.ResponseURL != "" {
		if err = t.again(ctx, func() error { return t.postURL(ctx, j) }); !errors.Is(err, errURLUnusable) {
			return err
		}
	}
	if t.cfg.API == nil || j.to.Channel == "" {
		return errors.Join(err, errNowhere)
	}
	return t.again(ctx, func() error { return t.postAPI(ctx, j) })
}

// again repeats send for as long as Slack says "rate limited", which proves
// that nothing was posted. Any other failure may have been: it ends.
func (t *Teller) again(ctx context.Context, send func() error) error {
	for try := 1; ; try++ {
		err := send()
		var limited *slack.RateLimitedError
		if !errors.As(err, &limited) || try == maxTries {
			return err
		}
		select {
		case <-time.After(limited.RetryAfter):
		case <-ctx.Done():
			return err
		}
	}
}

func (t *Teller) postAPI(ctx context.Context, j job) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	message := Render(j.answer)
	options := []slack.MsgOption{slack.MsgOptionText(message.Text, false)}
	if len(message.Blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(message.Blocks...))
	}
	if public(j.answer) {
		options = append(options, slack.MsgOptionDisableLinkUnfurl()) // an ephemeral message never unfolds a link, and takes no such argument
		_, _, err := t.cfg.API.PostMessageContext(ctx, j.to.Channel, withThread(options, place(j))...)
		return plain(err)
	}
	_, err := t.cfg.API.PostEphemeralContext(ctx, j.to.Channel, j.to.User, withThread(options, j.to.AskedIn)...)
	return plain(err)
}

// place is the thread that a public answer belongs into; empty for the channel.
func place(j job) string {
	if j.answer.GetThreaded() {
		return j.to.Thread
	}
	return j.to.AskedIn
}

func withThread(options []slack.MsgOption, ts string) []slack.MsgOption {
	if ts == "" {
		return options
	}
	return append(options, slack.MsgOptionTS(ts))
}
