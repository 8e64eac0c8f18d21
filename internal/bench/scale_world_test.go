package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// The fleet: of a hundred domains, 70 are signed and at one of the hosters, 19
// are unsigned and there, 10 have a mail host of their own, and 1 has one that
// takes connections and never greets. Each has a zone of its own. A hoster has
// two MX hosts with two addresses each. All hosts have TLSA records.
const (
	hosters   = 20
	atHosters = 70
	unsigned  = 19
	ownHosts  = 10
)

// watched is a domain of the fleet and the outcome that it has.
type watched struct{ name, outcome string }

// newFleet is a world of so many domains, in an order that chance has made.
func newFleet(domains int) (w *world, fleet []watched, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	authority, err := server.NewRoot("Fleet", time.Now())
	if err != nil {
		return nil, nil, err
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"mx.example.org"}})
	if err != nil {
		return nil, nil, err
	}
	tlsa := fmt.Sprintf("TLSA 3 1 1 %x", sha256.Sum256(leaf.PublicKey))
	good := server.SMTP{Name: "mx.example.org", TLS: server.Always(leaf.Chain())}

	zones := []zone.Zone{{Apex: "com"}, {Apex: "net"}, {Apex: "org"}}
	host := func(name string, addresses int, serve func(net.Conn)) (records string, err error) {
		for range addresses {
			ip, err := w.listen(serve)
			if err != nil {
				return "", err
			}
			records += fmt.Sprintf("%s A %s\n", name, ip)
		}
		return records + fmt.Sprintf("_%d._tcp.%s %s\n", w.port, name, tlsa), nil
	}
	greet := func(conn net.Conn) { good.Serve(context.Background(), conn) }
	silence := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	for i := range hosters {
		var text strings.Builder
		for _, name := range []string{"mx1", "mx2"} {
			records, err := host(name, 2, greet)
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
		case kind < atHosters+unsigned:
			records = fmt.Sprintf("@ MX 10 mx1.hoster%d.net.\n@ MX 20 mx2.hoster%[1]d.net.\n", i%hosters)
			if kind >= atHosters {
				z.Unsigned, z.Delegation, outcome = true, zone.Insecure, "opportunistic"
			}
		default:
			serve := greet
			if kind >= atHosters+unsigned+ownHosts {
				serve, outcome = silence, "unreachable"
			}
			if records, err = host("mx", 1, serve); err != nil {
				return nil, nil, err
			}
			records += "@ MX 10 mx\n"
		}
		z.Records = records
		zones, fleet = append(zones, z), append(fleet, watched{z.Apex, outcome})
	}
	if w.internet, err = zone.New(time.Now, zones...); err != nil {
		return nil, nil, err
	}
	chance := rand.New(rand.NewPCG(3, 4))
	chance.Shuffle(len(fleet), func(i, j int) { fleet[i], fleet[j] = fleet[j], fleet[i] })
	return w, fleet, w.resolve()
}

// listen serves at the next loopback address, at the port that all have.
func (w *world) listen(serve func(net.Conn)) (net.IP, error) {
	n := len(w.addresses)
	ip := net.IPv4(127, 1, byte(n>>8), byte(n))
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: ip, Port: w.port})
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, listener.Close)
	w.port = listener.Addr().(*net.TCPAddr).Port
	w.addresses = append(w.addresses, listener.Addr().String())
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return ip, nil
}
