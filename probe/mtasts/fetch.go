package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// PolicyHost returns the name of the host that serves the domain's policy
// (RFC 8461 §3.2).
func PolicyHost(domain string) string { return "mta-sts." + domain }

// policyPath is the path of the policy on that host (RFC 8461 §3.2).
const policyPath = "/.well-known/mta-sts.txt"

// Limits of a response in bytes. RFC 8461 §3.3 suggests the limit of the body.
const (
	maxBody   = 64 << 10
	maxHeader = 16 << 10
)

var (
	// ErrNoRoots is returned if Fetcher.Roots is nil, so that the certificate of
	// the policy host cannot be verified. The policy host is not at fault.
	ErrNoRoots = errors.New("no root certificates are available")
	// ErrTooLarge is returned if the policy is larger than 64 KiB, the limit that
	// senders apply.
	ErrTooLarge = fmt.Errorf("the policy is larger than %d bytes", maxBody)
)

// DialError is returned if no connection is established. Another address of the
// policy host may work.
type DialError struct {
	To  netip.AddrPort
	Err error
}

// Error returns the address and the cause.
func (e *DialError) Error() string { return fmt.Sprintf("connecting to %s: %v", e.To, e.Err) }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// StatusError is returned if the status of the response is not 200. Senders accept
// no other status and must not follow redirects (RFC 8461 §3.3).
type StatusError struct {
	Code     int
	Location string // target of a redirect
}

// Error returns the status and the target of a redirect.
func (e *StatusError) Error() string {
	message := strings.TrimSpace(fmt.Sprintf("the HTTP status is %d %s", e.Code, http.StatusText(e.Code)))
	if e.Code >= 300 && e.Code < 400 {
		message += fmt.Sprintf(", a redirect to %s; senders do not follow redirects", quote(e.Location))
	}
	return message
}

// MediaTypeError is returned if the media type of the response is not text/plain
// (RFC 8461 §3.2).
type MediaTypeError struct {
	Got string // the Content-Type
}

// Error returns the media type.
func (e *MediaTypeError) Error() string {
	return fmt.Sprintf("the media type is %s, expected text/plain", quote(e.Got))
}

// Fetcher fetches policies. It connects with Dial only, and does not reuse
// connections.
type Fetcher struct {
	Dial  func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Roots *x509.CertPool   // roots that the certificate of the policy host is verified with
	Now   func() time.Time // the time at which the certificate must be valid
}

// Fetched is the result of a fetch, as far as it got.
type Fetched struct {
	Certificate *x509.Certificate // of the policy host, whether or not it is valid; nil: none was sent
	Text        []byte            // the policy as served; nil if there is an error
}

// Fetch fetches the policy of a domain from one address, like a sender without a
// cached policy: TLS 1.2 or later, a certificate of the Web PKI for the name of
// the policy host, one request, status 200, and text/plain (RFC 8461 §3.2, §3.3,
// §7.2).
// It ends when ctx does.
//
// The error is or wraps ErrNoRoots, *DialError, *StatusError, *MediaTypeError,
// ErrTooLarge, or an error of crypto/tls, net/http or ctx.
func (f Fetcher) Fetch(ctx context.Context, domain string, from netip.AddrPort) (Fetched, error) {
	if f.Roots == nil { // crypto/tls would use the roots of the system
		return Fetched{}, ErrNoRoots
	}
	raw, err := f.Dial(ctx, from)
	if err != nil {
		return Fetched{}, &DialError{from, err}
	}
	defer raw.Close()
	host := PolicyHost(domain)
	conn := tls.Client(raw, &tls.Config{
		ServerName:             host,
		RootCAs:                f.Roots,
		Time:                   f.Now,
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return Fetched{Certificate: invalidCertificate(err)}, fmt.Errorf("TLS handshake with %s at %s: %w", host, from, err)
	}
	fetched := Fetched{Certificate: conn.ConnectionState().PeerCertificates[0]}
	if fetched.Text, err = get(ctx, conn, host); err != nil {
		return fetched, fmt.Errorf("GET https://%s%s at %s: %w", host, policyPath, from, err)
	}
	return fetched, nil
}

// invalidCertificate returns the certificate that a handshake failed to verify, or nil.
func invalidCertificate(err error) *x509.Certificate {
	if invalid, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return invalid.UnverifiedCertificates[0]
	}
	return nil
}

// get makes one request on an established connection. Unlike an http.Client, a
// bare Transport follows no redirects; this one uses no proxy.
func get(ctx context.Context, conn *tls.Conn, host string) ([]byte, error) {
	transport := &http.Transport{
		DialTLSContext:         func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	request := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "https", Host: host, Path: policyPath},
		Header: http.Header{"User-Agent": {"dane_exporter"}, "Accept": {"text/plain"}},
	}).WithContext(ctx)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &StatusError{response.StatusCode, response.Header.Get("Location")}
	}
	if contentType := response.Header.Get("Content-Type"); !isPlainText(contentType) {
		return nil, &MediaTypeError{contentType}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the response: %w", err)
	case len(body) > maxBody:
		return nil, ErrTooLarge
	default:
		return body, nil
	}
}

// isPlainText reports whether the media type is text/plain. Parameters are
// ignored, even malformed ones (RFC 8461 §3.2).
func isPlainText(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return mediaType == "text/plain" && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}
