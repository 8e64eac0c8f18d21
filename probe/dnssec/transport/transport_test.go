package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

var _ dnssec.Transport = (*transport.Transport)(nil)

// resolver is a server on one port over UDP and TCP. The functions return the
// bytes to send for a query; nil functions and no bytes mean no response.
type resolver struct {
	udp func(query *dns.Msg) [][]byte
	tcp func(query *dns.Msg) []byte // preceded by the length
	one bool                        // closes a TCP connection after one response

	address string
	mutex   sync.Mutex
	log     []string // for each UDP query and TCP connection "udp" or "tcp", and the client's address
}

func (r *resolver) start(t *testing.T) *resolver {
	t.Helper()
	var listener net.Listener
	var packets net.PacketConn
	for range 20 { // the UDP port with the same number may be in use
		var err error
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if packets, err = net.ListenPacket("udp", listener.Addr().String()); err == nil {
			break
		}
		listener.Close()
	}
	if packets == nil {
		t.Fatal("found no port for both UDP and TCP")
	}
	r.address = listener.Addr().String()
	var wait sync.WaitGroup
	wait.Go(func() {
		buffer := make([]byte, 4096)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			query := new(dns.Msg)
			if query.Unpack(buffer[:n]) != nil {
				continue
			}
			r.record("udp " + from.String())
			if r.udp == nil {
				continue
			}
			for _, datagram := range r.udp(query) {
				packets.WriteTo(datagram, from)
			}
		}
	})
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.record("tcp " + conn.RemoteAddr().String())
			wait.Go(func() { r.serveTCP(conn) })
			defer conn.Close()
		}
	})
	t.Cleanup(func() { listener.Close(); packets.Close(); wait.Wait() })
	return r
}

func (r *resolver) serveTCP(conn net.Conn) {
	defer conn.Close()
	for more := true; more; more = !r.one {
		query := readQuery(conn)
		if query == nil || r.tcp == nil {
			return
		}
		response := r.tcp(query)
		if _, err := conn.Write(response); err != nil || len(response) == 0 {
			return
		}
	}
}

// readQuery returns the next query on a TCP connection, or nil at the end.
func readQuery(conn net.Conn) *dns.Msg {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil
	}
	query := new(dns.Msg)
	if query.Unpack(message) != nil {
		return nil
	}
	return query
}

func (r *resolver) record(request string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.log = append(r.log, request)
}

// requests returns the log.
func (r *resolver) requests() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.log)
}

// connections returns the number of TCP connections.
func (r *resolver) connections() int {
	n := 0
	for _, request := range r.requests() {
		if strings.HasPrefix(request, "tcp ") {
			n++
		}
	}
	return n
}

// response returns an answer to query, after changes.
func response(query *dns.Msg, changes ...func(*dns.Msg)) []byte {
	m := new(dns.Msg).SetReply(query)
	m.Answer = append(m.Answer, &dns.A{
		Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
		A:   net.IPv4(192, 0, 2, 1),
	})
	for _, change := range changes {
		change(m)
	}
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return wire
}

func rcode(code int) func(*dns.Msg) {
	return func(m *dns.Msg) { m.Rcode, m.Answer = code, nil }
}

// framed returns a message preceded by its length.
func framed(wire []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

// respond returns a function for resolver.udp that sends one response.
func respond(changes ...func(*dns.Msg)) func(*dns.Msg) [][]byte {
	return func(q *dns.Msg) [][]byte { return [][]byte{response(q, changes...)} }
}

// respondTCP returns a function for resolver.tcp that sends one response.
func respondTCP(changes ...func(*dns.Msg)) func(*dns.Msg) []byte {
	return func(q *dns.Msg) []byte { return framed(response(q, changes...)) }
}

// cutOff returns a function for resolver.udp that sends a response without its last
// n bytes.
func cutOff(n int) func(*dns.Msg) [][]byte {
	return func(q *dns.Msg) [][]byte {
		wire := response(q)
		return [][]byte{wire[:len(wire)-n]}
	}
}

// large adds text to the answer section, so that the message has n bytes.
func large(n int) func(*dns.Msg) {
	return func(m *dns.Msg) {
		txt := &dns.TXT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeTXT, Class: dns.ClassINET}}
		for rest := n - m.Len() - dns.Len(txt); rest > 0; rest -= 256 {
			txt.Txt = append(txt.Txt, strings.Repeat("x", min(rest-1, 255)))
		}
		m.Answer = append(m.Answer, txt)
	}
}

// brokenOption returns a response with an EDNS option that is longer than its record.
func brokenOption(q *dns.Msg) [][]byte {
	wire := response(q, func(m *dns.Msg) {
		m.SetEdns0(1232, true)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: []byte{1, 2}}}
	})
	wire[len(wire)-3] = 200
	return [][]byte{wire}
}

func truncated(m *dns.Msg) { m.Truncated, m.Answer = true, nil }

func query() *dns.Msg {
	m := new(dns.Msg).SetQuestion("Mx.Example.ORG.", dns.TypeA)
	m.SetEdns0(1232, true)
	return m
}

// events records the events of a Transport: the transport and the fault.
type events struct {
	mutex sync.Mutex
	list  []string
}

func (e *events) observe(event transport.Event) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.list = append(e.list, strings.TrimSpace(event.Transport+" "+string(event.Fault)))
}

// Timeouts of one query: shortTimeout where a server does not respond, longTimeout
// where it does, however busy the machine is.
const (
	shortTimeout = 100 * time.Millisecond
	longTimeout  = 10 * time.Second
)

func TestOneServer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		resolver *resolver
		want     string // response code, or part of the error
		events   []string
	}{
		{"an answer", &resolver{udp: respond()}, "NOERROR", []string{"udp"}},
		{"NXDOMAIN is an answer", &resolver{udp: respond(rcode(dns.RcodeNameError))}, "NXDOMAIN", []string{"udp"}},
		{"truncated over UDP", &resolver{udp: respond(truncated), tcp: respondTCP()}, "NOERROR", []string{"udp", "tcp"}},
		{"truncated within a record", &resolver{udp: func(q *dns.Msg) [][]byte {
			wire := response(q, func(m *dns.Msg) { m.Truncated = true })
			return [][]byte{wire[:len(wire)-2]}
		}, tcp: respondTCP()}, "NOERROR", []string{"udp", "tcp"}},
		{"the question in lower case", &resolver{udp: respond(func(m *dns.Msg) {
			m.Question[0].Name = strings.ToLower(m.Question[0].Name)
		})}, "NOERROR", []string{"udp"}},
		{"forged responses before the answer", &resolver{udp: func(q *dns.Msg) [][]byte {
			return [][]byte{
				{}, {1, 2, 3},
				response(q, func(m *dns.Msg) { m.Id++; m.Rcode = dns.RcodeRefused }),
				response(q, func(m *dns.Msg) { m.Response = false }),
				response(q, func(m *dns.Msg) { m.Question[0].Name = "other.example." }),
				response(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }),
				response(q, func(m *dns.Msg) { m.Question = nil }),
				response(q, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
				response(q),
			}
		}}, "NOERROR", []string{"udp"}},
		{"only a forged response", &resolver{udp: respond(func(m *dns.Msg) { m.Id++ })},
			"no response within", []string{"udp timeout", "udp timeout"}},
		{"no response", &resolver{}, "no response within", []string{"udp timeout", "udp timeout"}},
		{"cut off without the TC bit", &resolver{udp: cutOff(2), tcp: respondTCP()}, "NOERROR", []string{"udp", "tcp"}},
		{"cut off between records without the TC bit", &resolver{udp: func(q *dns.Msg) [][]byte {
			wire := response(q, func(m *dns.Msg) { m.Extra = nil })
			wire[7]++ // one answer more than there is
			return [][]byte{wire}
		}, tcp: respondTCP()}, "NOERROR", []string{"udp", "tcp"}},
		{"cut off at 512 bytes without the TC bit", &resolver{udp: func(q *dns.Msg) [][]byte {
			return [][]byte{response(q, large(1000))[:512]}
		}, tcp: respondTCP(large(1000))}, "NOERROR", []string{"udp", "tcp"}},
		{"4096 bytes", &resolver{udp: respond(large(4096))}, "NOERROR", []string{"udp"}},
		{"4097 bytes", &resolver{udp: respond(large(4097)), tcp: respondTCP(large(4097))}, "NOERROR", []string{"udp", "tcp"}},
		{"60000 bytes", &resolver{udp: respond(large(60000)), tcp: respondTCP(large(60000))}, "NOERROR", []string{"udp", "tcp"}},
		{"cut off, and TCP fails", &resolver{udp: cutOff(2)}, "tcp: the connection ended: EOF", []string{"udp", "tcp network", "udp", "tcp network"}},
		{"cut off within the question, then the answer", &resolver{udp: func(q *dns.Msg) [][]byte {
			return [][]byte{response(q)[:20], response(q)[:12], response(q)}
		}}, "NOERROR", []string{"udp"}},
		{"only a response cut off within the question", &resolver{udp: func(q *dns.Msg) [][]byte { return [][]byte{response(q)[:20]} }},
			"no response within", []string{"udp timeout", "udp timeout"}},
		{"cut off and of another question, then the answer", &resolver{udp: func(q *dns.Msg) [][]byte {
			other := response(q, func(m *dns.Msg) { m.Question[0].Name = "mx.example.com." })
			return [][]byte{other[:len(other)-2], response(q)}
		}}, "NOERROR", []string{"udp"}},
		{"an EDNS option that cannot be parsed", &resolver{udp: brokenOption}, "NOERROR", []string{"udp"}},
		{"TCP: an EDNS option that cannot be parsed", &resolver{udp: respond(truncated), tcp: func(q *dns.Msg) []byte { return framed(brokenOption(q)[0]) }},
			"NOERROR", []string{"udp", "tcp"}},
		{"TCP: cut off between records", &resolver{udp: respond(truncated), tcp: func(q *dns.Msg) []byte {
			wire := response(q, func(m *dns.Msg) { m.Extra = nil })
			wire[7]++
			return framed(wire)
		}}, "ends before its last record", []string{"udp", "tcp malformed", "udp", "tcp malformed"}},
		{"SERVFAIL is returned after one query", &resolver{udp: respond(rcode(dns.RcodeServerFailure))}, "SERVFAIL", []string{"udp servfail"}},
		{"REFUSED without the question", &resolver{udp: respond(rcode(dns.RcodeRefused), func(m *dns.Msg) { m.Question = nil })}, "REFUSED", []string{"udp refused"}},
		{"FORMERR", &resolver{udp: respond(rcode(dns.RcodeFormatError))}, "FORMERR", []string{"udp formerr"}},
		{"an unusual response code", &resolver{udp: respond(rcode(9))}, "NOTAUTH", []string{"udp other_rcode"}},

		{"TCP: closed without a response", &resolver{udp: respond(truncated)}, "tcp: the connection ended: EOF", []string{"udp", "tcp network", "udp", "tcp network"}},
		{"TCP: closed within a message", &resolver{one: true, udp: respond(truncated), tcp: func(q *dns.Msg) []byte { return []byte{0xff, 0xff, 1, 2, 3} }},
			"unexpected EOF", []string{"udp", "tcp network", "udp", "tcp network"}},
		{"TCP: an empty message", &resolver{udp: respond(truncated), tcp: func(q *dns.Msg) []byte { return []byte{0, 0} }},
			"malformed response", []string{"udp", "tcp malformed", "udp", "tcp malformed"}},
		{"TCP: another ID", &resolver{udp: respond(truncated), tcp: respondTCP(func(m *dns.Msg) { m.Id++ })},
			"does not match", []string{"udp", "tcp malformed", "udp", "tcp malformed"}},
		{"TCP: still truncated", &resolver{udp: respond(truncated), tcp: respondTCP(truncated)},
			"truncated even over TCP", []string{"udp", "tcp truncated", "udp", "tcp truncated"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.resolver.start(t)
			var seen events
			timeout := longTimeout
			if test.want == "no response within" {
				timeout = shortTimeout
			}
			tr, err := transport.New([]string{test.resolver.address}, transport.Options{Timeout: timeout, Attempts: 2, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			response, server, err := tr.Exchange(t.Context(), query())
			if err != nil {
				if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.resolver.address) ||
					!strings.Contains(err.Error(), "Mx.Example.ORG. A") || strings.Contains(err.Error(), "\n") {
					t.Errorf("got error %q, want one with %q, the server and the question", err, test.want)
				}
			} else if got := dns.RcodeToString[response.Rcode]; got != test.want || server != test.resolver.address {
				t.Errorf("got %s from %s, want %s from %s", got, server, test.want, test.resolver.address)
			}
			if !slices.Equal(seen.list, test.events) {
				t.Errorf("observed %q, want %q", seen.list, test.events)
			}
		})
	}
}

func TestSeveralServers(t *testing.T) {
	t.Parallel()
	good := (&resolver{udp: respond()}).start(t)
	later := (&resolver{udp: respond()}).start(t)
	silent := (&resolver{}).start(t)
	failing := (&resolver{udp: respond(rcode(dns.RcodeServerFailure))}).start(t)
	refusing := (&resolver{udp: respond(rcode(dns.RcodeRefused))}).start(t)
	malformed := (&resolver{udp: func(q *dns.Msg) [][]byte { return [][]byte{response(q)[:20]} }}).start(t)
	closed := closedPort(t)
	t.Cleanup(func() {
		if requests := later.requests(); len(requests) != 0 {
			t.Errorf("a server that was not needed was queried: %q", requests)
		}
	})

	for _, test := range []struct {
		name    string
		servers []string
		timeout time.Duration // part of it is the head start of a server over the next one
		rcode   int
		from    string // empty: an error
	}{
		{"the first answer is enough", []string{good.address, later.address}, longTimeout, dns.RcodeSuccess, good.address},
		{"a closed port", []string{closed, good.address}, longTimeout, dns.RcodeSuccess, good.address},
		{"a silent server", []string{silent.address, good.address}, longTimeout, dns.RcodeSuccess, good.address},
		{"malformed responses", []string{malformed.address, good.address}, longTimeout, dns.RcodeSuccess, good.address},
		{"SERVFAIL", []string{failing.address, good.address}, longTimeout, dns.RcodeSuccess, good.address},
		{"only failures: the first one", []string{refusing.address, failing.address}, longTimeout, dns.RcodeRefused, refusing.address},
		{"a failure and no response", []string{silent.address, failing.address}, 20 * shortTimeout, dns.RcodeServerFailure, failing.address},
		{"no response", []string{closed, silent.address}, shortTimeout, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr, err := transport.New(test.servers, transport.Options{Timeout: test.timeout})
			if err != nil {
				t.Fatal(err)
			}
			response, from, err := tr.Exchange(t.Context(), query())
			if test.from == "" {
				if err == nil || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), silent.address) {
					t.Errorf("got error %v, want one that names every server", err)
				}
				return
			}
			if err != nil || response.Rcode != test.rcode || from != test.from {
				t.Errorf("got %v from %q, %v; want rcode %d from %q", response, from, err, test.rcode, test.from)
			}
		})
	}
}

// closedPort returns a loopback address that refuses datagrams until the test
// ends. It belongs to a socket that is connected elsewhere: no other process can
// use the port, and the kernel refuses datagrams from other addresses.
func closedPort(t *testing.T) string {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

func TestUDPRetry(t *testing.T) {
	t.Parallel()
	var lost bool
	r := (&resolver{udp: func(q *dns.Msg) [][]byte {
		if !lost {
			lost = true
			return nil
		}
		return [][]byte{response(q)}
	}}).start(t)
	// On a busy machine, more than the first response may be late.
	tr, err := transport.New([]string{r.address}, transport.Options{Timeout: shortTimeout, Attempts: int(longTimeout / shortTimeout)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
		t.Error(err)
	}
}

// TestUDPResponseFromAnotherPort checks that a response is not accepted if it does
// not come from the server.
func TestUDPResponseFromAnotherPort(t *testing.T) {
	elsewhere, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	var r *resolver
	r = &resolver{udp: func(q *dns.Msg) [][]byte {
		requests := r.requests()
		_, client, _ := strings.Cut(requests[len(requests)-1], " ")
		to, err := net.ResolveUDPAddr("udp", client)
		if err == nil {
			_, err = elsewhere.WriteTo(response(q), to)
		}
		if err != nil {
			t.Error(err)
		}
		return nil
	}}
	r.start(t)
	tr, err := transport.New([]string{r.address}, transport.Options{Timeout: shortTimeout, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
		t.Errorf("accepted %v", response)
	}
}

// TestExchangeVariesPortAndID checks that each query has its own port and ID, and
// that the caller's message does not change.
func TestExchangeVariesPortAndID(t *testing.T) {
	const queries = 64
	sent := make(chan uint16, queries)
	r := (&resolver{udp: func(q *dns.Msg) [][]byte {
		sent <- q.Id
		return [][]byte{response(q)}
	}}).start(t)
	tr, err := transport.New([]string{r.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := query()
	before := q.String()
	for range queries {
		if _, _, err := tr.Exchange(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	ids := make(map[uint16]bool)
	for range queries {
		ids[<-sent] = true
	}
	clients := r.requests()
	slices.Sort(clients)
	// A few values may be equal by chance.
	if ports := len(slices.Compact(clients)); ports < queries-4 || len(ids) < queries-4 {
		t.Errorf("%d queries, one after the other, used %d ports and %d IDs", queries, ports, len(ids))
	}
	if q.String() != before {
		t.Errorf("the caller's message is %v, and was %s", q, before)
	}
}

func TestTCPOnly(t *testing.T) {
	r := (&resolver{udp: respond(), tcp: respondTCP()}).start(t)
	tr, err := transport.New([]string{"tcp://" + r.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, from, err := tr.Exchange(t.Context(), query())
	if err != nil || from != "tcp://"+r.address {
		t.Errorf("answer from %q, error %v", from, err)
	}
	if requests := r.requests(); len(requests) != 1 || !strings.HasPrefix(requests[0], "tcp ") {
		t.Errorf("the server received %q, want one query over TCP", requests)
	}
}

func TestExchangeWith(t *testing.T) {
	first, second := (&resolver{udp: respond()}).start(t), (&resolver{udp: respond(rcode(dns.RcodeNameError))}).start(t)
	tr, err := transport.New([]string{first.address, second.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if response, err := tr.ExchangeWith(t.Context(), second.address, query()); err != nil || response.Rcode != dns.RcodeNameError {
		t.Errorf("got %v, %v, want NXDOMAIN", response, err)
	}
	if response, err := tr.ExchangeWith(t.Context(), "192.0.2.53:53", query()); err == nil {
		t.Errorf("a server that is not configured answered %v", response)
	}
	if requests := first.requests(); len(requests) != 0 {
		t.Errorf("the wrong server was queried: %q", requests)
	}
}

func TestExchangeContext(t *testing.T) {
	for _, network := range []string{"udp://", "tcp://"} {
		t.Run(network, func(t *testing.T) {
			received := make(chan struct{}, 1)
			release := make(chan struct{})
			defer close(release)
			wait := func(*dns.Msg) []byte { received <- struct{}{}; <-release; return nil }
			r := (&resolver{
				udp: func(q *dns.Msg) [][]byte { received <- struct{}{}; return nil },
				tcp: wait,
			}).start(t)
			var seen events
			tr, err := transport.New([]string{network + r.address}, transport.Options{Timeout: time.Hour, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-received; cancel() }()
			if _, _, err := tr.Exchange(ctx, query()); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if want := []string{network[:3] + " cancelled"}; !slices.Equal(seen.list, want) {
				t.Errorf("observed %q, want %q", seen.list, want)
			}
		})
	}
	t.Run("cancelled before the call", func(t *testing.T) {
		r := (&resolver{udp: respond()}).start(t)
		tr, err := transport.New([]string{r.address}, transport.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := tr.Exchange(ctx, query()); !errors.Is(err, context.Canceled) || len(r.requests()) != 0 {
			t.Errorf("got %v, and the server received %q", err, r.requests())
		}
	})
}

func TestConcurrentExchanges(t *testing.T) {
	r := (&resolver{udp: respond(truncated), tcp: respondTCP()}).start(t)
	var seen events
	tr, err := transport.New([]string{r.address}, transport.Options{Timeout: longTimeout, Observe: seen.observe})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(seen.list) != 32 {
		t.Errorf("%d events for 16 queries, each over UDP and TCP", len(seen.list))
	}
	if n := r.connections(); n != 1 {
		t.Errorf("%d TCP connections, want 1", n)
	}
}

func TestServers(t *testing.T) {
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	normal := file("normal", "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\n")
	empty := file("empty", "search example.org\n")
	odd := file("odd", "nameserver resolver.example\nnameserver 192.0.2.1\nnameserver\n")
	useless := file("useless", "nameserver resolver.example\n")

	for i, test := range []struct {
		servers []string
		conf    string
		want    []string
		err     string // part of the error, if want is nil
	}{
		{[]string{"192.0.2.53"}, normal, []string{"192.0.2.53:53"}, ""},
		{[]string{"192.0.2.53:5353", "udp://192.0.2.54", "tcp://192.0.2.55"}, normal, []string{"192.0.2.53:5353", "192.0.2.54:53", "tcp://192.0.2.55:53"}, ""},
		{[]string{"2001:db8::53", "[2001:db8::54]", "[2001:db8::55]:5353"}, normal, []string{"[2001:db8::53]:53", "[2001:db8::54]:53", "[2001:db8::55]:5353"}, ""},
		{[]string{"system"}, normal, []string{"192.0.2.1:53", "[2001:db8::1]:53"}, ""},
		{[]string{"192.0.2.1", "system", "udp://192.0.2.1:53"}, normal, []string{"192.0.2.1:53", "[2001:db8::1]:53"}, ""},
		{[]string{"system"}, empty, []string{"127.0.0.1:53"}, ""},
		{[]string{"system"}, odd, []string{"192.0.2.1:53"}, ""},
		{[]string{"system"}, useless, nil, "none of the 1"},
		{[]string{"system"}, filepath.Join(directory, "missing"), nil, "read the system's nameservers"},
		{nil, normal, nil, "empty"},
		{[]string{""}, normal, nil, `resolver ""`},
		{[]string{"resolver.example"}, normal, nil, `resolver "resolver.example": must be "system" or an IP address`},
		{[]string{"192.0.2.53:0"}, normal, nil, "the port must not be 0"},
		{[]string{"192.0.2.53:99999"}, normal, nil, `must be "system" or an IP address`},
		{[]string{"quic://192.0.2.53"}, normal, nil, "must be udp://, tcp://, tls:// or https://"},
		{[]string{"https://192.0.2.53/dns-query", "https://192.0.2.53:443/dns-query#DNS.Example.net", "https://[2001:db8::53]:8443/a/b%20c"}, normal,
			[]string{"https://192.0.2.53:443/dns-query", "https://192.0.2.53:443/dns-query#dns.example.net", "https://[2001:db8::53]:8443/a/b%20c"}, ""},
		{[]string{"https://192.0.2.53"}, normal, nil, "must have a path"},
		{[]string{"https://192.0.2.53/"}, normal, nil, "must have a path"},
		{[]string{"https://192.0.2.53#dns.example.net"}, normal, nil, "must have a path"},
		{[]string{"https://192.0.2.53/dns-query{?dns}"}, normal, nil, "without a query or a template"},
		{[]string{"https://192.0.2.53/dns-query?ct"}, normal, nil, "without a query or a template"},
		{[]string{"https://192.0.2.53/dns query"}, normal, nil, "the path must be one such as /dns-query"},
		{[]string{"https://192.0.2.53/a%zz"}, normal, nil, "the path must be one such as /dns-query"},
		{[]string{"https://dns.example.net/dns-query"}, normal, nil, "must have an IP address, as in https://192.0.2.53/dns-query, since no name can be looked up without a resolver"},
		{[]string{"https://me:key@192.0.2.53/dns-query"}, normal, nil, "must have an IP address"},
		{[]string{"https://192.0.2.53:0/dns-query"}, normal, nil, "the port must not be 0"},
		{[]string{"https://192.0.2.53/dns-query#192.0.2.53"}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53", "tls://[2001:db8::53]:8853"}, normal, []string{"tls://192.0.2.53:853", "tls://[2001:db8::53]:8853"}, ""},
		{[]string{"tls://192.0.2.53#DNS.Example.net.", "tls://192.0.2.53:853#dns.example.net", "tls://2001:db8::53#d"}, normal,
			[]string{"tls://192.0.2.53:853#dns.example.net", "tls://[2001:db8::53]:853#d"}, ""},
		{[]string{"tls://192.0.2.53", "tls://192.0.2.53#a", "tls://192.0.2.53#b"}, normal,
			[]string{"tls://192.0.2.53:853", "tls://192.0.2.53:853#a", "tls://192.0.2.53:853#b"}, ""},
		{[]string{"tls://dns.example.net"}, normal, nil, "no name can be looked up without a resolver"},
		{[]string{"tls://dns.example.net:853"}, normal, nil, "no name can be looked up without a resolver"},
		{[]string{"tls://192.0.2.53#"}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53#192.0.2.53"}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53#*.example.net"}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53#-a.example"}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53#a..example"}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53#" + strings.Repeat("a", 64)}, normal, nil, "the certificate name after # must be a hostname"},
		{[]string{"tls://192.0.2.53:0"}, normal, nil, "the port must not be 0"},
		{[]string{"192.0.2.53#dns.example.net"}, normal, nil, "allowed only with tls://"},
		{[]string{"tcp://192.0.2.53#dns.example.net"}, normal, nil, "allowed only with tls://"},
	} {
		t.Run(strconv.Itoa(i)+" "+strings.Join(test.servers, " "), func(t *testing.T) {
			tr, err := transport.New(test.servers, transport.Options{ResolvConf: test.conf})
			if test.want == nil {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.Servers(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
