//go:build integration

package integration

import (
	"maps"
	"net/netip"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
)

// testKeys asks one openssl s_server for each of its keys, in each version of
// TLS alone.
func testKeys(t *testing.T, w *world, e *exporter) {
	ecdsa, rsa := selfSignedPair(t, w.dir, "ecdsa", "ec", "ec_paramgen_curve:P-256"), selfSignedPair(t, w.dir, "rsa", "rsa", "rsa_keygen_bits:2048")
	for i, story := range []struct {
		name    string
		options []string
		want    map[string]string // the version, by key type
	}{
		{"both, TLS 1.3 only", []string{"-tls1_3", "-cert", ecdsa, "-key", keyOf(ecdsa), "-dcert", rsa, "-dkey", keyOf(rsa)},
			map[string]string{"ecdsa": "tls 1.3", "rsa": "tls 1.3"}},
		{"both, TLS 1.2 only", []string{"-tls1_2", "-cert", ecdsa, "-key", keyOf(ecdsa), "-dcert", rsa, "-dkey", keyOf(rsa)},
			map[string]string{"ecdsa": "tls 1.2", "rsa": "tls 1.2"}},
		{"ECDSA alone", []string{"-cert", ecdsa, "-key", keyOf(ecdsa)}, map[string]string{"ecdsa": "tls 1.3"}},
		{"RSA alone", []string{"-cert", rsa, "-key", keyOf(rsa)}, map[string]string{"rsa": "tls 1.3"}},
	} {
		t.Run(story.name, func(t *testing.T) {
			address := netip.AddrFrom4([4]byte{192, 0, 2, byte(240 + i)})
			addAddress(t, address)
			at := netip.AddrPortFrom(address, 443).String()
			start(t, w.dir, exec.Command(program(t, "openssl"), append([]string{"s_server", "-accept", at, "-quiet", "-www"}, story.options...)...), at)

			read := e.ask(t, url.Values{"target": {at}, "hostname": {"nothing.good.test"}, "module": {"https_keys"}})
			versions := map[string]string{}
			for _, key := range read.holding("dane_tls_info", nil, "key_type") {
				for _, version := range read.holding("dane_tls_info", map[string]string{"key_type": key}, "version") {
					versions[key] += version
				}
				if subjects := read.holding("dane_certificate_info", map[string]string{"key_type": key}, "subject"); len(subjects) != 1 || subjects[0] != "cn="+key {
					t.Errorf("asked for %s, shown %q", key, subjects)
				}
			}
			if !maps.Equal(versions, story.want) {
				t.Errorf("got %v, want %v\n%s", versions, story.want, read.body)
			}
			if outcome := read.outcome(t); outcome != "opportunistic" {
				t.Errorf("outcome %s, though each key that there is works\n%s", outcome, read.body)
			}
		})
	}
}

// selfSignedPair makes a key of an algorithm and a certificate named after it.
func selfSignedPair(t testing.TB, dir, name, algorithm, option string) (cert string) {
	t.Helper()
	cert = filepath.Join(dir, name+"-pair.pem")
	run(t, "openssl", "req", "-x509", "-newkey", algorithm, "-pkeyopt", option, "-noenc", "-days", "2",
		"-subj", "/CN="+name, "-keyout", keyOf(cert), "-out", cert)
	return cert
}
