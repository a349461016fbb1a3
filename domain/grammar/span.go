package grammar

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxSince is how far back a search may reach: beyond any retention.
const maxSince = 10 * 366 * 24 * time.Hour

var (
	spanForm = regexp.MustCompile(`^(?i:(?:\d{1,6}[a-z]+)+)$`)
	spanPart = regexp.MustCompile(`(\d+)([A-Za-z]+)`)
)

var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// parseSpan reads "10m", "1h30m" or "2d": at least a second, at most limit.
func parseSpan(text string, limit time.Duration) (time.Duration, bool) {
	if len(text) > MaxName || !spanForm.MatchString(text) {
		return 0, false
	}
	var total time.Duration
	for _, part := range spanPart.FindAllStringSubmatch(text, -1) {
		unit, known := units[strings.ToLower(part[2])]
		n, err := strconv.Atoi(part[1])
		if !known || err != nil || time.Duration(n) > limit/unit {
			return 0, false
		}
		if total += time.Duration(n) * unit; total > limit {
			return 0, false
		}
	}
	return total, total >= time.Second
}

// ParseSince reads from when on somebody wants to look: "7d", "24h",
// "2026-11-01", "today" or "yesterday", days beginning at midnight in zone. The
// answer is never after now. The error is an *Error.
func ParseSince(text string, now time.Time, zone *time.Location) (time.Time, error) {
	zone = firstZone(zone)
	if back, ok := parseSpan(text, maxSince); ok {
		return now.Add(-back).In(zone), nil
	}
	days := 0
	day := strings.ToLower(text)
	switch day {
	case "yesterday":
		days, day = -1, ""
	case "today":
		day = ""
	default:
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return time.Time{}, notSince(text)
		}
	}
	w := wall{day: day, zone: zone}
	from := w.on(w.date(now).AddDate(0, 0, days))
	if from.After(now) {
		return time.Time{}, refuse(CodeTime, "7d", "%s is still to come; there is no history of it.", Quote(text))
	}
	return from, nil
}

func notSince(text string) error {
	return refuse(CodeTime, "7d", "I do not understand %s as a time to look back to. Say it like `7d`, `24h` or `2026-11-01`.", Quote(text))
}
