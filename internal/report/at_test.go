package report

import (
	"testing"
	"time"
)

func TestParseAt(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		text string
		want time.Time // zero: an error
	}{
		{"+14d", noon.Add(14 * day)},
		{"14d", noon.Add(14 * day)},
		{"+0d", noon},
		{"+90m", noon.Add(90 * time.Minute)},
		{"+1d12h30m", noon.Add(day + 12*time.Hour + 30*time.Minute)},
		{"+3650d", noon.Add(3650 * day)},
		{"2030-01-31T12:00:00Z", time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)},
		{"2030-01-31T12:00:00+02:00", time.Date(2030, 1, 31, 10, 0, 0, 0, time.UTC)},
		{"1970-01-01T00:00:00Z", time.Unix(0, 0).UTC()},
		{"1969-12-31T23:59:59Z", time.Time{}},
		{"0001-01-01T00:00:00Z", time.Time{}},
		{"", time.Time{}},
		{"+", time.Time{}},
		{"++1d", time.Time{}},
		{"-1d", time.Time{}},
		{"14", time.Time{}},
		{"d", time.Time{}},
		{"1h1d", time.Time{}},
		{"1d1d", time.Time{}},
		{"1.5d", time.Time{}},
		{"90s", noon.Add(90 * time.Second)},
		{"3651d", time.Time{}},
		{"3650d1m", time.Time{}},
		{"999999d", time.Time{}}, // more than a Duration holds
		{"213504d", time.Time{}}, // the same, by so much that minutes would be left of it
		{"99999999999999999999d", time.Time{}},
		{"tomorrow", time.Time{}},
	} {
		at, err := ParseAt(c.text)
		if (err != nil) != c.want.IsZero() {
			t.Errorf("%q: error %v", c.text, err)
		}
		if err == nil && !at.Time(noon).Equal(c.want) {
			t.Errorf("%q: got %s, want %s", c.text, at.Time(noon), c.want)
		}
	}
}
