package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// At is a time to judge a report for: a date, or a duration from now.
type At struct {
	date  time.Time // zero: after counts
	after time.Duration
}

// maxAfter is the largest duration of an At. By then every TLS certificate of
// today has expired.
const maxAfter = 10 * 365 * 24 * time.Hour

// ParseAt parses a Prometheus duration such as "+14d", "36h" or "1d12h30m", up
// to ten years, or an RFC 3339 date since 1970. The error says which form is valid.
func ParseAt(text string) (At, error) {
	if date, err := time.Parse(time.RFC3339, text); err == nil && date.Year() >= 1970 {
		return At{date: date}, nil
	}
	after, err := model.ParseDuration(strings.TrimPrefix(text, "+"))
	if err != nil || time.Duration(after) > maxAfter {
		return At{}, fmt.Errorf("%.40q is not a time: use a duration up to ten years such as +14d or +1d12h, or a date such as 2030-01-31T12:00:00Z", text)
	}
	return At{after: time.Duration(after)}, nil
}

// Time returns the time that a means, given the current time.
func (a At) Time(now time.Time) time.Time {
	if a.date.IsZero() {
		return now.Add(a.after)
	}
	return a.date
}
