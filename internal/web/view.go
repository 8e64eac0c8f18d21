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
)

// viewFunctions are what templates need to show a report. They know words and
// measures, and make no HTML.
func viewFunctions() template.FuncMap {
	return template.FuncMap{
		"tone": tone, "label": labelOf, "moment": moment, "seconds": seconds, "yesno": yesNo,
		"pairs": pairs, "bars": bars, "spans": spans, "where": where, "unpublished": unpublished,
		"algorithm": algorithm, "digest": digestName, "usage": usage, "what": what, "clip": clip, "upper": strings.ToUpper,
		"chains": chains, "effect": effect, "unsigned": unsigned, "days": days,
	}
}

// tone is the colour of a word, which always stands beside it: good, fair,
// poor, bad, plain, or ours.
func tone(word string) string {
	switch word {
	case "authenticated", "secure", "usable", "enforced":
		return "good"
	case "encrypted", "warns", "lowers", "superseded":
		return "fair"
	case "unreachable", "indeterminate", "unusable":
		return "poor"
	case "refused", "bogus", "refuses":
		return "bad"
	case "unknown", "ours":
		return "ours"
	default:
		return "plain"
	}
}

// effect says what a finding does, in words.
func effect(word string) string {
	switch word {
	case "lowers":
		return "lowers what DANE gives"
	case "ours":
		return "on our side"
	default:
		return word
	}
}

// labelOf writes the word of a reason or topic for people: tlsa_mismatch is
// "TLSA mismatch".
func labelOf(word string) string {
	proper := map[string]string{"cd": "CD", "dns": "DNS", "dnssec": "DNSSEC", "ipv6": "IPv6", "microsoft": "Microsoft", "mta sts": "MTA-STS", "mx": "MX",
		"nsec3": "NSEC3", "pkix": "PKIX", "sha1": "SHA-1", "srv": "SRV", "starttls": "STARTTLS", "tcp": "TCP", "tls": "TLS", "tlsa": "TLSA", "tlsrpt": "TLSRPT"}
	parts := strings.Split(strings.ReplaceAll(word, "mta_sts", "mta sts"), "_")
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

// moment writes a time, or a pointer to one, in the time zone that everybody knows.
func moment(t any) string {
	switch t := t.(type) {
	case time.Time:
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	case *time.Time:
		if t != nil {
			return moment(*t)
		}
	}
	return ""
}

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

// days writes the life of a policy, given in seconds.
func days(s float64) string { return report.Days(time.Duration(s * float64(time.Second))) }

// yesNo says what was measured; empty where nothing was.
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

func failedStatus(status string) bool { return status == "bogus" || status == "indeterminate" }

// where says what a finding or advice is about, as "mx.example.org port 25".
func where(host string, port uint16, address, lookup string) string {
	var parts []string
	if host != "" {
		if port != 0 {
			host += " port " + strconv.Itoa(int(port))
		}
		parts = append(parts, host)
	}
	if address != "" {
		parts = append(parts, address)
	}
	if lookup != "" {
		parts = append(parts, "look-up "+strings.ToUpper(lookup))
	}
	return strings.Join(parts, ", ")
}

// unpublished reports whether a service serves what its records do not prove.
func unpublished(services []report.Service) bool {
	return slices.ContainsFunc(services, func(s report.Service) bool { return len(s.Wanted()) > 0 })
}

// unsigned reports whether records would prove nothing yet, for want of DNSSEC.
func unsigned(findings []report.Finding) bool {
	return slices.ContainsFunc(findings, func(f report.Finding) bool { return report.Unsigned(f.Reason) })
}

// chain is one look-up with the way that trust takes to it.
type chain struct {
	report.Lookup
	Links []report.Zone
	Open  bool // it is what the page is about, or where it goes wrong
}

// chains are those of all look-ups, MTA-STS's last.
func chains(d *report.Document) []chain {
	lookups := d.Lookups
	if d.MTASTS != nil {
		lookups = slices.Concat(lookups, d.MTASTS.Lookups)
	}
	var all []chain
	for _, l := range lookups {
		all = append(all, chain{l, links(d, l), l.Kind == "tlsa" || failedStatus(l.Status)})
	}
	return all
}

// links are the zones from the trust anchor down to the one that has the answer.
func links(d *report.Document, l report.Lookup) []report.Zone {
	var zones []report.Zone
	for _, position := range l.Chain {
		if position >= 0 && position < len(d.Zones) {
			zones = append(zones, d.Zones[position])
		}
	}
	return zones
}

// pair is a TLSA record beside what an endpoint serves.
type pair struct {
	Record  report.Record
	Match   report.Match
	Judged  bool   // there was a handshake
	Place   string // of the certificate that Match.Served is of
	Verdict string // in a word or two
	Sign    string
	Tone    string
}

// pairs sets each record beside what became of it at an endpoint.
func pairs(records []report.Record, e report.Endpoint) []pair {
	var all []pair
	proven := slices.ContainsFunc(e.Matches, func(m report.Match) bool { return m.Authenticates })
	for i, record := range records {
		p := pair{Record: record, Verdict: "not compared", Sign: "·", Tone: "plain"}
		if i < len(e.Matches) {
			p.Match, p.Judged = e.Matches[i], true
			p.Verdict, p.Sign, p.Tone = comparison(record, p.Match, proven)
			p.Place = "the leaf"
			if depth := p.Match.Depth; depth != nil && *depth > 0 {
				p.Place = "issuer " + strconv.Itoa(*depth)
			}
		}
		all = append(all, p)
	}
	return all
}

// comparison says what a record does for an endpoint. Where another one proves
// it already, a record that does not match is of the last key or of the next,
// and no harm.
func comparison(r report.Record, m report.Match, proven bool) (verdict, sign, tone string) {
	switch {
	case m.Authenticates:
		return "match", "=", "good"
	case r.Standing != "usable":
		return "not used", "·", "plain"
	case proven:
		return "not this one", "≠", "plain"
	case m.Matches:
		return "matches, and does not authenticate", "≈", "bad"
	default:
		return "no match", "≠", "bad"
	}
}

// bar is one byte of a digest, drawn.
type bar struct{ X, Y, Height int }

// bars draw the beginning of a digest, so that eyes can tell two apart.
func bars(data report.Data) []bar {
	const most, high = 32, 16
	octets, err := hex.DecodeString(strings.TrimPrefix(string(data), "sha256:"))
	if err != nil {
		return nil
	}
	var all []bar
	for i, octet := range octets[:min(len(octets), most)] {
		height := 1 + int(octet)*(high-1)/255
		all = append(all, bar{X: 3 * i, Y: high - height, Height: height})
	}
	return all
}

// span is one phase, drawn: in thousandths of the whole.
type span struct {
	report.Phase
	X, Width int
}

func spans(d *report.Document) []span {
	whole := d.Duration
	for _, phase := range d.Phases {
		whole = max(whole, phase.End)
	}
	var all []span
	for _, phase := range d.Phases {
		s := span{Phase: phase}
		if whole > 0 {
			s.X = int(1000 * max(phase.Start, 0) / whole)
			s.Width = max(int(1000*(phase.End-phase.Start)/whole), 4)
		}
		all = append(all, s)
	}
	return all
}

// The names of RFC 7218, and of IANA's registries for DNSSEC.

func usage(n uint8) string {
	return named(n, map[uint8]string{0: "PKIX-TA", 1: "PKIX-EE", 2: "DANE-TA", 3: "DANE-EE"})
}

// what names the thing that a record is about.
func what(r report.Record) string {
	selector := named(r.Selector, map[uint8]string{0: "certificate", 1: "public key"})
	if r.MatchingType == 0 {
		return selector + " in full"
	}
	return selector + ", " + named(r.MatchingType, map[uint8]string{1: "SHA-256", 2: "SHA-512"})
}

func algorithm(n uint8) string {
	return named(n, map[uint8]string{5: "RSASHA1", 7: "RSASHA1-NSEC3-SHA1", 8: "RSASHA256", 10: "RSASHA512",
		13: "ECDSAP256SHA256", 14: "ECDSAP384SHA384", 15: "ED25519", 16: "ED448"})
}

func digestName(n uint8) string {
	return named(n, map[uint8]string{1: "SHA-1", 2: "SHA-256", 4: "SHA-384"})
}

func named(n uint8, names map[uint8]string) string {
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprintf("unknown %d", n)
}

// clip cuts text for a line of an overview.
func clip(text string) string {
	const most = 80
	letters := []rune(text)
	if len(letters) <= most {
		return text
	}
	return string(letters[:most]) + "…"
}
