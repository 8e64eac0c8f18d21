package lab

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"dane_exporter/internal/lab/zone"
	"github.com/miekg/dns"
)

// nameserverScenarios: the name servers of the zone that holds the TLSA
// records, two of them, and what the second makes of it.
func nameserverScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "nameservers",
			Story:  "The zone has two name servers, and both say the same.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_nameserver_up{nameserver="ns2.nameservers.lab.test"} 1`, `dane_nameserver_tlsa_consistent{nameserver="ns2.nameservers.lab.test"} 1`, `dane_nameserver_soa_serial{nameserver="ns2.nameservers.lab.test"} 2`},
			build:  func(b *builder) { b.twoNameservers() },
		},
		{
			Name:   "stale-secondary",
			Story:  "One of two name servers missed a transfer and has an older version of the zone, with the record of the former key.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_tlsa_consistent{nameserver="ns2.stale-secondary.lab.test"} 0`, `dane_nameserver_soa_serial{nameserver="ns2.stale-secondary.lab.test"} 1`},
			build: func(b *builder) {
				second := b.twoNameservers()
				b.stale(second, fmt.Sprintf("_25._tcp.mx TLSA %s\n", tlsaData(3, 1, 1, b.leaf("mx"))), 0)
			},
		},
		{
			Name:   "expired-secondary",
			Story:  "One of two name servers has had no transfer for weeks: it still has the record, and signatures that have ended.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_up{nameserver="ns2.expired-secondary.lab.test"} 1`, `dane_nameserver_tlsa_consistent{nameserver="ns2.expired-secondary.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				b.stale(second, b.text.String(), 30*24*time.Hour)
			},
		},
		{
			Name:   "lame-secondary",
			Story:  "One of two name servers does not serve the zone.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_up{nameserver="ns2.lame-secondary.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				refused := zone.Rcode(zone.Under(b.domain), dns.RcodeRefused)
				refused.Server = netip.AddrPortFrom(second, 53).String()
				b.broken(refused)
			},
		},
		{
			Name:   "dead-secondary",
			Story:  "Nothing listens at one of two name servers: whoever asks it asks the other one then.",
			Module: "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_nameserver_up{nameserver="ns2.dead-secondary.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				b.broken(zone.Fault{Where: zone.Under(b.domain), Server: netip.AddrPortFrom(second, 53).String(),
					Answer: func(_, _ *dns.Msg) error { return os.NewSyscallError("read", syscall.ECONNREFUSED) }})
			},
		},
	}
}

// twoNameservers makes the domain a good one, in a zone of its own with two
// name servers, and returns the address of the second.
func (b *builder) twoNameservers() (second netip.Addr) {
	b.ownZone(zone.Zone{})
	b.add("@ SOA ns1 hostmaster 2 7200 3600 1209600 300")
	b.add("@ NS ns1")
	b.add("@ NS ns2")
	b.a("ns1")
	second = b.a("ns2")
	b.good()
	return second
}

// stale lets a name server have a zone of its own, with serial 1, signed some
// time ago.
func (b *builder) stale(server netip.Addr, records string, age time.Duration) {
	records = strings.Replace(records, "hostmaster 2", "hostmaster 1", 1)
	b.copies = append(b.copies, zone.Copy{Server: server, Zone: zone.Zone{Apex: b.domain, Records: records}, Age: age})
}
