package deploy

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-hq/slipway/internal/topology"
)

// users reads the permissions of every service as the server does.
func users(t *testing.T) map[string]*server.Permissions {
	t.Helper()
	services := []string{"slack-ingress", "orchestrator", "runner", "notifier", "bootstrap"}
	keys := map[string]string{}
	for i, name := range services {
		// A public key of a user: the server looks at its form alone.
		key := []string{
			"UCL7QT4G67UDZA6M4TTDLXE3VJ4E7ULJAOFEDC4YBTZXAQJRSQVMCBJA", "UBOKJQWV35R6NOAUP73IZY56YBH5D5ETP6OBFEWQKKXZPDBWV4IR7VK4",
			"UARVMVLGP2NRIF7HJXP6L3A653L2U7W4JHBTMWCCA3PMT6N3DHZICX3Y", "UCQVHKNRP442SU64M3OVH6S6TWNVEUX42HLBHRE6ER6O6BE5GWQD3OQR",
			"UDOWOCS6EWD2SJORSGXAYHTFWJU2HAQWS7VK4OGMQ56XHI5YTAZY7M3C",
		}[i]
		keys[key] = name
		t.Setenv("NKEY_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), key)
	}
	opts, err := server.ProcessConfigFile(filepath.Join("nats", "authorization.conf"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*server.Permissions{}
	for _, u := range opts.Nkeys {
		out[keys[u.Nkey]] = u.Permissions
	}
	if len(out) != len(services) {
		t.Fatalf("%d users, want %d", len(out), len(services))
	}
	return out
}

// matches follows NATS: * is one token, > is the rest.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s) || token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

// who may publish where, by what topology says of the subjects.
func TestOnlyWhoWritesASubjectMay(t *testing.T) {
	const ingress, orchestrator, runner, notifier = "slack-ingress", "orchestrator", "runner", "notifier"
	all := users(t)
	for subject, want := range map[string][]string{
		topology.RunSubject("d-1"):                {orchestrator, runner},
		topology.LaneSubject("a"):                 {orchestrator},
		topology.SubjectConfig:                    {orchestrator},
		topology.ScheduleSubject("a/b"):           {orchestrator},
		topology.RelaySubject("a"):                {orchestrator},
		topology.ListenSubject("a/b"):             {orchestrator},
		topology.InboxSubject("slash", "T1"):      {orchestrator, ingress}, // a dead letter is replayed
		topology.SubjectQuery:                     {ingress},
		topology.WorkSubject("default", "d-1"):    {orchestrator},
		topology.AnswerSubject("a", "b"):          {orchestrator},
		topology.NudgeSubject("a"):                {orchestrator},
		topology.OfferSubject("a"):                {orchestrator},
		topology.DeadSubject("orchestrator", "x"): {orchestrator},
		topology.LogSubject("d-1", 1, 1, 1):       {runner},
		topology.LeaseSubject("runner.a"):         {runner},
		topology.LeaseSubject("office.a"):         {notifier, orchestrator},
		"$KV." + topology.BucketCards + ".d-1.x":  {notifier},
	} {
		var got []string
		for name, p := range all {
			if slices.ContainsFunc(p.Publish.Allow, func(pattern string) bool { return matches(pattern, subject) }) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", subject, diff)
		}
	}
	for subject, want := range map[string]string{
		topology.SubjectQuery: orchestrator, topology.AnswerSubject("a", "b"): ingress, topology.NudgeSubject("a"): runner, topology.OfferSubject("a"): runner,
	} {
		for name, p := range all {
			if may := slices.ContainsFunc(p.Subscribe.Allow, func(pattern string) bool { return matches(pattern, subject) }); may != (name == want) {
				t.Errorf("%s hears %s: %v", name, subject, may)
			}
		}
	}
}

// TestNothingIsPermittedThatDoesNotExist: a stream, consumer or bucket that was
// renamed leaves no permission behind.
func TestNothingIsPermittedThatDoesNotExist(t *testing.T) {
	spec := topology.Topology(3, topology.LimitsFor(topology.DefaultStore), "default")
	streams := map[string]bool{}
	var subjects []string
	for _, s := range spec.Streams {
		streams[s.Name] = true
		subjects = append(subjects, s.Subjects...)
	}
	subjects = append(subjects, topology.SubjectQuery, topology.AnswerSubject("a", "b"), topology.NudgeSubject("a"), topology.OfferSubject("a"))
	for name, p := range users(t) {
		for _, pattern := range p.Publish.Allow {
			if !exists(pattern, streams, subjects) {
				t.Errorf("%s may publish to %s, which topology does not know", name, pattern)
			}
		}
	}
}

func exists(pattern string, streams map[string]bool, subjects []string) bool {
	tokens := strings.Split(pattern, ".")
	switch {
	case pattern == "$JS.API.INFO", pattern == "$JS.API.STREAM.LIST", pattern == "$JS.FC.>", pattern == "$JS.API.CONSUMER.CREATE.>":
		return true
	case tokens[0] == "$JS": // one of the tokens is the name of a stream
		return slices.ContainsFunc(tokens[2:], func(token string) bool { return streams[token] || token == "*" })
	}
	return slices.ContainsFunc(subjects, func(known string) bool { return overlap(known, pattern) })
}

// overlap tells whether some subject matches both patterns.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		switch {
		case x[i] == ">" || y[i] == ">":
			return true
		case x[i] != "*" && y[i] != "*" && x[i] != y[i]:
			return false
		}
	}
	return len(x) == len(y)
}
