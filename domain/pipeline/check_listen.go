package pipeline

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what listeners wait for.
const (
	// MaxMatch is the longest match of a listener, in bytes.
	MaxMatch = 500
)

// DefaultEveryTimeout is how long a run waits for its runner that was asked
// together with every other, where the job does not say: the lease of one that is
// gone lapses before, and what waits keeps a slot.
const DefaultEveryTimeout = time.Minute

// ListenMatch compiles the match of a listener: the whole text, in any case, and
// a dot stands for the end of a line as well.
func ListenMatch(match string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(match); err != nil {
		return nil, err
	}
	return regexp.Compile(`(?is)^(?:` + match + `)$`)
}

// group is the named group that Runners takes a runner's name from, if it does.
func (l Listener) group() (name string, ok bool) {
	name, ok = strings.CutPrefix(l.Runners, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, ok && closed
}

// Every tells whether each runner is asked.
func (l Listener) Every() bool { return l.Runners == RunnersEvery }

// Only is the name of the one runner that is asked, by the configuration or by a
// part of the message; empty: any that fits. What a message says is a name and
// nothing else.
func (l Listener) Only(parts map[string]string) (name string, byMessage bool) {
	if part, ok := l.group(); ok {
		return parts[part], true
	}
	if l.Runners == RunnersOne || l.Every() {
		return "", false
	}
	return l.Runners, false
}

func (k *checker) listeners(base []string, namespace string, n Namespace) {
	k.tooMany(at(base, "listen"), len(n.Listen), MaxListeners)
	k.twins(at(base, "listen"), names(n.Listen))
	for _, name := range names(n.Listen) {
		path := at(base, "listen", name)
		k.name(path, name)
		k.listener(path, namespace, n, n.Listen[name])
	}
}

func (k *checker) listener(base []string, namespace string, n Namespace, l Listener) {
	for i, channel := range l.Channels {
		if channel == "" {
			k.fault(at(base, "channels", strconv.Itoa(i)), "it is empty")
		}
		k.channel(at(base, "channels", strconv.Itoa(i)), channel)
	}
	k.tooMany(at(base, "channels"), len(l.Channels), MaxAllow)
	k.from(at(base, "from"), l.From)
	if l.Attachments && len(l.From.Bots) == 0 {
		k.fault(at(base, "attachments"), "people do not post attachments: name the bots whose posts have them under from, bots")
	}
	if l.Deletes && l.Edits {
		k.fault(at(base, "edits"), "with deletes only what is removed counts; make it two listeners")
	}
	groups, ok := k.match(at(base, "match"), l.Match)
	if !ok {
		return
	}
	runner, byMessage := l.group()
	if byMessage {
		k.reference(at(base, "runners"), "named part of the match", runner, groups)
		if _, taken := n.Jobs[l.Job].Params[runner]; !taken {
			groups = slices.DeleteFunc(groups, func(g string) bool { return g == runner })
		}
	} else {
		k.target(at(base, "runners"), namespace, l)
	}
	job, known := n.Jobs[l.Job]
	switch {
	case l.Job == "":
		k.fault(at(base, "job"), "it needs a job to start")
	case !known:
		k.reference(at(base, "job"), "job", l.Job, names(n.Jobs))
	default:
		k.gives(base, "values", l.Job, job, l.Values, groups, "match")
	}
}

// match checks a match and returns its named groups.
func (k *checker) match(path []string, match string) (groups []string, ok bool) {
	re, err := ListenMatch(match)
	switch {
	case match == "":
		k.fault(path, "it needs a match: the text to wait for, or a regular expression (RE2)")
		return nil, false
	case len(match) > MaxMatch:
		k.fault(path, "it is longer than %d bytes", MaxMatch)
		return nil, false
	case err != nil:
		k.fault(path, "it is not a regular expression: %v", err)
		return nil, false
	case re.MatchString(""):
		k.fault(path, "it fits an empty message, and so any")
		return nil, false
	}
	for _, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if slices.Contains(groups, name) {
			k.fault(path, "two parts of it are named %q", name)
			return nil, false
		}
		groups = append(groups, name)
	}
	return groups, true
}

// target checks which runners are asked.
func (k *checker) target(path []string, namespace string, l Listener) {
	switch l.Runners {
	case "", RunnersOne:
	case RunnersEvery:
		lane := k.config.JobLane(namespace, l.Job)
		if n := k.config.LaneSettings(lane).GetConcurrency(); n < 2 {
			k.fault(path, "each runner is to run it at the same time, and its lane %q allows %d: say how many under lanes, %s, concurrency", lane, n, strconv.Quote(lane))
		}
	default:
		if len(l.Runners) > MaxName || strings.ContainsFunc(l.Runners, forbidden) || strings.ContainsAny(l.Runners, "{} ") {
			k.fault(path, "%q is none of %s, %s, the name of a runner, and a named part of the match such as {host}", l.Runners, RunnersOne, RunnersEvery)
		}
	}
}

var botForm = regexp.MustCompile(`^[AB][A-Z0-9]{1,30}$`)

// slackbotID is Slackbot's in every workspace: it speaks for anybody.
const slackbotID = "B01"

func (k *checker) from(path []string, f From) {
	k.tooMany(at(path, "bots"), len(f.Bots), MaxBots)
	for i, id := range f.Bots {
		if !botForm.MatchString(id) || id == slackbotID {
			k.fault(at(path, "bots", strconv.Itoa(i)), "%q is not the id of a bot or an app, such as B012AB3CD or A012AB3CD; names can be taken by anybody, ids cannot", id)
		}
	}
	if !f.AcceptsPeople() && len(f.Bots) == 0 {
		k.fault(path, "nobody is left whose messages count")
	}
}
