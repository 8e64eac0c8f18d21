//go:build integration

package integration

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTLSACommand: for keys of each kind, and each selector and matching type,
// the command writes the record that openssl computes: from a certificate in
// either form, from its key and request, and from a server that shows it. And
// openssl as a client believes the record.
func TestTLSACommand(t *testing.T) {
	bringUpLoopback(t)
	dir := directory(t)
	config := write(t, dir, "dane.yml", "resolver: {servers: [127.0.0.1], timeout: 100ms, attempts: 1}\naccess: {allow_networks: [127.0.0.0/8]}\n")
	kinds := []struct {
		name    string
		options []string
	}{
		{"rsa", []string{"-newkey", "rsa:2048"}},
		{"p256", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}},
		{"p384", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}},
		{"ed25519", []string{"-newkey", "ed25519"}},
	}
	for i, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			dir := filepath.Join(dir, kind.name)
			key, cert := write(t, dir, "mx.key", ""), write(t, dir, "mx.pem", "")
			der, request, public := filepath.Join(dir, "mx.der"), filepath.Join(dir, "mx.csr"), filepath.Join(dir, "mx.pub")
			run(t, "openssl", append([]string{"req", "-x509", "-noenc", "-days", "2", "-subj", "/CN=mx.example.org", "-keyout", key, "-out", cert}, kind.options...)...)
			run(t, "openssl", "x509", "-in", cert, "-outform", "DER", "-out", der)
			run(t, "openssl", "req", "-new", "-key", key, "-subj", "/CN=mx.example.org", "-out", request)
			run(t, "openssl", "pkey", "-in", key, "-pubout", "-out", public)
			server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(4430+i))
			start(t, dir, exec.Command(program(t, "openssl"), "s_server", "-accept", server.String(), "-quiet", "-www", "-cert", cert, "-key", key), server.String())

			for selector := range 2 {
				for matching := range 3 {
					data, err := tlsa(t, 3, selector, matching, cert)
					if err != nil {
						t.Fatal(err)
					}
					want := "_25._tcp.mx.example.org. IN " + data + "\n"
					numbers := []string{"--selector", strconv.Itoa(selector), "--type", strconv.Itoa(matching)}
					sources := [][]string{{"--cert", cert}, {"--cert", der}}
					if selector == 1 {
						sources = append(sources, []string{"--key", key}, []string{"--key", request}, []string{"--key", public})
					}
					for _, source := range sources {
						if got := tlsaCommand(t, append(append(source, "--name", "mx.example.org"), numbers...)...); got != want {
							t.Errorf("%s %s:\n%swant\n%s", source, numbers, got, want)
						}
					}
					want = strings.Replace(want, "_25.", "_"+strconv.Itoa(int(server.Port()))+".", 1)
					connect := []string{"--connect", server.String(), "--name", "mx.example.org", "--config.file", config}
					got := tlsaCommand(t, append(connect, numbers...)...)
					if got != want {
						t.Errorf("what the server shows, %s:\n%swant\n%s", numbers, got, want)
					}
					_, record, _ := strings.Cut(strings.TrimSpace(got), " TLSA ")
					if verified, said := (client{base: "mx.example.org", records: []string{record}, roots: cert}).verify(t, server); !verified {
						t.Errorf("openssl does not believe %s:\n%s", record, said)
					}
				}
			}
		})
	}
}

// tlsaCommand runs dane_exporter tlsa and returns what it writes.
func tlsaCommand(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command(os.Getenv(binaryVariable), append([]string{"tlsa"}, args...)...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, &stderr)
	}
	return string(out)
}
