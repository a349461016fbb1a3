package grammar_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/grammar"
)

func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// B28: what people type as a window, and what it means. Times are UTC; it is
// 10:00 UTC on Sunday the 22nd of November.
func TestWindows(t *testing.T) {
	london, amsterdam := zone(t, "Europe/London"), zone(t, "Europe/Amsterdam")
	const now = "2026-11-22 10:00"
	for _, c := range []struct {
		text        string
		zone        *time.Location
		from, until string
	}{
		{"11:20-11:30", nil, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"11:20–11:30", time.UTC, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"11:20 — 11:30", time.UTC, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"1120 to 1130", time.UTC, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"1120-1130", time.UTC, "2026-11-22 11:20", "2026-11-22 11:30"},
		{" from  11:20  until 11:30 ", time.UTC, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"9:30 to 11:00", time.UTC, "2026-11-22 09:30", "2026-11-22 11:00"}, // has begun
		{"11:20-11:30", amsterdam, "2026-11-22 10:20", "2026-11-22 10:30"},
		{"11:20-11:30 UTC", amsterdam, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"11:20Z to 11:30Z", amsterdam, "2026-11-22 11:20", "2026-11-22 11:30"},
		{"11:20-11:30 Europe/Amsterdam", london, "2026-11-22 10:20", "2026-11-22 10:30"},
		{"11:20-11:30 europe/amsterdam", london, "2026-11-22 10:20", "2026-11-22 10:30"},
		{"11:20+01:00 to 11:30+01:00", london, "2026-11-22 10:20", "2026-11-22 10:30"},
		{"11:20 Europe/Amsterdam to 10:30 UTC", london, "2026-11-22 10:20", "2026-11-22 10:30"},
		{"23:00-01:00", time.UTC, "2026-11-22 23:00", "2026-11-23 01:00"},
		{"2300 to 0100", time.UTC, "2026-11-22 23:00", "2026-11-23 01:00"},
		{"22:00-24:00", time.UTC, "2026-11-22 22:00", "2026-11-23 00:00"},
		{"2026-11-30 22:00 to 2026-12-01 06:00", time.UTC, "2026-11-30 22:00", "2026-12-01 06:00"},
		{"2026-11-30 22:00-2026-12-01 06:00", time.UTC, "2026-11-30 22:00", "2026-12-01 06:00"},
		{"2026-11-30T22:00Z to 2026-12-01T06:00Z", amsterdam, "2026-11-30 22:00", "2026-12-01 06:00"},
		{"2026-11-30 22:00 to 06:00", time.UTC, "2026-11-30 22:00", "2026-12-01 06:00"},
		{"2026-11-30 22:00 to 23:00", time.UTC, "2026-11-30 22:00", "2026-11-30 23:00"},
		{"12:00 to 2026-11-24 06:00", time.UTC, "2026-11-22 12:00", "2026-11-24 06:00"},
		{"tomorrow 09:00 to 10:00", time.UTC, "2026-11-23 09:00", "2026-11-23 10:00"},
		{"until 15:00", time.UTC, "2026-11-22 10:00", "2026-11-22 15:00"},
		{"until 09:00 Europe/London", time.UTC, "2026-11-22 10:00", "2026-11-23 09:00"},
		{"for 2h", time.UTC, "2026-11-22 10:00", "2026-11-22 12:00"},
		{"for 30 minutes", time.UTC, "2026-11-22 10:00", "2026-11-22 10:30"},
	} {
		from, until, err := grammar.ParseWindow(c.text, at(t, now), c.zone)
		if err != nil || !from.Equal(at(t, c.from)) || !until.Equal(at(t, c.until)) {
			t.Errorf("%q in %v = %v, %v, %v; want %s, %s", c.text, c.zone, from.UTC(), until.UTC(), err, c.from, c.until)
		}
	}
}

// B28: wrong input gets one corrective sentence.
func TestWindowsThatAreRefused(t *testing.T) {
	now := at(t, "2026-11-22 15:00")
	for text, says := range map[string]string{
		"":                                     "as a window",
		"lunch":                                "as a window",
		"11:20":                                "as a window",
		"16:00-17:00-18:00":                    "time zone",
		"16:00 to 17:00 Mars":                  "time zone `Mars`",
		"16:00 to 17:00 Europe/../etc":         "as a window",
		"16:00 to 17:00 Local":                 "time zone",
		"16:00 to 17:00 +19:00":                "time zone",
		"25:00 to 26:00":                       "no `25:00`",
		"16:00 to 16:60":                       "no `16:60`",
		"24:30 to 01:00":                       "no `24:30`",
		"2026-02-30 10:00 to 11:00":            "no `2026-02-30` in the calendar",
		"11:20-11:30":                          "over for today: it is 2026-11-22 15:00 UTC now. For tomorrow say `2026-11-23 11:20 to 2026-11-23 11:30 UTC`",
		"16:30-16:20":                          "ends before it begins. If you mean until tomorrow, say the dates: `2026-11-22 16:30 to 2026-11-23 16:20 UTC`",
		"16:30-16:30":                          "ends before it begins",
		"2026-11-21 10:00 to 2026-11-21 11:00": "is over",
		"2026-12-02 10:00 to 2026-12-01 11:00": "not after it begins",
		"2026-12-01 10:00 to 2026-12-01 10:00": "not after it begins",
		"2026-12-01 10:00 to 2027-01-01 10:00": "longer than 30 days",
		"2062-12-01 10:00 to 2062-12-01 11:00": "Is the year right",
		"for ever":                             "length of time",
		"for 31d":                              "length of time",
		"until then":                           "as a time",
		strings.Repeat("1", 5000):              "as a window",
		"16:00\x00-17:00":                      "as a window",
		"16:00-17:00\xff":                      "as a window",
	} {
		from, until, err := grammar.ParseWindow(text, now, time.UTC)
		var e *grammar.Error
		if !errors.As(err, &e) || e.Code == "" || !strings.Contains(e.Sentence, says) {
			t.Errorf("%q = %v, %v, %v; want %q", text, from, until, err, says)
		}
	}
}

// What is suggested is understood.
func TestSuggestedWindowsAreWindows(t *testing.T) {
	for _, z := range []*time.Location{time.UTC, zone(t, "America/New_York"), time.FixedZone("+02:00", 7200)} {
		now := time.Date(2026, 11, 22, 15, 0, 0, 0, z)
		_, _, err := grammar.ParseWindow("11:20-11:30", now, z)
		var e *grammar.Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		quoted := strings.Split(e.Sentence, "`")
		from, until, err := grammar.ParseWindow(quoted[len(quoted)-2], now, time.UTC)
		if err != nil || !from.Equal(now.Add(20*time.Hour+20*time.Minute)) || until.Sub(from) != 10*time.Minute {
			t.Errorf("%q = %v, %v, %v", quoted[len(quoted)-2], from, until, err)
		}
	}
}

// The clocks of London jump from 01:00 to 02:00 on 2027-03-28, and back from
// 02:00 to 01:00 on 2026-10-25, both at 01:00 UTC.
func TestWindowsWhereClocksJump(t *testing.T) {
	london := zone(t, "Europe/London")
	for _, c := range []struct{ now, text, from, until string }{
		{"2027-03-27 20:00", "2027-03-28 01:30 to 2027-03-28 03:00", "2027-03-28 01:30", "2027-03-28 02:00"}, // skipped: moves forward, to 02:30 local
		{"2027-03-27 20:00", "23:00-03:00", "2027-03-27 23:00", "2027-03-28 02:00"},
		{"2027-03-27 20:00", "23:00-01:30", "2027-03-27 23:00", "2027-03-28 01:30"},
		{"2026-10-24 20:00", "2026-10-25 01:30 to 2026-10-25 03:00", "2026-10-25 00:30", "2026-10-25 03:00"}, // twice: the first
		{"2026-10-24 20:00", "2026-10-25 00:30 to 2026-10-25 01:30", "2026-10-24 23:30", "2026-10-25 00:30"},
	} {
		from, until, err := grammar.ParseWindow(c.text, at(t, c.now), london)
		if err != nil || !from.Equal(at(t, c.from)) || !until.Equal(at(t, c.until)) {
			t.Errorf("%q = %v, %v, %v; want %s, %s", c.text, from.UTC(), until.UTC(), err, c.from, c.until)
		}
	}
	// Both ends on the same day, the beginning skipped past the end: empty, and
	// not a day long.
	if from, until, err := grammar.ParseWindow("01:30-02:15", at(t, "2027-03-28 00:10"), london); err == nil {
		t.Errorf("%v, %v", from, until)
	}
}

func TestMoments(t *testing.T) {
	london := zone(t, "Europe/London")
	const now = "2026-11-22 10:00"
	for text, want := range map[string]string{
		"14:30": "2026-11-22 14:30", "1430": "2026-11-22 14:30", "09:00": "2026-11-23 09:00", "10:00": "2026-11-23 10:00", "9:00": "2026-11-23 09:00",
		"2026-12-20 14:30": "2026-12-20 14:30", "2026-12-20T14:30Z": "2026-12-20 14:30", "2026-12-20T14:30:00Z": "2026-12-20 14:30",
		"14:30 Europe/Amsterdam": "2026-11-22 13:30", "2026-12-20 14:30 America/New_York": "2026-12-20 19:30", "14:30+02:00": "2026-11-22 12:30",
		"tomorrow 08:00": "2026-11-23 08:00", "14:30 utc": "2026-11-22 14:30", "00:00": "2026-11-23 00:00",
	} {
		got, err := grammar.ParseMoment(text, at(t, now), london)
		if err != nil || !got.Equal(at(t, want)) {
			t.Errorf("%q = %v, %v; want %s", text, got.UTC(), err, want)
		}
	}
	for text, says := range map[string]string{
		"": "as a time", "noon": "as a time", "2026-12-20": "as a time", "24:00": "24:00", "25:00": "no `25:00`", "today 09:00": "is over",
		"2026-11-21 14:30": "is over", "2027-11-22 14:30": "30 days", "14:30 Nowhere/Land": "time zone", "14:30 and more": "as a time",
	} {
		got, err := grammar.ParseMoment(text, at(t, now), london)
		var e *grammar.Error
		if !errors.As(err, &e) || !strings.Contains(e.Sentence, says) {
			t.Errorf("%q = %v, %v; want %q", text, got, err, says)
		}
	}
}

func TestMomentsWhereClocksJump(t *testing.T) {
	london := zone(t, "Europe/London")
	for _, c := range []struct{ now, text, want string }{
		{"2027-03-28 00:10", "01:30", "2027-03-28 01:30"}, // skipped: 02:30 local
		{"2026-10-25 00:10", "01:30", "2026-10-25 00:30"}, // twice: the first
		{"2026-10-25 00:40", "01:30", "2026-10-26 01:30"}, // the first is over
		{"2026-10-24 12:00", "12:30", "2026-10-25 12:30"}, // 12:30 has been; tomorrow is 25 hours long
	} {
		got, err := grammar.ParseMoment(c.text, at(t, c.now), london)
		if err != nil || !got.Equal(at(t, c.want)) {
			t.Errorf("%q at %s = %v, %v; want %s", c.text, c.now, got.UTC(), err, c.want)
		}
	}
}

func TestSince(t *testing.T) {
	now := at(t, "2026-11-22 10:00")
	for text, want := range map[string]string{
		"7d": "2026-11-15 10:00", "24h": "2026-11-21 10:00", "1w": "2026-11-15 10:00", "1h30m": "2026-11-22 08:30",
		"2026-11-01": "2026-11-01 00:00", "today": "2026-11-22 00:00", "yesterday": "2026-11-21 00:00",
	} {
		if got, err := grammar.ParseSince(text, now, nil); err != nil || !got.Equal(at(t, want)) {
			t.Errorf("%q = %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "then", "7", "7x", "-7d", "2026-12-01", "999999w", "2026-13-01"} {
		if got, err := grammar.ParseSince(text, now, nil); err == nil {
			t.Errorf("%q = %v", text, got)
		}
	}
}

var someZones = []string{"UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns"}

// A window, whenever and wherever it is said, ends after it begins and after
// now, and its ends show on the clock as they were said, unless the clocks skip
// them.
func TestWindowsShowAsTheyWereSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(someZones).Draw(t, "zone"))
		now := time.Unix(rapid.Int64Range(1767225600, 1830297600).Draw(t, "now"), 0) // 2026 and 2027
		a, b := rapid.IntRange(0, 24*60-1).Draw(t, "from"), rapid.IntRange(0, 24*60-1).Draw(t, "until")
		text := fmt.Sprintf("%02d:%02d to %02d%02d", a/60, a%60, b/60, b%60)
		from, until, err := grammar.ParseWindow(text, now, z)
		if err != nil {
			return
		}
		if !until.After(from) || !until.After(now) || until.Sub(from) > 25*time.Hour {
			t.Fatalf("%s at %v in %v: %v to %v", text, now, z, from, until)
		}
		if a < b && from.Format(time.DateOnly) != now.In(z).Format(time.DateOnly) {
			t.Fatalf("%s at %v in %v begins %v", text, now.In(z), z, from)
		}
		for _, end := range []struct {
			t    time.Time
			said int
		}{{from, a}, {until, b}} {
			shown := end.t.Hour()*60 + end.t.Minute()
			if shown != end.said && !jumps(end.t) {
				t.Fatalf("%s at %v in %v: shows %v", text, now, z, end.t)
			}
		}
		again, _, err := grammar.ParseWindow(from.Format("2006-01-02 15:04")+" to "+until.Format("2006-01-02 15:04"), now, z)
		if err != nil || !again.Equal(from) {
			t.Fatalf("%v again is %v, %v", from, again, err)
		}
	})
}

// jumps says whether the clocks changed shortly before t.
func jumps(t time.Time) bool {
	_, now := t.Zone()
	_, before := t.Add(-2 * time.Hour).Zone()
	return now != before
}

func TestMomentsAreTheNextOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := zone(t, rapid.SampledFrom(someZones).Draw(t, "zone"))
		now := time.Unix(rapid.Int64Range(1767225600, 1830297600).Draw(t, "now"), 0)
		said := rapid.IntRange(0, 24*60-1).Draw(t, "time")
		got, err := grammar.ParseMoment(fmt.Sprintf("%02d:%02d", said/60, said%60), now, z)
		if err != nil {
			t.Fatal(err)
		}
		if !got.After(now) || got.Sub(now) > 26*time.Hour || got.Hour()*60+got.Minute() != said && !jumps(got) {
			t.Fatalf("%02d:%02d at %v in %v = %v", said/60, said%60, now.In(z), z, got)
		}
	})
}

func FuzzParseWindow(f *testing.F) {
	f.Add("11:20-11:30 Europe/London")
	f.Add("2026-11-30 22:00 to 2026-12-01 06:00")
	f.Fuzz(func(t *testing.T, text string) {
		now := time.Unix(1795341600, 0)
		from, until, err := grammar.ParseWindow(text, now, time.UTC)
		if err == nil && (!until.After(from) || !until.After(now) || until.Sub(from) > grammar.MaxWindow) {
			t.Errorf("%q = %v, %v", text, from, until)
		}
		if _, err := grammar.ParseMoment(text, now, time.UTC); err != nil && grammar.Escape(err.Error()) == "" {
			t.Errorf("%q is refused without a word", text)
		}
	})
}
