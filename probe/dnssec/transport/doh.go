package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/printable"
)

// mediaType is the type of a DNS message in the body of a request or response (RFC 8484 §6).
const mediaType = "application/dns-message"

// Limits in bytes: of the header of a response, and of all received bodies of a connection
// that were not read yet.
const (
	maxHeader   = 16 << 10
	maxBuffered = 1 << 20
)

// maxRequests is the maximum number of queries in flight to one server. RFC 9113 §6.5.2
// recommends that a server accepts at least 100 streams on one connection. The limit also
// bounds the connections.
const maxRequests = 100

// httpsPool sends queries to one server over HTTPS (RFC 8484). It uses HTTP/2 alone, which
// carries concurrent queries on one connection and is the minimum that RFC 8484 §5.2
// recommends.
//
// The ID of each query is 0 (RFC 8484 §4.1). A random ID would not protect against more: TLS
// authenticates the server, and HTTP assigns a response to its request. As over TLS, queries
// are not padded.
//
// Only a DNS message is accepted as a response. Redirects are not followed, cookies are not
// stored (RFC 8484 §8.2), compressed bodies are rejected, and no proxy of the environment is
// used.
type httpsPool struct {
	url       string
	slots     chan struct{} // holds an element for each query in flight
	transport http.RoundTripper
}

// newHTTPSPool returns a pool for a server. It authenticates the server as one over TLS.
func newHTTPSPool(s *server, timeout time.Duration, roots *x509.CertPool) *httpsPool {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	config := s.tlsConfig(roots)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.NegotiatedProtocol != "h2" {
			return errors.New("the server does not offer HTTP/2")
		}
		return nil
	}
	// A ping detects a server that has disappeared without closing the connection.
	silence := max(timeout/2, time.Second)
	return &httpsPool{
		url:   s.url(),
		slots: make(chan struct{}, maxRequests),
		transport: &http.Transport{
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dialTCP(ctx) },
			TLSClientConfig:     config,
			TLSHandshakeTimeout: timeout,
			Protocols:           protocols,
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: silence, PingTimeout: silence, WriteByteTimeout: timeout,
				MaxReceiveBufferPerStream: maxMessage + 1, MaxReceiveBufferPerConnection: maxBuffered,
			},
			// Without this limit, each query that begins before the first connection is
			// established opens another one. net/http exceeds the limit if a server accepts
			// few streams.
			MaxConnsPerHost:        1,
			IdleConnTimeout:        idleTime,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
	}
}

// exchange sends a query in the body of a request (RFC 8484 §4.1) and returns the response.
// It returns the error of ctx if ctx ends first.
func (p *httpsPool) exchange(ctx context.Context, q packedQuery) (*dns.Msg, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(q.appendWithID(nil, 0)))
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{"Content-Type": {mediaType}, "Accept": {mediaType}, "User-Agent": nil}
	response, err := p.transport.RoundTrip(request)
	if err != nil {
		return nil, withContext(ctx, untrustedError{err})
	}
	defer response.Body.Close()
	if err := checkResponse(response); err != nil {
		return nil, err
	}
	message, err := io.ReadAll(io.LimitReader(response.Body, maxMessage+1))
	if err != nil {
		return nil, withContext(ctx, fmt.Errorf("read the body: %w", untrustedError{err}))
	}
	if len(message) > maxMessage {
		return nil, fmt.Errorf("%w: the body is larger than %d bytes", errMalformed, maxMessage)
	}
	answer, err := unpack(message)
	switch {
	case err != nil:
		return nil, err
	case !q.matches(answer, 0):
		return nil, fmt.Errorf("%w: it does not match the query", errMalformed)
	case answer.Truncated:
		return nil, errTruncated
	}
	subtractAge(answer, response.Header.Get("Age"))
	return answer, nil
}

// withContext returns the error of ctx if ctx has ended, and otherwise err.
func withContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// checkResponse returns an error unless the body of a response is a DNS message. Every DNS
// response comes with a 2xx status code, whatever its response code (RFC 8484 §4.2.1).
func checkResponse(response *http.Response) error {
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("%w: HTTP status %d %s instead of a DNS message", errMalformed, response.StatusCode, http.StatusText(response.StatusCode))
	}
	given := response.Header.Get("Content-Type")
	if parsed, _, err := mime.ParseMediaType(given); err != nil || parsed != mediaType {
		return fmt.Errorf("%w: the Content-Type is %q instead of %s", errMalformed, printable.Text(given, 80), mediaType)
	}
	if coding := response.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fmt.Errorf("%w: the body has the Content-Encoding %q, which was not requested", errMalformed, printable.Text(coding, 80))
	}
	return nil
}

// subtractAge subtracts the value of an Age header from the TTLs of a message. It is the time
// for which HTTP caches had the response, in seconds (RFC 8484 §5.1).
func subtractAge(message *dns.Msg, text string) {
	age, err := strconv.ParseUint(text, 10, 32)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // ParseUint returns the maximum for numbers that are too large
		return
	}
	for _, section := range [][]dns.RR{message.Answer, message.Ns, message.Extra} {
		for _, rr := range section {
			if header := rr.Header(); header.Rrtype != dns.TypeOPT { // the TTL field of OPT has flags
				header.Ttl -= min(header.Ttl, uint32(age))
			}
		}
	}
}

// parsePath returns the path of a server over HTTPS.
func parsePath(path string, found bool) (string, error) {
	if !found || path == "" {
		return "", errors.New("must have a path, as in https://192.0.2.53/dns-query")
	}
	parsed, err := url.ParseRequestURI("/" + path)
	if err != nil || parsed.EscapedPath() != "/"+path { // RFC 3986 §3.3 allows neither spaces nor braces
		return "", errors.New("the path must be one such as /dns-query, without a query or a template such as {?dns}")
	}
	return "/" + path, nil
}
