package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"dane_exporter/internal/lab/zone"
)

// Kinds of domains in the fleet, of each hundred: 70 are signed and hosted, 19
// are unsigned and hosted, 10 have a mail host of their own, and 1 has a mail host
// that accepts connections and never sends a greeting. Each domain is a zone. A
// hosting provider has two MX hosts with two addresses each. All hosts have TLSA
// records.
const (
	providers    = 20
	signedHosted = 70
	plainHosted  = 19
	ownHost      = 10
)

// fleetDomain is a domain of the fleet, with its expected outcome.
type fleetDomain struct{ name, outcome string }

// newFleet returns an environment with as many domains, and the domains in
// random order, the same on each run.
func newFleet(domains int) (_ *environment, fleet []fleetDomain, err error) {
	env := new(environment)
	defer func() {
		if err != nil {
			env.close()
		}
	}()
	leaf, err := newLeaf("Fleet")
	if err != nil {
		return nil, nil, err
	}
	good := goodMailServer(leaf)
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

	// host starts a mail host at new addresses, and returns its records.
	host := func(name string, addresses int, serve func(net.Conn)) (records string, err error) {
		for range addresses {
			n := len(env.addresses)
			ip := net.IPv4(127, 1, byte(n>>8), byte(n))
			if err := env.listen(ip, serve); err != nil {
				return "", err
			}
			records += fmt.Sprintf("%s A %s\n", name, ip)
		}
		return records + fmt.Sprintf("_%d._tcp.%s %s\n", env.port, name, tlsaRecord(leaf)), nil
	}
	zones := []zone.Zone{{Apex: "com"}, {Apex: "net"}, {Apex: "org"}}
	for i := range providers {
		var text strings.Builder
		for _, name := range []string{"mx1", "mx2"} {
			records, err := host(name, 2, good)
			if err != nil {
				return nil, nil, err
			}
			text.WriteString(records)
		}
		zones = append(zones, zone.Zone{Apex: fmt.Sprintf("hoster%d.net", i), Records: text.String()})
	}
	for i := range domains {
		z, outcome := zone.Zone{Apex: fmt.Sprintf("domain%d.%s", i, []string{"org", "com"}[i%2])}, "authenticated"
		kind, records := i%100, ""
		switch {
		case kind < signedHosted+plainHosted:
			records = fmt.Sprintf("@ MX 10 mx1.hoster%d.net.\n@ MX 20 mx2.hoster%[1]d.net.\n", i%providers)
			if kind >= signedHosted {
				z.Unsigned, z.Delegation, outcome = true, zone.Insecure, "opportunistic"
			}
		default:
			serve := good
			if kind >= signedHosted+plainHosted+ownHost {
				serve, outcome = silent, "unreachable"
			}
			if records, err = host("mx", 1, serve); err != nil {
				return nil, nil, err
			}
			records += "@ MX 10 mx\n"
		}
		z.Records = records
		zones, fleet = append(zones, z), append(fleet, fleetDomain{z.Apex, outcome})
	}
	if env.internet, err = zone.New(time.Now, zones...); err != nil {
		return nil, nil, err
	}
	random := rand.New(rand.NewPCG(3, 4))
	random.Shuffle(len(fleet), func(i, j int) { fleet[i], fleet[j] = fleet[j], fleet[i] })
	return env, fleet, env.startResolver()
}
