package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/schedule"
)

// The nights on which the clocks change, as the ticks that people see: local
// time, zone and distance to the tick before.
func TestSpecOnTheNightsTheClocksChange(t *testing.T) {
	for _, c := range []struct {
		name, cron, zone, from string
		want                   []string
	}{
		// London: 01:00–02:00 is left out on 29 March 2026, and happens twice on 25 October.
		{"gap", "30 1 * * *", "Europe/London", "2026-03-28 12:00", []string{"29 02:00 BST", "30 01:30 BST"}},
		{"gap, several at once", "0,15,30 1 * * *", "Europe/London", "2026-03-28 12:00", []string{"29 02:00 BST", "30 01:00 BST", "30 01:15 BST"}},
		{"gap, beside it", "59 0,1,2 * * *", "Europe/London", "2026-03-28 12:00", []string{"29 00:59 GMT", "29 02:00 BST", "29 02:59 BST"}},
		{"gap, the tick after it", "0 1-3 * * *", "Europe/London", "2026-03-28 12:00", []string{"29 02:00 BST", "29 03:00 BST", "30 01:00 BST"}},
		{"gap, cadence", "*/15 * * * *", "Europe/London", "2026-03-29 00:30", []string{"29 00:45 GMT", "29 02:00 BST", "29 02:15 BST"}},
		{"gap, cadence in some hours", "*/15 0-5 * * *", "Europe/London", "2026-03-29 00:30", []string{"29 00:45 GMT", "29 02:00 BST", "29 02:15 BST"}},
		{"gap, hourly", "5 * * * *", "Europe/London", "2026-03-28 23:30", []string{"29 00:05 GMT", "29 02:05 BST", "29 03:05 BST"}},
		{"twice", "30 1 * * *", "Europe/London", "2026-10-24 12:00", []string{"25 01:30 BST", "26 01:30 GMT"}},
		{"twice, every other hour", "0 1-23/2 * * *", "Europe/London", "2026-10-24 23:30", []string{"25 01:00 BST", "25 03:00 GMT"}},
		{"twice, cadence", "*/30 * * * *", "Europe/London", "2026-10-25 00:15", []string{"25 00:30 BST", "25 01:00 BST", "25 01:30 BST", "25 01:00 GMT", "25 01:30 GMT", "25 02:00 GMT"}},
		{"twice, cadence in some hours", "*/30 1 * * *", "Europe/London", "2026-10-25 00:15", []string{"25 01:00 BST", "25 01:30 BST", "25 01:00 GMT", "25 01:30 GMT", "26 01:00 GMT"}},
		{"twice, hourly", "@hourly", "Europe/London", "2026-10-25 00:15", []string{"25 01:00 BST", "25 01:00 GMT", "25 02:00 GMT"}},

		// New York: 02:00–03:00 is left out on 8 March, 01:00–02:00 happens twice on 1 November.
		{"gap", "30 2 * * *", "America/New_York", "2026-03-07 12:00", []string{"08 03:00 EDT", "09 02:30 EDT"}},
		{"gap on a Sunday alone", "0 2 * * SUN", "America/New_York", "2026-03-07 12:00", []string{"08 03:00 EDT", "15 02:00 EDT"}},
		{"gap on another day", "0 2 * * MON", "America/New_York", "2026-03-07 12:00", []string{"09 02:00 EDT"}},
		{"gap, every other hour", "0 */2 * * *", "America/New_York", "2026-03-07 23:30", []string{"08 00:00 EST", "08 03:00 EDT", "08 04:00 EDT"}},
		{"twice", "0 1 * * *", "America/New_York", "2026-10-31 12:00", []string{"01 01:00 EDT", "02 01:00 EST"}},
		{"twice, cadence", "*/15 * * * *", "America/New_York", "2026-11-01 01:40", []string{"01 01:45 EDT", "01 01:00 EST", "01 01:15 EST"}},

		// Lord Howe moves by half an hour: 02:00–02:30 is left out on 4 October,
		// 01:30–02:00 happens twice on 5 April.
		{"half a gap", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", []string{"04 02:30 +11", "05 02:15 +11"}},
		{"after half a gap", "45 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", []string{"04 02:45 +11"}},
		{"half a gap, cadence", "*/15 * * * *", "Australia/Lord_Howe", "2026-10-04 01:40", []string{"04 01:45 +1030", "04 02:30 +11", "04 02:45 +11"}},
		{"half an hour twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", []string{"05 01:45 +11", "06 01:45 +1030"}},
		{"half an hour once", "15 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", []string{"05 01:15 +11", "06 01:15 +1030"}},
		{"half an hour twice, cadence", "*/15 * * * *", "Australia/Lord_Howe", "2026-04-05 01:20", []string{"05 01:30 +11", "05 01:45 +11", "05 01:30 +1030", "05 01:45 +1030", "05 02:00 +1030"}},

		// No clock is changed here.
		{"no change", "30 9 * * *", "Asia/Kolkata", "2026-03-28 12:00", []string{"29 09:30 IST", "30 09:30 IST"}},
		{"no change", "0 */6 * * *", "", "2026-03-28 12:00", []string{"28 18:00 UTC", "29 00:00 UTC"}},
		{"either day", "0 12 13 * FRI", "", "2026-02-01 00:00", []string{"06 12:00 UTC", "13 12:00 UTC", "20 12:00 UTC"}},
	} {
		t.Run(strings.ReplaceAll(c.zone, "/", " ")+" "+c.name+" "+strings.ReplaceAll(c.cron, "/", "÷"), func(t *testing.T) {
			spec := cronSpec(t, c.cron, c.zone)
			at := local(t, c.from, spec.Zone())
			var got []string
			for range c.want {
				at = spec.Next(at)
				got = append(got, at.In(spec.Zone()).Format("02 15:04 MST"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One that ticks every quarter of an hour does so for ever, whatever the clock shows.
func TestSpecEveryQuarterOfAnHourIsEvenInRealTime(t *testing.T) {
	for _, zone := range []string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", ""} {
		spec := cronSpec(t, "*/15 * * * *", zone)
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 366 * 24 * 4 {
			next := spec.Next(at)
			if next.Sub(at) != 15*time.Minute {
				t.Fatalf("%s: %s follows %s", zone, next, at)
			}
			at = next
		}
	}
}

// A time of the day ticks once a day, on every day of the year.
func TestSpecOfATimeOfTheDayTicksOnceADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago", "Africa/Casablanca"}).Draw(t, "zone")
		text := fmt.Sprintf("%d %d * * *", rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 23).Draw(t, "hour"))
		spec, err := schedule.ParseSpec(text, "", zone)
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // of the calendar: some days have no midnight
		at := time.Date(2025, 12, 31, 23, 59, 59, 0, spec.Zone())
		for range 365 {
			at = spec.Next(at)
			if got := at.In(spec.Zone()).Format(time.DateOnly); got != day.Format(time.DateOnly) {
				t.Fatalf("%s %s: ticks on %s, want %s", text, zone, got, day.Format(time.DateOnly))
			}
			day = day.AddDate(0, 0, 1)
		}
	})
}

// Next is the earliest: asking from any moment before it gives the same.
func TestSpecNextIsLaterAndTheEarliest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"Europe/London", "Australia/Lord_Howe", ""}).Draw(t, "zone")
		text := rapid.SampledFrom([]string{"*/7 * * * *", "30 1 * * *", "15,45 1,2 * * *", "0 */3 * * *", "*/10 1-3 * * 0", "@monthly", "0 2 29 2 *"}).Draw(t, "cron")
		spec, err := schedule.ParseSpec(text, "", zone)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, 400*24*3600*1000).Draw(t, "after")) * time.Millisecond)
		next := spec.Next(after)
		if !next.After(after) {
			t.Fatalf("%s is not after %s", next, after)
		}
		between := after.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(after))-1).Draw(t, "between")))
		if got := spec.Next(between); !got.Equal(next) {
			t.Fatalf("after %s comes %s, but after %s %s", after, next, between, got)
		}
	})
}

func TestSpecOfOneMoment(t *testing.T) {
	for _, c := range []struct{ at, zone, want string }{
		{"2026-12-24 18:00", "", "2026-12-24T18:00:00Z"},
		{"2026-12-24T18:00:30", "Asia/Kolkata", "2026-12-24T12:30:30Z"},
		{"2026-03-29 01:30", "Europe/London", "2026-03-29T01:00:00Z"}, // does not exist: the end of the gap
		{"2026-10-25 01:30", "Europe/London", "2026-10-25T00:30:00Z"}, // happens twice: the first
		{"2026-10-04 02:10", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
		{"2026-04-05 01:45", "Australia/Lord_Howe", "2026-04-04T14:45:00Z"},
	} {
		spec, err := schedule.ParseSpec("", c.at, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		moment := spec.Next(time.Time{})
		if got := moment.Format(time.RFC3339); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.at, c.zone, got, c.want)
		}
		if again := spec.Next(moment); !again.IsZero() {
			t.Errorf("%s %s happens again at %s", c.at, c.zone, again)
		}
	}
}

func TestSpecRefusesWhatItCannotKeep(t *testing.T) {
	for _, c := range []struct{ cron, at, zone, want string }{
		{"", "", "", "no time"},
		{"* * * * *", "2026-12-24 18:00", "", "two times"},
		{"* * * *", "", "", "expected exactly 5 fields, found 4"},
		{"* * * * * *", "", "", "expected exactly 5 fields, found 6"},
		{"61 * * * *", "", "", "above maximum (59)"},
		{"0 25 * * *", "", "", "above maximum (23)"},
		{"0 0 30 2 *", "", "", "never comes"},
		{", * * * *", "", "", "empty field"},
		{"@every 5m", "", "", "@every"},
		{"@reboot", "", "", "unrecognized descriptor"},
		{"TZ=UTC", "", "", "names a zone"},
		{"CRON_TZ=Europe/London 0 5 * * *", "", "", "names a zone"},
		{"* * * * *", "", "Mars/Olympus", "no time zone"},
		{"* * * * *", "", "Local", "no time zone"},
		{"", "tomorrow", "", "no moment"},
		{"", "2026-02-30 10:00", "", "no moment"},
		{strings.Repeat("1,", 200) + "1 * * * *", "", "", "longer than"},
	} {
		_, err := schedule.ParseSpec(c.cron, c.at, c.zone)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q %q: %v, want %q", c.cron, c.at, c.zone, err, c.want)
		}
	}
}

func TestSpecTextIsItsMeaning(t *testing.T) {
	a, b := cronSpec(t, " 5  4 * * * ", "Europe/London"), cronSpec(t, "5 4 * * *", "Europe/London")
	if a.Text() != b.Text() || a.Text() != "5 4 * * * Europe/London" {
		t.Errorf("%q and %q", a.Text(), b.Text())
	}
	if c := cronSpec(t, "5 4 * * *", ""); c.Text() != "5 4 * * * UTC" {
		t.Errorf("%q", c.Text())
	}
}

func FuzzParseSpec(f *testing.F) {
	f.Add("*/5 1-3,7 * JAN-MAR 1", "Europe/London")
	f.Add("@daily", "UTC")
	f.Add("TZ=", "")
	f.Fuzz(func(t *testing.T, cron, zone string) {
		spec, err := schedule.ParseSpec(cron, "", zone)
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 29, 0, 59, 59, 1, time.UTC)
		if next := spec.Next(now); !next.After(now) {
			t.Errorf("%q %q: %s is not after %s", cron, zone, next, now)
		}
	})
}

func cronSpec(t *testing.T, cron, zone string) schedule.Spec {
	t.Helper()
	spec, err := schedule.ParseSpec(cron, "", zone)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func local(t *testing.T, text string, zone *time.Location) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
