package tlsa

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

const mx = "mx.example.org"

// TestMatch has one case for each way in which a single record can match a chain.
func TestMatch(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	other := issue(t, nil, "Other Root", authority())
	sub := issue(t, root, "Issuer", authority(notAfter(now.Add(365*day))))
	leaf := issue(t, sub, "leaf", host(mx))
	direct := issue(t, root, "direct", host(mx))

	self := issue(t, nil, "self", host("elsewhere.example"))
	ownName := issue(t, nil, "own name", host(mx))
	oldSelf := issue(t, nil, "old", notAfter(now.Add(-day)))

	oldLeaf := issue(t, sub, "old leaf", all(host(mx), notAfter(now.Add(-time.Second))))
	edgeLeaf := issue(t, sub, "edge leaf", all(host(mx), notAfter(now)))
	newLeaf := issue(t, sub, "new leaf", all(host(mx), notBefore(now.Add(time.Second))))
	oldRoot := issue(t, nil, "Old Root", authority(notAfter(now.Add(-day))))
	underOld := issue(t, oldRoot, "under old", host(mx))
	oldSub := issue(t, root, "Old Issuer", authority(notAfter(now.Add(-day))))
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

	// The issuer is also certified by another root, which is not sent.
	crossed := issueFor(t, other, sub.key, "Issuer", authority(notAfter(now.Add(20*day))))
	renewed := issueFor(t, nil, root.key, "Root", authority(notAfter(now.Add(20*day))))

	wrongName := issue(t, sub, "wrong name", host("elsewhere.example"))
	commonName := issue(t, sub, mx, nil)
	ignoredCN := issue(t, sub, mx, host("elsewhere.example"))

	leafExpiry := now.Add(60 * day) // the leaf expires before the issuer
	trusting := poolOf(root)

	for _, test := range []struct {
		name   string
		record Record
		chain  *Chain
		roots  *x509.CertPool

		matches bool
		depth   int
		failure Failure
		expiry  time.Time
		why     string // substring of Why
	}{
		// DANE-EE(3), RFC 7671 §5.1
		{name: "the leaf's key matches, its name does not matter",
			record: record(t, self, DANEEE, SPKI, SHA256), chain: chainOf(self), matches: true},
		{name: "the dates of the leaf do not matter",
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
		{name: "DANE-EE never matches an issuer",
			record: record(t, sub, DANEEE, SPKI, SHA256), chain: chainOf(leaf, sub), depth: -1, failure: Mismatch},

		// DANE-TA(2), RFC 7671 §5.2
		{name: "the root, sent, two steps up",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, sub, root), matches: true, depth: 2, expiry: leafExpiry},
		{name: "an intermediate can be the anchor",
			record: record(t, sub, DANETA, SPKI, SHA256), chain: chainOf(leaf, sub), matches: true, depth: 1, expiry: leafExpiry},
		{name: "the order above the leaf does not matter",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, root, sub), matches: true, depth: 1, expiry: leafExpiry},
		{name: "an unrelated certificate in between does not matter",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(leaf, other, sub), matches: true, depth: 2, expiry: leafExpiry},
		{name: "a key with two certificates: the one that expires later counts",
			record: record(t, root, DANETA, SPKI, SHA256), chain: chainOf(leaf, sub, renewed, root), matches: true, depth: 3, expiry: leafExpiry},
		{name: "a key with two certificates, neither self-issued: their dates do not count",
			record: record(t, sub, DANETA, SPKI, SHA256), chain: chainOf(leaf, crossed, sub), matches: true, depth: 1, expiry: leafExpiry},
		{name: "the leaf as its own anchor",
			record: record(t, self, DANETA, SPKI, SHA256), chain: chainOf(self),
			depth: -1, failure: Mismatch, why: "only the leaf has this data"},
		{name: "the leaf sent twice is not an issuer",
			record: record(t, self, DANETA, Cert, SHA256), chain: chainOf(self, self), depth: -1, failure: Mismatch},
		{name: "the leaf in full is not an anchor",
			record: record(t, self, DANETA, Cert, Full), chain: chainOf(self), depth: -1, failure: Mismatch},
		{name: "an issuer that was not sent and is unknown",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, sub), depth: -1, failure: Mismatch},
		{name: "an issuer that was not sent and is a system root",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting,
			depth: -1, failure: AnchorNotSent, why: "did not send"},
		{name: "an issuer that was not sent and is not among the system roots",
			record: record(t, other, DANETA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "an intermediate is missing: what was sent does not lead to the anchor",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(leaf, root), roots: trusting,
			matches: true, depth: 1, failure: ChainInvalid},
		{name: "an unrelated certificate after the leaf",
			record: record(t, other, DANETA, Cert, SHA256), chain: chainOf(leaf, other), matches: true, depth: 1, failure: ChainInvalid},
		{name: "the root in DNS, and not sent (RFC 7671 §5.2.2)",
			record: record(t, root, DANETA, Cert, Full), chain: chainOf(leaf, sub), matches: true, depth: -1, expiry: leafExpiry},
		{name: "the root in DNS, and sent as well",
			record: record(t, root, DANETA, Cert, Full), chain: chainOf(leaf, sub, root), matches: true, depth: 2, expiry: leafExpiry},
		{name: "the root in DNS, and the intermediate not sent",
			record: record(t, root, DANETA, Cert, Full), chain: chainOf(leaf), depth: -1, failure: Mismatch, why: "the server sent the leaf only"},
		{name: "a bare key in DNS that signed the topmost certificate (RFC 7671 §5.2.3)",
			record: record(t, root, DANETA, SPKI, Full), chain: chainOf(leaf, sub), matches: true, depth: -1, expiry: leafExpiry},
		{name: "a bare key in DNS that signed the leaf",
			record: record(t, root, DANETA, SPKI, Full), chain: chainOf(direct), matches: true, depth: -1, expiry: leafExpiry},
		{name: "a bare key that signed nothing that was sent",
			record: record(t, other, DANETA, SPKI, Full), chain: chainOf(leaf, sub), depth: -1, failure: Mismatch, why: "none of the 1 certificates sent above the leaf"},
		{name: "a bare key that signed its own certificate, the leaf: OpenSSL accepts it too",
			record: record(t, ownName, DANETA, SPKI, Full), chain: chainOf(ownName), matches: true, depth: -1, expiry: leafExpiry},
		{name: "a bare key has no dates: its certificate, not sent, may have expired",
			record: record(t, oldRoot, DANETA, SPKI, Full), chain: chainOf(underOld), matches: true, depth: -1, expiry: leafExpiry},
		{name: "a bare key does not excuse an expired leaf",
			record: record(t, sub, DANETA, SPKI, Full), chain: chainOf(oldLeaf), matches: true, depth: -1, failure: Expired},
		{name: "an expired leaf",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(oldLeaf, sub), matches: true, depth: 1, failure: Expired},
		{name: "a leaf in its last second",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(edgeLeaf, sub), matches: true, depth: 1, expiry: now},
		{name: "a leaf that is not valid yet",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(newLeaf, sub), matches: true, depth: 1, failure: NotYetValid},
		{name: "an expired anchor",
			record: record(t, oldRoot, DANETA, Cert, SHA256), chain: chainOf(underOld, oldRoot), matches: true, depth: 1, failure: Expired, why: "Old Root"},
		{name: "an expired intermediate",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(underOldSub, oldSub, root), matches: true, depth: 2, failure: Expired, why: "Old Issuer"},
		{name: "a certificate above the anchor may have expired",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(leaf, sub, oldRoot), matches: true, depth: 1, expiry: leafExpiry},
		{name: "an anchor that is not a CA",
			record: record(t, notCA, DANETA, Cert, SHA256), chain: chainOf(underNotCA, notCA), matches: true, depth: 1, failure: ChainInvalid},
		{name: "an anchor in DNS that is not a CA",
			record: record(t, notCA, DANETA, Cert, Full), chain: chainOf(underNotCA), matches: true, depth: -1, failure: ChainInvalid, why: "not that of a CA"},
		{name: "an issuer that may not sign certificates",
			record: record(t, noSign, DANETA, Cert, SHA256), chain: chainOf(underNoSign, noSign), matches: true, depth: 1, failure: ChainInvalid},
		{name: "a path longer than its anchor allows",
			record: record(t, short, DANETA, Cert, SHA256), chain: chainOf(tooDeep, underShort, short), matches: true, depth: 2, failure: ChainInvalid},
		{name: "a name that the anchor may not issue for",
			record: record(t, narrow, DANETA, Cert, SHA256), chain: chainOf(outside, narrow), matches: true, depth: 1, failure: ChainInvalid},
		{name: "a certificate that may not serve TLS",
			record: record(t, root, DANETA, Cert, SHA256), chain: chainOf(mailOnly, root), matches: true, depth: 1, failure: ChainInvalid},
		{name: "the certificate of another host",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(wrongName, sub),
			matches: true, depth: 1, failure: NameMismatch, why: `the leaf is for "elsewhere.example"`},
		{name: "the common name of a certificate without a dNSName",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(commonName, sub), matches: true, depth: 1, expiry: leafExpiry},
		{name: "the common name of a certificate with a dNSName does not count",
			record: record(t, sub, DANETA, Cert, SHA256), chain: chainOf(ignoredCN, sub), matches: true, depth: 1, failure: NameMismatch},

		// PKIX-EE(1), RFC 7671 §5.3
		{name: "the leaf, under a system root",
			record: record(t, leaf, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), roots: trusting, matches: true, expiry: leafExpiry},
		{name: "the leaf, whose issuer is unknown",
			record: record(t, leaf, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), roots: poolOf(other), matches: true, failure: PKIXUntrusted},
		{name: "the leaf, expired",
			record: record(t, oldLeaf, PKIXEE, SPKI, SHA256), chain: chainOf(oldLeaf, sub), roots: trusting, matches: true, failure: Expired},
		{name: "the leaf, for another name",
			record: record(t, wrongName, PKIXEE, SPKI, SHA256), chain: chainOf(wrongName, sub), roots: trusting, matches: true, failure: NameMismatch},
		{name: "another leaf, under a system root",
			record: record(t, self, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "the leaf, under a root that has expired",
			record: record(t, underOld, PKIXEE, SPKI, SHA256), chain: chainOf(underOld), roots: poolOf(oldRoot), matches: true, failure: Expired},
		{name: "the leaf is a system root, and has expired",
			record: record(t, oldLeaf, PKIXEE, SPKI, SHA256), chain: chainOf(oldLeaf), roots: poolOf(oldLeaf), matches: true, failure: Expired},
		{name: "the leaf, without system roots",
			record: record(t, leaf, PKIXEE, SPKI, SHA256), chain: chainOf(leaf, sub), matches: true, failure: Unmeasured},

		// PKIX-TA(0), RFC 7671 §5.4
		{name: "an intermediate on the PKIX path",
			record: record(t, sub, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, matches: true, depth: 1, expiry: leafExpiry},
		{name: "the root of the PKIX path, which need not be sent",
			record: record(t, root, PKIXTA, SPKI, SHA512), chain: chainOf(leaf, sub), roots: trusting, matches: true, depth: -1, expiry: leafExpiry},
		{name: "the root of the PKIX path, sent",
			record: record(t, root, PKIXTA, SPKI, SHA512), chain: chainOf(leaf, sub, root), roots: trusting, matches: true, depth: 2, expiry: leafExpiry},
		{name: "a valid path without the certificate of the record",
			record: record(t, other, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "a certificate that was sent and is not on the path",
			record: record(t, other, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub, other), roots: trusting, matches: true, depth: 2, failure: PKIXUntrusted},
		{name: "a private root is not enough for PKIX-TA",
			record: record(t, root, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub, root), roots: poolOf(other), matches: true, depth: 2, failure: PKIXUntrusted},
		{name: "a root that was not sent, and no path to the system roots",
			record: record(t, other, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: poolOf(other), depth: -1, failure: PKIXUntrusted},
		{name: "PKIX-TA never matches the leaf",
			record: record(t, leaf, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), roots: trusting, depth: -1, failure: Mismatch},
		{name: "the issuer, for another name",
			record: record(t, sub, PKIXTA, Cert, SHA256), chain: chainOf(wrongName, sub), roots: trusting, matches: true, depth: 1, failure: NameMismatch},
		{name: "an issuer, without system roots",
			record: record(t, sub, PKIXTA, Cert, SHA256), chain: chainOf(leaf, sub), matches: true, depth: 1, failure: Unmeasured},

		{name: "no certificate sent",
			record: record(t, leaf, DANEEE, SPKI, SHA256), chain: &Chain{}, depth: -1, failure: Mismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Verifier{Usages: Client(), Names: []string{mx}, Roots: test.roots, At: now}
			got := v.Match([]Record{test.record}, test.chain)
			if len(got) != 1 {
				t.Fatalf("one record, %d matches", len(got))
			}
			m := got[0]
			if m.Usability != Usable || m.Matches != test.matches || m.Depth != test.depth ||
				m.Failure != test.failure || !m.Expiry.Equal(test.expiry) {
				t.Errorf("got  matches=%v depth=%d failure=%d expiry=%v (%s)\nwant matches=%v depth=%d failure=%d expiry=%v",
					m.Matches, m.Depth, m.Failure, m.Expiry, m.Why, test.matches, test.depth, test.failure, test.expiry)
			}
			if want := test.matches && test.failure == None; m.Authenticates() != want {
				t.Errorf("authenticates: %v, want %v", m.Authenticates(), want)
			}
			if m.Why == "" || !strings.Contains(m.Why, test.why) {
				t.Errorf("Why is %q, want it to contain %q", m.Why, test.why)
			}
		})
	}
}

func TestMatchSet(t *testing.T) {
	leaf, next := issue(t, nil, "leaf", nil), issue(t, nil, "next", nil)
	set := []Record{
		record(t, next, DANEEE, SPKI, SHA512),
		record(t, leaf, DANEEE, SPKI, SHA256),
		record(t, leaf, DANEEE, Cert, SHA256),
		{Usage: DANEEE, Selector: SPKI, MatchingType: SHA512, Data: []byte{1}},
	}
	got := Verifier{Usages: SMTPRelay(), At: now}.Match(set, chainOf(leaf))
	for i, want := range []struct {
		usability     Usability
		matches       bool
		authenticates bool
	}{
		{Usable, false, false},    // the next key, not presented yet
		{Superseded, true, false}, // it matches, but the set has a SHA-512
		{Usable, true, true},      // another selector: agility does not apply
		{Unusable, false, false},
	} {
		m := got[i]
		if m.Usability != want.usability || m.Matches != want.matches || m.Authenticates() != want.authenticates {
			t.Errorf("record %d: usability=%s matches=%v authenticates=%v (%s), want %+v", i, m.Usability, m.Matches, m.Authenticates(), m.Why, want)
		}
		if i != 2 && m.Usability != Superseded && m.Depth != -1 {
			t.Errorf("record %d: depth %d, want -1", i, m.Depth)
		}
		if strings.Contains(m.Why, "superseded") != (want.usability == Superseded) {
			t.Errorf("record %d is %s, because %q", i, m.Usability, m.Why)
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
	old := issue(t, sub, "old", all(host(mx), notAfter(now.Add(-day))))
	wrong := issue(t, sub, "wrong", host("elsewhere.example"))
	for _, test := range []struct {
		name    string
		chain   *Chain
		errText string // empty: valid
	}{
		{"complete", chainOf(leaf, sub), ""},
		{"an intermediate is missing", chainOf(leaf), "does not lead to the system roots"},
		{"expired", chainOf(old, sub), "expired at 2026-05-31T12:00:00Z"},
		{"another name", chainOf(wrong, sub), `"elsewhere.example"`},
		{"no certificate sent", nil, "sent no certificate"},
	} {
		err := Verifier{Names: []string{mx}, Roots: poolOf(root), At: now}.PKIX(test.chain)
		switch {
		case test.errText == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.errText != "" && (err == nil || !strings.Contains(err.Error(), test.errText)):
			t.Errorf("%s: %v, want an error with %q", test.name, err, test.errText)
		}
		if got, want := errors.Is(err, ErrUntrusted), strings.Contains(test.errText, "system roots"); got != want {
			t.Errorf("%s: ErrUntrusted %t, want %t", test.name, got, want)
		}
	}
}

// A certificate may contain any text, and Why appears on pages and in logs.
func TestWhyIsPrintable(t *testing.T) {
	hostile := "\x1b[2J\n\u202e" + strings.Repeat("x", 5000)
	leaf := issue(t, nil, "leaf", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: hostile, Organization: []string{hostile}}
		c.NotAfter = now.Add(-day)
	})
	issuer := issue(t, nil, hostile, authority(notAfter(now.Add(-day))))
	child := issue(t, issuer, hostile, nil)
	for _, m := range []Match{
		Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match([]Record{record(t, issuer, DANETA, Cert, SHA256)}, chainOf(child, issuer))[0],
		Verifier{Usages: Client(), Names: []string{mx}, At: now.Add(-5 * day)}.Match([]Record{record(t, issuer, DANETA, Cert, SHA256)}, chainOf(child, issuer))[0],
		Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match([]Record{record(t, issuer, DANETA, Cert, SHA256)}, chainOf(leaf, issuer))[0],
		Verifier{Usages: Client(), Names: []string{mx}, Roots: poolOf(issuer), At: now}.Match([]Record{record(t, child, PKIXEE, Cert, SHA256)}, chainOf(child))[0],
	} {
		if m.Failure == None || m.Why == "" || len(m.Why) > 1000 || !utf8.ValidString(m.Why) || strings.ContainsAny(m.Why, "\x1b\n\u202e") {
			t.Errorf("failure %d, Why: %q", m.Failure, m.Why)
		}
	}
}

// Several probes may match against one chain concurrently.
func TestChainConcurrentUse(t *testing.T) {
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

// The number of certificates has no limit. Their size in bytes has one.
func TestChainLimit(t *testing.T) {
	root := issue(t, nil, "root", authority())
	leaf := issue(t, root, "leaf", host(mx))
	unrelated := issue(t, nil, "unrelated", nil)
	verify := func(r Record, chain *Chain) Match {
		return Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match([]Record{r}, chain)[0]
	}
	sent := []*party{leaf}
	for range 200 {
		sent = append(sent, unrelated)
	}
	if m := verify(record(t, root, DANETA, Cert, SHA256), chainOf(append(sent, root)...)); !m.Authenticates() || m.Depth != 201 {
		t.Errorf("the anchor is the 202nd certificate: failure %d, depth %d (%s)", m.Failure, m.Depth, m.Why)
	}
	for size := 0; size <= maxChain; size += len(unrelated.Raw) {
		sent = append(sent, unrelated)
	}
	if m := verify(record(t, root, DANETA, Cert, SHA256), chainOf(append(sent, root)...)); m.Matches {
		t.Errorf("the anchor lies beyond 100 KiB, which no sender reads: depth %d (%s)", m.Depth, m.Why)
	}
	long := &party{&x509.Certificate{Raw: make([]byte, maxChain+1)}, nil}
	if m := verify(record(t, long, DANEEE, Cert, SHA256), chainOf(long)); !m.Authenticates() {
		t.Errorf("a leaf of more than 100 KiB: failure %d (%s)", m.Failure, m.Why)
	}
	for size, want := range map[int]bool{maxChain: true, maxChain + 1: false} {
		filler := &party{&x509.Certificate{Raw: make([]byte, size-len(leaf.Raw)-len(root.Raw))}, nil}
		if m := verify(record(t, root, DANETA, Cert, SHA256), chainOf(leaf, filler, root)); m.Authenticates() != want {
			t.Errorf("the anchor ends after %d bytes: authenticates %v, want %v (%s)", size, !want, want, m.Why)
		}
	}
}

func TestRecordAnchorLimit(t *testing.T) {
	leaf, anchor := issue(t, nil, "leaf", nil), issue(t, nil, "anchor", nil)
	var set []Record
	for range 65 {
		set = append(set, record(t, anchor, DANETA, SPKI, Full))
	}
	got := Verifier{Usages: Client(), At: now}.Match(set, chainOf(leaf))
	if got[63].Failure != Mismatch || got[64].Failure != Unmeasured || got[64].Depth != -1 {
		t.Errorf("the 64th: %d, the 65th: %d (%s)", got[63].Failure, got[64].Failure, got[64].Why)
	}
}
