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
	for _, test := range []struct {
		name, text string
		want       string // the result of String; empty: an error
		errText    string
	}{
		{"plain", "3 1 1 abcd", "3 1 1 abcd", ""},
		{"capitals, tabs and split data, as zone files have them", "  2\t0 2 ABCD  ef01\n", "2 0 2 abcdef01", ""},
		{"unknown parameters are records too", "255 254 253 00", "255 254 253 00", ""},
		{"empty", "", "", "expected usage, selector, matching type and data"},
		{"no data", "3 1 1", "", "expected usage"},
		{"a number too large", "3 1 256 ab", "", `matching type "256"`},
		{"a negative number", "-3 1 1 ab", "", `usage "-3"`},
		{"an acronym instead of a number", "DANE-EE 1 1 ab", "", "usage"},
		{"an odd number of digits", "3 1 1 abc", "", "not hexadecimal"},
		{"other characters than digits", "3 1 1 wxyz", "", "not hexadecimal"},
		{"data that is too long", "3 1 0 " + strings.Repeat("00", 1<<16), "", "too long for a DNS record"},
		{"a text that is too long", strings.Repeat("0", 1<<20), "", "too long for a DNS record"},
	} {
		r, err := ParseRecord(test.text)
		if test.want == "" {
			if err == nil || !strings.Contains(err.Error(), test.errText) {
				t.Errorf("%s: %v, want an error with %q", test.name, err, test.errText)
			}
			continue
		}
		if err != nil || r.String() != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, r, err, test.want)
		}
	}
}

func TestNewRecord(t *testing.T) {
	p := issue(t, nil, "subject", nil)
	cert256, spki512 := sha256.Sum256(p.Raw), sha512.Sum512(p.RawSubjectPublicKeyInfo)
	for _, test := range []struct {
		selector     Selector
		matchingType MatchingType
		want         []byte
	}{
		{Cert, Full, p.Raw},
		{SPKI, Full, p.RawSubjectPublicKeyInfo},
		{Cert, SHA256, cert256[:]},
		{SPKI, SHA512, spki512[:]},
	} {
		r, err := NewRecord(p.Certificate, DANEEE, test.selector, test.matchingType)
		if err != nil || r.Usage != DANEEE || !bytes.Equal(r.Data, test.want) {
			t.Errorf("3 %d %d: %s, %v", test.selector, test.matchingType, r, err)
		}
	}
	for _, wrong := range [][3]uint8{{4, 0, 0}, {0, 2, 0}, {0, 0, 3}} {
		if r, err := NewRecord(p.Certificate, Usage(wrong[0]), Selector(wrong[1]), MatchingType(wrong[2])); err == nil {
			t.Errorf("undefined parameters %v: %s", wrong, r)
		}
	}
	if r, err := NewRecord(nil, DANEEE, SPKI, SHA256); err == nil {
		t.Errorf("no certificate: %s", r)
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

// FuzzMatch checks for any record in a zone that the presentation format round-trips,
// that each record has one result, and that only the data of a certificate of the
// chain authenticates.
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
			t.Errorf("%q is parsed as %q: %v", r, again, err)
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

// FuzzChain checks for any certificates that each record has one result, and that
// a DANE-EE record authenticates if and only if it has the leaf's data.
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
					r, err := NewRecord(of, usage, selector, SHA256)
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
			t.Fatalf("%d results for %d records", len(matches), len(set))
		}
		same := string(first) == string(second)
		for i, m := range matches {
			if m.Why == "" {
				t.Errorf("%s: Why is empty", set[i])
			}
			ofLeaf := i < len(set)/2
			if set[i].Usage == DANEEE && set[i].Selector == Cert && m.Authenticates() != (ofLeaf || same) {
				t.Errorf("%s of the leaf: %t, authenticates: %s", set[i], ofLeaf, m.Why)
			}
		}
	})
}
