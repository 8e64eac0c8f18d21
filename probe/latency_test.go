package probe

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dane"
)

// steps are what a server lets its client wait for: the connection, the
// greeting, the replies to EHLO and STARTTLS, its part of the handshake, and
// the reply to QUIT.
type steps [6]time.Duration

func (s steps) sum() (all time.Duration) {
	for _, step := range s {
		all += step
	}
	return all
}

// pacedBy are the steps of the endpoint of a number: none is as slow as
// another, and what is slow at one is quick at the next. A client does not wait
// for the reply to QUIT for longer than a second.
func pacedBy(number int) (s steps) {
	for i := range s[:5] {
		s[i] = time.Duration(1+(number+i)%5)*time.Second + time.Duration(number)*time.Millisecond
	}
	s[5] = 500 * time.Millisecond
	return s
}

// paced is a server's end of a connection that waits before it answers: each
// time that it writes after it has read is a step.
type paced struct {
	net.Conn
	left    []time.Duration
	talking bool
}

func (p *paced) Read(b []byte) (int, error) {
	p.talking = false
	return p.Conn.Read(b)
}

func (p *paced) Write(b []byte) (int, error) {
	if !p.talking && len(p.left) > 0 {
		time.Sleep(p.left[0])
		p.left = p.left[1:]
	}
	p.talking = true
	return p.Conn.Write(b)
}

// TestNothingMoreInSequence: a probe takes its rounds of look-ups and then as
// long as the slowest of its endpoints, however many there are, to the
// millisecond of a virtual clock. A round of look-ups takes a second.
func TestNothingMoreInSequence(t *testing.T) {
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
	for _, story := range []struct {
		name      string
		target    string
		module    Module
		rounds    int
		endpoints int // the first so many
	}{
		{"one host of four addresses", "mx0.example.org", host, 1, each},
		{"an alias of it, which is connected to when the name for the handshake is known", "alias.example.org", host, 2, each},
		{"a domain of six MX hosts of four addresses each", "example.org", mail, 2, hosts * each},
	} {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner, err := zone.New(func() time.Time { return noon }, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records.String()})
				if err != nil {
					t.Fatal(err)
				}
				dial := func(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
					pace := pacedBy(number(to.Addr()))
					time.Sleep(pace[0])
					ours, theirs := net.Pipe()
					go func() {
						defer theirs.Close()
						smtp.Serve(ctx, &paced{Conn: theirs, left: pace[1:]})
					}()
					return ours, nil
				}
				report := proberOf(distant{inner}, inner.Anchors(), dial, "192.0.2.0/24").Probe(t.Context(), Target{Name: story.target}, story.module)
				if report.Verdict.Outcome != dane.Authenticated {
					t.Fatalf("%s: %+v", report.Verdict.Outcome, report.Verdict.Findings)
				}
				var slowest time.Duration
				for i := range story.endpoints {
					slowest = max(slowest, pacedBy(i).sum())
				}
				if want := time.Duration(story.rounds)*time.Second + slowest; report.Duration != want {
					t.Errorf("it took %s, wanted %d rounds and %s of the slowest endpoint", report.Duration, story.rounds, slowest)
				}
				met := 0
				for _, host := range report.Facts.Hosts {
					for _, e := range host.Services[0].Endpoints {
						met++
						if took, want := e.TLS.End.Sub(e.Connect.Start), pacedBy(number(e.Address)).sum()-pacedBy(0)[5]; took != want {
							t.Errorf("%s took %s, wanted %s", e.Address, took, want)
						}
					}
				}
				if met != story.endpoints {
					t.Errorf("%d endpoints, wanted %d", met, story.endpoints)
				}
			})
		})
	}
}
