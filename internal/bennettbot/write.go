package bennettbot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/slipway-hq/slipway/internal/bennettbot/internal/python"
)

// writer makes the text of slipway.yaml and remembers what each line is from.
type writer struct {
	out  bytes.Buffer
	line int
	// owner of a line is what is taken out when the line does not load.
	owner map[int]owner
	// current owner; and whether its lines are comments.
	at      *owner
	comment bool
}

type owner struct {
	dropped *string
	line    int
	path    string
}

func (w *writer) bytes() []byte { return w.out.Bytes() }

// put writes one line, indented by levels of two spaces.
func (w *writer) put(level int, format string, args ...any) {
	w.line++
	if w.at != nil {
		w.owner[w.line] = *w.at
	}
	if w.comment {
		w.out.WriteString("# ")
	}
	w.out.WriteString(strings.Repeat("  ", level))
	fmt.Fprintf(&w.out, format, args...)
	w.out.WriteByte('\n')
}

// blank separates.
func (w *writer) blank() {
	w.line++
	w.out.WriteByte('\n')
}

// item writes what can be taken out as a whole.
func (w *writer) item(at owner, write func()) {
	before, commented := w.at, w.comment
	w.at = &at
	if *at.dropped != "" && !commented {
		w.comment = true
		w.put(0, "a person has to look at this: line %d: %s", at.line, oneLine(*at.dropped))
	}
	write()
	w.at, w.comment = before, commented
}

// plainText is what YAML reads as a text without quotes.
var plainText = regexp.MustCompile(`^(?:(?:\.\./)+|/)?[A-Za-z][A-Za-z0-9_./()'=@+ -]*[A-Za-z0-9_/().']$|^[A-Za-z]$`)

var notTexts = []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

// scalar is a text as YAML.
func scalar(text string) string {
	if plainText.MatchString(text) && !slices.Contains(notTexts, strings.ToLower(text)) && len(text) < 200 {
		return text
	}
	if strings.ContainsAny(text, `"\`) && !strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || !unicode.IsPrint(c) }) {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return `""` // no text fails
	}
	return escapeHidden(strings.TrimSuffix(b.String(), "\n"))
}

// escapeHidden writes by number what JSON lets through and YAML does not.
func escapeHidden(quoted string) string {
	var b strings.Builder
	for _, c := range quoted {
		if unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\U%08X`, c)
		}
	}
	return b.String()
}

func (r *reader) write(all []*namespace, o Options) *writer {
	w := &writer{owner: map[int]owner{}}
	w.slack(o)
	w.put(0, "namespaces:")
	for _, n := range all {
		w.blank()
		w.namespace(n, o)
	}
	w.blank()
	w.relays(o)
	return w
}

// slack are BennettBot's settings that have a place in the configuration.
func (w *writer) slack(o Options) {
	w.put(0, "slack:")
	w.put(1, "accepted: eyes # BennettBot: kuai-kuai-green, which only workspaces that uploaded it have")
	w.put(1, "join_channels: true # as in BennettBot: relays hear only channels that the bot is in")
	if o.LogsChannel != "" {
		w.put(1, "logs_channel: %s", scalar(channelName(o.LogsChannel)))
	} else {
		w.put(1, "# logs_channel: \"#…\" # SLACK_LOGS_CHANNEL: told when a job starts")
	}
	if o.SupportChannel != "" {
		w.put(1, "support_channel: %s", scalar(channelName(o.SupportChannel)))
	} else {
		w.put(1, "# support_channel: \"#…\" # SLACK_TECH_SUPPORT_CHANNEL: gets failures, except those in private")
	}
	w.blank()
}

// channelName is a channel as the configuration takes it: an id or a #name.
func channelName(text string) string {
	if strings.HasPrefix(text, "#") || channelID.MatchString(text) {
		return text
	}
	return "#" + text
}

var channelID = regexp.MustCompile(`^[CG][A-Z0-9]{6,}$`)

func (w *writer) namespace(n *namespace, o Options) {
	w.item(owner{&n.dropped, n.line, n.name}, func() {
		w.put(1, "%s:", scalar(n.said))
		if n.description != "" {
			w.put(2, "description: %s", scalar(n.description))
		}
		if n.restricted {
			w.put(2, "restricted: true")
		} else {
			w.put(2, "reminders: true # as in BennettBot, Slack's reminders may run its jobs")
		}
		if channel := n.tells(); channel != "" {
			w.put(2, "default_channel: %s", scalar(channelName(channel)))
		}
		w.source(n, o)
		w.put(2, "jobs:")
		for _, j := range n.jobs {
			w.item(owner{&j.dropped, j.line, n.name + "." + j.name}, func() { w.job(j) })
		}
		w.commands(n)
		w.webhook(n)
	})
}

// defaultChannel is BennettBot's for namespaces that name none.
const defaultChannel = "#tech"

// tells is the channel for runs that nobody in Slack asked for.
func (n *namespace) tells() string {
	if n.channel == "" && n.deploys() {
		return defaultChannel
	}
	return n.channel
}

// deploys says that BennettBot's webhook has a job to start.
func (n *namespace) deploys() bool {
	return slices.ContainsFunc(n.jobs, func(j *job) bool { return j.name == webhookJob && j.dropped == "" })
}

func (w *writer) source(n *namespace, o Options) {
	switch {
	case n.fabfile != "":
		w.put(2, "source:")
		w.put(3, "fabfile: %s", scalar(n.fabfile))
		w.put(3, "on_failure: last_good # as in BennettBot: go on with the copy fetched last")
	case n.folder:
		w.put(2, "source: {path: %s}", scalar(strings.TrimSuffix(o.Path, "/")+"/"+n.name))
	}
}

func (w *writer) job(j *job) {
	w.put(3, "%s:", scalar(j.name))
	line, params, err := shellLine(j.template)
	if err != "" {
		line = j.template
	}
	w.put(4, "run: %s", scalar(line))
	if len(params) > 0 {
		w.put(4, "params:")
		for _, p := range params {
			w.put(5, "%s: {type: string}", scalar(p))
		}
	}
	var report []string
	if j.stdout {
		report = append(report, "stdout: true")
	}
	if !j.success && !j.stdout { // the output wins over the line
		report = append(report, "success: false")
	}
	if j.format != "text" && j.stdout {
		report = append(report, "format: "+j.format)
	}
	if j.silent && j.stdout {
		report = append(report, "suppress_empty: true")
	}
	if !j.calls {
		report = append(report, "escalate: false")
	}
	if len(report) > 0 {
		w.put(4, "report: {%s}", strings.Join(report, ", "))
	}
}

func (w *writer) commands(n *namespace) {
	if len(n.commands) == 0 {
		return
	}
	if slices.ContainsFunc(n.commands, func(c *command) bool { return c.dropped == "" }) {
		w.put(2, "commands:")
	}
	for _, c := range n.commands {
		w.item(owner{&c.dropped, c.line, n.name + ": " + python.Shorten(c.match)}, func() {
			w.put(3, "- match: %s", scalar(c.match))
			if c.help != "" {
				w.put(4, "help: %s", scalar(c.help))
			}
			if action := actions[c.action]; action != "run" && action != "" {
				w.put(4, "action: %s", action)
			}
			w.put(4, "job: %s", scalar(c.job))
			if c.delay > 0 {
				w.put(4, "delay: %ds", c.delay)
			}
			if len(c.before) > 0 {
				w.put(4, "overrides: # as in BennettBot, the one that sorts first wins")
				for _, match := range c.before {
					w.put(5, "- %s", scalar(match))
				}
			}
		})
	}
}

const (
	// webhookJob is the job that BennettBot's GitHub webhook starts, after
	// webhookDelay.
	webhookJob   = "deploy"
	webhookDelay = "60s"
)

func (w *writer) webhook(n *namespace) {
	if !n.deploys() {
		return
	}
	w.item(owner{&n.hookDropped, n.line, n.name + " webhook"}, func() {
		w.put(2, "webhooks:")
		w.put(3, "%s: # /webhooks/github/%s, and /github/%s/ as before", scalar(n.name), n.name, n.name)
		w.put(4, "secrets: [{env: GITHUB_WEBHOOK_SECRET}]")
		w.put(4, "allow_sha1: true # BennettBot's header; GitHub sends X-Hub-Signature-256 as well, so this can go")
		w.put(4, "rules:")
		w.put(5, "- job: %s", webhookJob)
		w.put(6, "events: [pull_request]")
		w.put(6, "actions: [closed]")
		w.put(6, "merged: true")
		w.put(6, "# branches: [main] # BennettBot deploys for a merge into any branch of any repository")
		w.put(6, "# repositories: [OWNER/NAME]")
		w.put(6, "delay: %s", webhookDelay)
	})
}

// relays are the keywords that BennettBot passes on.
func (w *writer) relays(o Options) {
	w.comment = o.SupportChannel == "" && o.AdminsChannel == ""
	w.put(0, "relays:")
	w.relay("tech-support", o.SupportChannel, "sos", "tech-support")
	w.relay("bennett-admins", o.AdminsChannel, "flamingo", "bennett-admin", "bennett-admins", "bennet-admin", "bennet-admins")
	w.comment = false
}

func (w *writer) relay(name, channel, reaction string, keywords ...string) {
	commented := w.comment
	if channel == "" {
		w.comment, channel = true, "…"
	}
	w.put(1, "%s:", name)
	w.put(2, "keywords: [%s]", strings.Join(keywords, ", "))
	w.put(2, "channel: %s", scalar(channelName(channel)))
	w.put(2, "reaction: %s", reaction)
	if reaction == "flamingo" {
		w.put(2, "commands: true # BennettBot still takes such a message for a command")
	}
	w.comment = commented
}
