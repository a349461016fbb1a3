package run_test

import (
	"errors"
	"testing"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// A card may be older than the run: its button answers what it asked.
func TestAWordOnAnEarlierQuestionIsNoneOnThisOne(t *testing.T) {
	s := run.State{Status: run.Waiting, Question: &run.Question{Asked: 9}}
	done := run.Answer{Answer: eventv1.StepAnswered_ANSWER_DONE, Seen: 8}
	if events, err := run.Decide(s, done); !errors.Is(err, run.ErrNoAsk) || len(events) != 0 {
		t.Errorf("%v, %v", events, err)
	}
	done.Seen = 9
	if events, err := run.Decide(s, done); err != nil || len(events) != 1 {
		t.Errorf("%v, %v", events, err)
	}
}
