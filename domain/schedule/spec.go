package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	// maxText bounds the text of a spec: all 60 minutes of one field listed are 169
	// characters.
	maxText = 300
	// maxJumps bounds how many changes of a zone's clock one Next looks across:
	// far more than happen between two Februaries with 29 days.
	maxJumps = 100
)

// Spec says at which moments a schedule ticks. The zero Spec never does. It is a
// value, safe to copy and to use from anywhere.
type Spec struct {
	text string
	zone *time.Location
	at   time.Time          // of a one-off
	cron *cron.SpecSchedule // of all others; its own zone is UTC, see wall
	// everyHour: it ticks in each hour, so that gaps need no making up.
	everyHour bool
	// rolling: it ticks in both of two equal hours.
	rolling bool
}

// parser reads five fields, or a name such as @daily.
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// ParseSpec reads a cron text of five fields (or @hourly, @daily, @weekly,
// @monthly, @yearly), or one moment at ("2026-12-24 18:00"): exactly one of the
// two. zone is an IANA name; empty means UTC. The error is a sentence part for
// a person.
func ParseSpec(cron, at, zone string) (Spec, error) {
	location, err := parseZone(zone)
	if err != nil {
		return Spec{}, err
	}
	cron, at = strings.Join(strings.Fields(cron), " "), strings.Join(strings.Fields(at), " ")
	switch {
	case cron == "" && at == "":
		return Spec{}, errors.New("it has no time: give cron or at")
	case cron != "" && at != "":
		return Spec{}, errors.New("it has two times: give cron or at, not both")
	case len(cron) > maxText:
		return Spec{}, fmt.Errorf("the cron text is longer than %d characters", maxText)
	case at != "":
		return parseAt(at, location)
	}
	return parseCron(cron, location)
}

func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // the machine's zone differs between replicas
		return nil, fmt.Errorf("%q is no time zone: write one such as Europe/London", name)
	}
	return location, nil
}

// moments are the forms of at.
var moments = []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"}

func parseAt(text string, zone *time.Location) (Spec, error) {
	for _, layout := range moments {
		if wall, err := time.Parse(layout, text); err == nil {
			return Spec{text: "at " + wall.Format("2006-01-02 15:04:05") + " " + zone.String(), zone: zone, at: first(wall, zone)}, nil
		}
	}
	return Spec{}, fmt.Errorf("%q is no moment: write it as 2026-12-24 18:00", text)
}

func parseCron(text string, zone *time.Location) (Spec, error) {
	if strings.Contains(text, "TZ=") {
		return Spec{}, errors.New("the cron text names a zone: write it as zone, beside cron")
	}
	if strings.HasPrefix(text, "@every") {
		return Spec{}, errors.New("@every depends on when the process started: write fields, such as */15 * * * *")
	}
	parsed, err := parser.Parse(text)
	if err != nil {
		return Spec{}, fmt.Errorf("the cron text %q is not understood: %w", text, err)
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok || fields.Minute == 0 || fields.Hour == 0 || fields.Dom == 0 || fields.Month == 0 || fields.Dow == 0 {
		return Spec{}, fmt.Errorf("the cron text %q has an empty field", text)
	}
	fields.Location = time.UTC
	s := Spec{text: text + " " + zone.String(), zone: zone, cron: fields}
	s.everyHour = fields.Hour&allHours == allHours
	s.rolling = s.everyHour || strings.HasPrefix(text, "*")
	if s.Next(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Spec{}, fmt.Errorf("the cron text %q names a day that never comes", text)
	}
	return s, nil
}

// allHours are the bits of the 24 hours of the day.
const allHours = 1<<24 - 1

// Text is the spec as written, with its zone: two specs with one text are equal.
func (s Spec) Text() string { return s.text }

// Zone is where its times are local; nil for the zero Spec.
func (s Spec) Zone() *time.Location { return s.zone }

// Next is the first tick after a moment, in UTC and without a fraction of a
// second; zero when there is none.
func (s Spec) Next(after time.Time) time.Time {
	if s.cron == nil {
		if s.at.After(after) {
			return s.at
		}
		return time.Time{}
	}
	from := after.UTC().Truncate(time.Second).Add(time.Second)
	for range maxJumps {
		p := periodOf(from, s.zone)
		if from.Equal(p.start) && s.missedBefore(p) {
			return from
		}
		wall := s.cron.Next(from.Add(p.offset - time.Second))
		if wall.IsZero() {
			return time.Time{}
		}
		tick := wall.Add(-p.offset)
		again := p.start.Add(p.before - p.offset) // until then the clock shows what it showed before
		switch {
		case !p.end.IsZero() && !tick.Before(p.end):
			from = p.end
		case !s.rolling && !p.start.IsZero() && tick.Before(again):
			from = again
		default:
			return tick
		}
	}
	return time.Time{}
}

// missedBefore tells whether a tick fell into the gap that p begins with.
func (s Spec) missedBefore(p period) bool {
	if s.everyHour || p.offset <= p.before {
		return false
	}
	wall := s.cron.Next(p.start.Add(p.before - time.Second))
	return !wall.IsZero() && wall.Before(p.start.Add(p.offset))
}

// period is a time in which a zone's clock is not changed. A wall time is
// written as if it were UTC: wall = moment + offset.
type period struct {
	start, end     time.Time     // zero: for ever
	offset, before time.Duration // from UTC, now and in the period before
}

func periodOf(at time.Time, zone *time.Location) period {
	start, end := at.In(zone).ZoneBounds()
	p := period{start: start, end: end, offset: offset(at, zone)}
	p.before = p.offset
	if !start.IsZero() {
		p.start, p.before = start.UTC(), offset(start.Add(-time.Second), zone)
	}
	if !end.IsZero() {
		p.end = end.UTC()
	}
	return p
}

func offset(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// first is the first moment at which the clock of a zone shows wall, or the end of
// the gap that wall is in.
func first(wall time.Time, zone *time.Location) time.Time {
	at := wall.Add(-24 * time.Hour) // no zone is further from UTC
	for range maxJumps {
		p := periodOf(at, zone)
		moment := wall.Add(-p.offset)
		if p.end.IsZero() || moment.Before(p.end) {
			if moment.Before(at) {
				return at
			}
			return moment
		}
		at = p.end
	}
	return at
}
