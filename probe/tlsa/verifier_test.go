package tlsa

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

const mx = "mx.example.org"

// TestMatch tells one story for each way in which a single record meets a chain.
func TestMatch(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	other := issue(t, nil, "Other Root", authority())
	sub := issue(t, root, "Issuer", authority(until(now.Add(365*day))))
	leaf := issue(t, sub, "leaf", host(mx))
	direct := issue(t, root, "direct", host(mx))

	self := issue(t, nil, "self", host("elsewhere.example"))
	ownName := issue(t, nil, "own name", host(mx))
	oldSelf := issue(t, nil, "old", until(now.Add(-day)))

	oldLeaf := issue(t, sub, "old leaf", all(host(mx), until(now.Add(-time.Second))))
	edgeLeaf := issue(t, sub, "edge leaf", all(host(mx), until(now)))
	newLeaf := issue(t, sub, "new leaf", all(host(mx), from(now.Add(time.Second))))
	oldRoot := issue(t, nil, "Old Root", authority(until(now.Add(-day))))
	underOld := issue(t, oldRoot, "under old", host(mx))
	oldSub := issue(t, root, "Old Issuer", authority(until(now.Add(-day))))
	underOldSub := issue(t, oldSub, "under old issuer", host(mx))

	notCA := issue(t, root, "No CA", nil)
	underNotCA := issue(t, notCA, "under no CA", host(mx))
	noSign := issue(t, root, "No Sign", authority(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
	underNoSign := issue(t, noSign, "under no sign", host(mx))
	short := issue(t, nil, "Short", authority(func(c *x509.Certificate) { c.MaxPathLenZero = true }))
	underShort := issue(t, short, "Under Short", authority())
	tooDeep := issue(t, underShort, "too deep", host(mx))
	narrow := issue(t, nil, "Narrow", authority(func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.net"}, true
	}))
	outside := issue(t, narrow, "outside", host(mx))
	mailOnly := issue(t, root, "mail only", all(host(mx), func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	}))

	// The same issuer, signed by a root that is not sent as well.
	crossed := issueFor(t, other, sub.key, "Issuer", authority(until(now.Add(20*day))))

	wrongName := issue(t, sub, "wrong name", host("elsewhere.example"))
	commonName := issue(t, sub, mx, nil)
	ignoredCN := issue(t, sub, mx, host("elsewhere.example"))

	subEnds := now.Add(60 * day) // the leaf's own end comes first
	trusting := poolOf(root)

	for _, story := range []struct {
		name   string
		record Record
		chain  *Chain
		roots  *x509.CertPool

		matches bool
		depth   int
		failure Failure
		until   time.Time
		why     string
	}{
		// DANE-EE(3), RFC 7671 §5.1
		{name: "the leaf's key is enough, whatever its name",
			record: record(t, self, DANEEE, SPKI, SHA256), chain: chainOf(self), matches: true},
		{name: "an expired leaf is as good as any",
			record: record(t, oldSelf, DANEEE, SPKI, SHA256), chain: chainOf(oldSelf), matches: true},
		{name: "the whole certificate, by SHA-512",
			record: record(t, self, DANEEE, Cert, SHA512), chain: chainOf(self), matches: true},
		{name: "the whole certificate, in full",
			record: record(t, self, DANEEE, Cert, Full), chain: chainOf(self), matches: true},
		{name: "the key, in full",
			record: record(t, self, DANEEE, SPKI, Full), chain: chainOf(self), matches: true},
		{name: "another leaf",
			record: record(t, leaf, DANEEE, SPKI, SHA256), chain: chainOf(self),
			depth: -1, failure: Mismatch, why: "the leaf's SPKI SHA-256 is "},
		{name: "DANE-EE never means an issuer",
			record: record(t, sub, DANEEE, SPKI, SHA256), chain: chainOf(leaf, sub), depth: -1, failure: Mismatch},

		// DANE-TA(2), RFC 7671 §5.2
		{name: "the root, sent, two steps up",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, sub, root), matches: true, depth: 2, until: subEnds},
		{name: "an intermediate is an anchor like any",
			record: record(t, sub, DANETA, SPKI, SHA256), chain: chainOf(leaf, sub), matches: true, depth: 1, until: subEnds},
		{name: "the order above the leaf does not matter",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, root, sub), matches: true, depth: 1, until: subEnds},
		{name: "a stranger in between does not matter",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(leaf, other, sub), matches: true, depth: 2, until: subEnds},
		{name: "a key under two certificates: the one that lasts longer speaks",
			record: record(t, sub, DANETA, SPKI, SHA256), chain: chainOf(leaf, crossed, sub), matches: true, depth: 2, until: subEnds},
		{name: "the leaf alone, named as its own anchor",
			record: record(t, self, DANETA, SPKI, SHA256), chain: chainOf(self),
			depth: -1, failure: Mismatch, why: "the leaf itself has the data"},
		{name: "sending the leaf twice does not make it an issuer",
			record: record(t, self, DANETA, Cert, SHA256), chain: chainOf(self, self), depth: -1, failure: Mismatch},
		{name: "a leaf in full is no anchor either",
			record: record(t, self, DANETA, Cert, Full), chain: chainOf(self), depth: -1, failure: Mismatch},
		{name: "an issuer that was not sent and that nobody knows",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, sub), depth: -1, failure: Mismatch},
		{name: "an issuer that was not sent, and the system roots know it",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting,
			depth: -1, failure: AnchorNotSent, why: "did not send"},
		{name: "the system roots know another one",
			record: record(t, other, DANETA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "a middle certificate is missing: what was sent does not lead there",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, root), roots: trusting,
			matches: true, depth: 1, failure: ChainInvalid},
		{name: "a stranger's certificate beside the leaf",
			record: record(t, other, DANETA, Cert, SHA256), chain: chainOf(leaf, other), matches: true, depth: 1, failure: ChainInvalid},
		{name: "the root in DNS, and not sent (RFC 7671 §5.2.2)",
			record: record(t, root, DANETA, Cert, Full), chain: chainOf(leaf, sub), matches: true, depth: -1, until: subEnds},
		{name: "the root in DNS, and sent as well",
			record: record(t, root, DANETA, Cert, Full), chain: chainOf(leaf, sub, root), matches: true, depth: 2, until: subEnds},
		{name: "the root in DNS, and the middle not sent",
			record: record(t, root, DANETA, Cert, Full), chain: chainOf(leaf), depth: -1, failure: Mismatch},
		{name: "a bare key in DNS that signed the topmost certificate (RFC 7671 §5.2.3)",
			record: record(t, root, DANETA, SPKI, Full), chain: chainOf(leaf, sub), matches: true, depth: -1, until: subEnds},
		{name: "a bare key in DNS that signed the leaf",
			record: record(t, root, DANETA, SPKI, Full), chain: chainOf(direct), matches: true, depth: -1, until: subEnds},
		{name: "a bare key that signed nothing here",
			record: record(t, other, DANETA, SPKI, Full), chain: chainOf(leaf, sub), depth: -1, failure: Mismatch},
		{name: "a bare key that signed its own certificate, the leaf: OpenSSL takes it too",
			record: record(t, ownName, DANETA, SPKI, Full), chain: chainOf(ownName), matches: true, depth: -1, until: subEnds},
		{name: "a bare key has no dates: its certificate, not sent, may have expired",
			record: record(t, oldRoot, DANETA, SPKI, Full), chain: chainOf(underOld), matches: true, depth: -1, until: subEnds},
		{name: "a bare key does not excuse dates",
			record: record(t, sub, DANETA, SPKI, Full), chain: chainOf(oldLeaf), matches: true, depth: -1, failure: Expired},
		{name: "an expired leaf",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(oldLeaf, sub), matches: true, depth: 1, failure: Expired},
		{name: "a leaf in its last second",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(edgeLeaf, sub), matches: true, depth: 1, until: now},
		{name: "a leaf from tomorrow",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(newLeaf, sub), matches: true, depth: 1, failure: NotYetValid},
		{name: "an expired anchor",
			record: record(t, oldRoot, DANETA, Cert, SHA256), chain: chainOf(underOld, oldRoot), matches: true, depth: 1, failure: Expired, why: "Old Root"},
		{name: "an expired certificate in the middle",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(underOldSub, oldSub, root), matches: true, depth: 2, failure: Expired, why: "Old Issuer"},
		{name: "what lies above the anchor may expire",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(leaf, sub, oldRoot), matches: true, depth: 1, until: subEnds},
		{name: "an anchor that is no CA",
			record: record(t, notCA, DANETA, Cert, SHA256), chain: chainOf(underNotCA, notCA), matches: true, depth: 1, failure: ChainInvalid},
		{name: "an anchor in DNS that is no CA",
			record: record(t, notCA, DANETA, Cert, Full), chain: chainOf(underNotCA), depth: -1, failure: Mismatch},
		{name: "an issuer that may not sign certificates",
			record: record(t, noSign, DANETA, Cert, SHA256), chain: chainOf(underNoSign, noSign), matches: true, depth: 1, failure: ChainInvalid},
		{name: "a path longer than its anchor allows",
			record: record(t, short, DANETA, Cert, SHA256), chain: chainOf(tooDeep, underShort, short), matches: true, depth: 2, failure: ChainInvalid},
		{name: "a name that the anchor may not issue for",
			record: record(t, narrow, DANETA, Cert, SHA256), chain: chainOf(outside, narrow), matches: true, depth: 1, failure: ChainInvalid},
		{name: "a certificate that may not serve TLS",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(mailOnly, root), matches: true, depth: 1, failure: ChainInvalid},
		{name: "another host's certificate",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(wrongName, sub),
			matches: true, depth: 1, failure: NameMismatch, why: `the leaf is for "elsewhere.example"`},
		{name: "the common name, where there is no dNSName",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(commonName, sub), matches: true, depth: 1, until: subEnds},
		{name: "the common name beside a dNSName does not count",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(ignoredCN, sub), matches: true, depth: 1, failure: NameMismatch},

		// PKIX-EE(1), RFC 7671 §5.3
		{name: "the leaf, and PKIX agrees",
			record: record(t, leaf, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), roots: trusting, matches: true, until: subEnds},
		{name: "the leaf, and PKIX has never heard of its issuer",
			record: record(t, leaf, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), roots: poolOf(other), matches: true, failure: PKIXUntrusted},
		{name: "the leaf, expired",
			record: record(t, oldLeaf, PKIXEE, SPKI, SHA256), chain: chainOf(oldLeaf, sub), roots: trusting, matches: true, failure: Expired},
		{name: "the leaf, for another name",
			record: record(t, wrongName, PKIXEE, SPKI, SHA256), chain: chainOf(wrongName, sub), roots: trusting, matches: true, failure: NameMismatch},
		{name: "PKIX agrees with another leaf",
			record: record(t, self, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "the leaf, under a root that has expired",
			record: record(t, underOld, PKIXEE, SPKI, SHA256), chain: chainOf(underOld), roots: poolOf(oldRoot), matches: true, failure: Expired},
		{name: "the leaf, and no roots to ask",
			record: record(t, leaf, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), matches: true, failure: Unmeasured},

		// PKIX-TA(0), RFC 7671 §5.4
		{name: "an intermediate on the PKIX path",
			record: record(t, sub, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, matches: true, depth: 1, until: subEnds},
		{name: "the root of the PKIX path, which need not be sent",
			record: record(t, root, PKIXTA, SPKI, SHA512), chain: chainOf(leaf, sub), roots: trusting, matches: true, depth: -1, until: subEnds},
		{name: "the root of the PKIX path, sent",
			record: record(t, root, PKIXTA, SPKI, SHA512), chain: chainOf(leaf, sub, root), roots: trusting, matches: true, depth: 2, until: subEnds},
		{name: "PKIX accepts a path that the record does not mean",
			record: record(t, other, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "the record means a certificate beside the path",
			record: record(t, other, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub, other), roots: trusting, matches: true, depth: 2, failure: PKIXUntrusted},
		{name: "a private root is not enough for PKIX-TA",
			record: record(t, root, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub, root), roots: poolOf(other), matches: true, depth: 2, failure: PKIXUntrusted},
		{name: "PKIX-TA never means the leaf",
			record: record(t, leaf, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "the issuer, for another name",
			record: record(t, sub, PKIXTA, Cert, SHA256), chain: chainOf(wrongName, sub), roots: trusting, matches: true, depth: 1, failure: NameMismatch},
		{name: "an issuer, and no roots to ask",
			record: record(t, sub, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), matches: true, depth: 1, failure: Unmeasured},

		{name: "a server that sends nothing",
			record: record(t, leaf, DANEEE, SPKI, SHA256), chain: &Chain{}, depth: -1, failure: Mismatch},
	} {
		t.Run(story.name, func(t *testing.T) {
			v := Verifier{Usages: Client(), Names: []string{mx}, Roots: story.roots, At: now}
			got := v.Match([]Record{story.record}, story.chain)
			if len(got) != 1 {
				t.Fatalf("one record, %d matches", len(got))
			}
			m := got[0]
			if m.Standing != Usable || m.Matches != story.matches || m.Depth != story.depth ||
				m.Failure != story.failure || !m.Until.Equal(story.until) {
				t.Errorf("got  matches=%v depth=%d failure=%d until=%v (%s)\nwant matches=%v depth=%d failure=%d until=%v",
					m.Matches, m.Depth, m.Failure, m.Until, m.Why, story.matches, story.depth, story.failure, story.until)
			}
			if want := story.matches && story.failure == None; m.Authenticates() != want {
				t.Errorf("authenticates: %v, want %v", m.Authenticates(), want)
			}
			if m.Why == "" || !strings.Contains(m.Why, story.why) {
				t.Errorf("why is %q, want it to say %q", m.Why, story.why)
			}
		})
	}
}

func TestMatchOfASet(t *testing.T) {
	leaf, next := issue(t, nil, "leaf", nil), issue(t, nil, "next", nil)
	set := []Record{
		record(t, next, DANEEE, SPKI, SHA512),
		record(t, leaf, DANEEE, SPKI, SHA256),
		record(t, leaf, DANEEE, Cert, SHA256),
		{Usage: DANEEE, Selector: SPKI, MatchingType: SHA512, Data: []byte{1}},
	}
	got := Verifier{Usages: SMTPRelay(), At: now}.Match(set, chainOf(leaf))
	for i, want := range []struct {
		standing      Standing
		matches       bool
		authenticates bool
	}{
		{Usable, false, false},    // the next key, not served yet
		{Superseded, true, false}, // it would match, and SHA-512 stands beside it
		{Usable, true, true},      // another selector: agility does not reach it
		{Unusable, false, false},
	} {
		m := got[i]
		if m.Standing != want.standing || m.Matches != want.matches || m.Authenticates() != want.authenticates {
			t.Errorf("record %d: standing=%d matches=%v authenticates=%v (%s), want %+v", i, m.Standing, m.Matches, m.Authenticates(), m.Why, want)
		}
		if m.Record.String() != set[i].String() {
			t.Errorf("record %d: the match is about %s", i, m.Record)
		}
	}
}

func TestPKIX(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	sub := issue(t, root, "Issuer", authority())
	leaf := issue(t, sub, "leaf", host(mx))
	old := issue(t, sub, "old", all(host(mx), until(now.Add(-day))))
	wrong := issue(t, sub, "wrong", host("elsewhere.example"))
	for _, story := range []struct {
		name  string
		chain *Chain
		says  string // empty: valid
	}{
		{"complete", chainOf(leaf, sub), ""},
		{"the middle is missing", chainOf(leaf), "does not lead to the system roots"},
		{"expired", chainOf(old, sub), "expired at 2026-05-31T12:00:00Z"},
		{"another name", chainOf(wrong, sub), `"elsewhere.example"`},
		{"nothing sent", nil, "sent no certificate"},
	} {
		err := Verifier{Names: []string{mx}, Roots: poolOf(root), At: now}.PKIX(story.chain)
		switch {
		case story.says == "" && err != nil:
			t.Errorf("%s: %v", story.name, err)
		case story.says != "" && (err == nil || !strings.Contains(err.Error(), story.says)):
			t.Errorf("%s: %v, want it to say %q", story.name, err, story.says)
		}
	}
}

// A server may put anything into a certificate; the why goes to pages and logs.
func TestWhyIsPrintable(t *testing.T) {
	hostile := "\x1b[2J\n\u202e" + strings.Repeat("x", 5000)
	leaf := issue(t, nil, "leaf", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: hostile, Organization: []string{hostile}}
		c.NotAfter = now.Add(-day)
	})
	issuer := issue(t, nil, hostile, authority(until(now.Add(-day))))
	child := issue(t, issuer, hostile, nil)
	for _, m := range []Match{
		Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match([]Record{record(t, issuer, DANETA, Cert, SHA256)}, chainOf(child, issuer))[0],
		Verifier{Usages: Client(), Names: []string{mx}, At: now.Add(-5 * day)}.Match([]Record{record(t, issuer, DANETA, Cert, SHA256)}, chainOf(child, issuer))[0],
		Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match([]Record{record(t, issuer, DANETA, Cert, SHA256)}, chainOf(leaf, issuer))[0],
		Verifier{Usages: Client(), Names: []string{mx}, Roots: poolOf(issuer), At: now}.Match([]Record{record(t, child, PKIXEE, Cert, SHA256)}, chainOf(child))[0],
	} {
		if m.Failure == None || m.Why == "" || len(m.Why) > 1000 || !utf8.ValidString(m.Why) || strings.ContainsAny(m.Why, "\x1b\n\u202e") {
			t.Errorf("failure %d, why: %q", m.Failure, m.Why)
		}
	}
}

// One chain is read by several scrapes at once.
func TestChainIsSharedSafely(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	leaf := issue(t, root, "leaf", host(mx))
	chain := chainOf(leaf, root)
	set := []Record{record(t, root, DANETA, Cert, SHA256), record(t, leaf, DANEEE, SPKI, SHA512)}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for _, m := range (Verifier{Usages: Client(), Names: []string{mx}, At: now}).Match(set, chain) {
				if !m.Authenticates() {
					t.Errorf("%s: %s", m.Record, m.Why)
				}
			}
		})
	}
	wait.Wait()
}

func TestChainIsBounded(t *testing.T) {
	leaf := issue(t, nil, "leaf", nil)
	chain := NewChain(slices.Repeat([]*x509.Certificate{leaf.Certificate}, 10*maxCertificates))
	if len(chain.Certificates) != maxCertificates {
		t.Errorf("%d certificates are judged, want %d", len(chain.Certificates), maxCertificates)
	}
}

func TestSuppliedAnchorsAreBounded(t *testing.T) {
	leaf, anchor := issue(t, nil, "leaf", nil), issue(t, nil, "anchor", nil)
	var set []Record
	for range 65 {
		set = append(set, record(t, anchor, DANETA, SPKI, Full))
	}
	got := Verifier{Usages: Client(), At: now}.Match(set, chainOf(leaf))
	if got[63].Failure != Mismatch || got[64].Failure != Unmeasured {
		t.Errorf("the 64th: %d, the 65th: %d (%s)", got[63].Failure, got[64].Failure, got[64].Why)
	}
}
