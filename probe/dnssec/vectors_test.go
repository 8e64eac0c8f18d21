package dnssec

import (
	"encoding/base32"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// vector is an example that an RFC prints: nothing of it was made by this code
// or by the generator of test zones.
type vector struct {
	source string
	key    string
	record string
	sig    string
	ds     string // the digest of key, of digest type 2 or 4
}

var vectors = []vector{
	{"RFC 6605 §6.1",
		"example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
		"www.example.net. 3600 IN A 192.0.2.1",
		"www.example.net. 3600 IN RRSIG A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
		"b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"},
	{"RFC 6605 §6.2",
		"example.net. 3600 IN DNSKEY 257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
		"www.example.net. 3600 IN A 192.0.2.1",
		"www.example.net. 3600 IN RRSIG A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
		"72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6"},
	{"RFC 8080 §6.1, first, as corrected by erratum 4935",
		"example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
		"example.com. 3600 IN MX 10 mail.example.com.",
		"example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 3613 example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
		"3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"},
	{"RFC 8080 §6.1, second, as corrected by erratum 4935",
		"example.com. 3600 IN DNSKEY 257 3 15 zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
		"example.com. 3600 IN MX 10 mail.example.com.",
		"example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 35217 example.com. zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==",
		"401781b934e392de492ec77ae2e15d70f6575a1c0bc59c5275c04ebe80c6614c"},
}

func parse(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.source, func(t *testing.T) {
			key, sig := parse(t, v.key).(*dns.DNSKEY), parse(t, v.sig).(*dns.RRSIG)
			record := parse(t, v.record)
			set := &rrset{name: fold(record.Header().Name), rrtype: record.Header().Rrtype, records: []dns.RR{record}, sigs: []*dns.RRSIG{sig}}
			zone := fold(key.Hdr.Name)

			check := func(at time.Time) (proof, *fault) {
				v := &validation{rules: rules{at: at, options: Options{}.withDefaults()}, ledger: newLedger(defaultLimits())}
				return v.authenticate(set, []*dns.DNSKEY{key}, zone)
			}
			begin, end := time.Unix(int64(sig.Inception), 0), time.Unix(int64(sig.Expiration), 0)
			for _, at := range []time.Time{begin, end} {
				if p, f := check(at); f != nil || p.tag != sig.KeyTag || !p.Expiry.Equal(end) || !p.Inception.Equal(begin) {
					t.Errorf("at %s: %v %+v", at, f, p)
				}
			}
			for _, at := range []time.Time{begin.Add(-time.Second), end.Add(time.Second)} {
				if _, f := check(at); f == nil {
					t.Errorf("valid at %s", at)
				}
			}
			digestType := map[uint8]uint8{13: dns.SHA256, 14: dns.SHA384, 15: dns.SHA256}[key.Algorithm]
			if got := hex.EncodeToString(digestOf(key, zone, digestType)); got != v.ds {
				t.Errorf("DS digest %s, wanted %s", got, v.ds)
			}
			record.Header().Name = "other." + record.Header().Name
			set.name = "other." + set.name
			if _, f := check(begin); f == nil {
				t.Error("valid for another name")
			}
		})
	}
}

// TestNSEC3Hash has the hashes of RFC 5155 appendix A.
func TestNSEC3Hash(t *testing.T) {
	for name, want := range map[string]string{
		"example.":       "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
		"a.example.":     "35mthgpgcu1qg68fab165klnsnk3dpvl",
		"ai.example.":    "gjeqe526plbf1g8mklp59enfd789njgi",
		"ns1.example.":   "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
		"ns2.example.":   "q04jkcevqvmu85r014c7dkba38o0ji5r",
		"w.example.":     "k8udemvp1j2f7eg6jebps17vp3n8i58h",
		"*.w.example.":   "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
		"x.w.example.":   "b4um86eghhds6nea196smvmlo4ors995",
		"y.w.example.":   "ji6neoaepv8b5o6k4ev33abha8ht9fgc",
		"x.y.w.example.": "2vptu5timamqttgl4luu9kg21e0aor3s",
		"XX.Example.":    "t644ebqk9bibcna874givr6joj62mlhv",
	} {
		got := strings.ToLower(base32.HexEncoding.EncodeToString(nsec3Hash(name, []byte{0xaa, 0xbb, 0xcc, 0xdd}, 12)))
		if got != want {
			t.Errorf("%s: %s, wanted %s", name, got, want)
		}
	}
}

// TestCanonicalOrder has the list of RFC 4034 §6.1.
func TestCanonicalOrder(t *testing.T) {
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
