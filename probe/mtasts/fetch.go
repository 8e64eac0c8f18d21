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

// HostName is the host that serves the domain's policy (RFC 8461 §3.2).
func HostName(domain string) string { return "mta-sts." + domain }

// path is where the policy is on that host.
const path = "/.well-known/mta-sts.txt"

// What a policy host may cost: the size is the RFC's suggestion (RFC 8461 §3.3).
const (
	maxBody   = 64 << 10
	maxHeader = 16 << 10
)

// Errors of Fetch beside those of the connection and of TLS.
var (
	// ErrNoRoots: there is nothing here to judge the host's certificate by. It is ours.
	ErrNoRoots = errors.New("no certificate authorities are known here")
	// ErrTooLarge: what is served is larger than senders read.
	ErrTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)
)

// DialError: no connection came about, so another address may do better.
type DialError struct {
	To  netip.AddrPort
	Err error
}

func (e *DialError) Error() string { return fmt.Sprintf("connecting to %s: %v", e.To, e.Err) }
func (e *DialError) Unwrap() error { return e.Err }

// StatusError: the answer is not 200, and no other will do; a redirect must not
// be followed (RFC 8461 §3.3).
type StatusError struct {
	Code     int
	Location string // where a redirect leads
}

func (e *StatusError) Error() string {
	message := strings.TrimSpace(fmt.Sprintf("the answer is %d %s", e.Code, http.StatusText(e.Code)))
	if e.Code >= 300 && e.Code < 400 {
		message += fmt.Sprintf(" to %s, and redirects are not followed", quote(e.Location))
	}
	return message
}

// MediaTypeError: what is served is no plain text (RFC 8461 §3.2).
type MediaTypeError struct{ Got string }

func (e *MediaTypeError) Error() string {
	return fmt.Sprintf("the media type is %s, and should be text/plain", quote(e.Got))
}

// Fetcher fetches policies. It opens connections by Dial alone, and keeps none.
type Fetcher struct {
	Dial  func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Roots *x509.CertPool   // that the host's certificate must lead to
	Now   func() time.Time // decides the validity of certificates
}

// Fetched is what came of asking a policy host, as far as it got.
type Fetched struct {
	Certificate *x509.Certificate // that the host showed, trusted or not; nil: none
	Text        []byte            // the policy, as it was served; nil where there is an error
}

// Fetch asks one address for the policy of a domain, as a sender does that has
// none in its cache: TLS 1.2 or later, a certificate of the Web PKI for the
// policy host's name, one request, status 200, text/plain (RFC 8461 §3.2, §3.3).
// It ends when ctx does.
//
// The errors wrap ErrNoRoots, *DialError, *StatusError, *MediaTypeError,
// ErrTooLarge, those of crypto/tls, net/http, or ctx.
func (f Fetcher) Fetch(ctx context.Context, domain string, from netip.AddrPort) (Fetched, error) {
	if f.Roots == nil { // which crypto/tls would take for those of the system
		return Fetched{}, ErrNoRoots
	}
	raw, err := f.Dial(ctx, from)
	if err != nil {
		return Fetched{}, &DialError{from, err}
	}
	defer raw.Close()
	host := HostName(domain)
	conn := tls.Client(raw, &tls.Config{
		ServerName:             host,
		RootCAs:                f.Roots,
		Time:                   f.Now,
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return Fetched{Certificate: refused(err)}, fmt.Errorf("TLS handshake with %s at %s: %w", host, from, err)
	}
	fetched := Fetched{Certificate: conn.ConnectionState().PeerCertificates[0]}
	if fetched.Text, err = get(ctx, conn, host); err != nil {
		return fetched, fmt.Errorf("GET https://%s%s at %s: %w", host, path, from, err)
	}
	return fetched, nil
}

// refused is the certificate that a handshake ended over.
func refused(err error) *x509.Certificate {
	var invalid *tls.CertificateVerificationError
	if errors.As(err, &invalid) && len(invalid.UnverifiedCertificates) > 0 {
		return invalid.UnverifiedCertificates[0]
	}
	return nil
}

// get makes one request on a connection that stands. A bare Transport knows
// neither redirects nor caches, and of proxies only what it is told.
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
		URL:    &url.URL{Scheme: "https", Host: host, Path: path},
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
	if given := response.Header.Get("Content-Type"); !isPlainText(given) {
		return nil, &MediaTypeError{given}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(body) > maxBody:
		return nil, ErrTooLarge
	default:
		return body, nil
	}
}

// isPlainText compares the media type alone: parameters are ignored, wrong
// ones too (RFC 8461 §3.2).
func isPlainText(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return mediaType == "text/plain" && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter))
}
