//go:build integration

package tlsa

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OpenSSL judges the cases of name constraints as this package does.
func TestNameConstraintsOpenSSL(t *testing.T) {
	for _, c := range nameCases() {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name string, parties ...*party) string {
				var text []byte
				for _, p := range parties {
					text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Raw})...)
				}
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			sent := c.parties(t)
			last := len(sent) - 1
			args := []string{"verify", "-attime", fmt.Sprint(now.Unix()), "-auth_level", "1", "-purpose", "sslserver", "-verify_hostname", mx,
				"-CAfile", write("root.pem", sent[last])}
			if last > 1 {
				args = append(args, "-untrusted", write("issuers.pem", sent[1:last]...))
			}
			output, err := exec.CommandContext(t.Context(), "openssl", append(args, write("leaf.pem", sent[0]))...).CombinedOutput()
			text := string(output)
			switch {
			case c.failure == None && err != nil, c.failure == ChainInvalid && err == nil:
				t.Errorf("openssl: %v, want failure %d\n%s", err, c.failure, text)
			case c.failure == ChainInvalid && !strings.Contains(text, "subtree") && !strings.Contains(text, "constraint") && !strings.Contains(text, "name syntax"):
				t.Errorf("openssl refuses for another reason:\n%s", text)
			}
		})
	}
}
