package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

// TestHTTPS uses the client of the standard library.
func TestHTTPS(t *testing.T) {
	root, _, leaf := pki(t)
	page := HTTPS{Config: TLSConfig(leaf.Chain()), Host: "mx.example", Path: "/page.txt", Body: "hello\n"}
	typed, redirecting := page, page
	typed.MediaType = "text/html"
	redirecting.Redirect = "https://mx.example/other.txt"
	for _, test := range []struct {
		name     string
		server   HTTPS
		url      string
		status   int
		header   string
		value    string
		contents string
	}{
		{"page", page, "https://mx.example/page.txt", 200, "Content-Type", "text/plain", "hello\n"},
		{"another page", page, "https://mx.example/", 404, "Content-Type", "text/plain", "not here\n"},
		{"another type", typed, "https://mx.example/page.txt", 200, "Content-Type", "text/html", "hello\n"},
		{"redirect", redirecting, "https://mx.example/page.txt", 301, "Location", "https://mx.example/other.txt", "over there\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := start(t, test.server)
			transport := &http.Transport{
				TLSClientConfig: clientConfig(root, "mx.example"),
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", addr)
				},
			}
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			contents, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status || response.Header.Get(test.header) != test.value || string(contents) != test.contents {
				t.Errorf("got %s, %v, %q, %v", response.Status, response.Header, contents, err)
			}
		})
	}
}
