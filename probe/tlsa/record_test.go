package tlsa

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"strings"
	"testing"
)

func TestParseRecord(t *testing.T) {
	for _, story := range []struct {
		name, text string
		want       string // as String writes it; empty: refused
		says       string
	}{
		{"plain", "3 1 1 abcd", "3 1 1 abcd", ""},
		{"capitals, tabs and split data, as zone files have them", "  2\t0 2 ABCD  ef01\n", "2 0 2 abcdef01", ""},
		{"unknown parameters are records too", "255 254 253 00", "255 254 253 00", ""},
		{"nothing", "", "", "want usage, selector, matching type and data"},
		{"no data", "3 1 1", "", "want usage"},
		{"a number too large", "3 1 256 ab", "", `matching type "256"`},
		{"a negative number", "-3 1 1 ab", "", `usage "-3"`},
		{"a word", "DANE-EE 1 1 ab", "", "usage"},
		{"half a byte", "3 1 1 abc", "", "not hexadecimal"},
		{"no hexadecimal", "3 1 1 wxyz", "", "not hexadecimal"},
		{"more than DNS can carry", "3 1 0 " + strings.Repeat("00", 1<<16), "", "more than a DNS record can hold"},
		{"far more than DNS can carry", strings.Repeat("0", 1<<20), "", "more than a DNS record can hold"},
	} {
		r, err := ParseRecord(story.text)
		if story.want == "" {
			if err == nil || !strings.Contains(err.Error(), story.says) {
				t.Errorf("%s: %v, want it to say %q", story.name, err, story.says)
			}
			continue
		}
		if err != nil || r.String() != story.want {
			t.Errorf("%s: %q, %v, want %q", story.name, r, err, story.want)
		}
	}
}

func TestFor(t *testing.T) {
	p := issue(t, nil, "anybody", nil)
	cert256, spki512 := sha256.Sum256(p.Raw), sha512.Sum512(p.RawSubjectPublicKeyInfo)
	for _, story := range []struct {
		selector     Selector
		matchingType MatchingType
		want         []byte
	}{
		{Cert, Full, p.Raw},
		{SPKI, Full, p.RawSubjectPublicKeyInfo},
		{Cert, SHA256, cert256[:]},
		{SPKI, SHA512, spki512[:]},
	} {
		r, err := For(p.Certificate, DANEEE, story.selector, story.matchingType)
		if err != nil || r.Usage != DANEEE || !bytes.Equal(r.Data, story.want) {
			t.Errorf("3 %d %d: %s, %v", story.selector, story.matchingType, r, err)
		}
	}
	for _, wrong := range [][3]uint8{{4, 0, 0}, {0, 2, 0}, {0, 0, 3}} {
		if r, err := For(p.Certificate, Usage(wrong[0]), Selector(wrong[1]), MatchingType(wrong[2])); err == nil {
			t.Errorf("%v made %s", wrong, r)
		}
	}
	if r, err := For(nil, DANEEE, SPKI, SHA256); err == nil {
		t.Errorf("no certificate made %s", r)
	}
}

func TestAcronyms(t *testing.T) {
	got := []string{DANEEE.String(), Usage(9).String(), SPKI.String(), SHA512.String()}
	want := []string{"DANE-EE(3)", "unknown(9)", "SPKI(1)", "SHA2-512(2)"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

// FuzzMatch: whatever stands in a zone, there is one verdict for each record,
// text and data say the same, and nothing authenticates but the leaf's own data.
func FuzzMatch(f *testing.F) {
	root := issue(f, nil, "Root", authority())
	leaf := issue(f, root, "leaf", host(mx))
	for _, r := range []Record{
		record(f, leaf, DANEEE, SPKI, SHA256), record(f, leaf, DANEEE, Cert, Full), record(f, root, DANETA, Cert, Full),
		record(f, root, DANETA, SPKI, Full), record(f, root, PKIXTA, Cert, SHA512), record(f, leaf, PKIXEE, SPKI, Full),
	} {
		f.Add(r.String())
	}
	f.Add("9 9 9 00")
	f.Add("2 1 0 3000")
	chain := chainOf(leaf, root)
	verifier := Verifier{Usages: Client(), Names: []string{mx}, Roots: poolOf(root), At: now}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecord(text)
		if err != nil {
			return
		}
		if again, err := ParseRecord(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%q became %q: %v", r, again, err)
		}
		m := verifier.Match([]Record{r, r}, chain)
		if len(m) != 2 || m[0].Authenticates() != m[1].Authenticates() || m[0].Why == "" {
			t.Fatalf("%s: %+v", r, m)
		}
		if m[0].Authenticates() && !chain.has(0, r) && !chain.has(1, r) {
			t.Errorf("%s authenticates: %s", r, m[0].Why)
		}
	})
}

// FuzzChain: whatever a server sends as certificates, each record has a verdict;
// the leaf's own data always proves it to be a DANE-EE peer, and another's never.
func FuzzChain(f *testing.F) {
	root := issue(f, nil, "Root", authority())
	leaf, other := issue(f, root, "leaf", host(mx)), issue(f, root, "other", nil)
	f.Add(leaf.Raw, root.Raw, mx)
	f.Add(root.Raw, root.Raw, "*.org")
	f.Add(other.Raw, leaf.Raw, "")
	f.Add(leaf.Raw[:100], []byte{0x30, 0x80}, "\xff")
	f.Fuzz(func(t *testing.T, first, second []byte, name string) {
		chain := NewChain(nil)
		for _, raw := range [][]byte{first, second} {
			certificate, err := x509.ParseCertificate(raw)
			if err != nil {
				return
			}
			chain.Certificates = append(chain.Certificates, certificate)
		}
		var set []Record
		for _, of := range chain.Certificates {
			for _, usage := range []Usage{PKIXTA, PKIXEE, DANETA, DANEEE} {
				for _, selector := range []Selector{Cert, SPKI} {
					r, err := For(of, usage, selector, SHA256)
					if err != nil {
						t.Fatal(err)
					}
					set = append(set, r)
				}
			}
		}
		verifier := Verifier{Usages: Client(), Names: []string{name}, Roots: poolOf(root), At: now}
		matches := verifier.Match(set, chain)
		if len(matches) != len(set) {
			t.Fatalf("%d verdicts of %d records", len(matches), len(set))
		}
		own := string(first) == string(second)
		for i, m := range matches {
			if m.Why == "" {
				t.Errorf("%s: no why", set[i])
			}
			ofLeaf := i < len(set)/2
			if set[i].Usage == DANEEE && set[i].Selector == Cert && m.Authenticates() != (ofLeaf || own) {
				t.Errorf("%s of the leaf: %t, authenticates: %s", set[i], ofLeaf, m.Why)
			}
		}
	})
}
