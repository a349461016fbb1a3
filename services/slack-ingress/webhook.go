package ingress

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/webhook"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/inbox"
)

const (
	// kindWebhook is the subject token of deliveries in INBOX.
	kindWebhook = "webhook"
	// hookStoreBudget is for the acknowledgement of JetStream, counted from when
	// the body is read: GitHub waits ten seconds in all.
	hookStoreBudget = 5 * time.Second
	// maxShown is how much of a sender's own text is repeated in words or logs.
	maxShown = 100

	headerEvent      = "X-GitHub-Event"
	headerDeliveryID = "X-GitHub-Delivery"
	eventPing        = "ping"
)

// deliveryID is the form of ids that senders choose. A bar would let one forge
// another's identity; a colon is kept for ids that are derived here.
var deliveryID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// outcome is what becomes of a delivery: what its sender is told, what is
// counted, and what is logged.
type outcome struct {
	status int
	// word is a stable word for the metric.
	word string
	text string
	runs []string
}

// webhooks mounts the doors for other systems.
func (s *Service) webhooks(mux *http.ServeMux) {
	github := func(w http.ResponseWriter, r *http.Request) {
		project := r.PathValue("project")
		s.hook(w, r, pipeline.WebhookGitHub, project, func(c pipeline.Config) (webhook.Address, bool) { return webhook.GitHub(c, project) })
	}
	for _, pattern := range []string{"/webhooks/github/{project}", "/webhooks/github/{project}/{$}", "/github/{project}", "/github/{project}/{$}"} {
		mux.HandleFunc("POST "+pattern, github)
	}
	mux.HandleFunc("POST /webhooks/{namespace}/{name}", func(w http.ResponseWriter, r *http.Request) {
		namespace, name := r.PathValue("namespace"), r.PathValue("name")
		s.hook(w, r, pipeline.WebhookGeneric, namespace+"/"+name, func(c pipeline.Config) (webhook.Address, bool) {
			return webhook.Generic(c, namespace, name)
		})
	})
}

// hook answers one delivery, counts it and leaves one line in the log: never
// its payload, never a secret.
func (s *Service) hook(w http.ResponseWriter, r *http.Request, kind, named string, find func(pipeline.Config) (webhook.Address, bool)) {
	began := time.Now()
	id := ""
	out := s.receiveHook(w, r, named, find, &id)
	s.meter.hook(r.Context(), kind, out.word, time.Since(began))
	level := slog.LevelInfo
	if out.status >= http.StatusBadRequest {
		level = slog.LevelWarn
	}
	s.log.Log(r.Context(), level, "webhook delivery", "kind", kind, "webhook", shown(named), "delivery", id,
		"event", shown(r.Header.Get(headerEvent)), "outcome", out.word, "status", out.status, "said", out.text, "runs", out.runs)
	writeHook(w, out)
}

func writeHook(w http.ResponseWriter, out outcome) {
	if out.status != http.StatusAccepted {
		http.Error(w, out.text, out.status)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(out.status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"runs": out.runs}) // whether the sender still listens changes nothing
}

// receiveHook verifies a delivery, in the order in which it costs least, and
// does what it asks. id is set as soon as it is known.
func (s *Service) receiveHook(w http.ResponseWriter, r *http.Request, named string, find func(pipeline.Config) (webhook.Address, bool), id *string) outcome {
	config := s.config.Load()
	switch {
	case !s.running.Load():
		return outcome{status: http.StatusServiceUnavailable, word: "starting", text: "not running yet, or not any more"}
	case config == nil:
		return outcome{status: http.StatusServiceUnavailable, word: "unconfigured", text: s.unconfigured()}
	}
	at, ok := find(*config)
	if !ok {
		return outcome{status: http.StatusBadRequest, word: "unknown", text: "no webhook is configured for " + shown(named)}
	}
	claim, refused := claimOf(r.Header, at, s.clock())
	if refused != nil {
		return *refused
	}
	*id = claim.id
	body, refused := s.hookBody(w, r, claim, at)
	if refused != nil {
		return *refused
	}
	if claim.event == eventPing && at.Kind() == pipeline.WebhookGitHub {
		return outcome{status: http.StatusOK, word: "ping", text: "pong"}
	}
	if claim.id == "" {
		claim.id = claim.stamp + bodyID(body)
		*id = claim.id
	}
	return s.acceptHook(r.Context(), at, claim, r.Header.Get("Content-Type"), body)
}

// acceptHook makes a verified delivery durable if a rule fits it.
func (s *Service) acceptHook(ctx context.Context, at webhook.Address, claim claim, contentType string, body []byte) outcome {
	wanted := webhook.Wanted(at.Webhook)
	facts, err := webhook.Extract(at.Kind(), claim.event, payloadOf(at.Kind(), contentType, body), wanted)
	if err != nil {
		return outcome{status: http.StatusBadRequest, word: "malformed", text: err.Error()}
	}
	starts, why := webhook.Evaluate(at.Webhook, facts)
	if len(starts) == 0 {
		return outcome{status: http.StatusOK, word: "ignored", text: "ignored: " + strings.Join(why, "; ")}
	}
	env := deliveryEnvelope(at, claim.id, facts, s.clock())
	var runs []string
	for _, start := range starts {
		env.GetDelivery().Rules = append(env.GetDelivery().GetRules(), uint32(start.Index)) //nolint:gosec // at most pipeline.MaxRules
		runs = append(runs, identity.RunID(identity.Job, webhook.RunIdentity(env.GetIdentity(), start.Index)))
	}
	first, err := s.submit(ctx, kindWebhook, env)
	switch {
	case err != nil:
		s.log.ErrorContext(ctx, "webhook delivery not stored", "webhook", at.Source(), "delivery", claim.id, "error", err)
		return outcome{status: http.StatusServiceUnavailable, word: "not_stored", text: "not stored; deliver it again, which starts nothing twice", runs: runs}
	case !first:
		return outcome{status: http.StatusAccepted, word: "repeated", runs: runs}
	}
	return outcome{status: http.StatusAccepted, word: "accepted", runs: runs}
}

// submit stores what no person waits for, if there is room for it.
func (s *Service) submit(ctx context.Context, kind string, env *commandv1.Envelope) (first bool, err error) {
	ticket, err := s.ticket(ctx, kind, env, hookStoreBudget)
	if err != nil {
		return false, err
	}
	return ticket.First, nil
}

// ticket is submit for who waits for the first answer.
func (s *Service) ticket(ctx context.Context, kind string, env *commandv1.Envelope, budget time.Duration) (*inbox.Ticket, error) {
	select {
	case s.atWork <- struct{}{}:
		defer func() { <-s.atWork }()
	default:
		return nil, errBusy
	}
	// A sender that hangs up must not undo half a delivery.
	ctx, span := s.begin(context.WithoutCancel(ctx), kind)
	defer span.End()
	traced(ctx, env)
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	ticket, err := s.inbox.Submit(ctx, kind, env)
	if err != nil {
		span.RecordError(err)
		return nil, err
	}
	return ticket, nil
}

func deliveryEnvelope(at webhook.Address, id string, f webhook.Facts, now time.Time) *commandv1.Envelope {
	d := &commandv1.Delivery{
		Namespace: at.Namespace, Webhook: at.Name, Id: id, Facts: clean(f.Known), Fields: clean(f.Fields), Url: f.URL, PathsCut: f.PathsCut,
	}
	for _, path := range f.Paths {
		d.Paths = append(d.Paths, strings.ToValidUTF8(path, "\uFFFD"))
	}
	return &commandv1.Envelope{
		Identity:  at.Identity(id),
		Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "webhook:" + at.Source()},
		Origin:    &eventv1.Origin{Door: eventv1.Origin_DOOR_WEBHOOK, Source: at.Source(), Url: f.URL},
		Received:  timestamppb.New(now),
		Body:      &commandv1.Envelope_Delivery{Delivery: d},
	}
}

// clean makes texts valid UTF-8, which protobuf insists on.
func clean(texts map[string]string) map[string]string {
	for key, text := range texts {
		texts[key] = strings.ToValidUTF8(text, "\uFFFD")
	}
	return texts
}

// payloadOf is the JSON within a body: GitHub sends it plain or as a form. Of
// others it is plain, whatever curl -d calls it.
func payloadOf(kind, contentType string, body []byte) []byte {
	media, _, _ := strings.Cut(contentType, ";")
	if kind != pipeline.WebhookGitHub || !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return body
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil
	}
	return []byte(form.Get("payload"))
}

// shown is a sender's text as it may be repeated; cut where it is long.
func shown(text string) string {
	return strconv.Quote(text[:min(len(text), maxShown)])
}

// unconfigured says why there is no configuration.
func (s *Service) unconfigured() string {
	if s.cfg.File == "" {
		return "this Slipway knows no webhooks: its slack-ingress was started without a configuration (SLIPWAY_CONFIG)"
	}
	return "this Slipway knows no webhooks: its configuration cannot be read; its log says why"
}
