// Package policy says who may start and steer runs: yes, or no with a reason
// that a person can read.
//
// It knows subjects and rules and nothing else: who a user is, is looked up by
// the caller; what an environment's rule is, is written in slipway.yaml and
// read by internal/configfile; whether a request makes sense is
// domain/pipeline's question. The orchestrator asks it at every request and
// again at every click, since a button may be pressed by anybody.
//
// Invariants: the answer depends on the arguments alone and goes by immutable
// ids, never by names; guests, bots, strangers and deleted users are always
// refused; what is not known to be allowed in a protected environment is
// refused; a refusal's words are raw text in Slack's mrkdwn that a door
// escapes when it shows them.
package policy

import (
	"fmt"
	"slices"
)

// Kind is the door that a subject came through.
type Kind int

// The kinds of subjects. The zero kind may nothing.
const (
	KindNobody Kind = iota
	// KindSlack is a person in Slack, by a verified request.
	KindSlack
	// KindAPI holds the API token, or calls over loopback.
	KindAPI
	// KindSystem is a part of Slipway itself.
	KindSystem
)

// Subject is who asks.
type Subject struct {
	Kind Kind
	// Team and User are Slack's ids.
	Team, User string
	// Known says that Slack was asked about the user and answered; the flags
	// below mean something only then.
	Known bool
	// Guest and UltraGuest are multi- and single-channel guests, Stranger is
	// somebody from another organisation in a shared channel.
	Guest, UltraGuest, Bot, Stranger, Deleted bool
	// Reminder is Slack's reminder bot, which speaks for nobody that is known.
	Reminder bool
}

// Rule is what an environment allows.
type Rule struct {
	Environment string
	// Protected: only those listed may start runs there.
	Protected bool
	// Users by id, and Channels by id: whoever asks in one of them. Both empty
	// means everybody, or nobody when protected.
	Users, Channels []string
}

// RuleOf is the rule of an environment as slipway.yaml writes it.
func RuleOf(environment string, protected bool, users, channels []string) Rule {
	return Rule{Environment: environment, Protected: protected, Users: users, Channels: channels}
}

// Owner is the person in Slack who asked for a run; empty when a program did.
type Owner struct{ Team, User string }

// Denial is a no.
type Denial struct {
	// Code is stable, for machines.
	Code string
	// Sentence is for the person: what, why, what next.
	Sentence string
	// Users and Channels that are allowed, so that a door can say whom to ask.
	Users, Channels []string
}

func (d *Denial) Error() string { return d.Sentence }

// The codes of Denial.
const (
	CodeGuest       = "E-POLICY-GUEST"
	CodeBot         = "E-POLICY-BOT"
	CodeStranger    = "E-POLICY-STRANGER"
	CodeDeleted     = "E-POLICY-DELETED"
	CodeUnknown     = "E-POLICY-UNKNOWN"
	CodeNobody      = "E-POLICY-NOBODY"
	CodeEnvironment = "E-POLICY-ENV"
	CodeRun         = "E-POLICY-RUN"
)

// MayStart says whether the subject may start a run in the rule's environment
// by asking in channel; nil means yes.
func MayStart(rule Rule, who Subject, channel string) *Denial {
	if denial, settled := byKind(who, "start or change"); settled {
		return denial
	}
	if rule.Protected && !who.Known {
		return &Denial{Code: CodeUnknown, Sentence: fmt.Sprintf("*%s* is protected, and Slack could not tell me who you are just now. Nothing was started; please try again in a minute.", rule.Environment)}
	}
	if rule.allows(who, channel) {
		return nil
	}
	return rule.denial()
}

// MayAsk says whether the subject may see what runs; nil means yes.
func MayAsk(who Subject) *Denial {
	denial, _ := byKind(who, "see")
	return denial
}

// MaySteer says whether the subject may cancel, retry or answer for a run that
// owner asked for in the rule's environment: the owner may, and whoever may
// start a run there; nil means yes.
func MaySteer(rule Rule, who Subject, channel string, owner Owner) *Denial {
	if denial, settled := byKind(who, "start or change"); settled {
		return denial
	}
	own := owner.User != "" && owner == Owner{who.Team, who.User}
	if own && (who.Known || !rule.Protected) {
		return nil
	}
	denial := MayStart(rule, who, channel)
	if denial == nil || denial.Code == CodeUnknown {
		return denial
	}
	denial.Code = CodeRun
	denial.Sentence = fmt.Sprintf("You may not change this run: it is not yours, and you may not deploy to *%s*. Its requester can, or somebody who may deploy there.", rule.Environment)
	return denial
}

// byKind settles what does not depend on a rule. Verb says what is refused.
func byKind(who Subject, verb string) (*Denial, bool) {
	no := func(code, sentence string) (*Denial, bool) { return &Denial{Code: code, Sentence: sentence}, true }
	switch {
	case who.Kind == KindAPI || who.Kind == KindSystem:
		return nil, true
	case who.Kind != KindSlack || who.User == "":
		return no(CodeNobody, "I cannot tell who is asking, so nothing was done.")
	case who.Bot:
		return no(CodeBot, "Bots cannot "+verb+" runs. A person can, or a program through the API.")
	case who.Deleted:
		return no(CodeDeleted, "This account is deactivated, so nothing was done.")
	case who.Stranger:
		return no(CodeStranger, "People from other organisations cannot "+verb+" runs here. Please ask a member of this workspace.")
	case who.Guest || who.UltraGuest:
		return no(CodeGuest, "Guests cannot "+verb+" runs. Please ask a full member of this workspace.")
	}
	return nil, false
}

func (r Rule) allows(who Subject, channel string) bool {
	if len(r.Users) == 0 && len(r.Channels) == 0 {
		return !r.Protected
	}
	return slices.Contains(r.Users, who.User) || channel != "" && slices.Contains(r.Channels, channel)
}

func (r Rule) denial() *Denial {
	why, next := "only some people may deploy there", "Ask one of them to start it."
	if r.Protected {
		why = "it is protected, and you are not among those it allows"
	}
	switch {
	case len(r.Users) == 0 && len(r.Channels) == 0:
		why, next = "it is protected and allows nobody", "Its rule in slipway.yaml must name somebody first."
	case len(r.Users) == 0:
		why, next = "only requests made in certain channels may go there", "Ask again in one of those channels."
	case len(r.Channels) > 0:
		next = "Ask one of them, or ask again in a channel that is allowed."
	}
	return &Denial{
		Code: CodeEnvironment, Users: r.Users, Channels: r.Channels,
		Sentence: fmt.Sprintf("You may not deploy to *%s*: %s. %s", r.Environment, why, next),
	}
}
