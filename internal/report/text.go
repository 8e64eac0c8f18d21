// Package report renders the result of a probe as text for a terminal and as JSON,
// and provides the data of web pages.
//
// [NewDocument] converts a probe.Report to a [Document]. Text, JSON and pages are
// rendered from the Document alone, so that they cannot differ. The text starts with
// the verdict, the findings and their remedies. The evidence follows: services,
// endpoints, DNS lookups and chains of trust.
package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"dane_exporter/probe"
)

// Text writes the Document of a probe as plain text, in lines of at most 100
// characters where possible. It returns the error of w.
func Text(w io.Writer, r *probe.Report) error {
	d := NewDocument(r)
	t := &textWriter{bufio.NewWriter(w)}
	t.verdict(d)
	t.findings(d.Findings, d.MoreFindings)
	t.publish(d)
	t.later(d)
	t.advice(d.Advice)
	for i := range d.Services {
		t.service(d, &d.Services[i])
	}
	t.mtaSTS(d)
	t.lookups(d)
	t.zones(d.Zones)
	t.delegations(d)
	t.phases(d.Phases)
	return t.w.Flush()
}

func (t *textWriter) verdict(d *Document) {
	t.line(0, "%s: %s: %s", d.Target, d.Outcome, d.Meaning)
	if d.Zone != "" {
		t.line(0, "zone at fault, the only cause of the outcome: %s", d.Zone)
	}
	t.line(0, "probe_success %d: module %s, policy %s, require %s", success(d.Success), d.Module.Name, d.Module.Policy, d.Module.Require)
	t.line(0, "probed %s, took %s of %s", formatTime(&d.Start), round(d.Duration), round(d.Timeout))
	for _, source := range d.Module.SourceAddresses {
		t.line(0, "source address of connections: %s", source)
	}
	if d.Module.Proxy != "" {
		t.line(0, "connections through proxy %s", d.Module.Proxy)
	}
	if len(d.Module.Resolvers) > 0 {
		t.line(0, "resolvers of the module: %s", strings.Join(d.Module.Resolvers, ", "))
	}
	if !d.Complete {
		t.line(0, "incomplete: the deadline ended the probe early")
	}
	for _, what := range d.Truncated {
		t.line(0, "too many %s: not all were probed", what)
	}
}

// success returns the value of probe_success.
func success(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

func (t *textWriter) findings(findings []Finding, more int) {
	if len(findings) == 0 {
		return
	}
	t.heading("Findings")
	for _, f := range findings {
		t.line(2, "%s (%s)%s", f.Reason, f.Effect, prefixed(": ", f.Location()))
		t.line(4, "%s", f.Meaning)
		if f.Detail != "" {
			t.line(4, "Detail: %s", f.Detail)
		}
		t.line(4, "Remedy: %s", f.Remedy)
	}
	t.more(2, more, "findings")
}

// publish writes the records to publish now, as zone-file lines.
func (t *textWriter) publish(d *Document) {
	missing := d.MissingRecords()
	if len(missing) == 0 {
		return
	}
	t.heading("Records to publish now, if the served keys are yours")
	if d.NeedsDNSSEC() {
		t.line(2, "They take effect only when all names that lead to them are signed with DNSSEC.")
	}
	for _, record := range missing {
		t.unbroken(2, "%s", record.Zone)
	}
}

// later writes the verdict for another time, and its differences from the current one.
func (t *textWriter) later(d *Document) {
	later := d.Later
	if later == nil {
		return
	}
	t.heading(fmt.Sprintf("Judged for %s: %s: %s", formatTime(&later.At), later.Outcome, later.Meaning))
	t.line(2, "probe_success would be %d. Only the dates of certificates are judged for that time. "+
		"The served certificates, DNS records and DNSSEC statuses are the current ones.", success(later.Success))
	for i, s := range later.Services {
		if i < len(d.Services) && d.Services[i].Outcome != s.Outcome {
			t.line(2, "%s port %d: %s, now %s", s.Host, s.Port, s.Outcome, d.Services[i].Outcome)
		}
	}
	t.difference("new", later.Findings, d.Findings)
	t.difference("gone", d.Findings, later.Findings)
}

// difference writes the findings that are not among others.
func (t *textWriter) difference(label string, findings, others []Finding) {
	for _, f := range findings {
		same := func(other Finding) bool { return other.Reason == f.Reason && other.Location() == f.Location() }
		if slices.ContainsFunc(others, same) {
			continue
		}
		t.line(2, "%s: %s (%s)%s", label, f.Reason, f.Effect, prefixed(": ", f.Location()))
		if f.Detail != "" {
			t.line(4, "%s", f.Detail)
		}
	}
}

func (t *textWriter) advice(advice []Advice) {
	if len(advice) == 0 {
		return
	}
	t.heading("Advice, which does not affect the outcome")
	for _, a := range advice {
		t.line(2, "%s%s", a.Topic, prefixed(": ", a.Location()))
		t.line(4, "%s", a.Meaning)
		t.line(4, "Detail: %s", a.Detail)
		t.line(4, "Remedy: %s", a.Remedy)
	}
}

func (t *textWriter) service(d *Document, s *Service) {
	preference := ""
	switch {
	case s.Weight != nil:
		preference = fmt.Sprintf(", priority %d, weight %d", *s.Preference, *s.Weight)
	case s.Preference != nil:
		preference = fmt.Sprintf(", preference %d", *s.Preference)
	}
	t.heading(fmt.Sprintf("%s port %d%s: %s", s.Host, s.Port, preference, s.Outcome))
	t.records(s, len(d.Module.KeyTypes) > 0)
	t.rollover(s.Rollover)
	t.nameservers(s.Nameservers)
	t.more(4, s.MoreNameservers, "nameservers")
	for i := range s.Endpoints {
		t.endpoint(&s.Endpoints[i], s.Records, d)
	}
}

// records writes the TLSA records of a service and how they are maintained. allKeyTypes
// reports whether each key type had a handshake. Otherwise, the server may have
// certificates that were not seen.
func (t *textWriter) records(s *Service, allKeyTypes bool) {
	if s.Policy != "" {
		t.line(2, "judged by policy %s", s.Policy)
	}
	if s.Base == "" {
		t.line(2, "no secure TLSA records apply")
	} else {
		t.line(2, "TLSA base domain %s", s.Base)
	}
	if len(s.Names) > 0 {
		t.line(2, "accepted certificate names: %s", strings.Join(s.Names, ", "))
	}
	stale := s.stale()
	for _, r := range s.Records {
		t.line(2, "%s", r)
		why := r.Why
		if why == r.Standing {
			why = ""
		}
		t.line(4, "%s%s", r.Standing, prefixed(": ", why))
		if slices.Contains(stale, r) {
			t.line(4, "matches no certificate that was seen")
		}
	}
	t.more(2, s.MoreRecords, "records")
	if len(stale) > 0 && !allKeyTypes {
		t.line(2, "certificates with other types of keys were not seen: set key_types to see them")
	}
	if s.RolloverReady != nil {
		t.line(2, "ready for a rollover, with a record of the next key: %s", yesNo(s.RolloverReady))
	}
	if s.SurvivesRenewal != nil {
		t.line(2, "survives a renewal with the same key: %s", yesNo(s.SurvivesRenewal))
	}
	if s.Until != nil {
		t.line(2, "DANE authentication expires at %s if no certificate changes", formatTime(s.Until))
	}
}

// rollover writes the steps of each record.
func (t *textWriter) rollover(steps []RolloverStep) {
	if len(steps) == 0 {
		return
	}
	t.line(2, "rollover:")
	for _, s := range steps {
		t.line(4, "%s", s.Record)
		for _, step := range s.Timeline() {
			t.line(6, "%s: %s", step.Name, step.When)
		}
	}
}

func (t *textWriter) nameservers(nameservers []Nameserver) {
	if len(nameservers) == 0 {
		return
	}
	t.line(2, "nameservers of the zone of the TLSA records:")
	for _, n := range nameservers {
		state := "not queried"
		if n.Up != nil {
			state = "does not answer for the zone"
			if *n.Up {
				state = "up"
			}
		}
		parts := []string{state}
		if n.Consistent != nil {
			same := "different TLSA records"
			if *n.Consistent {
				same = "same TLSA records"
			}
			parts = append(parts, same)
		}
		if n.Serial != nil {
			parts = append(parts, fmt.Sprintf("serial %d", *n.Serial))
		}
		if n.Expiry != nil {
			parts = append(parts, "signatures expire at "+formatTime(n.Expiry))
		}
		t.line(4, "%s (%s): %s", n.Name, n.Address, strings.Join(parts, ", "))
		if n.Why != "" {
			t.line(6, "%s", n.Why)
		}
	}
}

func (t *textWriter) endpoint(e *Endpoint, records []Record, d *Document) {
	t.blank()
	name := addressAndKey(e.Address, e.KeyType)
	if e.Skipped {
		t.line(2, "%s: skipped: %s", name, e.Error)
		return
	}
	t.line(2, "%s: %s", name, e.Outcome)
	if e.AsOf != nil {
		age := "at the same time"
		if earlier := d.Start.Sub(*e.AsOf).Round(time.Second); earlier > 0 {
			age = formatDuration(earlier) + " earlier"
		}
		t.line(4, "handshake of another probe, made %s", age)
	}
	for _, line := range e.Dialogue {
		t.line(4, "%s: %s", line.From, line.Text)
	}
	t.more(4, e.MoreLines, "lines")
	if e.TLS != nil {
		t.line(4, "%s, %s%s, SNI %s", e.TLS.Version, e.TLS.Cipher, prefixed(", ", e.TLS.Group), e.TLS.SNI)
	}
	if e.Error != "" {
		t.line(4, "error: %s", e.Error)
	}
	for depth, c := range e.Certificates {
		t.certificate(depth, c, d.At)
	}
	t.more(4, e.MoreCertificates, "certificates")
	for _, m := range e.Matches {
		if m.Record >= len(records) {
			break
		}
		result := "does not authenticate"
		if m.Authenticates {
			result = "authenticates"
		}
		t.line(4, "%s", records[m.Record])
		t.line(8, "%s: %s", result, m.Why)
	}
	t.more(4, e.MoreMatches, "records")
	if e.NameMatch != nil {
		t.line(4, "certificate has an accepted name: %s", yesNo(e.NameMatch))
	}
	if e.PKIX != nil {
		t.line(4, "certificate is valid in the Web PKI: %s%s", yesNo(e.PKIX), prefixed(": ", e.PKIXWhy))
	}
}

// addressAndKey returns the name of an endpoint, as "192.0.2.1, rsa key". Without a
// key type, it is the address.
func addressAndKey(address, keyType string) string {
	if keyType == "" {
		return address
	}
	return address + ", " + keyType + " key"
}

// certificate writes one certificate. at is the time of the verdict.
func (t *textWriter) certificate(depth int, c Certificate, at time.Time) {
	if !c.Parsed {
		t.line(4, "certificate %d: not parsed, %d bytes", depth, c.Size)
		t.line(8, "SHA-256 %s", c.SHA256)
		return
	}
	t.line(4, "certificate %d: %s", depth, cmp.Or(c.Subject, "(empty)"))
	t.line(8, "issuer %s", cmp.Or(c.Issuer, "(empty)"))
	if len(c.Names) > 0 {
		t.line(8, "names %s", strings.Join(c.Names, ", "))
	}
	t.more(8, c.MoreNames, "names")
	note := ""
	switch {
	case c.NotAfter != nil && at.After(*c.NotAfter):
		note = " (expired)"
	case c.NotBefore != nil && at.Before(*c.NotBefore):
		note = " (not yet valid)"
	}
	t.line(8, "valid from %s to %s%s", formatTime(c.NotBefore), formatTime(c.NotAfter), note)
	t.line(8, "serial %s", c.Serial)
	t.line(8, "SHA-256 %s", c.SHA256)
	t.line(8, "SPKI SHA-256 %s", c.SPKI)
}

func (t *textWriter) mtaSTS(d *Document) {
	m := d.MTASTS
	if m == nil {
		return
	}
	t.heading("MTA-STS and DANE")
	t.senders(d.Target, m)
	t.policy(m)
	t.tlsrpt(m)
	for i := range m.Lookups {
		t.lookup(d, &m.Lookups[i])
	}
}

// senders writes a table of the outcomes for three kinds of senders, for the domain
// and for each service.
func (t *textWriter) senders(target string, m *MTASTS) {
	const title = "outcome for senders with"
	type row struct {
		name    string
		senders Senders
	}
	rows := []row{{title, Senders{"only DANE", "only MTA-STS", "both"}}, {target, m.Senders}}
	for _, s := range m.Services {
		rows = append(rows, row{fmt.Sprintf("%s port %d", s.Host, s.Port), s.Senders})
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r.name))
	}
	for _, r := range rows { // an outcome has at most 13 characters
		t.unbroken(2, "%-*s  %-13s  %-13s  %s", width, r.name, r.senders.DANE, r.senders.MTASTS, r.senders.Both)
	}
	for _, s := range m.Services {
		if s.Covered != nil {
			t.line(2, "%s is listed in the policy: %s", s.Host, yesNo(s.Covered))
		}
		for _, e := range s.Endpoints {
			name := fmt.Sprintf("%s port %d at %s", s.Host, s.Port, addressAndKey(e.Address, e.KeyType))
			if e.Skipped {
				t.line(2, "%s: skipped%s", name, prefixed(": ", e.Why))
				continue
			}
			t.line(2, "%s satisfies MTA-STS: %s%s", name, yesNo(e.Passes), prefixed(": ", e.Why))
		}
	}
}

// policy writes the MTA-STS record and the policy, up to the first failure.
func (t *textWriter) policy(m *MTASTS) {
	t.line(2, "policy: %s", map[string]string{
		"unknown":  "unknown, for a reason on the exporter's side",
		"none":     "none in effect; a sender with a cached policy applies that until it expires",
		"testing":  "testing: senders deliver, and report failures",
		"enforced": "enforced: senders deliver only to servers that meet it",
	}[m.Standing])
	if m.RecordLookup == nil || m.Lookups[*m.RecordLookup].Failed() {
		return
	}
	if m.Record != "" {
		t.line(4, "the record is not valid: %s", m.Record)
		return
	}
	if m.RecordID == "" {
		t.line(4, "there is no record at %s", m.Lookups[*m.RecordLookup].Name)
		return
	}
	t.line(4, "record with id %s", m.RecordID)
	for _, f := range m.Fetches {
		t.line(4, "%s at %s: %s", m.Host, f.Address, cmp.Or(f.Error, "fetched"))
		if c := f.Certificate; c != nil {
			t.line(6, "its certificate is valid from %s to %s", formatTime(c.NotBefore), formatTime(c.NotAfter))
		}
	}
	if m.Why != "" {
		t.line(4, "the policy is not valid: %s", m.Why)
	}
	if m.Policy == nil {
		return
	}
	t.line(4, "mode %s, max_age %s", m.Policy.Mode, Days(seconds(m.Policy.MaxAge)))
	for _, pattern := range m.Policy.MX {
		t.line(4, "mx %s", pattern)
	}
	t.more(4, m.Policy.MoreMX, "mx patterns")
}

func (t *textWriter) tlsrpt(m *MTASTS) {
	if len(m.TLSRPT) == 0 {
		t.line(2, "TLSRPT: unknown")
	}
	for _, record := range m.TLSRPT {
		switch {
		case m.Lookups[record.Lookup].Failed():
			t.line(2, "TLSRPT of %s: unknown", record.Name)
		case record.Error != "":
			t.line(2, "TLSRPT of %s: the record is not valid: %s", record.Name, record.Error)
		case len(record.RUA) == 0:
			t.line(2, "TLSRPT of %s: no record, so senders do not report failures", record.Name)
		default:
			t.line(2, "TLSRPT of %s: reports are sent to %s", record.Name, strings.Join(record.RUA, ", "))
		}
	}
}

func (t *textWriter) lookups(d *Document) {
	if len(d.Lookups) > 0 {
		t.heading("Lookups")
	}
	for i := range d.Lookups {
		t.lookup(d, &d.Lookups[i])
	}
}

func (t *textWriter) lookup(d *Document, l *Lookup) {
	t.line(2, "%s %s: %s", RecordType(l.Kind), l.Name, l.Status)
	if l.Why != "" {
		t.line(4, "%s", l.Why)
	}
	if l.Error != "" {
		t.line(4, "error: %s", l.Error)
	}
	if l.Inconsistent != "" {
		t.line(4, "another resolver: %s", l.Inconsistent)
	}
	for _, alias := range l.Aliases {
		t.line(4, "%s is an alias of %s: %s", alias.From, alias.To, alias.Status)
	}
	for _, record := range l.Records {
		t.line(4, "%s", record)
	}
	t.more(4, l.MoreRecords, "records")
	if len(l.Chain) > 0 {
		var zones []string
		for _, z := range d.Links(l) {
			zones = append(zones, z.Zone)
		}
		t.line(4, "chain %s", strings.Join(zones, " > "))
	}
	if l.Expiry != nil {
		t.line(4, "signatures expire at %s", formatTime(l.Expiry))
	}
	for _, ede := range l.EDE {
		t.line(4, "extended DNS error: %s", ede)
	}
	if l.Server != "" {
		t.line(4, "answered by %s in %s", l.Server, round(l.RTT))
	}
	if l.TTL > 0 {
		t.line(4, "TTL %s", formatDuration(seconds(l.TTL)))
	}
	t.line(4, "cost: queries %d, signature checks %d, NSEC3 hashes %d", l.Queries, l.Signatures, l.Hashes)
}

// delegations writes the delegations. It lists only nameservers with a problem.
func (t *textWriter) delegations(d *Document) {
	if len(d.Delegations) > 0 {
		t.heading("Delegations")
	}
	for i := range d.Delegations {
		t.delegation(&d.Delegations[i])
	}
	t.more(2, d.MoreDelegations, "delegations")
}

func (t *textWriter) delegation(d *Delegation) {
	t.line(2, "%s in %s, checked at %s", d.Zone, d.Parent, formatTime(&d.Checked))
	if d.DS != nil && len(d.DS) == 0 {
		t.line(4, "no DS record")
	}
	for _, ds := range d.DS {
		matches := map[string]string{"yes": ", matches a key", "no": ", matches no key"}[yesNo(ds.Matches)]
		t.line(4, "DS %d, %s, %s%s", ds.Tag, ds.Algorithm, ds.DigestType, matches)
	}
	for _, key := range d.Keys {
		if yesNo(key.Idle) == "yes" {
			t.line(4, "key %d, %s, is published but not used", key.Tag, key.Algorithm)
		}
	}
	if d.CDSConsistent != nil {
		t.line(4, "nameservers return equal CDS and CDNSKEY records: %s%s", yesNo(d.CDSConsistent), prefixed(": ", d.CDSWhy))
	}
	if d.CDSPending != nil {
		t.line(4, "other DS records are requested: %s%s", yesNo(d.CDSPending), prefixed(": ", d.CDSRequested))
	}
	if d.NSConsistent != nil {
		t.line(4, "NS records of parent and zone are equal: %s%s", yesNo(d.NSConsistent), prefixed(": ", d.NSWhy))
	}
	t.line(4, "addresses of nameservers: %d of %s, %d of %s", len(d.ParentNameservers), d.Parent, len(d.Nameservers), d.Zone)
	t.more(4, d.MoreNameservers, "addresses")
	for _, n := range d.Problems() {
		t.line(6, "%s (%s)%s", n.Name, n.Address, prefixed(": ", n.Why))
	}
}

// zones writes the links of all chains of trust, from the root down.
func (t *textWriter) zones(zones []Zone) {
	if len(zones) > 0 {
		t.heading("Chain of trust")
	}
	for _, z := range zones {
		t.line(2, "%s: %s", z.Zone, z.Status)
		if z.Why != "" {
			t.line(4, "%s", z.Why)
		}
		for _, ds := range z.DS {
			used := ""
			if ds.Used {
				used = ", matches a key in use"
			}
			t.line(4, "DS %d, algorithm %d, digest type %d%s", ds.Tag, ds.Algorithm, ds.DigestType, used)
		}
		for _, key := range z.Keys {
			notes := ""
			if key.SEP {
				notes += ", secure entry point"
			}
			if key.Signing {
				notes += ", signs"
			}
			t.line(4, "key %d, algorithm %d%s", key.Tag, key.Algorithm, notes)
		}
	}
}

func (t *textWriter) phases(phases []Phase) {
	if len(phases) > 0 {
		t.heading("Phases (time since the start of the probe)")
	}
	for _, p := range phases {
		t.line(2, "%-9s %8s to %s", p.Name, round(p.Start), round(p.End))
	}
}

// FormatTime returns a time in UTC, as "2026-03-01 12:00:00 UTC".
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// formatTime returns "" for nil.
func formatTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return FormatTime(*t)
}

// Days returns a duration in days, as "1.5 days". If it is shorter than a day, the
// result is that of formatDuration.
func Days(d time.Duration) string {
	if d < day {
		return formatDuration(d)
	}
	return fmt.Sprintf("%.3g days", d.Hours()/day.Hours())
}

const day = 24 * time.Hour

// formatDuration returns a duration in days, hours, minutes and seconds, as "1d12h". It
// is rounded to seconds.
func formatDuration(d time.Duration) string {
	d = d.Round(time.Second)
	var text strings.Builder
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / unit.size; n > 0 {
			fmt.Fprintf(&text, "%d%s", n, unit.name)
			d -= n * unit.size
		}
	}
	return cmp.Or(text.String(), "0s")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// round returns a number of seconds as a duration, rounded to what matters.
func round(s float64) time.Duration {
	d := seconds(s)
	if d < time.Second {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

func yesNo(measured *bool) string {
	switch {
	case measured == nil:
		return "not measured"
	case *measured:
		return "yes"
	default:
		return "no"
	}
}

// prefixed returns prefix and text, or "" if text is empty.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
