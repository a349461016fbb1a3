package notifier

import (
	"strings"
	"testing"
	"time"
)

func TestAClockThatEndangersSignaturesIsSaid(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		theirs time.Time
		ok     bool
		says   string
	}{
		"same":    {now.Add(-3 * time.Second), true, "within"},
		"ahead":   {now.Add(-3 * time.Minute), false, "3m0s"},
		"behind":  {now.Add(4 * time.Minute), false, "-4m0s"},
		"unknown": {time.Time{}, true, "does not say"},
	} {
		f := checkClock(c.theirs, now)
		if f.OK != c.ok || !strings.Contains(f.Finding, c.says) || !f.OK && f.Remedy == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
