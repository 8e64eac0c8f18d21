package probe

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Moment is a time that somebody names: a date, or so much later than now.
type Moment struct {
	date  time.Time // zero: later counts
	later time.Duration
}

// maxLater is the furthest that a Moment is from now: by then every TLS
// certificate there is has ended.
const maxLater = 10 * 365 * 24 * time.Hour

// ParseMoment reads a duration of days, hours and minutes, as "+14d", "36h" or
// "1d12h30m", up to ten years; or a date of RFC 3339 since 1970. The error
// says what form is wanted.
func ParseMoment(text string) (Moment, error) {
	if date, err := time.Parse(time.RFC3339, text); err == nil && date.Year() >= 1970 {
		return Moment{date: date}, nil
	}
	later, ok := parseLater(strings.TrimPrefix(text, "+"))
	if !ok {
		return Moment{}, fmt.Errorf("%.40q is no moment: want a duration of days, hours or minutes up to ten years, as +14d or +1d12h, or a date as 2030-01-31T12:00:00Z", text)
	}
	return Moment{later: later}, nil
}

// parseLater reads numbers with units, the greatest first, each once.
func parseLater(text string) (later time.Duration, ok bool) {
	units := []struct {
		letter string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}}
	rest := text
	for _, unit := range units {
		digits, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 24)
		if err != nil || n > uint64((maxLater-later)/unit.length) { // the product may not be a Duration
			return 0, false
		}
		later += time.Duration(n) * unit.length
		rest = after
	}
	return later, rest == "" && text != ""
}

// From returns the moment, where it is now.
func (m Moment) From(now time.Time) time.Time {
	if m.date.IsZero() {
		return now.Add(m.later)
	}
	return m.date
}
