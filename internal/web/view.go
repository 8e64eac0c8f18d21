package web

import (
	"encoding/hex"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"dane_exporter/internal/report"
	"dane_exporter/probe/dane"
)

// viewFunctions returns the functions of the templates. They return plain text
// and numbers, never HTML, so that html/template escapes all of it.
func viewFunctions() template.FuncMap {
	return template.FuncMap{
		// words and values
		"tone": tone, "label": label, "upper": strings.ToUpper, "recordType": report.RecordType, "timestamp": timestamp, "seconds": seconds, "days": days,
		"yesno": yesNo, "truncate": truncate, "rfc3339": rfc3339, "minute": minute,
		// lists
		"outcomes": dane.Outcomes, "column": column,
		// parts of a report
		"bars": barsPath, "phases": phases, "spans": spans, "group": groupFindings, "fault": isFault, "pair": pairOf, "zoneFiles": zoneFiles, "outcomesOf": outcomesOf,
		// names of numbers
		"algorithm": algorithm, "digest": digest, "usage": usage, "association": association,
	}
}

// tone returns the CSS class that colours an outcome, status, effect or severity: good,
// fair, poor, bad, internal or plain. Pages always show the word as well.
func tone(word any) string {
	switch fmt.Sprint(word) {
	case "authenticated", "secure", "usable", "enforced", "ok":
		return "good"
	case "encrypted", "superseded", string(dane.EffectWarning), string(dane.EffectDegraded):
		return "fair"
	case "unreachable", "indeterminate", "unusable":
		return "poor"
	case "refused", "bogus", string(dane.EffectError), "critical":
		return "bad"
	case "unknown", string(dane.EffectInternal):
		return "internal"
	default:
		return "plain"
	}
}

// label returns the word of a reason or topic as a heading: "TLSA mismatch" for
// tlsa_mismatch.
func label(word any) string {
	proper := map[string]string{"cd": "CD", "dns": "DNS", "dnssec": "DNSSEC", "ipv6": "IPv6", "microsoft": "Microsoft", "mta sts": "MTA-STS", "mx": "MX",
		"nsec3": "NSEC3", "pkix": "PKIX", "sha1": "SHA-1", "srv": "SRV", "starttls": "STARTTLS", "tcp": "TCP", "tls": "TLS", "tlsa": "TLSA", "tlsrpt": "TLSRPT"}
	parts := strings.Split(strings.ReplaceAll(fmt.Sprint(word), "mta_sts", "mta sts"), "_")
	for i, part := range parts {
		switch name, ok := proper[part]; {
		case ok:
			parts[i] = name
		case i == 0 && part != "":
			parts[i] = strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return strings.Join(parts, " ")
}

// span is a part of a text that is or is not code.
type span struct {
	Text string
	Code bool
}

// spans splits one of our own texts at its backquotes, between which it has code.
func spans(text string) (all []span) {
	for i, part := range strings.Split(text, "`") {
		all = append(all, span{part, i%2 == 1})
	}
	return all
}

// timestamp formats a time.Time or a *time.Time in UTC. It returns "" for nil.
func timestamp(t any) string {
	switch t := t.(type) {
	case time.Time:
		return report.FormatTime(t)
	case *time.Time:
		if t != nil {
			return timestamp(*t)
		}
	}
	return ""
}

// rfc3339 formats a time for programs.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// minute formats a time in UTC without its seconds and its zone, for lists.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// seconds formats a duration in seconds, rounded for readers.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// days formats the max_age of an MTA-STS policy, given in seconds.
func days(s float64) string { return report.Days(time.Duration(s * float64(time.Second))) }

// yesNo returns "yes" or "no", or "" for a value that was not measured.
func yesNo(m *bool) string {
	switch {
	case m == nil:
		return ""
	case *m:
		return "yes"
	default:
		return "no"
	}
}

// truncate cuts text to 80 characters.
func truncate(text string) string {
	const limit = 80
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + "…"
}

// comparison is one TLSA record and what an endpoint serves for it.
type comparison struct {
	Record  report.Record
	Match   report.Match
	Judged  bool   // the handshake was completed
	Place   string // certificate of Match.Served: "leaf", or "issuer 1" and so on
	Verdict string // in a few words
	Sign    string // = if the record authenticates, ≠ if it does not match
	Tone    string
	Bars    bool // show the data as bars too
}

// comparisons are the records of a service, compared with one endpoint.
type comparisons struct {
	Shown []comparison
	More  int // that are not shown
}

// compareEndpoint compares the records of a service with an endpoint. It returns at
// most limit comparisons. Those that decide the outcome come first. The first
// comparisons have bars.
func compareEndpoint(s report.Service, e report.Endpoint, limit, bars int) comparisons {
	authenticated := slices.ContainsFunc(e.Matches, func(m report.Match) bool { return m.Authenticates })
	var all []comparison
	total := len(e.Matches) + e.MoreMatches
	for _, m := range e.Matches {
		if m.Record >= len(s.Records) {
			continue
		}
		c := comparison{Record: s.Records[m.Record], Match: m, Judged: true, Place: "leaf"}
		c.Verdict, c.Sign, c.Tone = compare(c.Record, m, authenticated)
		if depth := m.Depth; depth != nil && *depth > 0 {
			c.Place = "issuer " + strconv.Itoa(*depth)
		}
		all = append(all, c)
	}
	if total == 0 {
		total = len(s.Records) + s.MoreRecords
		for _, record := range s.Records {
			all = append(all, comparison{Record: record, Verdict: "not compared", Sign: "·", Tone: "plain"})
		}
	}
	if len(all) > limit {
		order := func(c comparison) int { return slices.Index([]string{"good", "bad", "plain"}, c.Tone) }
		slices.SortStableFunc(all, func(a, b comparison) int { return order(a) - order(b) })
		all = all[:limit]
	}
	for i := range all {
		all[i].Bars = i < bars
	}
	return comparisons{all, total - len(all)}
}

// compare returns the verdict on one record at an endpoint. If another record
// authenticates the endpoint, a record that does not match is harmless: it is of
// the previous or the next key.
func compare(r report.Record, m report.Match, authenticated bool) (verdict, sign, tone string) {
	switch {
	case m.Authenticates:
		return "match", "=", "good"
	case r.Standing != "usable":
		return "not used", "·", "plain"
	case authenticated:
		return "no match, harmless", "≠", "plain"
	case m.Matches:
		return "matches, but does not authenticate", "≈", "bad"
	default:
		return "no match", "≠", "bad"
	}
}

// bar is one byte of a digest as a bar of an SVG image.
type bar struct{ X, Y, Height int }

// bars returns the first 32 bytes of a digest as bars, which make two digests easy
// to compare by eye.
func bars(data report.Data) []bar {
	const limit, height = 32, 16
	octets, err := hex.DecodeString(strings.TrimPrefix(string(data), "sha256:"))
	if err != nil {
		return nil
	}
	var all []bar
	for i, octet := range octets[:min(len(octets), limit)] {
		h := 1 + int(octet)*(height-1)/255
		all = append(all, bar{X: 3 * i, Y: height - h, Height: h})
	}
	return all
}

// barsPath returns the bars of a digest as the path of an SVG image. One path takes a tenth
// of the time and size of one element for each bar.
func barsPath(data report.Data) string {
	var path strings.Builder
	for _, b := range bars(data) {
		fmt.Fprintf(&path, "M%d %dh2v%dh-2z", b.X, b.Y, b.Height)
	}
	return path.String()
}

// phase is one phase of a probe as a bar, in thousandths of the duration.
type phase struct {
	report.Phase
	X, Width int
}

func phases(d *report.Document) []phase {
	total := d.Duration
	for _, p := range d.Phases {
		total = max(total, p.End)
	}
	var all []phase
	for _, p := range d.Phases {
		shown := phase{Phase: p}
		if total > 0 {
			shown.X = int(1000 * max(p.Start, 0) / total)
			shown.Width = max(int(1000*(p.End-p.Start)/total), 4)
		}
		all = append(all, shown)
	}
	return all
}

// usage returns the acronym of a TLSA certificate usage (RFC 7218).
func usage(n uint8) string {
	return nameOf(n, map[uint8]string{0: "PKIX-TA", 1: "PKIX-EE", 2: "DANE-TA", 3: "DANE-EE"})
}

// association returns what the data of a TLSA record is made from.
func association(r report.Record) string {
	selector := nameOf(r.Selector, map[uint8]string{0: "certificate", 1: "public key"})
	if r.MatchingType == 0 {
		return selector + " in full"
	}
	return selector + ", " + nameOf(r.MatchingType, map[uint8]string{1: "SHA-256", 2: "SHA-512"})
}

// algorithm returns the mnemonic of a DNSSEC algorithm, as IANA registers it.
func algorithm(n uint8) string {
	return nameOf(n, map[uint8]string{5: "RSASHA1", 7: "RSASHA1-NSEC3-SHA1", 8: "RSASHA256", 10: "RSASHA512",
		13: "ECDSAP256SHA256", 14: "ECDSAP384SHA384", 15: "ED25519", 16: "ED448"})
}

// digest returns the name of a DS digest type, as IANA registers it.
func digest(n uint8) string {
	return nameOf(n, map[uint8]string{1: "SHA-1", 2: "SHA-256", 4: "SHA-384"})
}

func nameOf(n uint8, names map[uint8]string) string {
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprintf("unknown %d", n)
}
