package command

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
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
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
	"dane_exporter/probe/tlsa"

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
	resolved bool // the resolvers return the new zone
}

func (p *publication) adjust(c *config.Config) *config.Config {
	adjusted := *c
	adjusted.Access.AllowNetworks = append(slices.Clone(c.Access.AllowNetworks), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"))
	return &adjusted
}

func (p *publication) build() probe.Environment {
	return probe.Environment{Now: time.Now, Query: p.query}
}

func (p *publication) transport(probe.ResolverSettings, *x509.CertPool, func(transport.Event)) (dnssec.Transport, error) {
	if p.resolved {
		return p.new, nil
	}
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
// Other zones do not change.
func newPublication(t *testing.T, old, both string, first, second secondary, others ...zone.Zone) *publication {
	t.Helper()
	const fixed = "@ SOA ns1 hostmaster 1 7200 3600 1209600 600\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\nns2 A 192.0.2.2\nmx A 192.0.2.3\n"
	p := &publication{start: time.Now(), servers: map[netip.Addr]secondary{
		netip.MustParseAddr("192.0.2.1"): first, netip.MustParseAddr("192.0.2.2"): second,
	}}
	for net, records := range map[**zone.Internet]string{&p.old: old, &p.new: both} {
		n, err := zone.New(time.Now, append(others, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: fixed + records})...)
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
		{"silent", "A server that does not answer leaves the result unknown.", old, old + fresh + "NEXT", done, silent, []string{"--wait=1h"}, exitUnknown, time.Hour, "the answer of a nameserver is unknown"},
		{"silent and missing", "A server without the record is certain.", old, old + fresh + "NEXT", secondary{}, silent, nil, exitCritical, 0, "; not safe to serve"},
		{"bogus", "Expired signatures are as bad as no record.", old, old + fresh + "NEXT", secondary{published: -1, expired: true}, done, nil, exitCritical, 0, "ns1.example.org (192.0.2.1): invalid: its answer is bogus"},
		{"weaker digest", "A record that a stronger digest supersedes is none.", old, old + fresh + "NEXT\n_25._tcp.mx 600 TLSA 3 1 2 " + strings.Repeat("bb", 64), done, done, nil, exitCritical, 0, "superseded"},
		{"usage of other clients", "Mail relays ignore PKIX-EE records.", old, old + "_25._tcp.mx 600 TLSA 1 1 1 NEXT", done, done, nil, exitCritical, 0, "no record authenticates it"},
		{"wildcard", "A wildcard record counts.", old, "*._tcp.mx 600 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "; safe to serve now"},
		{"alias", "The records at the end of an alias count.", "_25._tcp.mx CNAME tlsa\ntlsa 60 TLSA 3 1 1 " + strings.Repeat("aa", 32), "_25._tcp.mx CNAME tlsa\ntlsa 60 TLSA 3 1 1 NEXT", done, secondary{published: 5 * time.Minute}, []string{"--wait=1h"}, exitOK, 25 * time.Minute, "; safe to serve now"},
		{"long wildcard", "Resolvers may keep the record longer than the proof of the wildcard.", old, "*._tcp.mx 1200 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitOK, 40 * time.Minute, "; safe to serve now"},
		{"new alias", "Resolvers keep the records that the alias replaces.", old + "tlsa 60 TLSA 3 1 1 NEXT", "_25._tcp.mx 60 CNAME tlsa\ntlsa 60 TLSA 3 1 1 NEXT", done, done, []string{"--wait=1h"}, exitUnknown, time.Hour, "it has an alias there"},
		{"first records", "A set with several records of the new key alone may be the first.", "", "_25._tcp.mx 60 TLSA 3 1 1 NEXT\n_25._tcp.mx 60 TLSA 3 1 0 KEY", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "; safe to serve now"},
		{"glue alone", "Resolvers may use an address of a nameserver that only the parent zone has.", old + "@ NS ns3\n", old + "@ NS ns3\n" + fresh + "NEXT", done, done, nil, exitUnknown, 0, "ns3.example.org: unknown: it has no address"},
		{"nameserver that does not exist", "Resolvers cannot query it either.", old + "@ NS ns.nowhere.org.\n", old + "@ NS ns.nowhere.org.\n" + fresh + "NEXT", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "; safe to serve now"},
		{"time of safety", "The time is printed as soon as it is known.", old, old + fresh + "NEXT", done, done, []string{"--wait=1h"}, exitOK, 20 * time.Minute, "TTL 10m0s: safe to serve at 2000-01-01T00:20:00Z\n"},
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

// TestGateWithoutIPv6 checks from a machine without IPv6. The IPv4 address of a nameserver
// stands for it; one that has only an IPv6 address is not known.
func TestGateWithoutIPv6(t *testing.T) {
	const both, only = "ns1 AAAA 2001:db8::1\n", "@ NS ns3\nns3 AAAA 2001:db8::3\n"
	for _, test := range []struct {
		records string
		code    exitCode
		stdout  string
	}{
		{both, exitOK, "; safe to serve now"},
		{both + only, exitUnknown, "ns3.example.org (2001:db8::3): unknown: no IPv6"},
	} {
		synctest.Test(t, func(t *testing.T) {
			key, record := newPublicKey(t)
			path := filepath.Join(t.TempDir(), "next.pem")
			if err := os.WriteFile(path, key, 0o600); err != nil {
				t.Fatal(err)
			}
			records := test.records + "_25._tcp.mx 600 TLSA 3 1 1 " + record
			env := newPublication(t, records, records, secondary{}, secondary{})
			unavailable := secondary{err: dane.WithCause(dane.CauseIPv6Unavailable, errors.New("no IPv6"))}
			env.servers[netip.MustParseAddr("2001:db8::1")], env.servers[netip.MustParseAddr("2001:db8::3")] = unavailable, unavailable
			code, _, stdout := runGate(t, env, "--key="+path, "--wait=1h")
			if code != test.code || !strings.Contains(stdout, test.stdout) {
				t.Errorf("code %d, want %d with %q\n%s", code, test.code, test.stdout, stdout)
			}
		})
	}
}

// TestGateKey compares the keys of state files: what clients accept depends on the chain
// and on the usages that they accept.
func TestGateKey(t *testing.T) {
	leaf, issuer, other := &x509.Certificate{Raw: []byte{1}}, &x509.Certificate{Raw: []byte{2}}, &x509.Certificate{Raw: []byte{3}}
	key := func(usages tlsa.Usages, chain ...*x509.Certificate) string {
		g := &gate{sources: []keySource{{certificate: chain[0], chain: chain}}}
		return g.key(&gatedService{verifier: tlsa.Verifier{Usages: usages}})
	}
	same := key(tlsa.SMTPRelay(), leaf, issuer)
	if again := key(tlsa.SMTPRelay(), leaf, issuer); again != same {
		t.Errorf("%s, then %s", same, again)
	}
	for _, another := range []string{key(tlsa.Client(), leaf, issuer), key(tlsa.SMTPRelay(), leaf, other), key(tlsa.SMTPRelay(), leaf), key(tlsa.SMTPRelay(), other, issuer)} {
		if another == same {
			t.Errorf("%s twice", another)
		}
	}
}

// TestGateInterrupted ends a wait before its time. The output is that of the last round.
func TestGateInterrupted(t *testing.T) {
	const old = "_25._tcp.mx 600 TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	synctest.Test(t, func(t *testing.T) {
		key, record := newPublicKey(t)
		path, state := filepath.Join(t.TempDir(), "next.pem"), filepath.Join(t.TempDir(), "state")
		if err := os.WriteFile(path, key, 0o600); err != nil {
			t.Fatal(err)
		}
		env := newPublication(t, old, old+"_25._tcp.mx 600 TLSA 3 1 1 "+record, secondary{published: -1}, secondary{published: -1})
		var stdout, stderr bytes.Buffer
		s := newSession(defaultConfig(t), &stdout, &stderr)
		f := parseTLSA(t, "--name=mx.example.org", "--check", "--wait=1h", "--output=json", "--key="+path, "--state="+state)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if code := s.tlsa(ctx, f, env); code != exitUnknown || !strings.Contains(stderr.String(), "the check was interrupted") {
			t.Errorf("code %d: %s", code, stderr.String())
		}
		var document tlsaDocument
		if err := json.Unmarshal(stdout.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		safe := env.start.Add(20 * time.Minute)
		if *document.Safe || !document.SafeAt.Equal(safe) || len(document.Services) != 1 || len(document.Services[0].Nameservers) != 2 {
			t.Errorf("output:\n%s", stdout.String())
		}
		time.Sleep(time.Until(safe))
		if code, _, output := runGate(t, env, "--key="+path, "--state="+state); code != exitOK {
			t.Errorf("the next run: code %d\n%s", code, output)
		}
	})
}

// TestGateAlias checks records at the end of aliases, which have nameservers too. The
// alias leads to the new record, also in the zone of a provider.
func TestGateAlias(t *testing.T) {
	const (
		other  = "other 60 TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
		target = "tlsa 60 TLSA 3 1 1 NEXT\n"
		also   = "also 60 TLSA 3 1 1 NEXT\n"
		toNew  = "_25._tcp.mx 1200 CNAME tlsa\n" + target + other
		toOld  = "_25._tcp.mx 1200 CNAME other\n" + target + other
		away   = "_25._tcp.mx 600 CNAME tlsa.hoster.org.\n"
	)
	done, never, late := secondary{published: -1}, secondary{}, secondary{published: 5 * time.Minute}
	tests := []struct {
		name, sentence string
		old, new       string
		second         secondary
		code           exitCode
		took           time.Duration
		stdout         string
	}{
		{"unchanged", "The TTL of an alias that leads there all the time does not count.", toNew, toNew, done, exitOK, 20 * time.Minute, "192.0.2.2): published: _25._tcp.mx.example.org. is an alias of tlsa.example.org."},
		{"old alias", "A server that leads to the records of other keys is as bad as one without the record.", toOld, toNew, never, exitCritical, time.Hour, "192.0.2.2): missing: _25._tcp.mx.example.org. is an alias of other.example.org. there"},
		{"old alias into an unsigned zone", "Clients that follow it do not use the records, although they match.", "_25._tcp.mx CNAME tlsa.unsigned.org.\n" + target, toNew, never, exitCritical, time.Hour, "192.0.2.2): missing: _25._tcp.mx.example.org. is an alias of tlsa.unsigned.org. there"},
		{"late alias", "The TTL of the old alias counts twice from when the last server has the new one.", toOld, toNew, late, exitOK, 45 * time.Minute, "safe to serve now"},
		{"alias of the same records", "Whether the nameservers of another target agree is not known.", strings.Replace(toNew, "CNAME tlsa", "CNAME also", 1) + also, toNew + also, never, exitUnknown, time.Hour, "192.0.2.2): unknown: _25._tcp.mx.example.org. is an alias of also.example.org. there"},
		{"records before the alias", "The TTL of the records that the alias replaces counts.", "_25._tcp.mx 1200 TLSA 3 1 1 " + strings.Repeat("aa", 32) + "\n" + target, toNew, late, exitOK, 45 * time.Minute, "192.0.2.2): missing: it does not have the alias that the resolvers return"},
		{"other zone", "Each zone has its own nameservers.", away, away, done, exitOK, 20 * time.Minute, "ns.hoster.org (192.0.2.4): published: 3 1 1 "},
		{"unsigned zone", "Records at the end of an alias into an unsigned zone are not used.", toOld, "_25._tcp.mx 600 CNAME tlsa.unsigned.org.\n", done, exitCritical, time.Hour, "the resolvers: invalid: the zone unsigned.org. is insecure"},
		{"other zone, old alias", "The alias counts also if its target is in another zone.", toOld, away, never, exitCritical, time.Hour, "ns2.example.org (192.0.2.2): missing: "},
		{"DNAME", "An alias may come from a DNAME record.", "_tcp.mx 600 DNAME other\n_25.other 60 TLSA 3 1 1 " + strings.Repeat("aa", 32), "_tcp.mx 600 DNAME tlsa\n_25.tlsa 60 TLSA 3 1 1 NEXT", late, exitOK, 25 * time.Minute, "192.0.2.1): published: _25._tcp.mx.example.org. is an alias of _25.tlsa.example.org."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key, record := newPublicKey(t)
				path := filepath.Join(t.TempDir(), "next.pem")
				if err := os.WriteFile(path, key, 0o600); err != nil {
					t.Fatal(err)
				}
				keys := strings.NewReplacer("NEXT", record)
				hoster := zone.Zone{Apex: "hoster.org", Records: keys.Replace("@ SOA ns hostmaster 1 7200 3600 1209600 600\n@ NS ns\nns A 192.0.2.4\n" + target)}
				unsigned := zone.Zone{Apex: "unsigned.org", Unsigned: true, Records: hoster.Records}
				env := newPublication(t, keys.Replace(test.old), keys.Replace(test.new), done, test.second, hoster, unsigned)
				env.resolved = true
				code, took, stdout := runGate(t, env, "--key="+path, "--wait=1h")
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
