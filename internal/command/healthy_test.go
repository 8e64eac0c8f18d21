package command

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dane_exporter/internal/lab/server"
)

// TestHealthy checks the exit code for each answer to the one request.
func TestHealthy(t *testing.T) {
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/-/healthy" {
			http.NotFound(w, r)
		}
	}))
	defer exporter.Close()
	for _, test := range []struct {
		name, url string
		code      exitCode
		stderr    string
	}{
		{"healthy", exporter.URL + "/-/healthy", exitOK, ""},
		{"wrong path", exporter.URL + "/dane/-/healthy", exitError, "404 Not Found"},
		{"connection refused", "http://" + refusingAddress(t) + "/-/healthy", exitError, "connection refused"},
		{"invalid URL", "::", exitError, "--url: "},
		{"another scheme", "ftp://localhost/", exitError, "--url: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := exitCode(Run([]string{"healthy", "--url", test.url}, nil, &stdout, &stderr))
			if code != test.code || !strings.Contains(stderr.String(), test.stderr) || stdout.Len() > 0 || code == exitOK && stderr.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", code, &stdout, &stderr, test.code, test.stderr)
			}
		})
	}
}

// TestHealthyPassword checks that no error has the password of --url.
func TestHealthyPassword(t *testing.T) {
	failing := httptest.NewServer(http.HandlerFunc(http.NotFound))
	defer failing.Close()
	_, failingAddress, _ := strings.Cut(failing.URL, "://")
	for _, address := range []string{failingAddress, refusingAddress(t), "localhost:port", "[::1", "exa mple", "localhost/%zz", "localhost:99999", "\x7f"} {
		for _, scheme := range []string{"http://", "https://", "ftp://", ""} {
			var stdout, stderr bytes.Buffer
			code := exitCode(Run([]string{"healthy", "--url", scheme + "prometheus:s3cret@" + address + "/-/healthy"}, nil, &stdout, &stderr))
			if code != exitError || stderr.Len() == 0 || strings.Contains(stderr.String()+stdout.String(), "s3cret") {
				t.Errorf("%s%s: exit code %d, stdout %q, stderr %q", scheme, address, code, &stdout, &stderr)
			}
		}
	}
	var stdout, stderr bytes.Buffer // the flag was forgotten
	Run([]string{"healthy", "http://prometheus:s3cret@" + failingAddress}, nil, &stdout, &stderr)
	if strings.Contains(stderr.String()+stdout.String(), "s3cret") || !strings.Contains(stderr.String(), "unexpected http://prometheus:***@") {
		t.Errorf("URL as an argument: stdout %q, stderr %q", &stdout, &stderr)
	}
}

// TestHealthyCredentials checks basic authentication, a CA of the operator, and
// client certificates.
func TestHealthyCredentials(t *testing.T) {
	authority, err := server.NewRoot("Operator", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"exporter.example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Chain().PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(name, blockType string, der []byte) string {
		return writeFile(t, name, string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der})))
	}
	ca, cert, keyFile := encode("ca.pem", "CERTIFICATE", authority.X509().Raw), encode("cert.pem", "CERTIFICATE", leaf.DER), encode("key.pem", "PRIVATE KEY", key)
	password, wrong := writeFile(t, "password", "open sesame\n"), writeFile(t, "wrong", "open")

	exporter := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "prometheus" || password != "open sesame" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	exporter.TLS = &tls.Config{Certificates: []tls.Certificate{leaf.Chain()}, ClientAuth: tls.RequireAnyClientCert}
	exporter.Config.ErrorLog = log.New(io.Discard, "", 0)
	exporter.StartTLS()
	defer exporter.Close()

	trust := []string{"--ca-file", ca, "--server-name", "exporter.example.org"}
	client := []string{"--cert-file", cert, "--key-file", keyFile}
	user := []string{"--username", "prometheus", "--password-file", password}
	withUser := strings.Replace(exporter.URL, "://", "://prometheus:open%20sesame@", 1)
	for _, test := range []struct {
		name, url string
		flags     [][]string
		stderr    string // empty: healthy
	}{
		{"all credentials", exporter.URL, [][]string{trust, client, user}, ""},
		{"user and password in the URL", withUser, [][]string{trust, client}, ""},
		{"flags take precedence over the URL", strings.Replace(exporter.URL, "://", "://a:b@", 1), [][]string{trust, client, user}, ""},
		{"wrong password", exporter.URL, [][]string{trust, client, {"--username", "prometheus", "--password-file", wrong}}, "401 Unauthorized"},
		{"no user", exporter.URL, [][]string{trust, client}, "401 Unauthorized"},
		{"unknown CA", exporter.URL, [][]string{client, user}, "certificate"},
		{"another name", exporter.URL, [][]string{{"--ca-file", ca}, client, user}, "certificate"},
		{"no client certificate", exporter.URL, [][]string{trust, user}, "check the health"},
		{"no password file", exporter.URL, [][]string{{"--username", "prometheus"}}, "must be given together"},
		{"no key", exporter.URL, [][]string{{"--cert-file", cert}}, "must be given together"},
		{"missing password file", exporter.URL, [][]string{{"--username", "prometheus", "--password-file", "/nonexistent/password"}}, "--password-file: open"},
		{"CA file without a certificate", exporter.URL, [][]string{{"--ca-file", password}}, "has no certificate"},
		{"key of no certificate", exporter.URL, [][]string{{"--cert-file", cert, "--key-file", password}}, "--cert-file and --key-file: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"healthy", "--url", test.url + "/-/healthy"}, slices.Concat(test.flags...)...)
			code := exitCode(Run(args, nil, &stdout, &stderr))
			if (code == exitOK) != (test.stderr == "") || !strings.Contains(stderr.String(), test.stderr) || strings.Contains(stderr.String(), "sesame") {
				t.Errorf("exit code %d, stderr %q, want %q", code, &stderr, test.stderr)
			}
		})
	}
}

// refusingAddress returns a local address that refuses connections until the
// test ends. A socket is bound to its port and does not listen, so that no
// other process can listen there.
func refusingAddress(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}
