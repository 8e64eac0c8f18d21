package collector

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// healthy returns the report of a domain with one mail server at one address and no
// problems.
func healthy() *probe.Report {
	certificate := &x509.Certificate{
		Raw: []byte("leaf"), RawSubjectPublicKeyInfo: []byte("key"), SerialNumber: big.NewInt(0xbeef),
		Subject: pkix.Name{CommonName: "MX.example.org"}, Issuer: pkix.Name{CommonName: "Some CA"},
		NotBefore: time.Unix(1_760_000_000, 0), NotAfter: time.Unix(2_000_000_000, 0),
	}
	issuer := &x509.Certificate{NotAfter: time.Unix(1_900_000_000, 0)}
	record := tlsa.Record{Usage: tlsa.DANEEE, Selector: tlsa.SPKI, MatchingType: tlsa.SHA256, Data: []byte{0xab, 0xcd}}
	endpoint := dane.Endpoint{
		Address: netip.MustParseAddr("192.0.2.1"), Reached: dane.StageTLS, Dialogue: starttls.Dialogue{Offered: true},
		TLS:        dane.Span{Start: time.Unix(1_779_999_999, 0), End: time.UnixMilli(1_779_999_999_500)},
		TLSVersion: tls.VersionTLS13, Cipher: tls.TLS_AES_128_GCM_SHA256, Group: uint16(tls.X25519MLKEM768),
		Chain: &tlsa.Chain{Certificates: []*x509.Certificate{certificate, issuer}},
	}
	answer := func(name string) dnssec.Answer {
		return dnssec.Answer{Name: name, Status: dnssec.Secure, TTL: time.Hour, Records: []dns.RR{&dns.ANY{}},
			Signer: "example.org.", Algorithm: "ECDSAP256SHA256",
			Chain: []dnssec.Link{
				{Zone: ".", Status: dnssec.Secure, Validity: validity(1_600_000_000, 1_850_000_000)},
				{Zone: "example.org.", Status: dnssec.Secure, Validity: validity(1_700_000_000, 1_800_000_000)},
			}}
	}
	mx, a := answer("example.org."), answer("mx.example.org.")
	r := &probe.Report{
		Module: probe.Module{Name: "smtp_mx", Port: 25, Protocol: "smtp"},
		Start:  start, Duration: 1500 * time.Millisecond, Deadline: 30 * time.Second,
		Facts: dane.Facts{MX: &mx, Complete: true,
			Phases: []dane.Phase{{Name: "tls", Span: dane.Span{Start: start, End: start.Add(250 * time.Millisecond)}}},
			Hosts: []dane.Host{{Name: "mx.example.org", A: &a, Services: []dane.Service{{
				Port: 25, Protocol: "smtp", Preference: 10,
				TLSA:      []dane.TLSALookup{{Base: "mx.example.org", Answer: answer("_25._tcp.mx.example.org.")}},
				Endpoints: []dane.Endpoint{endpoint},
			}}}},
		},
	}
	service := &r.Facts.Hosts[0].Services[0]
	r.Verdict = dane.Verdict{Outcome: dane.Authenticated, Success: true, Services: []dane.ServiceVerdict{{
		Service: service, Host: "mx.example.org", Port: 25, Outcome: dane.Authenticated,
		Base: "mx.example.org", Answer: &service.TLSA[0].Answer,
		Records: []dane.RecordVerdict{{Record: record, Matches: true}},
		From:    time.Unix(1_650_000_000, 0),
		Until:   time.Unix(1_950_000_000, 0),
		Endpoints: []dane.EndpointVerdict{{
			Address: endpoint.Address, Outcome: dane.Authenticated, Facts: &service.Endpoints[0],
			Matches: []tlsa.Match{{Record: record, Matches: true}}, NameMatch: dane.Yes, PKIX: dane.No,
		}},
	}}}
	return r
}

// validity returns the validity of signatures. inception and expiry are those of the
// signature that expires first.
func validity(inception, expiry int64) dnssec.Validity {
	return dnssec.Validity{Inception: time.Unix(1_790_000_000, 0), Since: time.Unix(inception, 0), Expiry: time.Unix(expiry, 0)}
}

// The parts of a report that test cases change.
func serviceOf(r *probe.Report) *dane.ServiceVerdict   { return &r.Verdict.Services[0] }
func endpointOf(r *probe.Report) *dane.EndpointVerdict { return &serviceOf(r).Endpoints[0] }

// addEndpoint adds an endpoint with another address and a copy of the facts of the
// first.
func addEndpoint(r *probe.Report, address string) *dane.EndpointVerdict {
	s := serviceOf(r)
	added, facts := s.Endpoints[0], *s.Endpoints[0].Facts
	added.Address = netip.MustParseAddr(address)
	facts.Address = added.Address
	added.Facts = &facts
	s.Endpoints = append(s.Endpoints, added)
	return &s.Endpoints[len(s.Endpoints)-1]
}

// expose returns the samples of Families in text format, of the named metrics or of
// all. It checks them as a Registry does: names, consistent families, no duplicates.
func expose(t *testing.T, r *probe.Report, names ...string) string {
	t.Helper()
	gatherer := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return Families(r), nil })
	checked, err := prometheus.Gatherers{gatherer}.Gather()
	if err != nil {
		t.Fatalf("inconsistent families: %v", err)
	}
	problems, err := promlint.NewWithMetricFamilies(checked).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if len(checked) != len(Families(r)) {
		t.Errorf("Families returned %d families, a Gatherer %d", len(Families(r)), len(checked))
	}
	return samples(t, r, names...)
}

// samples returns the samples of Families in text format, of the named metrics or of
// all.
func samples(t *testing.T, r *probe.Report, names ...string) string {
	t.Helper()
	var text strings.Builder
	for _, family := range Families(r) {
		if len(names) > 0 && !slices.Contains(names, family.GetName()) {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	var lines strings.Builder
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

const healthyText = `dane_authenticated_from_timestamp_seconds{host="mx.example.org",port="25"} 1.65e+09
dane_authenticated_until_timestamp_seconds{host="mx.example.org",port="25"} 1.95e+09
dane_certificate_chain_not_after_timestamp_seconds{host="mx.example.org",port="25"} 1.9e+09
dane_certificate_info{host="mx.example.org",port="25",subject="CN=MX.example.org",issuer="CN=Some CA",serial="beef",fingerprint_sha256="9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b",spki_sha256="2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"} 1
dane_certificate_name_match{host="mx.example.org",port="25"} 1
dane_certificate_not_after_timestamp_seconds{host="mx.example.org",port="25"} 2e+09
dane_certificate_not_before_timestamp_seconds{host="mx.example.org",port="25"} 1.76e+09
dane_dnssec_info{lookup="a",name="mx.example.org",host="mx.example.org",status="secure",signer="example.org",algorithm="ECDSAP256SHA256"} 1
dane_dnssec_info{lookup="mx",name="example.org",host="",status="secure",signer="example.org",algorithm="ECDSAP256SHA256"} 1
dane_dnssec_info{lookup="tlsa",name="_25._tcp.mx.example.org",host="mx.example.org",status="secure",signer="example.org",algorithm="ECDSAP256SHA256"} 1
dane_dnssec_signature_expiry_timestamp_seconds{zone="."} 1.85e+09
dane_dnssec_signature_expiry_timestamp_seconds{zone="example.org"} 1.8e+09
dane_dnssec_signature_inception_timestamp_seconds{zone="."} 1.6e+09
dane_dnssec_signature_inception_timestamp_seconds{zone="example.org"} 1.7e+09
dane_dnssec_valid{lookup="a",name="mx.example.org",host="mx.example.org"} 1
dane_dnssec_valid{lookup="mx",name="example.org",host=""} 1
dane_dnssec_valid{lookup="tlsa",name="_25._tcp.mx.example.org",host="mx.example.org"} 1
dane_endpoint_up{host="mx.example.org",port="25"} 1
dane_endpoints{host="mx.example.org",port="25",outcome="authenticated"} 1
dane_handshake_timestamp_seconds{host="mx.example.org",port="25"} 1.7799999995e+09
dane_host_outcome{host="mx.example.org",port="25",outcome="authenticated"} 1
dane_host_outcome{host="mx.example.org",port="25",outcome="encrypted"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="none"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="opportunistic"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="refused"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="unknown"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="unreachable"} 0
dane_hosts 1
dane_hosts_refused 0
dane_hosts_with_tlsa 1
dane_mx_preference{host="mx.example.org"} 10
dane_outcome{outcome="authenticated"} 1
dane_outcome{outcome="encrypted"} 0
dane_outcome{outcome="none"} 0
dane_outcome{outcome="opportunistic"} 0
dane_outcome{outcome="refused"} 0
dane_outcome{outcome="unknown"} 0
dane_outcome{outcome="unreachable"} 0
dane_pkix_valid{host="mx.example.org",port="25"} 0
dane_probe_complete 1
dane_probe_phase_duration_seconds{phase="tls"} 0.25
dane_starttls_offered{host="mx.example.org",port="25"} 1
dane_tls_info{host="mx.example.org",port="25",version="TLS 1.3",cipher="TLS_AES_128_GCM_SHA256",group="X25519MLKEM768"} 1
dane_tlsa_match{host="mx.example.org",port="25"} 1
dane_tlsa_record_match{host="mx.example.org",port="25",usage="3",selector="1",matching_type="1",data="abcd"} 1
dane_tlsa_records{host="mx.example.org",port="25",usable="yes"} 1
dane_tlsa_rollover_ready{host="mx.example.org",port="25"} 0
dane_tlsa_stale_records{host="mx.example.org",port="25"} 0
dane_tlsa_survives_renewal{host="mx.example.org",port="25"} 1
dane_tlsa_ttl_seconds{host="mx.example.org",port="25"} 3600
probe_duration_seconds 1.5
probe_success 1
`

func TestHealthy(t *testing.T) {
	if got := expose(t, healthy()); got != healthyText {
		t.Errorf("got\n%s", diff(got, healthyText))
	}
}

// diff returns the lines that only one of two texts has.
func diff(got, want string) string {
	var b strings.Builder
	for line := range strings.Lines(got) {
		if !strings.Contains(want, line) {
			b.WriteString("+" + line)
		}
	}
	for line := range strings.Lines(want) {
		if !strings.Contains(got, line) {
			b.WriteString("-" + line)
		}
	}
	return b.String()
}

// delegation returns a delegation for which everything is known.
func delegation() *dane.Delegation {
	return &dane.Delegation{Zone: "example.org", Parent: "org", At: time.Unix(1_750_000_000, 0), DSKnown: true, KeysKnown: true,
		ParentServers: []dane.NameserverVerdict{{Zone: "org", Name: "ns.org", Address: netip.MustParseAddr("192.0.2.1"), Up: dane.Yes, Consistent: dane.No}},
		Servers:       []dane.NameserverVerdict{{Zone: "example.org", Name: "ns1.example.org", Address: netip.MustParseAddr("192.0.2.53"), Up: dane.Yes, Consistent: dane.Yes}},
		DS:            []dane.DelegationDS{{DS: dnssec.DS{Tag: 1, Algorithm: 13, DigestType: 2, Used: true}, Compared: true}, {DS: dnssec.DS{Tag: 2, Algorithm: 99, DigestType: 9}, Compared: true}},
		Keys:          []dane.DelegationKey{{Key: dnssec.Key{Tag: 1, Algorithm: 13, SEP: true, Signing: true}, InDS: true}, {Key: dnssec.Key{Tag: 3, Algorithm: 13}}},
		CDS:           dane.Consistency{Agree: dane.Yes}, CDSPending: dane.Yes, NS: dane.Consistency{Agree: dane.No},
	}
}

// What the probe itself measured about a nameserver takes precedence over an examination that
// probes share.
func TestNameserverUp(t *testing.T) {
	for _, c := range []struct{ now, before, want dane.Measure }{
		{dane.Yes, dane.No, dane.Yes},
		{dane.No, dane.Yes, dane.No},
		{dane.NotMeasured, dane.No, dane.No},
		{dane.NotMeasured, dane.NotMeasured, dane.NotMeasured},
	} {
		r, d := healthy(), delegation()
		d.ParentServers, d.Servers[0].Up = nil, c.before
		server := d.Servers[0]
		server.Up = c.now
		serviceOf(r).Nameservers = []dane.NameserverVerdict{server}
		r.Facts.Delegations = []*dane.Delegation{d}
		up := map[dane.Measure]string{dane.Yes: " 1\n", dane.No: " 0\n"}[c.want]
		const series = `dane_nameserver_up{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53"}`
		if got := expose(t, r); strings.Contains(got, series) != (up != "") || !strings.Contains(got, series+up) && up != "" {
			t.Errorf("now %d, before %d: want %q in\n%s", c.now, c.before, series+up, diff(got, healthyText))
		}
	}
}

// TestProbeMetricsAreComplete checks that ProbeMetrics lists the metrics that Families
// returns, and no others.
func TestProbeMetricsAreComplete(t *testing.T) {
	r := withMTASTS(healthy())
	r.Verdict.Findings = []dane.Finding{{Reason: dane.NoTLSA}}
	r.Verdict.FaultZone = "org"
	r.Facts.Truncated = []string{"hosts"}
	skipped := addEndpoint(r, "2001:db8::1")
	skipped.Skipped, skipped.Facts.Err = true, probe.ErrNoIPv6
	serviceOf(r).Nameservers = []dane.NameserverVerdict{{Zone: "example.org", Up: dane.Yes, Consistent: dane.Yes, SerialKnown: true, Expiry: time.Unix(1, 0)}}
	r.Facts.Delegations = []*dane.Delegation{delegation()}
	exposed := make(map[string]bool)
	for _, family := range Families(r) {
		exposed[family.GetName()] = true
	}
	for _, metric := range ProbeMetrics() {
		if !exposed[metric.Name] {
			t.Errorf("ProbeMetrics lists %s, which is never exposed", metric.Name)
		}
		delete(exposed, metric.Name)
	}
	for name := range exposed {
		t.Errorf("ProbeMetrics does not list %s, which is exposed", name)
	}
}

func TestFamilies(t *testing.T) {
	at := `{host="mx.example.org",port="25"} `
	tests := []struct {
		name   string
		change func(*probe.Report)
		series []string
		want   string
	}{
		{
			"the host has the value of its worse address",
			func(r *probe.Report) {
				e := addEndpoint(r, "192.0.2.2")
				e.Outcome, e.NameMatch = dane.Refused, dane.No
				e.Matches = []tlsa.Match{{Failure: tlsa.Mismatch}}
				sooner := *e.Facts.Chain.Certificates[0]
				sooner.NotBefore, sooner.NotAfter = time.Unix(1_770_000_000, 0), time.Unix(1_780_000_000, 0)
				e.Facts.Chain = &tlsa.Chain{Certificates: []*x509.Certificate{&sooner}}
			},
			[]string{tlsaMatch.Name, certificateNameMatch.Name, certificateNotBefore.Name, certificateNotAfter.Name, certificateChainNotAfter.Name, endpointUp.Name},
			certificateChainNotAfter.Name + at + "1.78e+09\n" + certificateNameMatch.Name + at + "0\n" + certificateNotAfter.Name + at + "1.78e+09\n" + certificateNotBefore.Name + at + "1.77e+09\n" + endpointUp.Name + at + "1\n" + tlsaMatch.Name + at + "0\n",
		},
		{
			"with per_address, endpoint metrics have one series per address, other metrics do not",
			func(r *probe.Report) {
				r.Module.PerAddress = true
				addEndpoint(r, "2001:db8::2").Matches = []tlsa.Match{{Failure: tlsa.Mismatch}}
			},
			[]string{tlsaMatch.Name, tlsaRecords.Name},
			`dane_tlsa_match{host="mx.example.org",port="25",address="192.0.2.1"} 1
dane_tlsa_match{host="mx.example.org",port="25",address="2001:db8::2"} 0
dane_tlsa_records{host="mx.example.org",port="25",usable="yes"} 1
`,
		},
		{
			"with key_types and per_address, endpoint metrics have one series per address and key type",
			func(r *probe.Report) {
				r.Module.PerAddress, r.Module.KeyTypes = true, dane.KeyTypes()
				endpointOf(r).Facts.KeyType = dane.ECDSA
				e := addEndpoint(r, "192.0.2.1")
				e.Facts.KeyType, e.Matches = dane.RSA, []tlsa.Match{{Failure: tlsa.Mismatch}}
				addEndpoint(r, "192.0.2.2").Facts.KeyType = dane.ECDSA
				lacking := addEndpoint(r, "192.0.2.2")
				lacking.Facts.KeyType, lacking.Skipped = dane.RSA, true
			},
			[]string{tlsaMatch.Name},
			`dane_tlsa_match{host="mx.example.org",port="25",address="192.0.2.1",key_type="ecdsa"} 1
dane_tlsa_match{host="mx.example.org",port="25",address="192.0.2.1",key_type="rsa"} 0
dane_tlsa_match{host="mx.example.org",port="25",address="192.0.2.2",key_type="ecdsa"} 1
`,
		},
		{
			"with key_types, an address counts once, with its worst outcome; one that needs IPv6 is skipped once; a missing key type does not count",
			func(r *probe.Report) {
				r.Module.KeyTypes = dane.KeyTypes()
				endpointOf(r).Facts.KeyType = dane.ECDSA
				e := addEndpoint(r, "192.0.2.1")
				e.Facts.KeyType, e.Outcome = dane.RSA, dane.Refused
				addEndpoint(r, "192.0.2.2").Facts.KeyType = dane.ECDSA
				lacking := addEndpoint(r, "192.0.2.2")
				lacking.Facts.KeyType, lacking.Skipped, lacking.Facts.Err = dane.RSA, true, errors.New("no such key")
				for _, key := range dane.KeyTypes() {
					closed := addEndpoint(r, "2001:db8::1")
					closed.Facts.KeyType, closed.Skipped, closed.Facts.Err = key, true, probe.ErrNoIPv6
				}
			},
			[]string{endpoints.Name, endpointsSkipped.Name},
			`dane_endpoints{host="mx.example.org",port="25",outcome="authenticated"} 1
dane_endpoints{host="mx.example.org",port="25",outcome="refused"} 1
dane_endpoints_skipped{host="mx.example.org",port="25"} 1
`,
		},
		{
			"each nameserver has its series, and none for what it did not answer",
			func(r *probe.Report) {
				serviceOf(r).Nameservers = []dane.NameserverVerdict{
					{Zone: "example.org", Name: "ns1.example.org", Address: netip.MustParseAddr("192.0.2.53"), Up: dane.Yes, Consistent: dane.No,
						Serial: 7, SerialKnown: true, Expiry: time.Unix(1_750_000_000, 0)},
					{Zone: "example.org", Name: "ns2.example.org", Address: netip.MustParseAddr("2001:db8::53"), Up: dane.No},
					{Name: "ns3.example.org", Address: netip.MustParseAddr("10.0.0.1")},
				}
			},
			[]string{nameserverUp.Name, nameserverConsistent.Name, nameserverSerial.Name, nameserverExpiry.Name},
			`dane_nameserver_signature_expiry_timestamp_seconds{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53"} 1.75e+09
dane_nameserver_soa_serial{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53"} 7
dane_nameserver_tlsa_consistent{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53",host="mx.example.org",port="25"} 0
dane_nameserver_up{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53"} 1
dane_nameserver_up{zone="example.org",nameserver="ns2.example.org",address="2001:db8::53"} 0
`,
		},
		{
			"each nameserver of a parent has its series",
			func(r *probe.Report) { r.Facts.Delegations = []*dane.Delegation{delegation()} },
			[]string{nameserverUp.Name, nameserverDSConsistent.Name, nameserverKeysValid.Name},
			`dane_nameserver_ds_consistent{zone="org",nameserver="ns.org",address="192.0.2.1",delegation="example.org"} 0
dane_nameserver_keys_valid{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53"} 1
dane_nameserver_up{zone="example.org",nameserver="ns1.example.org",address="192.0.2.53"} 1
dane_nameserver_up{zone="org",nameserver="ns.org",address="192.0.2.1"} 1
`,
		},
		{
			"a delegation has its DS records, keys and requests",
			func(r *probe.Report) { r.Facts.Delegations = []*dane.Delegation{delegation()} },
			[]string{delegationChecked.Name, delegationDS.Name, delegationDSInfo.Name, delegationKeys.Name, delegationIdleKeys.Name, delegationCDSConsistent.Name, delegationCDSPending.Name, delegationNSConsistent.Name},
			`dane_delegation_cds_consistent{zone="example.org"} 1
dane_delegation_cds_pending{zone="example.org"} 1
dane_delegation_checked_timestamp_seconds{zone="example.org"} 1.75e+09
dane_delegation_ds_info{zone="example.org",key_tag="1",algorithm="ECDSAP256SHA256",digest_type="SHA256",matches="yes"} 1
dane_delegation_ds_info{zone="example.org",key_tag="2",algorithm="99",digest_type="9",matches="no"} 1
dane_delegation_ds_records{zone="example.org"} 2
dane_delegation_keys{zone="example.org"} 2
dane_delegation_keys_idle{zone="example.org"} 1
dane_delegation_nameservers_consistent{zone="example.org"} 0
`,
		},
		{
			"nothing of a delegation that is not known has a series",
			func(r *probe.Report) {
				r.Facts.Delegations = []*dane.Delegation{{Zone: "example.org", Parent: "org", At: time.Unix(1, 0),
					ParentServers: []dane.NameserverVerdict{{Zone: "org", Name: "ns.org", Address: netip.MustParseAddr("192.0.2.1")}}}}
			},
			[]string{nameserverUp.Name, nameserverDSConsistent.Name, delegationChecked.Name, delegationDS.Name, delegationDSInfo.Name, delegationKeys.Name, delegationIdleKeys.Name, delegationCDSConsistent.Name, delegationCDSPending.Name, delegationNSConsistent.Name},
			"dane_delegation_checked_timestamp_seconds{zone=\"example.org\"} 1\n",
		},
		{
			"without a connection, nothing that needs a handshake is measured",
			func(r *probe.Report) {
				e := endpointOf(r)
				*e.Facts = dane.Endpoint{Address: e.Address, Err: errors.New("connection refused")}
				*e = dane.EndpointVerdict{Address: e.Address, Outcome: dane.Unreachable, Facts: e.Facts}
			},
			[]string{endpointUp.Name, startTLSOffered.Name, tlsInfo.Name, tlsaMatch.Name, tlsaRecordMatch.Name, certificateNotAfter.Name, certificateNameMatch.Name, pkixValid.Name},
			endpointUp.Name + at + "0\n",
		},
		{
			"without an attempt, the connection is not measured",
			func(r *probe.Report) {
				e := endpointOf(r)
				*e.Facts = dane.Endpoint{Address: e.Address, Err: errors.New("no time left"), TimedOutEarly: true}
				*e = dane.EndpointVerdict{Address: e.Address, Outcome: dane.Unknown, Reason: dane.ProbeDeadline, Facts: e.Facts}
			},
			[]string{endpointUp.Name, startTLSOffered.Name},
			"",
		},
		{
			"a skipped endpoint does not count",
			func(r *probe.Report) {
				e := addEndpoint(r, "2001:db8::2")
				e.Skipped, e.Outcome, e.NameMatch, e.Facts.Err = true, dane.Unknown, dane.No, probe.ErrNoIPv6
			},
			[]string{certificateNameMatch.Name, "dane_endpoints", endpointsSkipped.Name},
			strings.Join(slices.Collect(lines(healthyText, certificateNameMatch.Name, "dane_endpoints")), "") + endpointsSkipped.Name + at + "1\n",
		},
		{
			"a server without STARTTLS",
			func(r *probe.Report) {
				e := endpointOf(r)
				e.Facts.Reached, e.Facts.Dialogue.Offered = dane.StageConnect, false
				e.Facts.Err = fmt.Errorf("speaking smtp: %w", starttls.ErrNotOffered)
			},
			[]string{endpointUp.Name, startTLSOffered.Name, tlsInfo.Name},
			endpointUp.Name + at + "1\n" + startTLSOffered.Name + at + "0\n",
		},
		{
			"STARTTLS is not measured for a protocol that starts with TLS",
			func(r *probe.Report) { r.Facts.Hosts[0].Services[0].Protocol = "tls" },
			[]string{startTLSOffered.Name},
			"",
		},
		{
			"an unreachable resolver of ours leaves dane_dnssec_valid unmeasured",
			func(r *probe.Report) {
				r.Facts.MX.Signer, r.Facts.MX.Algorithm = "", ""
				r.Facts.MX.Status, r.Facts.MX.Err = dnssec.Indeterminate, fmt.Errorf("look up: %w", dnssec.ErrUnreachable)
				r.Facts.Hosts, r.Verdict.Services = nil, nil
			},
			[]string{dnssecValid.Name, dnssecInfo.Name},
			`dane_dnssec_info{lookup="mx",name="example.org",host="",status="indeterminate",signer="",algorithm=""} 1` + "\n",
		},
		{
			"a bogus answer is not valid",
			func(r *probe.Report) {
				r.Facts.MX.Status = dnssec.Bogus
				r.Facts.Hosts, r.Verdict.Services = nil, nil
			},
			[]string{dnssecValid.Name},
			`dane_dnssec_valid{lookup="mx",name="example.org",host=""} 0` + "\n",
		},
		{
			"proven absence of TLSA records: counts of 0, no TTL and no match",
			func(r *probe.Report) {
				s := serviceOf(r)
				s.Base, s.Answer, s.Records, s.From, s.Until = "", nil, nil, time.Time{}, time.Time{}
				endpointOf(r).Matches = nil
				r.Facts.Hosts[0].Services[0].TLSA[0].Answer.Records = nil
			},
			[]string{tlsaRecords.Name, tlsaTTL.Name, tlsaMatch.Name, tlsaRecordMatch.Name, authenticatedFrom.Name, authenticatedUntil.Name},
			`dane_tlsa_records{host="mx.example.org",port="25",usable="yes"} 0
`,
		},
		{
			"a failed lookup of TLSA records: their number is unknown",
			func(r *probe.Report) {
				s := serviceOf(r)
				s.Base, s.Answer, s.Records = "", nil, nil
				r.Facts.Hosts[0].Services[0].TLSA[0].Answer.Status = dnssec.Bogus
			},
			[]string{tlsaRecords.Name, tlsaTTL.Name, tlsaRecordMatch.Name},
			"",
		},
		{
			"records of all standings; the unusable are compared with nothing, a whole certificate is named by its digest",
			func(r *probe.Report) {
				record := func(m tlsa.MatchingType, data string, s tlsa.Usability) dane.RecordVerdict {
					return dane.RecordVerdict{Record: tlsa.Record{Usage: 3, MatchingType: m, Data: []byte(data)}, Usability: s}
				}
				serviceOf(r).Records = []dane.RecordVerdict{
					record(tlsa.Full, "leaf", tlsa.Usable),
					record(tlsa.SHA256, strings.Repeat("x", 200), tlsa.Unusable),
					record(tlsa.SHA256, "ab", tlsa.Superseded),
					record(tlsa.SHA512, strings.Repeat("\x01", 64), tlsa.Usable),
				}
			},
			[]string{tlsaRecords.Name, tlsaRecordMatch.Name},
			`dane_tlsa_record_match{host="mx.example.org",port="25",usage="3",selector="0",matching_type="0",data="sha256:9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b"} 0
dane_tlsa_record_match{host="mx.example.org",port="25",usage="3",selector="0",matching_type="1",data="6162"} 0
dane_tlsa_record_match{host="mx.example.org",port="25",usage="3",selector="0",matching_type="2",data="` + strings.Repeat("01", 64) + `"} 0
dane_tlsa_records{host="mx.example.org",port="25",usable="no"} 1
dane_tlsa_records{host="mx.example.org",port="25",usable="superseded"} 1
dane_tlsa_records{host="mx.example.org",port="25",usable="yes"} 2
`,
		},
		{
			"a duplicate record is one series, which matches if either does",
			func(r *probe.Report) {
				twin := serviceOf(r).Records[0]
				twin.Matches = false
				serviceOf(r).Records = append(serviceOf(r).Records, twin)
			},
			[]string{tlsaRecordMatch.Name},
			`dane_tlsa_record_match{host="mx.example.org",port="25",usage="3",selector="1",matching_type="1",data="abcd"} 1` + "\n",
		},
		{
			"findings with and without a host, one of them twice",
			func(r *probe.Report) {
				mismatch := dane.Finding{Reason: dane.TLSAMismatch, Host: "mx.example.org", Port: 25, Address: netip.MustParseAddr("192.0.2.1")}
				r.Verdict.Findings = []dane.Finding{{Reason: dane.MXInsecure, Lookup: dane.LookupMX}, mismatch, mismatch}
			},
			[]string{finding.Name},
			`dane_finding{reason="mx_insecure",effect="degraded",host="",port="",address=""} 1
dane_finding{reason="tlsa_mismatch",effect="error",host="mx.example.org",port="25",address="192.0.2.1"} 1
`,
		},
		{
			"two MX records name one host: the worse outcome and the lower preference",
			func(r *probe.Report) {
				twin := *serviceOf(r)
				facts := *twin.Service
				facts.Preference = 5
				twin.Service, twin.Outcome = &facts, dane.Refused
				r.Verdict.Services = append(r.Verdict.Services, twin)
				r.Facts.Hosts = append(r.Facts.Hosts, r.Facts.Hosts[0])
			},
			[]string{hostOutcome.Name, mxPreference.Name},
			`dane_host_outcome{host="mx.example.org",port="25",outcome="authenticated"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="encrypted"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="none"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="opportunistic"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="refused"} 1
dane_host_outcome{host="mx.example.org",port="25",outcome="unknown"} 0
dane_host_outcome{host="mx.example.org",port="25",outcome="unreachable"} 0
dane_mx_preference{host="mx.example.org"} 5
`,
		},
		{
			"an unknown outcome: the other states were not measured",
			func(r *probe.Report) { r.Verdict.Outcome, serviceOf(r).Outcome = dane.Unknown, dane.Unknown },
			[]string{outcome.Name, hostOutcome.Name},
			`dane_host_outcome{host="mx.example.org",port="25",outcome="unknown"} 1
dane_outcome{outcome="unknown"} 1
`,
		},
		{
			"two MX records name one host, which could not be judged by one: the worse outcome",
			func(r *probe.Report) {
				twin := *serviceOf(r)
				twin.Outcome = dane.Unknown
				r.Verdict.Services = append(r.Verdict.Services, twin)
			},
			[]string{hostOutcome.Name},
			`dane_host_outcome{host="mx.example.org",port="25",outcome="unknown"} 1` + "\n",
		},
		{
			"two lookups of one name: status, signer and algorithm of the worse",
			func(r *probe.Report) {
				r.Facts.Hosts[0].Services[0].TLSA = append(r.Facts.Hosts[0].Services[0].TLSA, r.Facts.Hosts[0].Services[0].TLSA[0])
				r.Facts.Hosts[0].Services[0].TLSA[1].Answer.Status, r.Facts.Hosts[0].Services[0].TLSA[1].Answer.Signer = dnssec.Insecure, ""
			},
			[]string{dnssecInfo.Name},
			`dane_dnssec_info{lookup="a",name="mx.example.org",host="mx.example.org",status="secure",signer="example.org",algorithm="ECDSAP256SHA256"} 1
dane_dnssec_info{lookup="mx",name="example.org",host="",status="secure",signer="example.org",algorithm="ECDSAP256SHA256"} 1
dane_dnssec_info{lookup="tlsa",name="_25._tcp.mx.example.org",host="mx.example.org",status="insecure",signer="",algorithm="ECDSAP256SHA256"} 1
`,
		},
		{
			"signatures of one zone in several answers: those that expire first, with their inception",
			func(r *probe.Report) {
				r.Facts.Hosts[0].A.Chain = []dnssec.Link{{Zone: "example.org.", Status: dnssec.Secure, Validity: validity(1_750_000_000, 1_790_000_000)},
					{Zone: "unsigned.example.org.", Status: dnssec.Insecure}}
			},
			[]string{signatureInception.Name, signatureExpiry.Name},
			`dane_dnssec_signature_expiry_timestamp_seconds{zone="."} 1.85e+09
dane_dnssec_signature_expiry_timestamp_seconds{zone="example.org"} 1.79e+09
dane_dnssec_signature_inception_timestamp_seconds{zone="."} 1.6e+09
dane_dnssec_signature_inception_timestamp_seconds{zone="example.org"} 1.75e+09
`,
		},
		{
			"no MX record, no preference",
			func(r *probe.Report) { r.Facts.MX.Records = nil },
			[]string{mxPreference.Name},
			"",
		},
		{
			"certificates that cannot be parsed",
			func(r *probe.Report) {
				endpointOf(r).Facts.Chain = nil
				endpointOf(r).NameMatch, endpointOf(r).PKIX = dane.NotMeasured, dane.NotMeasured
			},
			[]string{certificateInfo.Name, certificateNotAfter.Name, certificateNameMatch.Name, pkixValid.Name, tlsInfo.Name},
			`dane_tls_info{host="mx.example.org",port="25",version="TLS 1.3",cipher="TLS_AES_128_GCM_SHA256",group="X25519MLKEM768"} 1` + "\n",
		},
		{
			"an empty report",
			func(r *probe.Report) { *r = probe.Report{Verdict: dane.Verdict{Outcome: dane.Unknown}} },
			[]string{probeSuccess.Name, finding.Name, probeComplete.Name, hostOutcome.Name},
			"dane_probe_complete 0\nprobe_success 0\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := healthy()
			test.change(r)
			if got := expose(t, r, test.series...); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// lines returns the lines of text that are samples of the named metrics.
func lines(text string, names ...string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			name, _, _ := strings.Cut(line, "{")
			if slices.Contains(names, name) && !yield(line) {
				return
			}
		}
	}
}

// TestProtocolsOnOnePort checks dane_starttls_offered of a host that serves two
// protocols on one port, of which only one uses STARTTLS. Host and port are equal, so
// that both share their series.
func TestProtocolsOnOnePort(t *testing.T) {
	const name = `dane_starttls_offered{host="mx.example.org",port="5223"} `
	address := netip.MustParseAddr("192.0.2.1")
	direct := dane.Service{Port: 5223, Protocol: "tls",
		Endpoints: []dane.Endpoint{{Address: address, Reached: dane.StageTLS}}}
	offering := dane.Service{Port: 5223, Protocol: "xmpp-client",
		Endpoints: []dane.Endpoint{{Address: address, Reached: dane.StageTLS, Dialogue: starttls.Dialogue{Offered: true}}}}
	lacking := dane.Service{Port: 5223, Protocol: "xmpp-client",
		Endpoints: []dane.Endpoint{{Address: address, Reached: dane.StageConnect, Err: fmt.Errorf("speaking xmpp: %w", starttls.ErrNotOffered)}}}
	for _, test := range []struct {
		name     string
		services []dane.Service
		want     string
	}{
		{"STARTTLS first, offered", []dane.Service{offering, direct}, name + "1\n"},
		{"STARTTLS second, offered", []dane.Service{direct, offering}, name + "1\n"},
		{"STARTTLS first, not offered", []dane.Service{lacking, direct}, name + "0\n"},
		{"STARTTLS second, not offered", []dane.Service{direct, lacking}, name + "0\n"},
		{"offered by one of two", []dane.Service{offering, lacking}, name + "0\n"},
		{"no STARTTLS", []dane.Service{direct, direct}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := healthy()
			r.Facts.Hosts[0].Services, r.Verdict.Services = test.services, nil
			for i := range test.services {
				r.Verdict.Services = append(r.Verdict.Services, dane.ServiceVerdict{Service: &test.services[i], Host: "mx.example.org", Port: 5223,
					Endpoints: []dane.EndpointVerdict{{Address: address, Outcome: dane.Opportunistic, Facts: &test.services[i].Endpoints[0]}}})
			}
			if got := expose(t, r, startTLSOffered.Name); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestLimits checks that the number of series is bounded whatever a zone publishes,
// and that findings about hosts and addresses beyond the limits are left out.
func TestLimits(t *testing.T) {
	r := healthy()
	host, service := r.Facts.Hosts[0], *serviceOf(r)
	for i := range 100 {
		service.Records = append(service.Records, dane.RecordVerdict{Record: tlsa.Record{Data: []byte{byte(i)}}})
		endpoint := service.Endpoints[0]
		endpoint.Address = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		service.Endpoints = append(service.Endpoints, endpoint)
	}
	r.Facts.Hosts, r.Verdict.Services = nil, nil
	for i := range 80 {
		host.Name = fmt.Sprintf("mx%d.example.org", i)
		service.Host = host.Name
		r.Facts.Hosts = append(r.Facts.Hosts, host)
		r.Verdict.Services = append(r.Verdict.Services, service)
		lookup := *host.A
		lookup.Chain = []dnssec.Link{{Zone: fmt.Sprintf("zone%d.example.", 2*i), Validity: validity(1, 2)}, {Zone: fmt.Sprintf("zone%d.example.", 2*i+1), Validity: validity(1, 2)}}
		r.Facts.Hosts[i].A = &lookup
		for _, endpoint := range service.Endpoints {
			r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: dane.Timeout, Host: host.Name, Port: 25, Address: endpoint.Address})
		}
	}
	r.Module.PerAddress = true
	count := make(map[string]int)
	for _, family := range Families(r) {
		count[family.GetName()] = len(family.Metric)
	}
	want := map[string]int{
		mxPreference.Name: 50, tlsaRecordMatch.Name: 50 * 64, endpointUp.Name: 50 * 16, finding.Name: 50 * 16, dnssecValid.Name: 1 + 2*50, hostOutcome.Name: 7 * 50,
		signatureExpiry.Name: 64, signatureInception.Name: 64, hostCount.Name: 1,
	}
	for name, n := range want {
		if count[name] != n {
			t.Errorf("%s: %d series, want %d", name, count[name], n)
		}
	}
	all := `dane_truncated{what="addresses"} 1
dane_truncated{what="hosts"} 1
dane_truncated{what="tlsa_records"} 1
dane_truncated{what="zones"} 1
`
	if got := samples(t, r, truncated.Name); got != all {
		t.Errorf("got\n%s", got)
	}
}

// TestLongNames checks that hosts with long names have series of their own if the names
// are equal up to the length of a label, and that equal findings become one series.
func TestLongNames(t *testing.T) {
	r := healthy()
	long := strings.Repeat("x", maxLabel)
	host, service := r.Facts.Hosts[0], *serviceOf(r)
	for _, name := range []string{long + "1", long + "2"} {
		host.Name, service.Host = name, name
		r.Facts.Hosts, r.Verdict.Services = append(r.Facts.Hosts, host), append(r.Verdict.Services, service)
		for range 2 {
			r.Verdict.Findings = append(r.Verdict.Findings, dane.Finding{Reason: dane.NoTLSA, Host: name})
		}
	}
	r.Verdict.Services[2].Outcome = dane.Refused
	got := expose(t, r, hostOutcome.Name, finding.Name)
	if strings.Count(got, " 1\n") != 3+2 || strings.Count(got, "\n") != 3*7+2 {
		t.Errorf("want three hosts with one outcome each, and two findings; got\n%s", got)
	}
}

// TestHostileText checks that the scrape is valid whatever text certificates and names
// contain.
func TestHostileText(t *testing.T) {
	hostile := []string{
		"\xff\xfe", "a\x00b", "\x1b[2J", "\"}\n1 2\n# HELP", `\`, "Ä", strings.Repeat("ж", 200), strings.Repeat("\x80", 5000), "\u202e", " ",
	}
	for _, text := range hostile {
		r := healthy()
		certificate := endpointOf(r).Facts.Chain.Certificates[0]
		certificate.Subject = pkix.Name{CommonName: text}
		certificate.Issuer = pkix.Name{Organization: []string{text, text}}
		certificate.SerialNumber = new(big.Int).Lsh(big.NewInt(-1), 20000)
		r.Facts.Hosts[0].Name, serviceOf(r).Host, r.Facts.MX.Name = text, text, text+"."
		r.Verdict.Findings = []dane.Finding{{Reason: dane.NoTLSA, Host: text, Detail: text}}
		exposed := expose(t, r)
		if again := parse(t, exposed); again != strings.Count(exposed, "\n") {
			t.Errorf("%q: %d samples in %d lines", text, again, strings.Count(exposed, "\n"))
		}
	}
}

// TestNamesOfManyAttributes checks that a certificate name with thousands of attributes
// takes little memory and time. pkix.Name.String takes 100 MB to render such a name.
func TestNamesOfManyAttributes(t *testing.T) {
	for label, oid := range map[string]asn1.ObjectIdentifier{"known type": {2, 5, 4, 11}, "other type": {1, 3, 6, 1, 4, 1, 99}} {
		var sequence pkix.RDNSequence
		for range 7500 {
			sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: "x"}})
		}
		r := healthy()
		certificate := endpointOf(r).Facts.Chain.Certificates[0]
		certificate.Subject.FillFromRDNSequence(&sequence)
		certificate.Issuer.FillFromRDNSequence(&sequence)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		exposed := expose(t, r)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 || !strings.Contains(exposed, "=") {
			t.Errorf("%s: %d bytes allocated", label, used)
		}
	}
}

// parse returns the number of samples that the parser of Prometheus finds.
func parse(t *testing.T, text string) int {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	n := 0
	for family := range maps.Values(parsed) {
		n += len(family.Metric)
	}
	return n
}

func TestLabel(t *testing.T) {
	tests := []struct{ in, want string }{
		{"CN=MX.Example.ORG.", "CN=MX.Example.ORG."},
		{"TLS 1.3", "TLS 1.3"},
		{"", ""},
		{"ÄÖ 名前", "ÄÖ 名前"},
		{"a\xffb", "a\ufffdb"},
		{"a\x00\n\x7fb", "a\ufffd\ufffd\ufffdb"},
		{"a\u0085b\u2028c\u2029", "a\ufffdb\ufffdc\ufffd"},
		{"moc.\u202eexample\u202c", "moc.\ufffdexample\ufffd"},
		{"\u2066a\u2067b\u2068c\u2069\u200e\u200f\u061c", "\ufffda\ufffdb\ufffdc\ufffd\ufffd\ufffd\ufffd"},
		{"zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"},
		{strings.Repeat("a", 300), strings.Repeat("a", 256)},
		{"a" + strings.Repeat("ж", 200), "a" + strings.Repeat("ж", 127)},
		{strings.Repeat("\xff", 100), "\ufffd"},
	}
	for _, test := range tests {
		if got := label(test.in); got != test.want {
			t.Errorf("label(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestDomainLabel(t *testing.T) {
	tests := []struct{ in, want string }{
		{"MX.Example.ORG.", "mx.example.org"},
		{"mx.example.org", "mx.example.org"},
		{"", ""},
		{".", "."},
		{"a\x00b.", "a\ufffdb"},
		{strings.Repeat("a", 256) + ".", strings.Repeat("a", 256)},
		{strings.Repeat("A", 257), strings.Repeat("a", 239) + "~e8d95cc2b4bc198c"},
	}
	for _, test := range tests {
		if got := domainLabel(test.in); got != test.want {
			t.Errorf("domainLabel(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add("MX.Example.ORG.")
	f.Add("İ\xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []string{label(text), domainLabel(text)} {
			if len(got) > maxLabel || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q becomes %q", text, got)
			}
		}
	})
}
