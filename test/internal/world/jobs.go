package world

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
)

// Mention is how the bot is called in a message.
const Mention = "<@" + sandbox.BotUserID + "> "

// Namespace makes a whole configuration of one namespace, "test", whose runs
// that nobody asked for are told of in the channel of deployments. more is put
// beside jobs and commands.
func Namespace(jobs Map, commands []Map, more ...Map) Map {
	ns := Map{"default_channel": sandbox.ChannelDeploys, "jobs": jobs}
	if commands != nil {
		ns["commands"] = commands
	}
	for _, extra := range more {
		for k, v := range extra {
			ns[k] = v
		}
	}
	return Map{"namespaces": Map{"test": ns}}
}

// Jobs is a world in which everything runs in one process, with this
// configuration.
func Jobs(t testing.TB, config func(*World) Map, options ...Option) (*World, *Process) {
	t.Helper()
	w := New(t, options...)
	w.Configure(config(w))
	return w, w.Up()
}

// Keep is a shell line that keeps a value, as it arrives, for Kept.
func (w *World) Keep(placeholder string) string {
	return "printf '%s' " + placeholder + " >" + w.Dir + `/kept.$SLIPWAY_RUN`
}

// Kept is what Keep has kept in a run that has ended.
func (w *World) Kept(run string) string {
	w.T.Helper()
	data, err := os.ReadFile(filepath.Join(w.Dir, "kept."+run))
	if err != nil {
		w.T.Fatal(err)
	}
	return string(data)
}

// File is what stands in a file of the world's folder; empty when it is not
// there.
func (w *World) File(name string) string {
	w.T.Helper()
	data, err := os.ReadFile(filepath.Join(w.Dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.T.Fatal(err)
	}
	return string(data)
}

// Say writes a message as somebody; thread may be empty.
func (w *World) Say(user, channel, text, thread string) string {
	w.T.Helper()
	posted, err := w.Slack.Post(w.T.Context(), user, channel, text, thread)
	if err != nil {
		w.T.Fatal(err)
	}
	w.delivered(posted)
	return posted.TS
}

func (w *World) delivered(posted sandbox.Posted) {
	w.T.Helper()
	if len(posted.Deliveries) == 0 {
		w.T.Error("nobody heard the message")
	}
	for _, d := range posted.Deliveries {
		if !d.OK() || d.Ack > SlackAnswer {
			w.T.Errorf("%s was answered %d after %s: %s", d.Name, d.Status, d.Ack, d.Err)
		}
	}
}

// Heard waits for a message of the bot that has a text: a reply in the thread,
// or, without one, a message in the channel itself.
func (w *World) Heard(channel, thread, text string) Message {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var found Message
	err := w.Slack.Wait(ctx, func(s sandbox.State) bool {
		there := s.Messages(channel)
		if thread != "" {
			there = s.Thread(channel, thread)
		}
		i := slices.IndexFunc(there, func(m Message) bool { return m.BotID != "" && strings.Contains(m.Visible(), text) })
		if i >= 0 {
			found = there[i]
		}
		return i >= 0
	})
	if err != nil {
		w.T.Fatalf("in %s %s nobody heard %q, but %q", channel, thread, text, visible(w.Slack.AllMessages(channel)))
	}
	return found
}

// Said are the bot's messages in a channel and its threads that have a text.
func (w *World) Said(channel, text string) []Message {
	return slices.DeleteFunc(w.Slack.AllMessages(channel), func(m Message) bool {
		return m.BotID == "" || !strings.Contains(m.Visible(), text)
	})
}

// RunOf waits for a run of a job with these values among its parameters, name
// and value in turn.
func (w *World) RunOf(job string, values ...string) *apiv1.Run {
	w.T.Helper()
	var found *apiv1.Run
	w.Eventually("a run of "+job+" with "+strings.Join(values, " "), func() bool {
		for _, r := range w.All() {
			if r.GetJob() == job && has(r.GetParameters(), values) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func has(parameters map[string]string, values []string) bool {
	for i := 0; i+1 < len(values); i += 2 {
		if parameters[values[i]] != values[i+1] {
			return false
		}
	}
	return true
}

// JobsOf are all runs of a job, newest first.
func (w *World) JobsOf(job string) []*apiv1.Run {
	w.T.Helper()
	return slices.DeleteFunc(w.All(), func(r *apiv1.Run) bool { return r.GetJob() != job })
}

// CLI runs one command of the command line against this world and returns its
// exit code and everything that it said.
func (w *World) CLI(args ...string) (code int, said string) {
	w.T.Helper()
	p := launch(w.T, "slipway "+args[0], w.Dir, w.binary("slipway"), untouched(), append(args, "--server", "http://"+w.Address()))
	code = p.ExitCode()
	return code, p.Output()
}

// Call waits for a call of Slack's that is as wanted, and returns the first.
func (w *World) Call(name string, ok func(sandbox.Entry) bool) sandbox.Entry {
	w.T.Helper()
	var found sandbox.Entry
	w.Eventually("a call of "+name, func() bool {
		all := w.Slack.Journal()
		i := slices.IndexFunc(all, func(e sandbox.Entry) bool { return e.Name == name && ok(e) })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}
