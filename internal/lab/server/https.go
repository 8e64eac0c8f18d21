package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
)

// HTTPS is a web server with one page. It answers one request per connection
// (RFC 9112), with status 404 unless the request is for the page.
type HTTPS struct {
	Config    *tls.Config
	Host      string // of the URL
	Path      string
	MediaType string // default text/plain
	Body      string
	Redirect  string // redirect to this URL instead of sending the page
}

// Serve implements Handler.
func (h HTTPS) Serve(_ context.Context, conn net.Conn) {
	secured := tls.Server(conn, h.Config)
	if secured.Handshake() != nil {
		return
	}
	defer secured.Close()
	request, err := http.ReadRequest(bufio.NewReader(secured))
	if err != nil {
		return
	}
	h.answer(request).Write(secured) // an error means that the client has gone
}

func (h HTTPS) answer(request *http.Request) *http.Response {
	header := http.Header{}
	status, mediaType, body := http.StatusOK, h.MediaType, h.Body
	switch {
	case request.Method != http.MethodGet || request.Host != h.Host || request.URL.Path != h.Path:
		status, body = http.StatusNotFound, "not here\n"
	case h.Redirect != "":
		status, body = http.StatusMovedPermanently, "over there\n"
		header.Set("Location", h.Redirect)
	}
	if mediaType == "" {
		mediaType = "text/plain"
	}
	header.Set("Content-Type", mediaType)
	return &http.Response{
		StatusCode: status,
		ProtoMajor: 1, ProtoMinor: 1,
		Request:       request,
		Header:        header,
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Close:         true,
	}
}
