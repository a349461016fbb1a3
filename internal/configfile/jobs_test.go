package configfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/configfile"
)

func TestEveryKeyOfJobsArrives(t *testing.T) {
	c, problems := configfile.Parse("jobs.yaml", data(t, "jobs.yaml"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	three := 3
	member, room := pipeline.Allow{Users: []string{"U012AB3CD"}}, pipeline.Allow{Channels: []string{"C012AB3CD"}}
	text := func(p pipeline.Parameter) pipeline.Param { return pipeline.Param{Parameter: p} }
	deploy := pipeline.Job{
		Help: "deploys the site", Shell: "./deploy {branch} {times} {loud} --token {token} --in {where}",
		Params: map[string]pipeline.Param{
			"branch": text(pipeline.Parameter{Default: new("main"), Pattern: "[a-z/]+", Help: "what to deploy"}),
			"times":  text(pipeline.Parameter{Type: pipeline.TypeInt}),
			"loud":   text(pipeline.Parameter{Type: pipeline.TypeBool, Default: new("no")}),
			"where":  text(pipeline.Parameter{Type: pipeline.TypeEnum, Values: []string{"eu", "us"}, Default: new("eu")}),
			"token":  {Parameter: pipeline.Parameter{Type: pipeline.TypeSecret}, Secret: pipeline.Secret{Env: "OP_TOKEN"}},
		},
		Restricted: true, Allow: room, Override: member, Timeout: 10 * time.Minute, QueueTimeout: 2 * time.Hour, Grace: 5 * time.Second,
		Retry: pipeline.Retry{Attempts: 2}, Env: map[string]string{"WHAT": "{branch}"}, EnvFrom: []string{"GOCACHE"},
		Secrets: map[string]pipeline.Secret{"KEY": {File: "/run/key"}}, Dir: "src", Resume: "ask", OutputLimit: 1 << 20,
		Lane: "{namespace}-deploys", Pool: "default", Priority: &three, Dedupe: pipeline.Dedupe{Policy: "merge", MaxDelay: 30 * time.Minute},
		Report: pipeline.Report{Success: new(false), LogsChannel: new(""), Escalate: new(true), Card: "always"},
		Mirror: &pipeline.Mirror{},
	}
	op := pipeline.Namespace{
		Description: "OpenPrescribing", Allow: member, Override: room, Reminders: true, DefaultChannel: "#team-op",
		Source: pipeline.JobSource{Git: &pipeline.Git{URL: "https://git.example/op.git", Ref: "main"}, OnFailure: "last_good"},
		Env:    map[string]string{"REGION": "eu"}, Pool: "jobs", Mirror: pipeline.Mirror{Reaction: "hourglass_flowing_sand"},
		Jobs: map[string]pipeline.Job{
			"deploy": deploy,
			"list": {
				Steps:  []pipeline.Step{{Name: "count", Argv: []string{"./count", "{from}"}}, {Name: "show", Shell: "cat counted"}},
				Params: map[string]pipeline.Param{"from": text(pipeline.Parameter{Default: new("")})},
				Source: &pipeline.JobSource{Fabfile: "https://files.example/fabfile.py", SHA256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
				Report: pipeline.Report{Stdout: true, Format: "blocks", SuppressEmpty: true},
			},
			"fetch": {Argv: []string{"./tool", "{job}"}, Source: &pipeline.JobSource{URL: "https://files.example/tool", OnFailure: "fail"}},
		},
		Commands: []pipeline.Command{
			{Match: "deploy [times] times", Job: "deploy", Delay: time.Minute, Help: "deploys", Aliases: []string{"ship [times] times"}, Values: map[string]string{"branch": "main"}},
			{Match: "deploy hold [start] [end]", Job: "deploy", Action: "hold", Overrides: []string{"deploy [times] times"}},
			{Match: "deploy release", Job: "deploy", Action: "release"},
			{Match: "deploy cancel", Job: "deploy", Action: "cancel"},
			{Match: "list [from]", Job: "list", Action: "run"},
		},
		Webhooks: map[string]pipeline.Webhook{
			"site": {
				Project: "openprescribing", Secrets: []pipeline.Secret{{Env: "GITHUB_SECRET"}, {File: "/run/old"}}, AllowSHA1: true, Channel: "C012AB3CD",
				Rules: []pipeline.WebhookRule{{
					Job: "deploy", Events: []string{"pull_request"}, Actions: []string{"closed"}, Merged: new(true), Branches: []string{"main", "release/*"},
					Repositories: []string{"acme/site"}, Paths: []string{"web/*"}, Where: map[string]string{"sender.login": "bot"},
					Params: map[string]string{"branch": "pull_request.base.ref", "times": "=1", "where": "=us"}, Delay: time.Minute,
				}},
			},
			"other": {Kind: "generic", Secrets: []pipeline.Secret{{Env: "OTHER"}}, Rules: []pipeline.WebhookRule{{Job: "fetch"}}},
		},
		Schedules: map[string]pipeline.Schedule{
			"nightly": {
				Job: "deploy", Cron: "0 3 * * 1-5", Zone: "Europe/London", Params: map[string]string{"times": "2"}, Channel: "#ops",
				Misfire: pipeline.Misfire{Policy: "all", Grace: 5 * time.Minute, Limit: 3}, Paused: true,
			},
			"once": {Job: "fetch", At: "2026-12-24 18:00"},
		},
	}
	want := pipeline.Config{
		Namespaces: map[string]pipeline.Namespace{"op": op},
		Relays: map[string]pipeline.Relay{"support": {
			Keywords: []string{"tech-support"}, Channel: "#tech-support", Reaction: "sos", DirectRefusal: "Please ask in the channel.", Commands: true, Away: "Nobody is here.",
		}},
		Slack: pipeline.Slack{Accepted: "crossed_fingers", LogsChannel: "#logs", SupportChannel: "C012AB3CD", JoinChannels: true},
		Lanes: map[string]pipeline.Lane{"op-deploys": {Concurrency: 4, PerRunner: 1, PerNamespace: 2, PerJob: 3, Turns: true}},
		Pools: map[string]pipeline.Pool{"jobs": {Help: "small ones"}},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if _, _, err := pipeline.ResolveJob(c, pipeline.JobRequest{Namespace: "op", Job: "deploy", Params: map[string]string{"times": "1"}}); err != nil {
		t.Error(err)
	}
}

func TestLoadFindsTheSourcesOfJobsBesideTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.yaml")
	text := "namespaces: {n: {source: {path: ./here}, jobs: {a: {run: ls}, b: {run: ls, source: {path: there}}}}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, problems := configfile.Load(path)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	n := f.Config.Namespaces["n"]
	if n.Source.Path != filepath.Join(filepath.Dir(path), "here") || n.Jobs["b"].Source.Path != filepath.Join(filepath.Dir(path), "there") {
		t.Errorf("%+v", n)
	}
}
