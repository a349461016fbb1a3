package request

import (
	"errors"

	"github.com/slipway-hq/slipway/domain/grammar"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// Need is what has to happen before a person can be answered.
type Need int

const (
	// Say: the answer is known here.
	Say Need = iota
	// Ask: the orchestrator knows; nothing changes.
	Ask
	// Store: it changes something, so it must be durable first.
	Store
)

// Verdict is what a request needs.
type Verdict struct {
	Need Need
	// Answer is what to Say; with Ask, what to say when nobody answers, if there
	// is something.
	Answer *commandv1.Answer
	// Deploys is true when a stored request becomes a run of its own, whose
	// id follows from its identity.
	Deploys bool
}

// pressLogs is the one press that changes nothing.
const pressLogs = "logs"

// Judge decides by the words alone. Whether the person may is decided where
// the configuration is known, by the orchestrator.
func Judge(env *commandv1.Envelope) Verdict {
	if press := env.GetPress(); press != nil {
		if press.GetAction() == pressLogs {
			return Verdict{Need: Ask}
		}
		return Verdict{Need: Store}
	}
	said, err := grammar.Parse(env.GetSentence().GetCommand(), env.GetSentence().GetText())
	if err != nil {
		return Verdict{Need: Say, Answer: notUnderstood(err)}
	}
	switch {
	case said.Verb == grammar.VerbHelp && grammar.IsTopic(said.Topic):
		return Verdict{Need: Say, Answer: private(grammar.Escape(grammar.Help(said.Topic)))}
	case said.Verb == grammar.VerbHelp:
		// The namespaces are the orchestrator's to list; the words are known here.
		return Verdict{Need: Ask, Answer: private(grammar.Escape(grammar.Help("")))}
	case said.Verb.Mutates():
		return Verdict{Need: Store, Deploys: said.Verb == grammar.VerbDeploy}
	default:
		return Verdict{Need: Ask}
	}
}

func notUnderstood(err error) *commandv1.Answer {
	var refused *grammar.Error
	if !errors.As(err, &refused) {
		return private(grammar.Escape(err.Error()))
	}
	answer := private(grammar.Escape(refused.Sentence))
	answer.Code = refused.Code
	return answer
}

func private(text string) *commandv1.Answer {
	return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Text: text}
}
