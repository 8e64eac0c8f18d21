package command

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/probe/starttls"
)

// TestDefaultProtocols compares the protocol of each port with the built-in module
// of that port.
func TestDefaultProtocols(t *testing.T) {
	c, err := config.Defaults(defaultConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, module := range c.Modules {
		if module.Port == 0 {
			continue
		}
		compared++
		if got := starttls.ByPort(module.Port).Name; got != module.Protocol {
			t.Errorf("port %d: %s, want %s as in module %s", module.Port, got, module.Protocol, name)
		}
	}
	if compared < 10 {
		t.Errorf("only %d modules have a port", compared)
	}
}

// TestTLSADocumented checks that docs/json.md has every field of the output of tlsa.
func TestTLSADocumented(t *testing.T) {
	source, err := os.ReadFile("tlsa_output.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(docs), "## Output of tlsa")
	fields := regexp.MustCompile(`json:"([a-z0-9_]+)`).FindAllSubmatch(source, -1)
	if len(fields) < 20 {
		t.Fatalf("only %d fields found", len(fields))
	}
	for _, field := range fields {
		if !strings.Contains(section, "`"+string(field[1])+"`") {
			t.Errorf("docs/json.md has no `%s`", field[1])
		}
	}
}

// parseTLSA parses a command line of tlsa.
func parseTLSA(t *testing.T, args ...string) *tlsaFlags {
	t.Helper()
	app := kingpin.New("test", "")
	f := newTLSAFlags(app.Command("tlsa", ""))
	if _, err := app.Parse(append([]string{"tlsa"}, args...)); err != nil {
		t.Fatal(err)
	}
	return f
}

// newPublicKey returns a new public key in PEM form, and the data of its 3 1 1 record.
func newPublicKey(t *testing.T) (text []byte, data string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(spki)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), hex.EncodeToString(digest[:])
}
