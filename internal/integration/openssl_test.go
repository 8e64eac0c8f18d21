//go:build integration

package integration

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A chain names the certificates that a server sends.
type chain string

const (
	whole       chain = ""             // leaf, intermediate and root
	withoutRoot chain = "without root" // usual in the Web PKI
	selfSigned  chain = "self-signed"  // a leaf without issuer
)

// A certificate describes a server's certificate.
type certificate struct {
	names   []string // dNSNames; by default only the hostname
	expired bool
	chain   chain
	key     []string // options of openssl req for the key; by default P-256
}

// An authority is a certification authority with one root and one intermediate,
// run with the openssl command.
type authority struct {
	dir                string
	config             string
	root, intermediate string // PEM files; keyOf returns their keys
	other              string // certificate that no server uses
}

const opensslConfig = `
[req]
distinguished_name = nothing
[nothing]
[ca]
default_ca = here
[here]
database = %[1]s/index
new_certs_dir = %[1]s
default_md = sha256
rand_serial = yes
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
subjectKeyIdentifier = hash
`

func newAuthority(t testing.TB, parent string) *authority {
	t.Helper()
	dir := filepath.Join(parent, "certificates")
	writeFile(t, dir, "index", "")
	a := &authority{dir: dir, config: writeFile(t, dir, "openssl.cnf", fmt.Sprintf(opensslConfig, dir))}
	a.root = a.issue(t, "Integration Root", "", "authority", certificate{})
	a.intermediate = a.issue(t, "Integration Intermediate", a.root, "authority", certificate{})
	a.other = a.issue(t, "Other", "", "authority", certificate{})
	return a
}

// issue makes a key and a certificate, and returns the file of the certificate.
// Without an issuer the certificate is self-signed.
func (a *authority) issue(t testing.TB, subject, issuer, profile string, c certificate) string {
	t.Helper()
	base := filepath.Join(a.dir, strings.ReplaceAll(subject, " ", "-"))
	key, request, cert := base+".key", base+".csr", base+".pem"
	arguments := []string{"req", "-new", "-config", a.config, "-noenc", "-keyout", key, "-out", request, "-subj", "/CN=" + subject}
	if len(c.key) == 0 {
		c.key = []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}
	}
	arguments = append(arguments, c.key...)
	if len(c.names) > 0 {
		arguments = append(arguments, "-addext", "subjectAltName=DNS:"+strings.Join(c.names, ",DNS:"))
	}
	run(t, "openssl", arguments...)

	signing := []string{"-selfsign", "-keyfile", key}
	if issuer != "" {
		signing = []string{"-cert", issuer, "-keyfile", keyOf(issuer)}
	}
	from, until := -48*time.Hour, 48*time.Hour
	if c.expired {
		until = -time.Hour
	}
	timestamp := func(after time.Duration) string { return time.Now().UTC().Add(after).Format("060102150405Z") }
	run(t, "openssl", append([]string{"ca", "-batch", "-notext", "-config", a.config, "-extensions", profile,
		"-startdate", timestamp(from), "-enddate", timestamp(until), "-in", request, "-out", cert}, signing...)...)
	return cert
}

// keyOf returns the key file of a certificate file.
func keyOf(cert string) string { return strings.TrimSuffix(cert, ".pem") + ".key" }

// tlsa returns the type and data of a TLSA record for a certificate file.
func tlsa(t testing.TB, usage, selector, matching int, cert string) (string, error) {
	t.Helper()
	var data []byte
	switch selector {
	case 0:
		data = []byte(run(t, "openssl", "x509", "-in", cert, "-outform", "DER"))
	case 1:
		public := run(t, "openssl", "x509", "-in", cert, "-noout", "-pubkey")
		file := writeFile(t, filepath.Dir(cert), "public.pem", public)
		data = []byte(run(t, "openssl", "pkey", "-pubin", "-in", file, "-outform", "DER"))
	default:
		return "", fmt.Errorf("no selector %d", selector)
	}
	switch matching {
	case 0:
	case 1:
		digest := sha256.Sum256(data)
		data = digest[:]
	case 2:
		digest := sha512.Sum512(data)
		data = digest[:]
	default:
		return "", fmt.Errorf("no matching type %d", matching)
	}
	return fmt.Sprintf("TLSA %d %d %d %s", usage, selector, matching, hex.EncodeToString(data)), nil
}

// startSServer starts openssl s_server at port 443 of a site.
func startSServer(t testing.TB, dir string, s *site) {
	t.Helper()
	if s.server.absent {
		return
	}
	address := netip.AddrPortFrom(s.IPv4, 443).String()
	command := exec.Command(program(t, "openssl"), "s_server", "-accept", address, "-quiet", "-www",
		"-cert", s.Leaf, "-key", keyOf(s.Leaf))
	if s.rest != "" {
		command.Args = append(command.Args, "-cert_chain", s.rest)
	}
	command.Args = append(command.Args, s.server.options...)
	start(t, dir, command, address)
}

// An sClient is openssl s_client with TLSA records.
type sClient struct {
	base    string   // TLSA base domain, which is also the server's name
	records []string // in presentation format
	roots   string   // PEM file with the roots of the Web PKI
	options []string // more options
}

// verify connects to a server and reports whether s_client authenticates it, with
// the output.
func (c sClient) verify(t testing.TB, server netip.AddrPort) (verified bool, text string) {
	t.Helper()
	arguments := []string{"s_client", "-connect", server.String(), "-servername", c.base, "-CAfile", c.roots, "-no-CApath", "-no-CAstore",
		// With DANE-EE the names of the certificate do not count (RFC 7671 §5.1); OpenSSL needs an option for that.
		"-dane_ee_no_namechecks",
		"-dane_tlsa_domain", c.base, "-verify_return_error", "-brief"}
	arguments = append(arguments, c.options...)
	for _, record := range c.records {
		arguments = append(arguments, "-dane_tlsa_rrdata", record)
	}
	text = output(t, "openssl", arguments...)
	return strings.Contains(text, "Verification: OK"), text
}

// concatenate writes the contents of PEM files to one file.
func concatenate(t testing.TB, file string, parts ...string) string {
	t.Helper()
	var all bytes.Buffer
	for _, part := range parts {
		content, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return writeFile(t, filepath.Dir(file), filepath.Base(file), all.String())
}

// TestTLSACommand checks dane_exporter tlsa for each kind of key, selector and
// matching type. The command must write the record that openssl computes, from a
// certificate as PEM and DER, from its key, request and public key, and from a
// running server. openssl s_client must authenticate the server with the record.
func TestTLSACommand(t *testing.T) {
	configureLoopback(t)
	dir := tempDir(t)
	config := writeFile(t, dir, "dane.yml", "resolver: {servers: [127.0.0.1], timeout: 100ms, attempts: 1}\naccess: {allow_networks: [127.0.0.0/8]}\n")
	kinds := []struct {
		name    string
		options []string
	}{
		{"rsa", []string{"-newkey", "rsa:2048"}},
		{"p256", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"}},
		{"p384", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}},
		{"ed25519", []string{"-newkey", "ed25519"}},
	}
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			dir := filepath.Join(dir, k.name)
			key, cert := writeFile(t, dir, "mx.key", ""), writeFile(t, dir, "mx.pem", "")
			der, request, public := filepath.Join(dir, "mx.der"), filepath.Join(dir, "mx.csr"), filepath.Join(dir, "mx.pub")
			run(t, "openssl", append([]string{"req", "-x509", "-noenc", "-days", "2", "-subj", "/CN=mx.example.org", "-keyout", key, "-out", cert}, k.options...)...)
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
						t.Errorf("record of the running server, %s:\n%swant\n%s", numbers, got, want)
					}
					_, record, _ := strings.Cut(strings.TrimSpace(got), " TLSA ")
					if verified, text := (sClient{base: "mx.example.org", records: []string{record}, roots: cert}).verify(t, server); !verified {
						t.Errorf("openssl does not authenticate the server with %s:\n%s", record, text)
					}
				}
			}
		})
	}
}

// TestTLSACommandOfIssuer checks that records with usage 2 are of an issuer, and that
// openssl authenticates the server with each. No record of the leaf is written.
func TestTLSACommandOfIssuer(t *testing.T) {
	configureLoopback(t)
	dir := tempDir(t)
	config := writeFile(t, dir, "dane.yml", "resolver: {servers: [127.0.0.1], timeout: 100ms, attempts: 1}\naccess: {allow_networks: [127.0.0.0/8]}\n")
	a := newAuthority(t, dir)
	leaf := a.issue(t, "mx", a.intermediate, "leaf", certificate{names: []string{"mx.example.org"}})
	whole := concatenate(t, filepath.Join(dir, "whole"), leaf, a.intermediate, a.root)
	rest := concatenate(t, filepath.Join(dir, "rest"), a.intermediate, a.root)
	server := netip.MustParseAddrPort("127.0.0.1:4450")
	start(t, dir, exec.Command(program(t, "openssl"), "s_server", "-accept", server.String(), "-quiet", "-www",
		"-cert", leaf, "-key", keyOf(leaf), "-cert_chain", rest), server.String())
	for _, source := range [][]string{
		{"--cert", whole, "--port", "4450"}, {"--cert", rest, "--port", "4450"}, {"--cert", a.intermediate, "--port", "4450"},
		{"--connect", server.String(), "--config.file", config},
	} {
		for selector := range 2 {
			for matching := range 3 {
				want, err := tlsa(t, 2, selector, matching, a.intermediate)
				if err != nil {
					t.Fatal(err)
				}
				got := tlsaCommand(t, append(source, "--name", "mx.example.org", "--usage", "2", "--selector", strconv.Itoa(selector), "--type", strconv.Itoa(matching))...)
				if want := "_4450._tcp.mx.example.org. IN " + want + "\n"; got != want {
					t.Errorf("%s: selector %d, type %d:\n%swant\n%s", source, selector, matching, got, want)
					continue
				}
				_, record, _ := strings.Cut(want, "TLSA ")
				if verified, text := (sClient{base: "mx.example.org", records: []string{record}, roots: a.other}).verify(t, server); !verified {
					t.Errorf("openssl does not authenticate the server with %s:\n%s", record, text)
				}
			}
		}
	}
	command := exec.Command(os.Getenv(binaryEnv), "tlsa", "--cert", leaf, "--name", "mx.example.org", "--usage", "2")
	if out, err := command.Output(); err == nil || len(out) > 0 {
		t.Errorf("usage 2 and the leaf alone: %q, error %v; want no record", out, err)
	}
}

// tlsaCommand runs dane_exporter tlsa and returns its output.
func tlsaCommand(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.Command(os.Getenv(binaryEnv), append([]string{"tlsa"}, args...)...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, &stderr)
	}
	return string(out)
}
