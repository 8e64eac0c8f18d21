package dnssec

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// vector is an example from an RFC, independent of this code and of the generator
// of test zones.
type vector struct {
	source  string
	key     string
	records []string
	sig     string
	ds      string // the digest of key, of digest type 2 or 4; empty if the RFC has none
}

// The keys of the zone in RFC 4035 appendix A, and the times of its signatures.
const (
	rfc4035ZSK = "example. 3600 IN DNSKEY 256 3 5 AQOy1bZVvpPqhg4j7EJoM9rI3ZmyEx2OzDBVrZy/lvI5CQePxXHZS4i8dANH4DX3tbHol61ek8EFMcsGXxKciJFHyhl94C+NwILQdzsUlSFovBZsyl/NX6yEbtw/xN9ZNcrbYvgjjZ/UVPZIySFNsgEYvh0z2542lzMKR4Dh8uZffQ=="
	rfc4035KSK = "example. 3600 IN DNSKEY 257 3 5 AQOeX7+baTmvpVHb2CcLnL1dMRWbuscRvHXlLnXwDzvqp4tZVKp1sZMepFb8MvxhhW3y/0QZsyCjczGJ1qk8vJe52iOhInKROVLRwxGpMfzPRLMlGybr51bOV/1se0ODacj3DomyB4QB5gKTYot/K9alk5/j8vfd4jWCWD+E1Sze0Q=="
	rfc4035Sig = " 3600 20040509183619 20040409183619 "
)

var vectors = []vector{
	{"RFC 6605 §6.1",
		"example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
		[]string{"www.example.net. 3600 IN A 192.0.2.1"},
		"www.example.net. 3600 IN RRSIG A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==",
		"b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"},
	{"RFC 6605 §6.2",
		"example.net. 3600 IN DNSKEY 257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
		[]string{"www.example.net. 3600 IN A 192.0.2.1"},
		"www.example.net. 3600 IN RRSIG A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm",
		"72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6"},
	{"RFC 8080 §6.1, first, as corrected by erratum 4935",
		"example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
		[]string{"example.com. 3600 IN MX 10 mail.example.com."},
		"example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 3613 example.com. oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
		"3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"},
	{"RFC 8080 §6.1, second, as corrected by erratum 4935",
		"example.com. 3600 IN DNSKEY 257 3 15 zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
		[]string{"example.com. 3600 IN MX 10 mail.example.com."},
		"example.com. 3600 IN RRSIG MX 15 2 3600 1440021600 1438207200 35217 example.com. zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==",
		"401781b934e392de492ec77ae2e15d70f6575a1c0bc59c5275c04ebe80c6614c"},
	{"RFC 8080 §6.2, first, as corrected by erratum 4935",
		"example.com. 3600 IN DNSKEY 257 3 16 3kgROaDjrh0H2iuixWBrc8g2EpBBLCdGzHmn+G2MpTPhpj/OiBVHHSfPodx1FYYUcJKm1MDpJtIA",
		[]string{"example.com. 3600 IN MX 10 mail.example.com."},
		"example.com. 3600 IN RRSIG MX 16 2 3600 1440021600 1438207200 9713 example.com. 3cPAHkmlnxcDHMyg7vFC34l0blBhuG1qpwLmjInI8w1CMB29FkEAIJUA0amxWndkmnBZ6SKiwZSAxGILn/NBtOXft0+Gj7FSvOKxE/07+4RQvE581N3Aj/JtIyaiYVdnYtyMWbSNyGEY2213WKsJlwEA",
		"6ccf18d5bc5d7fc2fceb1d59d17321402f2aa8d368048db93dd811f5cb2b19c7"},
	{"RFC 8080 §6.2, second, as corrected by erratum 4935",
		"example.com. 3600 IN DNSKEY 257 3 16 kkreGWoccSDmUBGAe7+zsbG6ZAFQp+syPmYUurBRQc3tDjeMCJcVMRDmgcNLp5HlHAMy12VoISsA",
		[]string{"example.com. 3600 IN MX 10 mail.example.com."},
		"example.com. 3600 IN RRSIG MX 16 2 3600 1440021600 1438207200 38353 example.com. E1/oLjSGIbmLny/4fcgM1z4oL6aqo+izT3urCyHyvEp4Sp8Syg1eI+lJ57CSnZqjJP41O/9l4m0AsQ4f7qI1gVnML8vWWiyW2KXhT9kuAICUSxv5OWbf81Rq7Yu60npabODB0QFPb/rkW3kUZmQ0YQUA",
		"645ff078b3568f5852b70cb60e8e696cc77b75bfaaffc118cf79cbda1ba28af4"},
}

var rfc4035 = []vector{
	{"RFC 4035 appendix A: SOA", rfc4035ZSK, []string{"example. 3600 IN SOA ns1.example. bugs.x.w.example. 1081539377 3600 300 3600000 3600"},
		"example. 3600 IN RRSIG SOA 5 1" + rfc4035Sig + "38519 example. ONx0k36rcjaxYtcNgq6iQnpNV5+drqYAsC9h7TSJaHCqbhE67Sr6aH2xDUGcqQWu/n0UVzrFvkgO9ebarZ0GWDKcuwlM6eNB5SiX2K74l5LWDA7S/Un/IbtDq4Ay8NMNLQI7Dw7n4p8/rjkBjV7j86HyQgM5e7+miRAz8V01b0I=", ""},
	{"RFC 4035 appendix A: NS, two records, here in the other order and in upper case", rfc4035ZSK, []string{"EXAMPLE. 3600 IN NS NS2.Example.", "example. 3600 IN NS ns1.example."},
		"example. 3600 IN RRSIG NS 5 1" + rfc4035Sig + "38519 example. gl13F00f2U0R+SWiXXLHwsMY+qStYy5k6zfdEuivWc+wd1fmbNCyql0Tk7lHTX6UOxc8AgNf4ISFve8XqF4q+o9qlnqIzmppU3LiNeKT4FZ8RO5urFOvoMRTbQxW3U0hXWuggE4g3ZpsHv480HjMeRaZB/FRPGfJPajngcq6Kwg=", ""},
	{"RFC 4035 appendix A: MX, sent twice", rfc4035ZSK, []string{"example. 3600 IN MX 1 xx.example.", "example. 3600 IN MX 1 xx.example."},
		"example. 3600 IN RRSIG MX 5 1" + rfc4035Sig + "38519 example. HyDHYVT5KHSZ7HtO/vypumPmSZQrcOP3tzWB2qaKkHVPfau/DgLgS/IKENkYOGL95G4N+NzEVyNU8dcTOckT+ChPcGeVjguQ7a3Ao9Z/ZkUO6gmmUW4b89rz1PUxW4jzUxj66PTwoVtUU/iMW6OISukd1EQt7a0kygkg+PEDxdI=", ""},
	{"RFC 4035 appendix A: NSEC", rfc4035ZSK, []string{"example. 3600 IN NSEC a.example. NS SOA MX RRSIG NSEC DNSKEY"},
		"example. 3600 IN RRSIG NSEC 5 1" + rfc4035Sig + "38519 example. O0k558jHhyrC97ISHnislm4kLMW48C7U7cBmFTfhke5iVqNRVTB1STLMpgpbDIC9hcryoO0VZ9ME5xPzUEhbvGnHd5sfzgFVeGxr5Nyyq4tWSDBgIBiLQUv1ivy29vhXy7WgR62dPrZ0PWvmjfFJ5arXf4nPxp/kEowGgBRzY/U=", ""},
	{"RFC 4035 appendix A: DNSKEY, by the key-signing key", rfc4035KSK, []string{rfc4035ZSK, rfc4035KSK},
		"example. 3600 IN RRSIG DNSKEY 5 1" + rfc4035Sig + "9465 example. ZxgauAuIj+k1YoVEOSlZfx41fcmKzTFHoweZxYnz99JVQZJ33wFS0Q0jcP7VXKkaElXk9nYJXevO/7nAbo88iWsMkSpSR6jWzYYKwfrBI/L9hjYmyVO9m6FjQ7uwM4dCP/bIuV/DKqOAK9NYNC3AHfvCV1Tp4VKDqxqG7R5tTVM=", ""},
	{"RFC 4035 appendix A: DNSKEY, by the zone-signing key", rfc4035ZSK, []string{rfc4035ZSK, rfc4035KSK},
		"example. 3600 IN RRSIG DNSKEY 5 1" + rfc4035Sig + "38519 example. eGL0s90glUqcOmloo/2y+bSzyEfKVOQViD9ZDNhLz/Yn9CQZlDVRJffACQDAUhXpU/oP34ribKBpysRXosczFrKqS5Oa0bzMOfXCXup9qHApeFIku28Vqfr8Nt7cigZLxjK+u0Ws/4lIRjKk7z5OXogYVaFzHKillDt3HRxHIZM=", ""},
	{"RFC 4035 appendix A: AAAA", rfc4035ZSK, []string{"ai.example. 3600 IN AAAA 2001:db8::f00:baa9"},
		"ai.example. 3600 IN RRSIG AAAA 5 2" + rfc4035Sig + "38519 example. nLcpFuXdT35AcE+EoafOUkl69KB+/e56XmFKkewXG2IadYLKAOBIoR5+VoQV3XgTcofTJNsh1rnF6Eav2zpZB3byI6yo2bwY8MNkr4A7cL9TcMmDwV/hWFKsbGBsj8xSCN/caEL2CWY/5XP2sZM6QjBBLmukH30+w1z3h8PUP2o=", ""},
	{"RFC 4035 appendix B.6: MX, expanded from *.w.example", rfc4035ZSK, []string{"a.z.w.example. 3600 IN MX 1 ai.example."},
		"a.z.w.example. 3600 IN RRSIG MX 5 2" + rfc4035Sig + "38519 example. OMK8rAZlepfzLWW75Dxd63jy2wswESzxDKG2f9AMN1CytCd10cYISAxfAdvXSZ7xujKAtPbctvOQ2ofO7AZJ+d01EeeQTVBPq4/6KCWhqe2XTjnkVLNvvhnc0u28aoSsG0+4InvkkOHknKxw4kX18MMR34i8lC36SR5xBni8vHI=", ""},
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
	for _, example := range slices.Concat(vectors, rfc4035) {
		t.Run(example.source, func(t *testing.T) {
			public, sig := parse(t, example.key).(*dns.DNSKEY), parse(t, example.sig).(*dns.RRSIG)
			set := &rrset{name: fold(sig.Hdr.Name), rrtype: sig.TypeCovered, sigs: []*dns.RRSIG{sig}}
			for _, text := range example.records {
				set.records = append(set.records, parse(t, text))
			}
			set.canonical, set.unreadable = canonicalRDATA(set.records)
			zone := fold(public.Hdr.Name)

			check := func(at time.Time) (proof, error) {
				options := Options{SHA1: SHA1Accept}.withDefaults()
				v := &validation{rules: rules{at: at, options: options}, budget: newWorkBudget(defaultLimits(), nil)}
				return v.authenticate(set, []*key{newKey(public)}, zone)
			}
			begin, end := time.Unix(int64(sig.Inception), 0), time.Unix(int64(sig.Expiration), 0)
			for _, at := range []time.Time{begin, end} {
				if p, f := check(at); f != nil || p.tag != public.KeyTag() || !p.validity.Expiry.Equal(end) || !p.validity.Inception.Equal(begin) {
					t.Errorf("at %s: %v %+v", at, f, p)
				}
			}
			for _, at := range []time.Time{begin.Add(-time.Second), end.Add(time.Second)} {
				if _, f := check(at); f == nil {
					t.Errorf("valid at %s", at)
				}
			}
			if example.ds != "" {
				digestType := map[uint8]uint8{13: dns.SHA256, 14: dns.SHA384, 15: dns.SHA256, 16: dns.SHA256}[public.Algorithm]
				if got := hex.EncodeToString(newKey(public).digest(zone, digestType)); got != example.ds {
					t.Errorf("DS digest %s, want %s", got, example.ds)
				}
			}
			sig.OrigTtl++
			if _, f := check(begin); f == nil {
				t.Error("valid with another TTL")
			}
		})
	}
}

// TestShortRSAKeys checks RSA keys of 512 bits and more, which RFC 3110 §3 allows, and
// RFC 5702 §2.1 for RSASHA256. Other validators accept them. crypto/rsa does so only with
// rsa1024min=0, which go.mod sets.
func TestShortRSAKeys(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{512, 768, 1000, 1024} {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		public := parse(t, "example. 3600 IN DNSKEY 256 3 8 AQ==").(*dns.DNSKEY)
		public.PublicKey = base64.StdEncoding.EncodeToString(append([]byte{3, 1, 0, 1}, private.N.Bytes()...))
		set := []dns.RR{parse(t, "mx.example. 3600 IN A 192.0.2.1")}
		sig := &dns.RRSIG{Hdr: dns.RR_Header{Name: "mx.example.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 3600},
			Algorithm: dns.RSASHA256, SignerName: "example.", KeyTag: public.KeyTag(), OrigTtl: 3600,
			Inception: 1_700_000_000, Expiration: 1_700_100_000}
		if err := sig.Sign(private, set); err != nil {
			t.Fatal(err)
		}
		v := &validation{rules: rules{at: time.Unix(1_700_050_000, 0), options: Options{}.withDefaults()}, budget: newWorkBudget(defaultLimits(), nil)}
		signed := newReply(&dns.Msg{Answer: append(set, sig)}, question{"mx.example.", dns.TypeA}).answer[0]
		if _, f := v.authenticate(signed, []*key{newKey(public)}, "example."); f != nil {
			t.Errorf("%d bits: %s", bits, f)
		}
	}
}

// TestNSEC3Hash checks the hashes of RFC 5155 appendix A.
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
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestCanonicalOrder checks the order of the names in RFC 4034 §6.1.
func TestCanonicalOrder(t *testing.T) {
	want := []string{"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
