package request

import (
	"github.com/slipway-hq/slipway/domain/identity"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// Codes of what ingress itself says.
const (
	CodeNotAccepted  = "E-NOT-ACCEPTED"
	CodeNotConfirmed = "E-NOT-CONFIRMED"
	CodeUnreachable  = "E-UNREACHABLE"
	CodeBusy         = "E-BUSY"
	CodeCommand      = "E-COMMAND"
)

// NotAccepted is said when it is certain that nothing was stored.
func NotAccepted() *commandv1.Answer {
	return coded(CodeNotAccepted, "I cannot store requests right now, so this one was *not accepted* and nothing was started. Please try again in a moment.")
}

// NotYet is said to a mention that could not be stored: Slack delivers it again.
func NotYet() *commandv1.Answer {
	return coded(CodeNotAccepted, "I could not confirm that your request is stored. Slack hands it to me again within ten minutes, and it is never done twice; if nothing shows by then, please ask again.")
}

// NotConfirmed is said when the store did not answer in time: the request may
// still get through, so "try again" would be wrong.
func NotConfirmed(env *commandv1.Envelope, v Verdict) *commandv1.Answer {
	if v.Deploys {
		id := runOf(env)
		answer := coded(CodeNotConfirmed, "I could *not confirm* that your request was stored. If it got through it is `"+identity.Short(id)+
			"`: look with `/check_status "+identity.Short(id)+"` before you ask again.")
		answer.Run = id
		return answer
	}
	return coded(CodeNotConfirmed, "I could *not confirm* that your request was stored. If it got through its effect shows in `/check_status`: look there before you ask again.")
}

// Stored is said when the request is durable and its first answer is late.
func Stored(env *commandv1.Envelope, v Verdict) *commandv1.Answer {
	if v.Deploys {
		id := runOf(env)
		answer := private("I stored your request and will start on it; its id is `" + identity.Short(id) + "`.")
		answer.Run = id
		return answer
	}
	return private("I stored your request and will act on it as soon as the orchestrator answers.")
}

// Unreachable is said when nobody answers a query.
func Unreachable() *commandv1.Answer {
	return coded(CodeUnreachable, "I cannot reach the orchestrator, which knows the runs. Nothing was changed; please ask again in a moment.")
}

// Busy is said when too much is under way at once.
func Busy() *commandv1.Answer {
	return coded(CodeBusy, "Too many requests reach me at once; this one was *not accepted* and nothing was started. Please try again in a moment.")
}

// NotOurs is said to a slash command that is pointed at us but not configured.
func NotOurs() *commandv1.Answer {
	return coded(CodeCommand, "I do not know that command; it is not among the ones that I was configured with. Nothing was started.")
}

func runOf(env *commandv1.Envelope) string {
	return identity.RunID(identity.Deployment, env.GetIdentity())
}

func coded(code, text string) *commandv1.Answer {
	answer := private(text)
	answer.Code = code
	return answer
}
