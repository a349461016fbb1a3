package grammar_test

import (
	"testing"

	"github.com/slipway-hq/slipway/domain/grammar"
)

func TestPressSurvivesItsButton(t *testing.T) {
	for _, want := range []grammar.Press{
		{Action: "cancel", Run: "d-abc", Sequence: 7},
		{Action: "answer", Run: "d-abc", Sequence: 1<<64 - 1, Extra: "a|b|"},
	} {
		id, value := grammar.EncodePress(want)
		for _, suffix := range []string{"", ":2", ":x:y"} {
			if got, ok := grammar.DecodePress(id+suffix, value); !ok || got != want {
				t.Errorf("DecodePress(%q, %q) = %+v, %v, want %+v", id+suffix, value, got, ok, want)
			}
		}
	}
}

func TestForeignButtonsAreNotPresses(t *testing.T) {
	for _, b := range [][2]string{
		{"", ""}, {"a", "d-abc|1|"}, {"slipway:", "d-abc|1|"}, {"slipway:cancel", ""}, {"slipway:cancel", "d-abc"},
		{"slipway:cancel", "d-abc|1"}, {"slipway:cancel", "d-abc|x|"}, {"slipway:cancel", "|1|"},
		{"slipway:cancel", "d-abc|-1|"}, {"slipway:choice:1", "d-abc|1|"},
	} {
		if got, ok := grammar.DecodePress(b[0], b[1]); ok {
			t.Errorf("DecodePress(%q, %q) = %+v, want none", b[0], b[1], got)
		}
	}
}

func TestChoiceSurvivesItsButton(t *testing.T) {
	id, value := grammar.EncodeChoice(3, "deploy web to staging")
	if got, ok := grammar.DecodeChoice(id, value); !ok || got != "deploy web to staging" {
		t.Errorf("DecodeChoice(%q, %q) = %q, %v", id, value, got, ok)
	}
	if _, ok := grammar.DecodeChoice("slipway:cancel", "d-abc|1|"); ok {
		t.Error("a press was taken for a choice")
	}
}
