package command

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dane_exporter/internal/config"
	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"

	"github.com/miekg/dns"
)

// secondary is one nameserver of the zone of a publication: it has the old zone until
// published, and the new zone then. If published is zero, it never gets it; if it is
// negative, it had it before.
type secondary struct {
	published time.Duration
	err       error // instead of an answer
	expired   bool  // the signatures of the new zone have expired
}

// publication is an environment with a zone whose nameservers get a new version.
type publication struct {
	internet
	start    time.Time
	old, new *zone.Internet
	servers  map[netip.Addr]secondary
}

func (p *publication) adjust(c *config.Config) *config.Config {
	adjusted := *c
	adjusted.Access.AllowNetworks = append(slices.Clone(c.Access.AllowNetworks), netip.MustParsePrefix("192.0.2.0/24"))
	return &adjusted
}

func (p *publication) build() probe.Environment {
	return probe.Environment{Now: time.Now, Query: p.query}
}

func (p *publication) transport(probe.ResolverSettings, *x509.CertPool, func(transport.Event)) (dnssec.Transport, error) {
	return p.old, nil
}

func (p *publication) anchors(probe.ResolverSettings) ([]dnssec.Anchor, error) {
	return p.old.Anchors(), nil
}

func (p *publication) query(ctx context.Context, server netip.AddrPort, query *dns.Msg) (*dns.Msg, error) {
	s := p.servers[server.Addr()]
	switch {
	case s.err != nil:
		return nil, s.err
	case s.published == 0 || time.Since(p.start) < s.published:
		return p.old.Ask(ctx, server, query)
	default:
		return p.new.Ask(ctx, server, query)
	}
}

// newPublication returns a zone whose RRset is old before the publication, and then both.
func newPublication(t *testing.T, old, both string, first, second secondary) *publication {
	t.Helper()
	const fixed = "@ SOA ns1 hostmaster 1 7200 3600 1209600 600\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\nns2 A 192.0.2.2\nmx A 192.0.2.3\n"
	p := &publication{start: time.Now(), servers: map[netip.Addr]secondary{
		netip.MustParseAddr("192.0.2.1"): first, netip.MustParseAddr("192.0.2.2"): second,
	}}
	for net, records := range map[**zone.Internet]string{&p.old: old, &p.new: both} {
		n, err := zone.New(time.Now, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: fixed + records})
		if err != nil {
			t.Fatal(err)
		}
		if first.expired || second.expired {
			n.Break(zone.Expire(zone.At("_25._tcp.mx.example.org", dns.TypeTLSA)))
		}
		*net = n
	}
	return p
}

// TestGateState runs the gate several times with a state file.
func TestGateState(t *testing.T) {
	const old = "_25._tcp.mx 600 TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	synctest.Test(t, func(t *testing.T) {
		directory := t.TempDir()
		key, record := newPublicKey(t)
		other, _ := newPublicKey(t)
		path, otherPath, state := filepath.Join(directory, "next.pem"), filepath.Join(directory, "other.pem"), filepath.Join(directory, "state")
		if err := errors.Join(os.WriteFile(path, key, 0o600), os.WriteFile(otherPath, other, 0o600)); err != nil {
			t.Fatal(err)
		}
		env := newPublication(t, old, old+"_25._tcp.mx 600 TLSA 3 1 1 "+record, secondary{published: -1}, secondary{published: 10 * time.Minute})
		steps := []struct {
			name    string
			advance time.Duration
			before  func() error
			key     string
			code    exitCode
			stdout  string
		}{
			{"first", 0, nil, path, exitCritical, "missing"},
			{"published", 15 * time.Minute, nil, path, exitWarning, "safe to serve at 2000-01-01T00:35:00Z"},
			{"not yet", 19 * time.Minute, nil, path, exitWarning, "safe to serve at 2000-01-01T00:35:00Z"},
			{"safe", time.Minute, nil, path, exitOK, "safe to serve now"},
			{"another key", time.Minute, nil, otherPath, exitCritical, "the state is not used: _25._tcp.mx.example.org.: the state is of another certificate or key"},
			{"the key again", time.Minute, nil, path, exitWarning, "safe to serve at 2000-01-01T00:57:00Z"},
			{"damaged", 30 * time.Minute, func() error { return os.Truncate(state, 20) }, path, exitWarning, "the state is not used: " + state + ": the file is damaged"},
			{"repaired", 20 * time.Minute, nil, path, exitOK, "safe to serve now"},
			{"not writable", 0, func() error { return errors.Join(os.Remove(state), os.Mkdir(state, 0o700)) }, path, exitUnknown, "read the state: " + state + " is not a regular file"},
		}
		for _, step := range steps {
			time.Sleep(step.advance)
			if step.before != nil {
				if err := step.before(); err != nil {
					t.Fatal(err)
				}
			}
			code, _, stdout := runGate(t, env, "--key="+step.key, "--state="+state)
			if code != step.code || !strings.Contains(stdout, step.stdout) {
				t.Errorf("%s: code %d, want %d with %q\n%s", step.name, code, step.code, step.stdout, stdout)
			}
		}
	})
}

// TestGate waits for the publication of a record, in simulated time.
func TestGate(t *testing.T) {
	const (
		old   = "_25._tcp.mx 600 TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
		fresh = "_25._tcp.mx 600 TLSA 3 1 1 "
	)
	done, silent := secondary{published: -1}, secondary{err: errors.New("read: connection refused")}
	tests := []struct {
		name, sentence string
		old, new       string // RRsets; NEXT is the record of the new key
		first, second  secondary
		args           []string
		code           exitCode
		took           time.Duration
		stdout         string
	}{
		{"once", "Without memory, nothing is known of the time before.", old, old + fresh + "NEXT", done, done, nil, exitWarning, 0, "; safe to serve at 2000-01-01T00:20:"},
		{"wait", "Two TTLs after the second server, it is safe.", old, old + fresh + "NEXT", done, secondary{published: 5 * time.Minute}, []string{"--wait=1h"}, exitOK, 25 * time.Minute, "; safe to serve now"},
		{"first record", "The denial is cached for the negative TTL of 600 s, longer than the new TTL.", "", "_25._tcp.mx 60 TLSA 3 1 1 NEXT", done, secondary{published: 5 * time.Minute}, []string{"--wait=1h"}, exitOK, 25 * time.Minute, "; safe to serve now"},
		{"first record everywhere", "A set with the new record alone may be the first.", "", "_25._tcp.mx 60 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "; safe to serve now"},
		{"too short", "The first round shows that the wait is too short.", old, old + fresh + "NEXT", done, done, []string{"--wait=10m"}, exitWarning, 0, "; safe to serve at 2000-01-01T00:20:"},
		{"never", "A server that never gets the record ends the wait.", old, old + fresh + "NEXT", done, secondary{}, []string{"--wait=1h"}, exitCritical, time.Hour, "; not safe to serve"},
		{"silent", "A server that does not answer leaves the result unknown.", old, old + fresh + "NEXT", done, silent, []string{"--wait=1h"}, exitUnknown, time.Hour, "not every nameserver answered"},
		{"silent and missing", "A server without the record is certain.", old, old + fresh + "NEXT", secondary{}, silent, nil, exitCritical, 0, "; not safe to serve"},
		{"bogus", "Expired signatures are as bad as no record.", old, old + fresh + "NEXT", secondary{published: -1, expired: true}, done, nil, exitCritical, 0, "ns1.example.org (192.0.2.1): invalid: its answer is bogus"},
		{"weaker digest", "A record that a stronger digest supersedes is none.", old, old + fresh + "NEXT\n_25._tcp.mx 600 TLSA 3 1 2 " + strings.Repeat("bb", 64), done, done, nil, exitCritical, 0, "superseded"},
		{"usage of other clients", "Mail relays ignore PKIX-EE records.", old, old + "_25._tcp.mx 600 TLSA 1 1 1 NEXT", done, done, nil, exitCritical, 0, "no record authenticates it"},
		{"wildcard", "A wildcard record counts.", old, "*._tcp.mx 600 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "; safe to serve now"},
		{"alias", "The records at the end of an alias count.", "_25._tcp.mx CNAME tlsa\ntlsa 60 TLSA 3 1 1 " + strings.Repeat("aa", 32), "_25._tcp.mx CNAME tlsa\ntlsa 60 TLSA 3 1 1 NEXT", done, secondary{published: 5 * time.Minute}, []string{"--wait=1h"}, exitOK, 25 * time.Minute, "; safe to serve now"},
		{"long wildcard", "Resolvers may keep the record longer than the proof of the wildcard.", old, "*._tcp.mx 1200 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitOK, 40 * time.Minute, "; safe to serve now"},
		{"new alias", "Resolvers keep the records that the alias replaces.", old + "tlsa 60 TLSA 3 1 1 NEXT", "_25._tcp.mx 60 CNAME tlsa\ntlsa 60 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitUnknown, time.Hour, "it has an alias there"},
		{"first records", "A set with several records of the new key alone may be the first.", "", "_25._tcp.mx 60 TLSA 3 1 1 NEXT\n_25._tcp.mx 60 TLSA 3 1 0 KEY", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "; safe to serve now"},
		{"two services", "The slower service counts.", old, old + fresh + "NEXT", done, done, []string{"--service=25/smtp", "--service=465"}, exitCritical, 0, "_465._tcp.mx.example.org. ns1.example.org (192.0.2.1): missing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, record := newPublicKey(t)
				block, _ := pem.Decode(key)
				path := filepath.Join(t.TempDir(), "next.pem")
				if err := os.WriteFile(path, key, 0o600); err != nil {
					t.Fatal(err)
				}
				keys := strings.NewReplacer("NEXT", record, "KEY", hex.EncodeToString(block.Bytes))
				env := newPublication(t, keys.Replace(test.old), keys.Replace(test.new), test.first, test.second)
				code, took, stdout := runGate(t, env, append([]string{"--key=" + path}, test.args...)...)
				if code != test.code || took.Round(time.Minute) != test.took || !strings.Contains(stdout, test.stdout) {
					t.Errorf("%s\ncode %d after %s, want %d after %s with %q\n%s", test.sentence, code, took, test.code, test.took, test.stdout, stdout)
				}
			})
		})
	}
}

// runGate runs tlsa --check for mx.example.org.
func runGate(t *testing.T, env environment, args ...string) (exitCode, time.Duration, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	s := newSession(defaultConfig(t), &stdout, &stderr)
	f := parseTLSA(t, append([]string{"--name=mx.example.org", "--check"}, args...)...)
	start := time.Now()
	code := s.tlsa(t.Context(), f, env)
	return code, time.Since(start), stdout.String() + stderr.String()
}
