package command

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
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
