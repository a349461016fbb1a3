package manifest

import (
	"slices"
)

// use is something of Slack's that Slipway uses, the scopes of a bot's token
// that it takes, and what for.
type use struct {
	name   string
	scopes []string
	why    string
}

// methods are the Web API methods that are called.
var methods = []use{
	{"auth.test", nil, "who a token makes us"},
	{"chat.postMessage", []string{"chat:write"}, "the card, its thread"},
	{"chat.postEphemeral", []string{"chat:write"}, "private answers"},
	{"chat.update", []string{"chat:write"}, "the card stays current"},
	{"reactions.add", []string{"reactions:write"}, "the mark on a mention that started a run"},
	{"reactions.remove", []string{"reactions:write"}, "the mark of a live run, taken away at its end (mirror)"},
	{"users.info", []string{"users:read"}, "guests, bots and strangers are refused"},
	{"conversations.open", []string{"im:write"}, "a direct message to who asked"},
	{"conversations.history", []string{"channels:history", "groups:history", "im:history"}, "finding a post whose outcome was unknown"},
	{"conversations.replies", []string{"channels:history", "groups:history", "im:history"}, "the same in a thread"},
	{"conversations.list", []string{"channels:read", "groups:read"}, "channels that the configuration calls by their names"},
	{"conversations.join", []string{"channels:join"}, "public channels, so that relays and listeners hear what is said there (slack.join_channels)"},
	{"chat.getPermalink", nil, "the address of a failure, and of a message that is passed on"},
	{"files.getUploadURLExternal", []string{"files:write"}, "reports that are too long for a message"},
	{"files.completeUploadExternal", []string{"files:write"}, "the same"},
}

// pinMethods are called only for pipelines and jobs with mirror: {pin: true}.
var pinMethods = []use{
	{"pins.add", []string{"pins:write"}, "the message that asked is pinned while its run is live (mirror: pin)"},
	{"pins.remove", []string{"pins:write"}, "and not after its end"},
	{"pins.list", []string{"pins:read"}, "whose pin it is, after a lost answer: people's own are left alone"},
}

// events are the events that are subscribed to.
var events = []use{
	{"app_mention", []string{"app_mentions:read"}, "sentences to the bot"},
	{"message.im", []string{"im:history"}, "sentences in its direct messages"},
	{"message.channels", []string{"channels:history"}, "keywords of relays, and what listeners wait for"},
	{"message.groups", []string{"groups:history"}, "the same, in private channels that the bot was invited to"},
	{"channel_created", []string{"channels:read"}, "new channels are joined"},
	{"user_change", []string{"users:read"}, "who becomes a guest is known as one at once"},
}

// commandScope lets an app own slash commands.
const commandScope = "commands"

// Scopes are the scopes that the bot's token needs, in order; pins: also where
// the configuration mirrors claims by pins.
func Scopes(pins bool) []string {
	out := []string{commandScope}
	uses := slices.Concat(methods, events)
	if pins {
		uses = append(uses, pinMethods...)
	}
	for _, u := range uses {
		out = append(out, u.scopes...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Reasons says for each scope what it is for.
func Reasons() map[string][]string {
	out := map[string][]string{commandScope: {"slash commands"}}
	for _, u := range slices.Concat(methods, pinMethods, events) {
		for _, s := range u.scopes {
			out[s] = append(out[s], u.name+": "+u.why)
		}
	}
	return out
}

// Events are the names of the events that Slipway subscribes to.
func Events() []string {
	var out []string
	for _, e := range events {
		out = append(out, e.name)
	}
	return out
}

// commands are the slash commands, delivered to url.
func commands(url string) []Command {
	return []Command{
		{Command: "/deploy", URL: url, Description: "Deploy a service", UsageHint: "[SERVICE][@REF] [to ENV]", Escape: true},
		{Command: "/check_status", URL: url, Description: "What runs and waits now, and why", UsageHint: "[ID]", Escape: true},
		{Command: "/slipway", URL: url, Description: "Everything in one sentence", UsageHint: "deploy | status | cancel | retry | logs | lanes | help", Escape: true},
	}
}
