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

// nameserverScenarios returns scenarios about the two nameservers of the zone with
// the TLSA records.
func nameserverScenarios() []Scenario {
	return []Scenario{
		{
			Name:        "nameservers",
			Description: "The zone has two nameservers that agree. DANE clients authenticate the server.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_nameserver_up{nameserver="ns2.nameservers.lab.test"} 1`, `dane_nameserver_tlsa_consistent{nameserver="ns2.nameservers.lab.test"} 1`, `dane_nameserver_soa_serial{nameserver="ns2.nameservers.lab.test"} 2`},
			build:  func(b *builder) { b.twoNameservers() },
		},
		{
			Name:        "stale-secondary",
			Description: "One of two nameservers missed a zone transfer, and has an older version with the record of the former key. Clients that query it do not deliver.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_tlsa_consistent{nameserver="ns2.stale-secondary.lab.test"} 0`, `dane_nameserver_soa_serial{nameserver="ns2.stale-secondary.lab.test"} 1`},
			build: func(b *builder) {
				second := b.twoNameservers()
				b.staleCopy(second, fmt.Sprintf("_25._tcp.mx TLSA %s\n", tlsaData(3, 1, 1, b.leaf("mx"))), 0)
			},
		},
		{
			Name:        "expired-secondary",
			Description: "One of two nameservers missed all zone transfers for weeks: its signatures have expired. Resolvers retry with the other one.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_up{nameserver="ns2.expired-secondary.lab.test"} 1`, `dane_nameserver_tlsa_consistent{nameserver="ns2.expired-secondary.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				b.staleCopy(second, b.text.String(), 30*24*time.Hour)
			},
		},
		{
			Name:        "lame-secondary",
			Description: "One of two nameservers does not serve the zone, and answers REFUSED. Resolvers query the other one.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true, Reasons: []string{"nameserver_inconsistent"},
			Series: []string{`dane_nameserver_up{nameserver="ns2.lame-secondary.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				refused := zone.Rcode(zone.Under(b.domain), dns.RcodeRefused)
				refused.Server = netip.AddrPortFrom(second, 53).String()
				b.inject(refused)
			},
		},
		{
			Name:        "dead-secondary",
			Description: "One of two nameservers does not listen. Resolvers query the other one.",
			Module:      "smtp_mx_full", Outcome: "authenticated", Success: true,
			Series: []string{`dane_nameserver_up{nameserver="ns2.dead-secondary.lab.test"} 0`},
			build: func(b *builder) {
				second := b.twoNameservers()
				b.inject(zone.Fault{Where: zone.Under(b.domain), Server: netip.AddrPortFrom(second, 53).String(),
					Answer: func(_, _ *dns.Msg) error { return os.NewSyscallError("read", syscall.ECONNREFUSED) }})
			},
		},
	}
}

// twoNameservers makes the domain a separate zone with two nameservers and a
// working mail server. It returns the address of the second nameserver.
func (b *builder) twoNameservers() (second netip.Addr) {
	b.ownZone(zone.Zone{})
	b.add("@ SOA ns1 hostmaster 2 7200 3600 1209600 300")
	b.add("@ NS ns1")
	b.add("@ NS ns2")
	b.a("ns1")
	second = b.a("ns2")
	b.goodMX()
	return second
}

// staleCopy gives a nameserver its own version of the zone, with serial 1, signed
// that long ago.
func (b *builder) staleCopy(server netip.Addr, records string, age time.Duration) {
	records = strings.Replace(records, "hostmaster 2", "hostmaster 1", 1)
	b.copies = append(b.copies, zone.Copy{Server: server, Zone: zone.Zone{Apex: b.domain, Records: records}, Age: age})
}
