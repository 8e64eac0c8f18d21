package tlsa

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// rsaKey returns an RSA key of a size in bits, of which the private part is not known.
func rsaKey(bits, exponent int, low int64) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(2*low+1)), E: exponent}
}

func spkiOf(t *testing.T, key any) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// rsaChain returns unsigned certificates: a leaf, and issuers of it with the given
// keys. Each has a signature with the length of a modulus of a size in bits.
func rsaChain(t *testing.T, bits int, keys ...*rsa.PublicKey) []*x509.Certificate {
	t.Helper()
	signer, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	certificates := make([]*x509.Certificate, 0, len(keys)+1)
	for i, key := range append([]*rsa.PublicKey{&signer.PublicKey}, keys...) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "Issuer"}, NotBefore: now.Add(-day), NotAfter: now.Add(day),
			IsCA: i > 0, BasicConstraintsValid: i > 0,
		}
		issuer := *template
		if i == 0 {
			template.Subject.CommonName, template.DNSNames = "leaf", []string{mx}
		}
		signed, err := x509.CreateCertificate(rand.Reader, template, &issuer, key, signer)
		if err != nil {
			t.Fatal(err)
		}
		var parts struct {
			TBS       asn1.RawValue
			Algorithm pkix.AlgorithmIdentifier
			Signature asn1.BitString
		}
		if _, err := asn1.Unmarshal(signed, &parts); err != nil {
			t.Fatal(err)
		}
		signature := make([]byte, bits/8)
		signature[len(signature)-1] = 7
		parts.Signature = asn1.BitString{Bytes: signature, BitLength: bits}
		data, err := asn1.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(data)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, certificate)
	}
	return certificates
}

// costly is an RSA key whose signatures cost most.
func costly(i int) *rsa.PublicKey { return rsaKey(16384, math.MaxInt32, int64(i)) }

// A hostile server or zone causes a bounded number of costly checks. What is not
// checked is not judged.
func TestCostLimit(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	line := []*party{root}
	for i := range 31 {
		line = append([]*party{issue(t, line[0], fmt.Sprint("Issuer ", i), authority())}, line...)
	}
	line = append([]*party{issue(t, line[0], "leaf", host(mx))}, line[:31]...)

	var nistKeys, costlyKeys []Record
	for i := range 64 {
		key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		nistKeys = append(nistKeys, Record{DANETA, SPKI, Full, spkiOf(t, &key.PublicKey)})
		costlyKeys = append(costlyKeys, Record{DANETA, SPKI, Full, spkiOf(t, costly(i))})
	}
	var issuers []*rsa.PublicKey
	for i := range 20 {
		issuers = append(issuers, costly(i))
	}
	const budgetOfP521, budgetOfRSA = maxCost / 2500, maxCost / 20_000
	for _, test := range []struct {
		name        string
		chain       *Chain
		set         []Record
		checks      int // at most
		first, last Failure
	}{
		{"a key of 60 kB", NewChain(rsaChain(t, 2048, rsaKey(2048, 65537, 1))), []Record{{DANETA, SPKI, Full, spkiOf(t, rsaKey(480_000, 65537, 1))}}, 1, Mismatch, Mismatch},
		{"keys of other lengths than the signature", NewChain(rsaChain(t, 2048, rsaKey(2048, 65537, 1))), costlyKeys, 1, Mismatch, Mismatch},
		{"64 keys of P-521 and 32 certificates", chainOf(line...), nistKeys, 31 + budgetOfP521, Unmeasured, Unmeasured},
		{"64 keys of the highest cost", NewChain(rsaChain(t, 16384)), costlyKeys, budgetOfRSA, Mismatch, Unmeasured},
		{"20 issuers of the highest cost", NewChain(rsaChain(t, 16384, issuers...)), []Record{record(t, root, DANETA, SPKI, Full)}, 2 * budgetOfRSA, Unmeasured, Unmeasured},
	} {
		matches := Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match(test.set, test.chain)
		if made := test.chain.memo.made; made > test.checks {
			t.Errorf("%s: %d checks, want %d at most", test.name, made, test.checks)
		}
		if first, last := matches[0], matches[len(matches)-1]; first.Failure != test.first || last.Failure != test.last {
			t.Errorf("%s: failure %d (%s) of the first record, %d (%s) of the last; want %d and %d", test.name, first.Failure, first.Why, last.Failure, last.Why, test.first, test.last)
		}
	}
}

// The costs of keys are in proportion to the time that they take.
func TestSignatureCost(t *testing.T) {
	curve := func(c elliptic.Curve) any {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &key.PublicKey
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		key      any
		tbs      int // length
		min, max int
		failed   error
	}{
		{"RSA-1024", rsaKey(1024, 65537, 1), 0, 20, 50, nil},
		{"RSA-2048", rsaKey(2048, 65537, 1), 0, 80, 200, nil},
		{"RSA-2048 with exponent 3", rsaKey(2048, 3, 1), 0, 40, 80, nil},
		{"RSA-2049", rsaKey(2049, 65537, 1), 0, 130, 150, nil}, // 33 words
		{"RSA-4096", rsaKey(4096, 65537, 1), 0, 350, 700, nil},
		{"RSA-16384", rsaKey(16384, 65537, 1), 0, 6000, 12_000, nil},
		{"RSA-16384 with the largest exponent", costly(1), 0, 20_000, 40_000, nil},
		{"RSA-16385", rsaKey(16385, 65537, 1), 0, 0, 0, errWrongSigner},
		{"an exponent that crypto/rsa does not accept", rsaKey(2048, math.MaxInt32+1, 1), 0, 0, 0, errUnsupported},
		{"P-224", curve(elliptic.P224()), 0, 200, 400, nil},
		{"P-256", curve(elliptic.P256()), 0, 60, 150, nil},
		{"P-384", curve(elliptic.P384()), 0, 500, 1000, nil},
		{"P-521", curve(elliptic.P521()), 0, 1500, 3000, nil},
		{"Ed25519", edwards, 0, 50, 150, nil},
		{"Ed25519 and a certificate of 100 kB", edwards, 100_000, 500, 700, nil},
		{"RSA-2048 and a certificate of 100 kB", rsaKey(2048, 65537, 1), 100_000, 580, 700, nil},
		{"P-256 and a certificate of 100 kB", curve(elliptic.P256()), 100_000, 580, 700, nil},
		{"a key that crypto/x509 does not support", nil, 0, 0, 0, errUnsupported},
	} {
		child := &node{Certificate: &x509.Certificate{RawTBSCertificate: make([]byte, test.tbs)}}
		if k, ok := test.key.(*rsa.PublicKey); ok {
			child.Signature = make([]byte, k.Size())
		}
		cost, err := signatureCost(child, publicKey{PublicKey: test.key})
		if cost < test.min || cost > test.max || !errors.Is(err, test.failed) {
			t.Errorf("%s: cost %d, error %v; want %d to %d, error %v", test.name, cost, err, test.min, test.max, test.failed)
		}
	}
	for _, length := range []int{0, 255, 257, 2048} {
		child := &node{Certificate: &x509.Certificate{Signature: make([]byte, length)}}
		if _, err := signatureCost(child, publicKey{PublicKey: rsaKey(2048, 65537, 1)}); !errors.Is(err, errWrongSigner) {
			t.Errorf("a signature of %d bytes by RSA-2048: %v, want %v", length, err, errWrongSigner)
		}
	}
}

func TestSpend(t *testing.T) {
	c := new(checker)
	if err := c.spend(maxCost); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := c.spend(1); !errors.Is(err, ErrUnmeasured) {
		t.Errorf("over the limit: %v, want an ErrUnmeasured", err)
	}
}

// The search of an honest chain costs less than a fifth of the limit.
func TestHonestCost(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	line := []*party{root}
	for i := range 10 {
		line = append([]*party{issue(t, line[0], fmt.Sprint("Issuer ", i), authority(permitDNS("example.org")))}, line...)
	}
	chain := chainOf(append([]*party{issue(t, line[0], "leaf", host(mx))}, line...)...)
	v := Verifier{Usages: Client(), Names: []string{mx}, Roots: poolOf(root), At: now}
	m := newMatcher(v, chain)
	for _, r := range []Record{record(t, root, DANETA, Cert, SHA256), record(t, root, DANETA, Cert, Full), record(t, root, PKIXTA, Cert, SHA256)} {
		if match := m.match(r); match.Failure != None {
			t.Errorf("%s: failure %d (%s)", r.Usage, match.Failure, match.Why)
		}
	}
	if m.checker.cost == 0 || m.checker.cost > maxCost/5 {
		t.Errorf("cost %d, want %d at most", m.checker.cost, maxCost/5)
	}
}

// A check is made once in the life of a chain, and the result does not depend on
// earlier searches.
func TestChecksAreMadeOnce(t *testing.T) {
	root := issue(t, nil, "Root", authority(permitDNS("example.org")))
	line := []*party{root}
	for i := range 20 {
		line = append([]*party{issue(t, line[0], fmt.Sprint("Issuer ", i), authority())}, line...)
	}
	sent := append([]*party{issue(t, line[0], "leaf", host(mx))}, line[:20]...)
	set := []Record{record(t, root, DANETA, Cert, Full)}
	for range 60 {
		set = append(set, record(t, issue(t, nil, "key", nil), DANETA, SPKI, Full))
	}
	chain := chainOf(sent...)
	v := Verifier{Usages: Client(), Names: []string{mx}, Roots: poolOf(issue(t, nil, "Other", authority())), At: now}
	first := v.Match(set, chain)
	made := chain.memo.made
	v.At = now.Add(day)
	second := v.Match(set, chain)
	v.PKIX(chain)
	v.SinglePath(set[:1], chain)
	if limit := 20 + maxCost/50; made < 100 || made > limit || chain.memo.made != made {
		t.Errorf("%d checks, then %d more; the limit is %d", made, chain.memo.made-made, limit)
	}
	for i := range first {
		if first[i].Failure != second[i].Failure || first[i].Why != second[i].Why {
			t.Errorf("record %d: first failure %d (%s), then %d (%s)", i, first[i].Failure, first[i].Why, second[i].Failure, second[i].Why)
		}
	}
	if first[0].Failure != None || first[1].Failure != Mismatch || first[60].Failure != Unmeasured {
		t.Errorf("failures %d and %d of the first records, %d of the last; want %d, %d, and %d beyond the limit", first[0].Failure, first[1].Failure, first[60].Failure, None, Mismatch, Unmeasured)
	}
}

// A search without time leaves the verdict open. Later searches ignore it, and it
// uses the results of earlier ones.
func TestStop(t *testing.T) {
	root := issue(t, nil, "Root", authority(permitDNS("example.org")))
	leaf := issue(t, root, "leaf", host(mx))
	chain := chainOf(leaf, root)
	ta, ee, own := record(t, root, DANETA, Cert, SHA256), record(t, leaf, PKIXEE, Cert, SHA256), record(t, leaf, DANEEE, Cert, SHA256)
	set := []Record{own, ta, ee, record(t, root, DANETA, SPKI, Full), record(t, root, DANETA, Cert, Full)}
	v := Verifier{Usages: Client(), Names: []string{mx}, Roots: poolOf(root), At: now}
	over := v
	over.Stop = func() error { return errors.New("the time is over") }
	failures := func(v Verifier) (failures []Failure) {
		for _, m := range v.Match(set, chain) {
			failures = append(failures, m.Failure)
			if m.Failure == Unmeasured && !strings.Contains(m.Why, "the time is over") {
				t.Errorf("%s: %q does not give the cause", m.Record, m.Why)
			}
		}
		return failures
	}
	open, judged := []Failure{None, Unmeasured, Unmeasured, Unmeasured, Unmeasured}, []Failure{None, None, None, None, None}
	if got := failures(over); !slices.Equal(got, open) {
		t.Errorf("without time: failures %v, want %v", got, open)
	}
	if err := over.PKIX(chain); !errors.Is(err, ErrUnmeasured) || !strings.Contains(err.Error(), "the time is over") {
		t.Errorf("without time: PKIX: %v, want an ErrUnmeasured", err)
	}
	if chain.memo.made != 0 {
		t.Errorf("without time: %d checks", chain.memo.made)
	}
	for _, set := range [][]Record{{ta}, {ee}, {record(t, issue(t, nil, "Other", authority()), DANETA, SPKI, Full)}} {
		if single := over.SinglePath(set, chain); !single.Open || !strings.Contains(single.Failure, "the time is over") {
			t.Errorf("without time: %s: single path %+v, want an open one", set[0], single)
		}
	}
	over.Stop = func() error { return nil }
	if got := failures(over); !slices.Equal(got, judged) {
		t.Errorf("with time: failures %v, want %v", got, judged)
	}
	if single := v.SinglePath([]Record{ta}, chain); single.Open || single.Failure != "" {
		t.Errorf("with time: single path %+v", single)
	}
	over.Stop = func() error { return errors.New("the time is over") }
	set = set[:2]
	if got := failures(over); !slices.Equal(got, judged[:2]) {
		t.Errorf("all is known: failures %v, want %v", got, judged[:2])
	}
}

// The comparisons of names with constraints have a limit of OpenSSL, and a cost.
func TestNameCheckLimit(t *testing.T) {
	names := func(n int) (list []string) {
		for i := range n {
			list = append(list, general(tagDNSName, fmt.Sprintf("%x.org", i)))
		}
		return list
	}
	for _, test := range []struct {
		name               string
		names, constraints int // more than the name of the host and the subject
		failure            Failure
	}{
		{"few", 10, 10, None},
		{"the limit of OpenSSL", 1022, 1024, None},
		{"over the limit of OpenSSL", 1023, 1024, ChainInvalid},
	} {
		root := issue(t, nil, "Root", authority(exclude(names(test.constraints)...)))
		var more []string
		for range test.names {
			more = append(more, general(tagDNSName, "a"))
		}
		leaf := issue(t, root, "leaf", alternatives(more...))
		if m := matchOne(record(t, root, DANETA, Cert, SHA256), nil, leaf, root); m.Failure != test.failure {
			t.Errorf("%s: failure %d (%s), want %d", test.name, m.Failure, m.Why, test.failure)
		}
	}

	// Each pair is just below the limit of OpenSSL, and all together are over that of a search.
	repeated := func(n int, name string) []string { return slices.Repeat([]string{general(tagDNSName, name)}, n) }
	large := authority(exclude(repeated(1022, "b")...), alternatives(repeated(1020, "a")...))
	root := issue(t, nil, "Root", large)
	sent := []*party{root}
	for i := range 3 {
		sent = append([]*party{issue(t, sent[0], fmt.Sprint("Issuer ", i), large)}, sent...)
	}
	for i, want := range []Failure{None, Unmeasured, Unmeasured} { // 1, 3 and 6 pairs
		issuers := sent[2-i:]
		leaf := issue(t, issuers[0], "leaf", alternatives(repeated(1020, "a")...))
		chain := chainOf(append([]*party{leaf}, issuers...)...)
		anchor := record(t, issuers[i], DANETA, Cert, SHA256)
		m := Verifier{Usages: Client(), Names: []string{mx}, At: now}.Match([]Record{anchor}, chain)[0]
		if m.Failure != want {
			t.Errorf("%d issuers with many constraints: failure %d (%s), want %d", i+1, m.Failure, m.Why, want)
		}
	}
}

// crypto/x509 parses DSA keys, but does not check their signatures. OpenSSL does.
func TestDSA(t *testing.T) {
	const spki = "\x30\x1c\x30\x14\x06\x07\x2a\x86\x48\xce\x38\x04\x01\x30\x09\x02\x01\x07\x02\x01\x07\x02\x01\x07\x03\x04\x00\x02\x01\x07" // RFC 3279 §2.3.2
	key, err := x509.ParsePKIXPublicKey([]byte(spki))
	if err != nil {
		t.Fatal(err)
	}
	root := issue(t, nil, "Root", authority())
	leaf, issuer := *issue(t, root, "leaf", host(mx)).Certificate, *root.Certificate
	leaf.SignatureAlgorithm = x509.DSAWithSHA256
	issuer.PublicKey, issuer.PublicKeyAlgorithm = key, x509.DSA
	r := record(t, root, DANETA, Cert, SHA256)
	v := Verifier{Usages: SMTPRelay(), Names: []string{mx}, At: now}
	chain := NewChain([]*x509.Certificate{&leaf, &issuer})
	if m := v.Match([]Record{r}, chain)[0]; m.Failure != Unmeasured || !m.Matches {
		t.Errorf("failure %d (%s), want %d", m.Failure, m.Why, Unmeasured)
	}
	if single := v.SinglePath([]Record{r}, chain); !single.Open {
		t.Errorf("single path %+v, want an open one", single)
	}
}

// Keys of types that crypto/x509 does not support leave the verdict open.
func TestUnsupportedKey(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	leaf := issue(t, root, "leaf", host(mx))
	spki, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 113}}, asn1.BitString{Bytes: make([]byte, 57), BitLength: 57 * 8}}) // Ed448
	if err != nil {
		t.Fatal(err)
	}
	r := Record{DANETA, SPKI, Full, spki}
	if m := matchOne(r, nil, leaf); m.Failure != Unmeasured || m.Matches || m.Depth != -1 || !errors.Is(m.Open, ErrUnsupported) {
		t.Errorf("failure %d, depth %d (%v); want %d, -1", m.Failure, m.Depth, m.Open, Unmeasured)
	}
	expired := issue(t, root, "leaf", all(host(mx), notAfter(now.Add(-day))))
	other := record(t, root, DANETA, SPKI, SHA256)
	for _, set := range [][]Record{{r, other}, {other, r}} {
		for _, m := range (Verifier{Usages: Client(), Names: []string{mx}, At: now}).Match(set, chainOf(expired, root)) {
			if want := map[MatchingType]Failure{Full: Unmeasured, SHA256: Expired}[m.Record.MatchingType]; m.Failure != want {
				t.Errorf("%s in %v: failure %d (%s), want %d", m.Record, set, m.Failure, m.Why, want)
			}
		}
	}
	v := Verifier{Usages: Client(), Names: []string{mx}, At: now}
	if single := v.SinglePath([]Record{r}, chainOf(leaf)); !single.Open {
		t.Errorf("single path %+v, want an open one", single)
	}
}

// Senders check no policies, so a required policy refuses nothing.
func TestPolicies(t *testing.T) {
	root := issue(t, nil, "Root", authority())
	for name, change := range map[string]func(*x509.Certificate){
		"requireExplicitPolicy 0": extension(true, "\x30\x03\x80\x01\x00", 2, 5, 29, 36),
		"requireExplicitPolicy 1": extension(true, "\x30\x03\x80\x01\x01", 2, 5, 29, 36),
		"inhibitPolicyMapping 0":  extension(true, "\x30\x03\x81\x01\x00", 2, 5, 29, 36),
		"inhibitAnyPolicy 0":      extension(true, "\x02\x01\x00", 2, 5, 29, 54),
		"certificatePolicies":     extension(true, "\x30\x06\x30\x04\x06\x02\x2a\x03", 2, 5, 29, 32),
		"policyMappings":          extension(true, "\x30\x0a\x30\x08\x06\x02\x2a\x03\x06\x02\x2a\x04", 2, 5, 29, 33),
	} {
		for _, names := range []func(*x509.Certificate){nil, permitDNS("example.org")} {
			changes := []func(*x509.Certificate){change}
			if names != nil {
				changes = append(changes, names)
			}
			sub := issue(t, root, "Issuer", authority(changes...))
			leaf := issue(t, sub, "leaf", host(mx))
			restricted := issue(t, root, "leaf", all(host(mx), change))
			trusted := issue(t, nil, "Trusted", authority(changes...))
			below := issue(t, trusted, "leaf", host(mx))
			for what, m := range map[string]Match{
				"DANE-TA":                  matchOne(record(t, root, DANETA, Cert, SHA256), nil, leaf, sub, root),
				"DANE-TA, the issuer":      matchOne(record(t, sub, DANETA, Cert, SHA256), nil, leaf, sub),
				"PKIX-EE":                  matchOne(record(t, leaf, PKIXEE, Cert, SHA256), poolOf(root), leaf, sub),
				"PKIX-EE, of the leaf":     matchOne(record(t, restricted, PKIXEE, Cert, SHA256), poolOf(root), restricted),
				"PKIX-EE, of the root":     matchOne(record(t, below, PKIXEE, Cert, SHA256), poolOf(trusted), below),
				"DANE-TA, the root in DNS": matchOne(record(t, trusted, DANETA, Cert, Full), nil, below),
			} {
				if !m.Authenticates() {
					t.Errorf("%s, %s, name constraints %v: failure %d (%s)", name, what, names != nil, m.Failure, m.Why)
				}
			}
		}
	}
}
