package request_test

import (
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/domain/identity"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

func said(command, text string) *commandv1.Envelope {
	return &commandv1.Envelope{Identity: "slash|T1|x", Body: &commandv1.Envelope_Sentence{Sentence: &commandv1.Sentence{Command: command, Text: text}}}
}

func pressed(action string) *commandv1.Envelope {
	return &commandv1.Envelope{Identity: "press|x", Body: &commandv1.Envelope_Press{Press: &commandv1.Press{Action: action, Run: "d-abc"}}}
}

func TestWhatChangesSomethingIsStored(t *testing.T) {
	for name, c := range map[string]struct {
		env     *commandv1.Envelope
		need    request.Need
		deploys bool
	}{
		"deploy":         {said("/deploy", "web to staging"), request.Store, true},
		"bare deploy":    {said("/deploy", ""), request.Store, true},
		"slipway deploy": {said("/slipway", "deploy web"), request.Store, true},
		"mention deploy": {said("@", "deploy web"), request.Store, true},
		"cancel":         {said("/slipway", "cancel d-abcde"), request.Store, false},
		"retry":          {said("/slipway", "retry d-abcde"), request.Store, false},
		"status":         {said("/check_status", ""), request.Ask, false},
		"lanes":          {said("/slipway", "lanes"), request.Ask, false},
		"logs":           {said("/slipway", "logs d-abcde"), request.Ask, false},
		"help":           {said("/slipway", "help"), request.Ask, false},
		"help on a verb": {said("/slipway", "help retry"), request.Say, false},
		"nothing":        {said("/slipway", ""), request.Ask, false},
		"unknown":        {said("/slipway", "frobnicate!"), request.Say, false},
		"job":            {said("@", "web deploy --in 5m"), request.Store, false},
		"namespace help": {said("@", "web help"), request.Ask, false},
		"hold":           {said("@", "hold web/deploy 11:20-11:30"), request.Store, false},
		"release":        {said("@", "release web/deploy"), request.Store, false},
		"schedule":       {said("@", "schedule pause web/nightly"), request.Store, false},
		"away":           {said("@", "ooo off"), request.Store, false},
		"schedules":      {said("@", "schedules"), request.Ask, false},
		"jobs":           {said("@", "jobs"), request.Ask, false},
		"history":        {said("@", "history web"), request.Ask, false},
		"two lines":      {said("@", "web deploy\nnow"), request.Say, false},
		"too long":       {said("/deploy", strings.Repeat("x", 10000)), request.Say, false},
		"press cancel":   {pressed("cancel"), request.Store, false},
		"press retry":    {pressed("retry"), request.Store, false},
		"press answer":   {pressed("answer"), request.Store, false},
		"press logs":     {pressed("logs"), request.Ask, false},
	} {
		v := request.Judge(c.env)
		if v.Need != c.need || v.Deploys != c.deploys {
			t.Errorf("%s: %+v, want need %v, deploys %v", name, v, c.need, c.deploys)
		}
		if v.Need == request.Say && (v.Answer.GetText() == "" || v.Answer.GetVisibility() != commandv1.Answer_VISIBILITY_PRIVATE) {
			t.Errorf("%s: answer %v, want a private word", name, v.Answer)
		}
	}
}

func TestBadTextIsShownHarmlessly(t *testing.T) {
	v := request.Judge(said("/slipway", "<!channel> `x`"))
	if v.Need != request.Say || strings.Contains(v.Answer.GetText(), "<!") || strings.Contains(v.Answer.GetText(), "@channel") {
		t.Errorf("answer %q", v.Answer.GetText())
	}
}

func TestWordsNameTheRunOnlyWhenThereWillBeOne(t *testing.T) {
	deploy, cancel := said("/deploy", "web"), said("/slipway", "cancel d-abcde")
	id := identity.RunID(identity.Deployment, deploy.GetIdentity())
	for _, words := range []func(*commandv1.Envelope, request.Verdict) *commandv1.Answer{request.Stored, request.NotConfirmed} {
		if a := words(deploy, request.Judge(deploy)); a.GetRun() != id || !strings.Contains(a.GetText(), identity.Short(id)) {
			t.Errorf("deploy: %v, want it to name %s", a, id)
		}
		if a := words(cancel, request.Judge(cancel)); a.GetRun() != "" || strings.Contains(a.GetText(), "d-") {
			t.Errorf("cancel: %v, want no id", a)
		}
	}
}

func TestHelpHasWordsEvenWhenNobodyAnswers(t *testing.T) {
	if v := request.Judge(said("/slipway", "help web")); !strings.Contains(v.Answer.GetText(), "deploy") {
		t.Errorf("verdict %+v", v)
	}
	if v := request.Judge(said("/slipway", "status")); v.Answer != nil {
		t.Errorf("verdict %+v", v)
	}
}

func TestWordsOfAJobPromiseNoRun(t *testing.T) {
	job := said("@", "web deploy")
	for _, words := range []func(*commandv1.Envelope, request.Verdict) *commandv1.Answer{request.Stored, request.NotConfirmed} {
		if a := words(job, request.Judge(job)); a.GetRun() != "" || a.GetText() == "" || strings.Contains(a.GetText(), "card") {
			t.Errorf("job: %v", a)
		}
	}
}
