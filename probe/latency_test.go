package probe

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"

	"github.com/miekg/dns"
)

// distantResolver answers every query after one second. Under a virtual clock, the
// seconds that a probe takes are the sequential round trips.
type distantResolver struct{ dnssec.Transport }

func (d distantResolver) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	select {
	case <-time.After(time.Second):
		return d.Transport.Exchange(ctx, query)
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
}

// All lookups of a host are made in parallel. An alias costs one round trip more,
// and an unknown zone behind an alias another one.
func TestRoundTrips(t *testing.T) {
	zones := []zone.Zone{{Apex: "org"}, {Apex: "net"},
		{Apex: "example.org", Records: "@ MX 10 mx\nmx A 192.0.2.25\n" + anyRecord + "www CNAME mx\nfar CNAME mx.hoster.net.\n"},
		{Apex: "hosted.org", Records: "@ MX 10 mx.hoster.net.\n"},
		{Apex: "aliased.org", Records: "@ MX 10 www.example.org.\n"},
		{Apex: "hoster.net", Records: "mx A 192.0.2.26\n" + anyRecord},
	}
	host, mail := mailModule(time.Minute), mailModule(time.Minute)
	host.Discover = DiscoverNone
	for _, c := range []struct {
		name       string
		target     string
		module     Module
		cold, warm int
	}{
		{"host", "mx.example.org", host, 1, 1},
		{"host is an alias: the TLSA records are at its target", "www.example.org", host, 2, 2},
		{"host is an alias into another zone", "far.example.org", host, 3, 2},
		{"MX", "example.org", mail, 2, 2},
		{"MX into another zone", "hosted.org", mail, 2, 2},
		{"MX to an alias", "aliased.org", mail, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(func() time.Time { return noon }, zones...)
				if err != nil {
					t.Fatal(err)
				}
				refused := func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
				p := newProber(distantResolver{inner}, inner.Anchors(), refused, "192.0.2.0/24")
				for _, want := range []int{c.cold, c.warm} {
					start := time.Now()
					report := p.Probe(t.Context(), Target{Name: c.target}, c.module)
					took := time.Since(start)
					if report.Verdict.Outcome != dane.Unreachable {
						t.Fatalf("%s: %+v", report.Verdict.Outcome, report.Verdict.Findings)
					}
					if rounds := int(took / time.Second); rounds != want {
						t.Errorf("%d round trips, want %d", rounds, want)
					}
				}
			})
		})
	}
}

// steps are the delays of a server: before the connection, the greeting, the replies
// to EHLO and STARTTLS, its TLS messages, and the reply to QUIT.
type steps [6]time.Duration

func (s steps) sum() (all time.Duration) {
	for _, step := range s {
		all += step
	}
	return all
}

// delaysOf returns the steps of an endpoint by its number. No two endpoints take
// equally long, and each is slow in another step. A client waits at most one second
// for the reply to QUIT.
func delaysOf(number int) (s steps) {
	for i := range s[:5] {
		s[i] = time.Duration(1+(number+i)%5)*time.Second + time.Duration(number)*time.Millisecond
	}
	s[5] = 500 * time.Millisecond
	return s
}

// delayedConn is the server's side of a connection. It waits before each write that
// follows a read.
type delayedConn struct {
	net.Conn
	delays  []time.Duration // that are left
	writing bool
}

func (c *delayedConn) Read(b []byte) (int, error) {
	c.writing = false
	return c.Conn.Read(b)
}

func (c *delayedConn) Write(b []byte) (int, error) {
	if !c.writing && len(c.delays) > 0 {
		time.Sleep(c.delays[0])
		c.delays = c.delays[1:]
	}
	c.writing = true
	return c.Conn.Write(b)
}

// A probe takes as long as its sequential lookups, one second each, and then as long
// as the slowest of its endpoints, however many there are. The virtual clock makes
// this exact to the millisecond.
func TestProbeDuration(t *testing.T) {
	const hosts, each = 6, 4
	authority, err := server.NewRoot("Latency", noon)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"mx.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	smtp := server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(leaf.Chain())}
	var records strings.Builder
	for i := range hosts {
		fmt.Fprintf(&records, "@ MX %d mx%d\n_25._tcp.mx%[2]d TLSA 3 1 1 %[3]x\n", i, i, sha256.Sum256(leaf.PublicKey))
		for j := range each {
			fmt.Fprintf(&records, "mx%d A 192.0.2.%d\n", i, i*each+j)
		}
	}
	fmt.Fprint(&records, "alias CNAME mx0\n")
	number := func(address netip.Addr) int { return int(address.As4()[3]) }

	host, mail := mailModule(5*time.Minute), mailModule(5*time.Minute)
	host.Discover = DiscoverNone
	for _, c := range []struct {
		name      string
		target    string
		module    Module
		rounds    int
		endpoints int // the first ones by number
	}{
		{"host with four addresses", "mx0.example.org", host, 1, each},
		{"alias: connections wait for the base domain, which is the SNI", "alias.example.org", host, 2, each},
		{"domain with six MX hosts of four addresses each", "example.org", mail, 2, hosts * each},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(func() time.Time { return noon }, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records.String()})
				if err != nil {
					t.Fatal(err)
				}
				dial := func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
					delays := delaysOf(number(to.Addr()))
					time.Sleep(delays[0])
					near, far := net.Pipe()
					go func() {
						defer far.Close()
						smtp.Serve(ctx, &delayedConn{Conn: far, delays: delays[1:]})
					}()
					return near, nil
				}
				report := newProber(distantResolver{inner}, inner.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: c.target}, c.module)
				if report.Verdict.Outcome != dane.Authenticated {
					t.Fatalf("%s: %+v", report.Verdict.Outcome, report.Verdict.Findings)
				}
				var slowest time.Duration
				for i := range c.endpoints {
					slowest = max(slowest, delaysOf(i).sum())
				}
				if want := time.Duration(c.rounds)*time.Second + slowest; report.Duration != want {
					t.Errorf("the probe took %s, want %d lookups of 1s and %s of the slowest endpoint", report.Duration, c.rounds, slowest)
				}
				endpoints := 0
				for _, host := range report.Facts.Hosts {
					for _, e := range host.Services[0].Endpoints {
						endpoints++
						if took, want := e.TLS.End.Sub(e.Connect.Start), delaysOf(number(e.Address)).sum()-delaysOf(0)[5]; took != want {
							t.Errorf("%s took %s, want %s", e.Address, took, want)
						}
					}
				}
				if endpoints != c.endpoints {
					t.Errorf("%d endpoints, want %d", endpoints, c.endpoints)
				}
			})
		})
	}
}
