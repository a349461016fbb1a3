package grammar

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of the times that people name.
const (
	// MaxWindow is the longest window: who wants a job held for longer wants
	// another configuration.
	MaxWindow = 30 * 24 * time.Hour
	// MaxAhead is how far ahead a start may be put off.
	MaxAhead = 30 * 24 * time.Hour
	// MaxWindowAhead is how far ahead a window may begin; more is a slip in the year.
	MaxWindowAhead = 366 * 24 * time.Hour
	// MaxOvernight is the longest window past midnight that needs no date: beyond
	// it the ends are more likely the wrong way round.
	MaxOvernight = 18 * time.Hour
	// maxTimeText is longer than any time with dates and zones.
	maxTimeText = 200
)

// The codes of times that are refused.
const (
	CodeTime   = "E-TIME"
	CodeWindow = "E-WINDOW"
)

const (
	momentForm = `(?:(\d{4}-\d{2}-\d{2}|today|tomorrow)[T ])?(\d{1,2}:\d{2}(?::\d{2})?|\d{4})(?: ?(Z|[+-]\d{2}:?\d{2}|[a-z][a-z0-9_+-]*(?:/[a-z0-9_+-]+)*))?`
	usageTime  = "14:30"
)

var (
	onlyMoment = regexp.MustCompile(`^(?i:` + momentForm + `)$`)
	twoMoments = regexp.MustCompile(`^(?i:(?:from )?` + momentForm + `(?: ?[-–—] ?| (?:to|until|till) )` + momentForm + `)$`)
)

// wall is a time as it is said: a clock that somebody looks at.
type wall struct {
	// day is "2006-01-02", "today", "tomorrow" or empty.
	day                  string
	hour, minute, second int
	// zone is nil where none is said.
	zone *time.Location
}

// ParseWindow reads a span of time as people say it: "11:20-11:30", "1120 to
// 1130", "from 11:20 to 11:30", with dates, "2026-11-30 22:00 to 2026-12-01
// 06:00", and with a zone after either time; from now on, "until 15:00" and "for
// 2h". zone is what applies where none is said; the answer is in the zone that
// was said.
//
// Without a date a window begins today, and one whose end is not after its
// beginning ends on the day after. A window that is over, ends before it
// begins, or is longer than MaxWindow is refused with a sentence that says what
// to type instead; one that has begun is fine. A local time that the clocks
// skip means the same distance after the skip, one that they show twice means
// the first. The error is an *Error.
func ParseWindow(text string, now time.Time, zone *time.Location) (from, until time.Time, err error) {
	text = plainTime(text)
	if word, rest, _ := strings.Cut(text, " "); strings.EqualFold(word, "for") || strings.EqualFold(word, "until") {
		return windowFromNow(strings.ToLower(word), rest, now, firstZone(zone))
	}
	m := twoMoments.FindStringSubmatch(text)
	if m == nil || len(text) > maxTimeText {
		return from, until, refuse(CodeWindow, usageWindow, "I do not understand %s as a window. Say it like `11:20-11:30` or `2026-11-30 22:00 to 2026-12-01 06:00 Europe/London`.", Quote(text))
	}
	begin, err := readWall(m[1], m[2], m[3])
	if err != nil {
		return from, until, err
	}
	end, err := readWall(m[4], m[5], m[6])
	if err != nil {
		return from, until, err
	}
	begin.zone = firstZone(begin.zone, end.zone, zone)
	end.zone = firstZone(end.zone, begin.zone)
	from = begin.on(begin.date(now))
	until = end.ending(begin, from, now)
	return from, until, checkWindow(text, begin, end, from, until, now)
}

const usageWindow = "11:20-11:30"

func windowFromNow(word, rest string, now time.Time, zone *time.Location) (from, until time.Time, err error) {
	from = now.In(zone)
	if word == "until" {
		until, err = ParseMoment(rest, now, zone)
		return from.In(until.Location()), until, err
	}
	length, ok := parseSpan(strings.ReplaceAll(rest, " ", ""), MaxWindow)
	if !ok {
		return from, until, refuse(CodeWindow, usageWindow, "I do not understand %s as a length of time. Say it like `30m`, `2h` or `3d`, at most %d days.", Quote(rest), int(MaxWindow.Hours()/24))
	}
	return from, from.Add(length), nil
}

// ending is the moment of a window's end.
func (w wall) ending(begin wall, from, now time.Time) time.Time {
	if w.day != "" {
		return w.on(w.date(now))
	}
	day := from.In(w.zone)
	if sameZone(begin.zone, w.zone) {
		day = begin.date(now) // from itself may have moved where clocks jump
	}
	until := w.on(day)
	if !until.After(from) && !w.laterOnSameClock(begin) {
		until = w.on(day.AddDate(0, 0, 1))
	}
	return until
}

// laterOnSameClock keeps a window that the clocks skip from lasting a day.
func (w wall) laterOnSameClock(begin wall) bool {
	return sameZone(begin.zone, w.zone) && w.seconds() > begin.seconds()
}

func (w wall) seconds() int { return (w.hour*60+w.minute)*60 + w.second }

func checkWindow(text string, begin, end wall, from, until, now time.Time) error {
	dated := begin.day != "" || end.day != ""
	length := until.Sub(from)
	switch {
	case length <= 0:
		return refuse(CodeWindow, usageWindow, "%s ends at %s, which is not after it begins, %s. Which way round do you mean?", Quote(text), moment(until), moment(from))
	case !dated && !sameDay(from, until) && length > MaxOvernight:
		return refuse(CodeWindow, usageWindow, "%s ends before it begins. If you mean until tomorrow, say the dates: %s.", Quote(text), Quote(span(from, until)))
	case length > MaxWindow:
		return refuse(CodeWindow, usageWindow, "%s is longer than %d days, which is the most.", Quote(text), int(MaxWindow.Hours()/24))
	case !until.After(now) && !dated:
		return refuse(CodeWindow, usageWindow, "%s is over for today: it is %s now. For tomorrow say %s.", Quote(text), moment(now.In(from.Location())), Quote(span(from.AddDate(0, 0, 1), until.AddDate(0, 0, 1))))
	case !until.After(now):
		return refuse(CodeWindow, usageWindow, "%s is over: it is %s now. Nothing was held.", Quote(text), moment(now.In(from.Location())))
	case from.Sub(now) > MaxWindowAhead:
		return refuse(CodeWindow, usageWindow, "%s begins more than a year from now. Is the year right?", Quote(text))
	}
	return nil
}

// ParseMoment reads when something shall start: "14:30" is the next such time,
// today or tomorrow; "2026-12-24 14:30" and "2026-12-24T14:30Z" say the day;
// each may have a zone behind it. zone is what applies where none is said; the
// answer is in the zone that was said, after now, and at most MaxAhead later.
// Clocks that jump are read as in ParseWindow. The error is an *Error.
func ParseMoment(text string, now time.Time, zone *time.Location) (time.Time, error) {
	text = plainTime(text)
	w, err := readMoment(text)
	if err != nil {
		return time.Time{}, err
	}
	w.zone = firstZone(w.zone, zone)
	at := w.on(w.date(now))
	if w.day == "" && !at.After(now) {
		at = w.on(w.date(now).AddDate(0, 0, 1))
	}
	switch {
	case !at.After(now):
		return time.Time{}, refuse(CodeTime, usageTime, "%s is over: it is %s now. Nothing was started.", Quote(text), moment(now.In(w.zone)))
	case at.Sub(now) > MaxAhead:
		return time.Time{}, refuse(CodeTime, usageTime, "%s is more than %d days from now, which is the most.", Quote(text), int(MaxAhead.Hours()/24))
	}
	return at, nil
}

func readMoment(text string) (wall, error) {
	m := onlyMoment.FindStringSubmatch(text)
	if m == nil || len(text) > maxTimeText {
		return wall{}, refuse(CodeTime, usageTime, "I do not understand %s as a time. Say it like `14:30`, `2026-12-24 14:30` or `14:30 Europe/London`.", Quote(text))
	}
	w, err := readWall(m[1], m[2], m[3])
	if err == nil && w.hour == 24 {
		return wall{}, refuse(CodeTime, usageTime, "A day begins at `00:00`; `24:00` can only end a window.")
	}
	return w, err
}

// plainTime has single spaces, and nothing that a keyboard made of a time.
func plainTime(text string) string {
	return strings.Join(strings.Fields(typography.Replace(strings.ToValidUTF8(text, "\ufffd"))), " ")
}

func readWall(day, clock, zone string) (wall, error) {
	w := wall{day: strings.ToLower(day)}
	digits := strings.ReplaceAll(clock, ":", "")
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	w.hour, w.minute = number(digits[:2]), number(digits[2:4])
	if len(digits) == 6 {
		w.second = number(digits[4:])
	}
	if w.hour > 24 || w.minute > 59 || w.second > 59 || w.hour == 24 && w.minute+w.second > 0 {
		return wall{}, refuse(CodeTime, usageTime, "There is no %s on a clock. Hours go from 00 to 23, minutes from 00 to 59.", Quote(clock))
	}
	if w.day != "" && w.day != "today" && w.day != "tomorrow" {
		if _, err := time.Parse(time.DateOnly, w.day); err != nil {
			return wall{}, refuse(CodeTime, usageTime, "There is no %s in the calendar. A date is year, month and day, such as `2026-12-24`.", Quote(day))
		}
	}
	if zone == "" {
		return w, nil
	}
	var err error
	w.zone, err = readZone(zone)
	return w, err
}

// number reads two digits, which the forms above have made sure of.
func number(digits string) int { return int(digits[0]-'0')*10 + int(digits[1]-'0') }

// readZone finds a zone by its IANA name, in any case, or by its distance.
func readZone(name string) (*time.Location, error) {
	if name[0] == '+' || name[0] == '-' {
		digits := strings.ReplaceAll(name[1:], ":", "")
		hours, minutes := number(digits[:2]), number(digits[2:])
		if hours > 14 || minutes > 59 {
			return nil, unknownZone(name)
		}
		seconds := (hours*60 + minutes) * 60
		if name[0] == '-' {
			seconds = -seconds
		}
		return time.FixedZone(name, seconds), nil
	}
	switch strings.ToUpper(name) {
	case "Z", "UTC", "GMT":
		return time.UTC, nil
	case "LOCAL": // the machine's own, which means nothing to a person
		return nil, unknownZone(name)
	}
	for _, spelling := range []string{name, strings.ToUpper(name), capitals(name)} {
		if zone, err := time.LoadLocation(spelling); err == nil {
			return zone, nil
		}
	}
	return nil, unknownZone(name)
}

func unknownZone(name string) error {
	return refuse(CodeTime, usageTime, "I do not know the time zone %s. Name it by a city, such as `Europe/London`, or say `UTC`.", Quote(name))
}

// capitals spells "america/new_york" as the zones are spelled.
func capitals(name string) string {
	upper := true
	return strings.Map(func(r rune) rune {
		now := r
		if upper && r >= 'a' && r <= 'z' {
			now = r - 'a' + 'A'
		} else if !upper && r >= 'A' && r <= 'Z' {
			now = r - 'A' + 'a'
		}
		upper = r == '/' || r == '_' || r == '-'
		return now
	}, name)
}

func firstZone(zones ...*time.Location) *time.Location {
	for _, z := range zones {
		if z != nil {
			return z
		}
	}
	return time.UTC
}

func sameZone(a, b *time.Location) bool { return a.String() == b.String() }

// date is the day that is meant, as midnight UTC of that calendar day.
func (w wall) date(now time.Time) time.Time {
	if day, err := time.Parse(time.DateOnly, w.day); err == nil {
		return day
	}
	y, m, d := now.In(w.zone).Date()
	if w.day == "tomorrow" {
		d++
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// on is the moment when the clock shows w on a day. It does not leave jumps to
// time.Date, which promises nothing about them.
func (w wall) on(day time.Time) time.Time {
	y, m, d := day.Date()
	shown := time.Date(y, m, d, w.hour, w.minute, w.second, 0, time.UTC)
	_, before := shown.Add(-24 * time.Hour).In(w.zone).Zone()
	_, after := shown.Add(24 * time.Hour).In(w.zone).Zone()
	early := shown.Add(-time.Duration(max(before, after)) * time.Second).In(w.zone)
	late := shown.Add(-time.Duration(min(before, after)) * time.Second).In(w.zone)
	if shows(early, shown) {
		return early
	}
	if shows(late, shown) {
		return late
	}
	// Skipped: as far behind the jump as it would have been without one.
	return shown.Add(-time.Duration(before) * time.Second).In(w.zone)
}

func shows(t, shown time.Time) bool {
	return t.Format(time.DateTime) == shown.Format(time.DateTime)
}

func sameDay(a, b time.Time) bool { return a.Format(time.DateOnly) == b.Format(time.DateOnly) }

func moment(t time.Time) string { return t.Format("2006-01-02 15:04 MST") }

// span is a window as it can be typed.
func span(from, until time.Time) string {
	text := from.Format("2006-01-02 15:04") + " to " + until.Format("2006-01-02 15:04")
	if zone := until.Location().String(); utf8.RuneCountInString(zone) > 0 {
		text += " " + zone
	}
	return text
}
