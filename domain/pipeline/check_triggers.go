package pipeline

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/schedule"
)

// Bounds of what starts jobs by itself.
const (
	// MaxSecrets of a webhook: the current one and the one before, so that a
	// sender can be moved from one to the other.
	MaxSecrets = 2
	// MaxFilter is the longest list of one kind in a rule, MaxFilterText the
	// longest text in it, in bytes.
	MaxFilter     = 100
	MaxFilterText = 300
	// MaxMisfireLimit is how many missed ticks one schedule may make up for.
	MaxMisfireLimit = 1000
	// MaxMisfireGrace is how late a tick may be and still count as on time.
	MaxMisfireGrace = 24 * time.Hour
	// MaxKeyword is the longest keyword, in bytes.
	MaxKeyword = 80
	// MaxNotice is the longest sentence that a relay says, in bytes.
	MaxNotice = 2000
)

func (k *checker) webhooks(base []string, n Namespace) {
	k.tooMany(at(base, "webhooks"), len(n.Webhooks), MaxWebhooks)
	for _, name := range names(n.Webhooks) {
		path := at(base, "webhooks", name)
		k.name(path, name)
		k.webhook(path, n.Webhooks[name], n)
	}
}

func (k *checker) webhook(base []string, w Webhook, n Namespace) {
	switch kind := cmp.Or(w.Kind, WebhookGitHub); {
	case kind != WebhookGitHub && kind != WebhookGeneric:
		k.fault(at(base, "kind"), "%q is not one of %s and %s", w.Kind, WebhookGitHub, WebhookGeneric)
	case kind == WebhookGeneric && w.Project != "":
		k.fault(at(base, "project"), "a generic webhook has no project: its address ends with the namespace and its own name")
	case kind == WebhookGeneric && w.AllowSHA1:
		k.fault(at(base, "allow_sha1"), "only GitHub ever signed with SHA-1")
	}
	if w.Project != "" {
		k.name(at(base, "project"), w.Project)
	}
	if n := len(w.Secrets); n == 0 || n > MaxSecrets {
		k.fault(at(base, "secrets"), "a webhook has one secret, or two while the sender changes from one to the other")
	}
	for i, s := range w.Secrets {
		k.secret(at(base, "secrets", strconv.Itoa(i)), s, "the host of slack-ingress")
	}
	k.channel(at(base, "channel"), w.Channel)
	if len(w.Rules) == 0 {
		k.fault(at(base, "rules"), "a webhook needs at least one rule")
	}
	k.tooMany(at(base, "rules"), len(w.Rules), MaxRules)
	for i, r := range w.Rules {
		k.rule(at(base, "rules", strconv.Itoa(i)), r, n)
	}
}

func (k *checker) rule(base []string, r WebhookRule, n Namespace) {
	filters := map[string][]string{"events": r.Events, "actions": r.Actions, "branches": r.Branches, "repositories": r.Repositories, "paths": r.Paths}
	for _, key := range names(filters) {
		k.tooMany(at(base, key), len(filters[key]), MaxFilter)
		for i, text := range filters[key] {
			k.filterText(at(base, key, strconv.Itoa(i)), text)
		}
	}
	k.tooMany(at(base, "where"), len(r.Where), MaxFilter)
	for _, field := range names(r.Where) {
		k.payloadField(at(base, "where", field), field)
		if len(r.Where[field]) > MaxFilterText {
			k.fault(at(base, "where", field), "it is longer than %d bytes", MaxFilterText)
		}
	}
	k.wait(at(base, "delay"), r.Delay, MaxStartDelay)
	fixed := map[string]string{}
	var later []string
	for _, param := range names(r.Params) {
		text, literal := strings.CutPrefix(r.Params[param], "=")
		if literal {
			fixed[param] = text
			continue
		}
		k.payloadField(at(base, "params", param), r.Params[param])
		later = append(later, param)
	}
	k.starts(base, r.Job, n, fixed, later)
}

func (k *checker) filterText(path []string, text string) {
	if text == "" || len(text) > MaxFilterText || strings.ContainsFunc(text, forbidden) {
		k.fault(path, "it must have 1 to %d visible characters", MaxFilterText)
	}
}

// facts are what a rule can name beside the fields of the payload.
var facts = []string{"@event", "@action", "@merged", "@branch", "@repository", "@tag"}

func (k *checker) payloadField(path []string, field string) {
	switch {
	case strings.HasPrefix(field, "@"):
		k.reference(path, "fact", field, facts)
	case field == "" || len(field) > MaxFilterText || slices.Contains(strings.Split(field, "."), "") || strings.ContainsFunc(field, forbidden):
		k.fault(path, "%q is not a field of the payload, such as pull_request.head.ref; a plain text is written as \"=TEXT\"", field)
	}
}

// starts checks that a job exists and gets what it asks for, under params.
func (k *checker) starts(base []string, name string, n Namespace, fixed map[string]string, later []string) {
	job, known := n.Jobs[name]
	switch {
	case name == "":
		k.fault(at(base, "job"), "it needs a job to start")
	case !known:
		k.reference(at(base, "job"), "job", name, names(n.Jobs))
	default:
		k.gives(base, "params", name, job, fixed, later, "params")
	}
}

// projects faults two GitHub webhooks with one address.
func (k *checker) projects() {
	owner := map[string]string{}
	for _, namespace := range names(k.config.Namespaces) {
		hooks := k.config.Namespaces[namespace].Webhooks
		for _, name := range names(hooks) {
			if cmp.Or(hooks[name].Kind, WebhookGitHub) != WebhookGitHub {
				continue
			}
			path := []string{"namespaces", namespace, "webhooks", name}
			project := cmp.Or(hooks[name].Project, name)
			if other, taken := owner[strings.ToLower(project)]; taken {
				k.fault(path, "the project %q already belongs to %s (upper and lower case do not count); give it a project of its own", project, other)
				continue
			}
			owner[strings.ToLower(project)] = strings.Join(path, ".")
		}
	}
}

func (k *checker) schedules(base []string, n Namespace) {
	k.tooMany(at(base, "schedules"), len(n.Schedules), MaxSchedules)
	k.twins(at(base, "schedules"), names(n.Schedules))
	for _, name := range names(n.Schedules) {
		path := at(base, "schedules", name)
		k.name(path, name)
		k.schedule(path, n.Schedules[name], n)
	}
}

func (k *checker) schedule(base []string, s Schedule, n Namespace) {
	if _, err := schedule.ParseSpec(s.Cron, s.At, s.Zone); err != nil {
		k.fault(clock(base, s), "%s", err)
	}
	k.channel(at(base, "channel"), s.Channel)
	k.misfire(at(base, "misfire"), s.Misfire)
	k.starts(base, s.Job, n, s.Params, nil)
}

// clock is the key that a broken time stands at.
func clock(base []string, s Schedule) []string {
	if _, err := schedule.ParseSpec("@daily", "", s.Zone); err != nil {
		return at(base, "zone")
	}
	switch {
	case s.At == "" && s.Cron != "":
		return at(base, "cron")
	case s.At != "" && s.Cron == "":
		return at(base, "at")
	}
	return base
}

func (k *checker) misfire(base []string, m Misfire) {
	if !slices.Contains([]string{"", MisfireOnce, MisfireSkip, MisfireAll}, m.Policy) {
		k.fault(at(base, "policy"), "%q is not one of once, skip and all", m.Policy)
	}
	k.wait(at(base, "grace"), m.Grace, MaxMisfireGrace)
	k.within(at(base, "limit"), m.Limit, 0, MaxMisfireLimit)
	if m.Limit != 0 && m.Policy != MisfireAll {
		k.fault(at(base, "limit"), "only the policy all makes up for more than one tick")
	}
}

func (k *checker) relays() {
	k.count("relays", len(k.config.Relays), MaxRelays)
	owner := map[string]string{}
	for _, name := range names(k.config.Relays) {
		base := []string{"relays", name}
		r := k.config.Relays[name]
		k.name(base, name)
		if len(r.Keywords) == 0 {
			k.fault(at(base, "keywords"), "a relay needs at least one keyword")
		}
		k.tooMany(at(base, "keywords"), len(r.Keywords), MaxKeywords)
		for i, word := range r.Keywords {
			path := at(base, "keywords", strconv.Itoa(i))
			k.keyword(path, word)
			if other, taken := owner[strings.ToLower(word)]; taken {
				k.fault(path, "%q is already a keyword of %q", word, other)
			}
			owner[strings.ToLower(word)] = name
		}
		if r.Channel == "" {
			k.fault(at(base, "channel"), "a relay needs a channel")
		}
		k.channel(at(base, "channel"), r.Channel)
		k.emoji(at(base, "reaction"), r.Reaction)
		k.prose(at(base, "direct_refusal"), r.DirectRefusal, MaxNotice)
		k.prose(at(base, "away"), r.Away, MaxNotice)
	}
}

func (k *checker) keyword(path []string, word string) {
	if word == "" || len(word) > MaxKeyword || strings.ContainsAny(word, " \t\n<>&@#") || strings.ContainsFunc(word, forbidden) {
		k.fault(path, "%q must be one word of 1 to %d characters", word, MaxKeyword)
	}
}

func (k *checker) slack() {
	s := k.config.Slack
	k.emoji([]string{"slack", "accepted"}, s.Accepted)
	k.channel([]string{"slack", "logs_channel"}, s.LogsChannel)
	k.channel([]string{"slack", "support_channel"}, s.SupportChannel)
}

// emojiForm is a name with a skin tone perhaps.
var emojiForm = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_+'-]{1,100}(::skin-tone-[2-6])?$`)

// emoji checks a name without colons; empty is the default.
func (k *checker) emoji(path []string, name string) {
	if name == "" || emojiForm.MatchString(name) {
		return
	}
	f := Fault{Path: path, Message: "it must be the name of an emoji without colons, such as eyes"}
	if bare := strings.ToLower(strings.Trim(name, ":")); emojiForm.MatchString(bare) {
		f.Suggestion = bare
	}
	k.faults = append(k.faults, f)
}
