package server

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/smtp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, handler Handler) string {
	t.Helper()
	s, err := Start(handler)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Addr().String()
}

// pki returns a root, an intermediate and a leaf for mx.example.
func pki(t *testing.T) (root, intermediate *Authority, leaf *Certificate) {
	t.Helper()
	var err error
	if root, err = NewRoot("Root", time.Now()); err != nil {
		t.Fatal(err)
	}
	if intermediate, err = root.Intermediate("Intermediate"); err != nil {
		t.Fatal(err)
	}
	if leaf, err = intermediate.Issue(Leaf{Names: []string{"mx.example"}}); err != nil {
		t.Fatal(err)
	}
	return root, intermediate, leaf
}

// clientConfig returns a TLS client configuration that trusts root.
func clientConfig(root *Authority, name string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(root.X509())
	return &tls.Config{RootCAs: pool, ServerName: name}
}

// TestGoodSMTP uses the client of the standard library.
func TestGoodSMTP(t *testing.T) {
	root, _, leaf := pki(t)
	client, err := smtp.Dial(start(t, SMTP{Name: "mx.example", TLS: TLSConfig(leaf.Chain())}))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.StartTLS(clientConfig(root, "mx.example")); err != nil {
		t.Fatal(err)
	}
	if again, _ := client.Extension("STARTTLS"); again {
		t.Error("STARTTLS is offered inside TLS")
	}
	if err := client.Quit(); err != nil {
		t.Errorf("QUIT inside TLS: %v", err)
	}
}

func TestBadSMTP(t *testing.T) {
	tests := []struct {
		name   string
		server Handler
		wait   string // read lines up to this one
		send   string
		want   string // the next line
	}{
		{"greeting rejects clients", SMTP{Greeting: "554 go away"}, "", "", "554 go away"},
		{"only QUIT after such a greeting", SMTP{Greeting: "554 go away"}, "554 go away", "EHLO x", "503 not here"},
		{"STARTTLS is rejected", SMTP{Reject: "454 not now"}, "220  ESMTP", "STARTTLS", "454 not now"},
		{"STARTTLS is unknown", SMTP{NoStartTLS: true}, "220  ESMTP", "STARTTLS", "502 no such command"},
		{"no TLS after STARTTLS", SMTP{Name: "mx", BreakTLS: true}, "220 mx ESMTP", "STARTTLS", "220 go ahead"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", start(t, test.server))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			for test.wait != "" && lines.Scan() && lines.Text() != test.wait {
				t.Logf("skipped %q", lines.Text())
			}
			if test.send != "" {
				io.WriteString(conn, test.send+"\r\n")
			}
			if !lines.Scan() || lines.Text() != test.want {
				t.Errorf("got %q, %v, want %q", lines.Text(), lines.Err(), test.want)
			}
		})
	}
}

func TestStartTLSIsHidden(t *testing.T) {
	client, err := smtp.Dial(start(t, SMTP{NoStartTLS: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if offered, _ := client.Extension("STARTTLS"); offered {
		t.Error("STARTTLS is offered")
	}
}

func TestBrokenTLS(t *testing.T) {
	root, _, _ := pki(t)
	client, err := smtp.Dial(start(t, SMTP{BreakTLS: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.StartTLS(clientConfig(root, "mx.example")); err == nil {
		t.Error("the handshake succeeds")
	}
}

func TestCertificateByName(t *testing.T) {
	root, intermediate, leaf := pki(t)
	other, err := intermediate.Issue(Leaf{Names: []string{"other.example"}})
	if err != nil {
		t.Fatal(err)
	}
	addr := start(t, TLS{Config: TLSConfigBySNI(other.Chain(), map[string]tls.Certificate{"mx.example": leaf.Chain()})})
	for asked, want := range map[string]string{"mx.example": "mx.example", "else.example": "other.example", "": "other.example"} {
		config := clientConfig(root, asked)
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", addr, config)
		if err != nil {
			t.Fatal(err)
		}
		sent := conn.ConnectionState().PeerCertificates
		if len(sent) != 2 || !slices.Equal(sent[0].DNSNames, []string{want}) {
			t.Errorf("asked for %q: %d certificates, for %q", asked, len(sent), sent[0].DNSNames)
		}
		conn.Close()
	}
}

func TestGarbageIsNotAReply(t *testing.T) {
	if _, err := smtp.Dial(start(t, Garbage{})); err == nil {
		t.Error("net/smtp accepts it as a greeting")
	}
}

func TestCloseEndsConnections(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, handler := range map[string]Handler{"tarpit": Tarpit{}, "SMTP": SMTP{}, "TLS": TLS{Config: &tls.Config{}}} {
		s, err := Start(handler)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if name != "TLS" {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		s.Close()
		if rest, err := io.ReadAll(conn); err == nil && strings.HasSuffix(string(rest), "\n") && name == "tarpit" {
			t.Errorf("the tarpit finished its greeting: %q", rest)
		}
		conn.Close()
		// Dialling would prove nothing: another process may have taken the port.
		if _, err := s.listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s still listens: Accept returns %v", name, err)
		}
	}
	// Goroutines that Close has waited for may not have exited yet.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
