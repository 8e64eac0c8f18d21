package command

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"dane_exporter/internal/lab/server"
)

// TestWebConfig: --web.config.file says who may ask, and how often, of every path.
func TestWebConfig(t *testing.T) {
	ask := func(p *program, path, password string) int {
		t.Helper()
		request, err := http.NewRequest("GET", p.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("prometheus", password)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	const users = "basic_auth_users: {prometheus: \"$2a$04$sDMK81pClxS6VOqwQ2OluOOCDsRpXGdggDN2H3KrNzoskF0a/8ula\"}\n"

	guarded := start(t, "--web.config.file="+write(t, "users.yml", users), "--web.enable-pprof")
	defer guarded.end()
	for _, path := range []string{"/", "/probe?target=good.lab.test", "/metrics", "/config", "/report?number=1", "/-/healthy", "/debug/pprof/"} {
		if got := ask(guarded, path, ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a password: %d", path, got)
		}
		if got := ask(guarded, path, "another"); got != http.StatusUnauthorized {
			t.Errorf("%s with a wrong one: %d", path, got)
		}
		if got := ask(guarded, path, "open sesame"); got != http.StatusOK && path != "/report?number=1" {
			t.Errorf("%s with the right one: %d", path, got)
		}
	}

	const most = 3
	limited := start(t, "--web.config.file="+write(t, "rate.yml", "rate_limit: {burst: 3, interval: 1h}\n"))
	defer limited.end()
	for i := range most + 3 {
		want := http.StatusOK
		if i >= most {
			want = http.StatusTooManyRequests
		}
		if got := ask(limited, "/probe?target=null-mx.lab.test", ""); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
}

// TestWebConfigTLS: with certificates in --web.config.file nobody is answered in
// the clear, and, where it asks for them, nobody without one of his own.
func TestWebConfigTLS(t *testing.T) {
	authority, err := server.NewRoot("Operator", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.Chain().PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	p := start(t, "--web.config.file="+write(t, "tls.yml", "tls_server_config: {cert_file: "+write(t, "cert.pem", text("CERTIFICATE", leaf.DER))+
		", key_file: "+write(t, "key.pem", text("PRIVATE KEY", key))+
		", client_auth_type: RequireAnyClientCert}\n"))
	defer p.end()

	roots := x509.NewCertPool()
	roots.AddCert(authority.X509())
	for _, story := range []struct {
		name, scheme string
		certificates []tls.Certificate
		want         int // 0: no answer
	}{
		{"in the clear", "http", nil, http.StatusBadRequest},
		{"without a certificate", "https", nil, 0},
		{"with one", "https", []tls.Certificate{leaf.Chain()}, http.StatusOK},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: story.certificates}}}
		response, err := client.Get(story.scheme + strings.TrimPrefix(p.base, "http") + "/metrics")
		got := 0
		if err == nil {
			got = response.StatusCode
			response.Body.Close()
		}
		if got != story.want {
			t.Errorf("%s: %d, want %d (%v)", story.name, got, story.want, err)
		}
		client.CloseIdleConnections()
	}
}
