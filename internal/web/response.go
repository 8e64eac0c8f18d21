package web

import (
	"bytes"
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of responses. All are complete in memory before they are sent, so that a client
// that reads slowly holds no slot of a limiter, and no data of a probe.
const (
	usualResponse  = 16 << 10         // enough for the metrics of a domain with one mail host
	maxResponse    = 16 << 20         // bytes of one; Documents are bounded, so that pages are much smaller
	maxUnsent      = 16 << 20         // bytes of all that are being sent
	responseWindow = 15 * time.Second // time to send one
)

// errResponseSize is the error of a write beyond maxResponse.
var errResponseSize = fmt.Errorf("the response has more than %d bytes", maxResponse)

// bufferedResponse is a ResponseWriter that keeps the response.
type bufferedResponse struct {
	header http.Header
	status int // 0: none was written
	body   bytes.Buffer
	shared []byte // instead of body; other responses share it
}

// writeShared writes a response whose body other responses share. The body is not copied, and
// its size is not limited.
func writeShared(w http.ResponseWriter, body []byte) {
	for {
		switch inner := w.(type) {
		case *bufferedResponse:
			inner.shared = body
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			_, err := w.Write(body)
			mustWrite(err)
			return
		}
	}
}

func (b *bufferedResponse) Header() http.Header { return b.header }

func (b *bufferedResponse) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *bufferedResponse) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	if b.body.Len()+len(p) > maxResponse {
		return 0, errResponseSize
	}
	if b.body.Cap() == 0 {
		b.body.Grow(max(usualResponse, len(p)))
	}
	return b.body.Write(p)
}

// mustWrite panics if a handler could not write its response, which exceeds maxResponse then.
func mustWrite(err error) {
	if err != nil {
		panic(fmt.Errorf("write a response: %w", err))
	}
}

// buffered wraps a handler. It sends the response after the handler has returned, and
// nothing if the handler panics. Profiles are not buffered: they may have any size.
func (s *Server) buffered(next http.Handler) http.Handler {
	profiles := strings.TrimSuffix(s.RoutePrefix, "/") + profilesPath
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Profiling && strings.HasPrefix(r.URL.Path, profiles) {
			next.ServeHTTP(w, r)
			return
		}
		response := &bufferedResponse{header: make(http.Header)}
		next.ServeHTTP(response, r)
		s.errors.observe(r, response)
		if err := s.sender.send(w, r, response); err != nil {
			s.Logger.Debug("Cannot send a response", "path", r.URL.Path, "client", r.RemoteAddr, "err", err)
		}
	})
}

// sender sends responses, each within responseWindow. If all that are being sent take
// more memory than limit, it aborts the oldest of the client whose responses take most.
// So clients that do not read delay no other client.
type sender struct {
	limit   int // bytes
	mu      sync.Mutex
	size    int       // bytes of the list
	sending list.List // of *sending, oldest first
}

// sending is a response that is being sent.
type sending struct {
	client  netip.Prefix
	size    int // bytes
	abort   func()
	aborted bool
}

// send sends a response. The error is that of the connection.
func (s *sender) send(w http.ResponseWriter, r *http.Request, response *bufferedResponse) error {
	controller := http.NewResponseController(w)
	current := &sending{client: clientOf(r), size: response.body.Cap(), abort: func() { _ = controller.SetWriteDeadline(time.Unix(1, 0)) }}
	if err := controller.SetWriteDeadline(time.Now().Add(responseWindow)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	defer s.add(current)()
	maps.Copy(w.Header(), response.header)
	body := response.body.Bytes()
	if response.shared != nil {
		body = response.shared
	}
	if len(body) > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(cmp.Or(response.status, http.StatusOK))
	if len(body) == 0 || r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}

// add counts a response until the caller calls done, and aborts others if there are too
// many. A response alone is never aborted.
func (s *sender) add(added *sending) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.sending.PushBack(added)
	s.size += added.size
	for s.size > s.limit {
		victim := s.victim(added)
		if victim == nil {
			break
		}
		victim.abort() // it removes itself from the list, but needs time for that
		victim.aborted = true
		s.size -= victim.size
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sending.Remove(element)
		if !added.aborted {
			s.size -= added.size
		}
	}
}

// victim returns the oldest response of the client whose responses take most memory,
// other than added. It returns nil if there is none.
func (s *sender) victim(added *sending) (oldest *sending) {
	sizes := make(map[netip.Prefix]int)
	for element := s.sending.Front(); element != nil; element = element.Next() {
		if e := element.Value.(*sending); !e.aborted {
			sizes[e.client] += e.size
		}
	}
	for element := s.sending.Front(); element != nil; element = element.Next() {
		if e := element.Value.(*sending); e != added && !e.aborted && (oldest == nil || sizes[e.client] > sizes[oldest.client]) {
			oldest = e
		}
	}
	return oldest
}

// clientOf returns the network of a client: its address, or the /64 of an IPv6 address.
// It returns the zero Prefix if the connection has no address.
func clientOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	address = address.Unmap().WithZone("")
	bits := 32
	if address.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(address, bits).Masked()
}
