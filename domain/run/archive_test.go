package run_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// What lists show, and what keeps an id from being used again, survives when a
// run's checkpoint is all that is left of it; and nothing is decided any more.
func TestACheckpointStandsForTheRun(t *testing.T) {
	statuses := []run.Status{run.Succeeded, run.Failed, run.Cancelled, run.TimedOut, run.Refused, run.Merged}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z]{0,6}`)
		moment := func(name string) time.Time {
			if rapid.Bool().Draw(t, name) {
				return time.Time{}
			}
			return time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, name+" at"), 5).UTC()
		}
		s := run.State{
			ID: "d-a", Identity: text.Draw(t, "identity"), Digest: []byte("digest"), Service: text.Draw(t, "service"), Environment: text.Draw(t, "environment"),
			Version: text.Draw(t, "version"), Parameters: map[string]string{"k": text.Draw(t, "parameter")}, Namespace: text.Draw(t, "namespace"), Job: text.Draw(t, "job"),
			Plan:      &eventv1.Plan{Lane: text.Draw(t, "lane"), Restricted: rapid.Bool().Draw(t, "restricted")},
			Requester: &eventv1.Principal{User: text.Draw(t, "user")}, Origin: &eventv1.Origin{Source: text.Draw(t, "source")},
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), Reason: text.Draw(t, "reason"), Code: text.Draw(t, "code"), MergedInto: text.Draw(t, "into"),
			Created: moment("created"), Started: moment("started"), Finished: moment("finished"), Sequence: 7,
		}
		events, err := run.Decide(s, run.Archive{Object: "archive/x", Versions: 3, Request: 5, End: 7})
		if err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
		left := run.Fold(run.State{}, run.At{Sequence: 7}, events[0])
		want := s
		want.Archived = true
		if !proto.Equal(left.Plan, want.Plan) || !proto.Equal(left.Requester, want.Requester) || !proto.Equal(left.Origin, want.Origin) {
			t.Fatalf("left is %+v", left)
		}
		if left.ID != want.ID || left.Identity != want.Identity || string(left.Digest) != string(want.Digest) || left.Name() != want.Name() || left.Status != want.Status ||
			left.Reason != want.Reason || left.Code != want.Code || left.MergedInto != want.MergedInto || left.Parameters["k"] != want.Parameters["k"] || left.Sequence != 7 ||
			!left.Created.Equal(want.Created) || !left.Started.Equal(want.Started) || !left.Finished.Equal(want.Finished) || !left.Archived {
			t.Fatalf("left is %+v, of %+v", left, want)
		}
		whole := run.Fold(s, run.At{Sequence: 9}, events[0])
		for _, s := range []run.State{left, whole} {
			if again, err := run.Decide(s, run.Archive{}); err != nil || len(again) != 0 {
				t.Fatalf("archived twice: %v, %v", again, err)
			}
			same := &eventv1.RunRequested{Identity: s.Identity, Digest: s.Digest}
			if again, err := run.Decide(s, run.Request{Event: same}); err != nil || len(again) != 0 {
				t.Fatalf("the same request: %v, %v", again, err)
			}
			for _, c := range []run.Command{
				run.RequestCancel{}, run.Expire{}, run.TakeClaim{GrantSequence: 1}, run.BeginAttempt{}, run.FinishStep{}, run.FailStep{}, run.Stop{},
				run.Answer{}, run.Release{}, run.Lapse{}, run.Yield{}, run.Say{ID: "n", Received: s.Finished},
			} {
				if _, err := run.Decide(s, c); !errors.Is(err, run.ErrArchived) {
					t.Fatalf("%T: %v", c, err)
				}
			}
		}
	})
}

func TestOnlyWhatHasEndedIsArchived(t *testing.T) {
	for s := run.Queued; s <= run.Merged; s++ {
		if _, err := run.Decide(run.State{ID: "d-a", Status: s}, run.Archive{}); (err == nil) != s.Ended() {
			t.Errorf("%s: %v", s, err)
		}
	}
}
