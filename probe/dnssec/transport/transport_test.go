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

// A resolver of the tests is a UDP and a TCP socket on one port, and what it
// sends back for each query, byte by byte: nothing for silence.
type resolver struct {
	udp func(query *dns.Msg) [][]byte
	tcp func(query *dns.Msg) []byte // with its length before it
	one bool                        // over TCP it closes after one response

	address string
	mutex   sync.Mutex
	heard   []string // "udp" or "tcp", with the port of the asker
}

func (r *resolver) start(t *testing.T) *resolver {
	t.Helper()
	var listener net.Listener
	var packets net.PacketConn
	for range 20 { // the UDP port of the same number may be taken
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
		t.Fatal("no port is free for both UDP and TCP")
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
			r.note("udp " + from.String())
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
			r.note("tcp " + conn.RemoteAddr().String())
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

// readQuery returns nil where the client sends no more.
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

func (r *resolver) note(what string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.heard = append(r.heard, what)
}

func (r *resolver) asked() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.heard)
}

// connections is how many came over TCP.
func (r *resolver) connections() int {
	n := 0
	for _, what := range r.asked() {
		if strings.HasPrefix(what, "tcp ") {
			n++
		}
	}
	return n
}

// reply makes a response to query, changed by the given functions.
func reply(query *dns.Msg, changes ...func(*dns.Msg)) []byte {
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

func framed(wire []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

func says(changes ...func(*dns.Msg)) func(*dns.Msg) [][]byte {
	return func(q *dns.Msg) [][]byte { return [][]byte{reply(q, changes...)} }
}

func saysTCP(changes ...func(*dns.Msg)) func(*dns.Msg) []byte {
	return func(q *dns.Msg) []byte { return framed(reply(q, changes...)) }
}

func truncated(m *dns.Msg) { m.Truncated, m.Answer = true, nil }

func query() *dns.Msg {
	m := new(dns.Msg).SetQuestion("Mx.Example.ORG.", dns.TypeA)
	m.SetEdns0(1232, true)
	return m
}

// events records what a Transport observes.
type events struct {
	mutex sync.Mutex
	list  []string
}

func (e *events) observe(event transport.Event) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.list = append(e.list, strings.TrimSpace(event.Transport+" "+string(event.Fault)))
}

const patience = 100 * time.Millisecond // of one query, in tests

func TestOneServer(t *testing.T) {
	for _, story := range []struct {
		name     string
		resolver *resolver
		want     string // an rcode, or a part of the error
		events   []string
	}{
		{"an answer", &resolver{udp: says()}, "NOERROR", []string{"udp"}},
		{"a name that is not there is an answer", &resolver{udp: says(rcode(dns.RcodeNameError))}, "NXDOMAIN", []string{"udp"}},
		{"too long for UDP", &resolver{udp: says(truncated), tcp: saysTCP()}, "NOERROR", []string{"udp", "tcp"}},
		{"cut within a record", &resolver{udp: func(q *dns.Msg) [][]byte {
			wire := reply(q, func(m *dns.Msg) { m.Truncated = true })
			return [][]byte{wire[:len(wire)-2]}
		}, tcp: saysTCP()}, "NOERROR", []string{"udp", "tcp"}},
		{"lower case where we asked in capitals", &resolver{udp: says(func(m *dns.Msg) {
			m.Question[0].Name = strings.ToLower(m.Question[0].Name)
		})}, "NOERROR", []string{"udp"}},
		{"forgeries come first, the answer last", &resolver{udp: func(q *dns.Msg) [][]byte {
			return [][]byte{
				{}, {1, 2, 3},
				reply(q, func(m *dns.Msg) { m.Id++; m.Rcode = dns.RcodeRefused }),
				reply(q, func(m *dns.Msg) { m.Response = false }),
				reply(q, func(m *dns.Msg) { m.Question[0].Name = "other.example." }),
				reply(q, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }),
				reply(q, func(m *dns.Msg) { m.Question = nil }),
				reply(q, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }),
				reply(q),
			}
		}}, "NOERROR", []string{"udp"}},
		{"nothing but a forgery", &resolver{udp: says(func(m *dns.Msg) { m.Id++ })},
			"no reply within", []string{"udp timeout", "udp timeout"}},
		{"silence", &resolver{}, "no reply within", []string{"udp timeout", "udp timeout"}},
		{"rubbish with the right ID", &resolver{udp: func(q *dns.Msg) [][]byte {
			wire := reply(q)
			return [][]byte{wire[:len(wire)-2]}
		}}, "malformed reply", []string{"udp malformed", "udp malformed"}},
		{"a failure is asked for once, and handed on", &resolver{udp: says(rcode(dns.RcodeServerFailure))}, "SERVFAIL", []string{"udp servfail"}},
		{"a refusal without the question", &resolver{udp: says(rcode(dns.RcodeRefused), func(m *dns.Msg) { m.Question = nil })}, "REFUSED", []string{"udp refused"}},
		{"it does not know EDNS", &resolver{udp: says(rcode(dns.RcodeFormatError))}, "FORMERR", []string{"udp formerr"}},
		{"a code that nobody uses", &resolver{udp: says(rcode(9))}, "NOTAUTH", []string{"udp other_rcode"}},

		{"TCP: closes without a word", &resolver{udp: says(truncated)}, "tcp: the connection ended: EOF", []string{"udp", "tcp network", "udp", "tcp network"}},
		{"TCP: promises more than it sends", &resolver{one: true, udp: says(truncated), tcp: func(q *dns.Msg) []byte { return []byte{0xff, 0xff, 1, 2, 3} }},
			"unexpected EOF", []string{"udp", "tcp network", "udp", "tcp network"}},
		{"TCP: an empty message", &resolver{udp: says(truncated), tcp: func(q *dns.Msg) []byte { return []byte{0, 0} }},
			"malformed reply", []string{"udp", "tcp malformed", "udp", "tcp malformed"}},
		{"TCP: somebody else's answer", &resolver{udp: says(truncated), tcp: saysTCP(func(m *dns.Msg) { m.Id++ })},
			"does not fit the query", []string{"udp", "tcp malformed", "udp", "tcp malformed"}},
		{"TCP: truncated still", &resolver{udp: says(truncated), tcp: saysTCP(truncated)},
			"truncated even over TCP", []string{"udp", "tcp truncated", "udp", "tcp truncated"}},
	} {
		t.Run(story.name, func(t *testing.T) {
			story.resolver.start(t)
			var seen events
			tr, err := transport.New([]string{story.resolver.address}, transport.Options{Timeout: patience, Attempts: 2, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			response, server, err := tr.Exchange(t.Context(), query())
			if err != nil {
				if !strings.Contains(err.Error(), story.want) || !strings.Contains(err.Error(), story.resolver.address) ||
					!strings.Contains(err.Error(), "Mx.Example.ORG. A") || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q, want it to say %q, whom we asked and for what", err, story.want)
				}
			} else if got := dns.RcodeToString[response.Rcode]; got != story.want || server != story.resolver.address {
				t.Errorf("%s from %s, want %s from %s", got, server, story.want, story.resolver.address)
			}
			if !slices.Equal(seen.list, story.events) {
				t.Errorf("observed %q, want %q", seen.list, story.events)
			}
		})
	}
}

func TestSeveralServers(t *testing.T) {
	good := (&resolver{udp: says()}).start(t)
	later := (&resolver{udp: says()}).start(t)
	silent := (&resolver{}).start(t)
	failing := (&resolver{udp: says(rcode(dns.RcodeServerFailure))}).start(t)
	refusing := (&resolver{udp: says(rcode(dns.RcodeRefused))}).start(t)
	rubbish := (&resolver{udp: func(q *dns.Msg) [][]byte { return [][]byte{reply(q)[:20]} }}).start(t)
	closed := closedPort(t)

	for _, story := range []struct {
		name    string
		servers []string
		rcode   int
		from    string // empty: nobody replied
	}{
		{"the first that answers is enough", []string{good.address, later.address}, dns.RcodeSuccess, good.address},
		{"a closed port", []string{closed, good.address}, dns.RcodeSuccess, good.address},
		{"a silent one", []string{silent.address, good.address}, dns.RcodeSuccess, good.address},
		{"one that sends rubbish", []string{rubbish.address, good.address}, dns.RcodeSuccess, good.address},
		{"one that fails", []string{failing.address, good.address}, dns.RcodeSuccess, good.address},
		{"all fail: the first failure", []string{refusing.address, failing.address}, dns.RcodeRefused, refusing.address},
		{"a failure is more than silence", []string{silent.address, failing.address}, dns.RcodeServerFailure, failing.address},
		{"nobody", []string{closed, silent.address}, 0, ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			tr, err := transport.New(story.servers, transport.Options{Timeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			response, from, err := tr.Exchange(t.Context(), query())
			if story.from == "" {
				if err == nil || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), silent.address) {
					t.Errorf("error %v, want one that names every server", err)
				}
				return
			}
			if err != nil || response.Rcode != story.rcode || from != story.from {
				t.Errorf("%v from %q, %v; want rcode %d from %q", response, from, err, story.rcode, story.from)
			}
		})
	}
	if heard := later.asked(); len(heard) != 0 {
		t.Errorf("a server that was not needed was asked: %q", heard)
	}
}

// closedPort returns a loopback address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	return packets.LocalAddr().String()
}

func TestALostDatagramIsSentAgain(t *testing.T) {
	var lost bool
	r := (&resolver{udp: func(q *dns.Msg) [][]byte {
		if !lost {
			lost = true
			return nil
		}
		return [][]byte{reply(q)}
	}}).start(t)
	tr, err := transport.New([]string{r.address}, transport.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tr.Exchange(t.Context(), query()); err != nil {
		t.Error(err)
	}
}

// An answer from another port is none: the socket hears the server alone.
func TestAnAnswerFromElsewhereIsNotHeard(t *testing.T) {
	elsewhere, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	var r *resolver
	r = &resolver{udp: func(q *dns.Msg) [][]byte {
		heard := r.asked()
		_, asker, _ := strings.Cut(heard[len(heard)-1], " ")
		to, err := net.ResolveUDPAddr("udp", asker)
		if err == nil {
			_, err = elsewhere.WriteTo(reply(q), to)
		}
		if err != nil {
			t.Error(err)
		}
		return nil
	}}
	r.start(t)
	tr, err := transport.New([]string{r.address}, transport.Options{Timeout: patience, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if response, _, err := tr.Exchange(t.Context(), query()); err == nil {
		t.Errorf("took %v", response)
	}
}

// Each query has a port and an ID of its own; the caller's message is left alone.
func TestQueriesAreHardToGuess(t *testing.T) {
	const queries = 64
	sent := make(chan uint16, queries)
	r := (&resolver{udp: func(q *dns.Msg) [][]byte {
		sent <- q.Id
		return [][]byte{reply(q)}
	}}).start(t)
	tr, err := transport.New([]string{r.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked := query()
	before := asked.String()
	for range queries {
		if _, _, err := tr.Exchange(t.Context(), asked); err != nil {
			t.Fatal(err)
		}
	}
	ids := make(map[uint16]bool)
	for range queries {
		ids[<-sent] = true
	}
	heard := r.asked()
	slices.Sort(heard)
	if ports := len(slices.Compact(heard)); ports < queries-4 || len(ids) < queries-4 {
		t.Errorf("%d queries, one after the other, used %d ports and %d IDs", queries, ports, len(ids))
	}
	if asked.String() != before {
		t.Errorf("the caller's message became %v, and was %s", asked, before)
	}
}

func TestTCPAlone(t *testing.T) {
	r := (&resolver{udp: says(), tcp: saysTCP()}).start(t)
	tr, err := transport.New([]string{"tcp://" + r.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, from, err := tr.Exchange(t.Context(), query())
	if err != nil || from != "tcp://"+r.address {
		t.Errorf("from %q, %v", from, err)
	}
	if heard := r.asked(); len(heard) != 1 || !strings.HasPrefix(heard[0], "tcp ") {
		t.Errorf("the server heard %q", heard)
	}
}

func TestExchangeWith(t *testing.T) {
	first, second := (&resolver{udp: says()}).start(t), (&resolver{udp: says(rcode(dns.RcodeNameError))}).start(t)
	tr, err := transport.New([]string{first.address, second.address}, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if response, err := tr.ExchangeWith(t.Context(), second.address, query()); err != nil || response.Rcode != dns.RcodeNameError {
		t.Errorf("%v, %v", response, err)
	}
	if response, err := tr.ExchangeWith(t.Context(), "192.0.2.53:53", query()); err == nil {
		t.Errorf("a stranger was asked, and said %v", response)
	}
	if heard := first.asked(); len(heard) != 0 {
		t.Errorf("the wrong server was asked: %q", heard)
	}
}

func TestTheContextEndsTheWait(t *testing.T) {
	for _, network := range []string{"udp://", "tcp://"} {
		t.Run(network, func(t *testing.T) {
			heard := make(chan struct{}, 1)
			release := make(chan struct{})
			defer close(release)
			wait := func(*dns.Msg) []byte { heard <- struct{}{}; <-release; return nil }
			r := (&resolver{
				udp: func(q *dns.Msg) [][]byte { heard <- struct{}{}; return nil },
				tcp: wait,
			}).start(t)
			var seen events
			tr, err := transport.New([]string{network + r.address}, transport.Options{Timeout: time.Hour, Observe: seen.observe})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-heard; cancel() }()
			if _, _, err := tr.Exchange(ctx, query()); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if want := []string{network[:3] + " cancelled"}; !slices.Equal(seen.list, want) {
				t.Errorf("observed %q, want %q", seen.list, want)
			}
		})
	}
	t.Run("before it began", func(t *testing.T) {
		r := (&resolver{udp: says()}).start(t)
		tr, err := transport.New([]string{r.address}, transport.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := tr.Exchange(ctx, query()); !errors.Is(err, context.Canceled) || len(r.asked()) != 0 {
			t.Errorf("got %v, and the server heard %q", err, r.asked())
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	r := (&resolver{udp: says(truncated), tcp: saysTCP()}).start(t)
	var seen events
	tr, err := transport.New([]string{r.address}, transport.Options{Observe: seen.observe})
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
		t.Errorf("%d events of 16 queries over UDP and TCP", len(seen.list))
	}
	if n := r.connections(); n != 1 {
		t.Errorf("%d TCP connections for what one can carry", n)
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
	usual := file("usual", "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\n")
	empty := file("empty", "search example.org\n")
	odd := file("odd", "nameserver resolver.example\nnameserver 192.0.2.1\nnameserver\n")
	useless := file("useless", "nameserver resolver.example\n")

	for i, story := range []struct {
		servers []string
		conf    string
		want    []string
		says    string // in the error, where there are none
	}{
		{[]string{"192.0.2.53"}, usual, []string{"192.0.2.53:53"}, ""},
		{[]string{"192.0.2.53:5353", "udp://192.0.2.54", "tcp://192.0.2.55"}, usual, []string{"192.0.2.53:5353", "192.0.2.54:53", "tcp://192.0.2.55:53"}, ""},
		{[]string{"2001:db8::53", "[2001:db8::54]", "[2001:db8::55]:5353"}, usual, []string{"[2001:db8::53]:53", "[2001:db8::54]:53", "[2001:db8::55]:5353"}, ""},
		{[]string{"system"}, usual, []string{"192.0.2.1:53", "[2001:db8::1]:53"}, ""},
		{[]string{"192.0.2.1", "system", "udp://192.0.2.1:53"}, usual, []string{"192.0.2.1:53", "[2001:db8::1]:53"}, ""},
		{[]string{"system"}, empty, []string{"127.0.0.1:53"}, ""},
		{[]string{"system"}, odd, []string{"192.0.2.1:53"}, ""},
		{[]string{"system"}, useless, nil, "none of the 1"},
		{[]string{"system"}, filepath.Join(directory, "missing"), nil, "read the system's name servers"},
		{nil, usual, nil, "empty"},
		{[]string{""}, usual, nil, `resolver ""`},
		{[]string{"resolver.example"}, usual, nil, `resolver "resolver.example": want "system" or an address`},
		{[]string{"192.0.2.53:0"}, usual, nil, "port 0"},
		{[]string{"192.0.2.53:99999"}, usual, nil, "want"},
		{[]string{"https://192.0.2.53"}, usual, nil, "want udp://, tcp:// or tls://"},
		{[]string{"tls://192.0.2.53", "tls://[2001:db8::53]:8853"}, usual, []string{"tls://192.0.2.53:853", "tls://[2001:db8::53]:8853"}, ""},
		{[]string{"tls://192.0.2.53#DNS.Example.net.", "tls://192.0.2.53:853#dns.example.net", "tls://2001:db8::53#d"}, usual,
			[]string{"tls://192.0.2.53:853#dns.example.net", "tls://[2001:db8::53]:853#d"}, ""},
		{[]string{"tls://192.0.2.53", "tls://192.0.2.53#a", "tls://192.0.2.53#b"}, usual,
			[]string{"tls://192.0.2.53:853", "tls://192.0.2.53:853#a", "tls://192.0.2.53:853#b"}, ""},
		{[]string{"tls://dns.example.net"}, usual, nil, "no name can be looked up without a resolver"},
		{[]string{"tls://dns.example.net:853"}, usual, nil, "no name can be looked up without a resolver"},
		{[]string{"tls://192.0.2.53#"}, usual, nil, "the name in its certificate"},
		{[]string{"tls://192.0.2.53#192.0.2.53"}, usual, nil, "the name in its certificate"},
		{[]string{"tls://192.0.2.53#*.example.net"}, usual, nil, "the name in its certificate"},
		{[]string{"tls://192.0.2.53#-a.example"}, usual, nil, "the name in its certificate"},
		{[]string{"tls://192.0.2.53#a..example"}, usual, nil, "the name in its certificate"},
		{[]string{"tls://192.0.2.53#" + strings.Repeat("a", 64)}, usual, nil, "the name in its certificate"},
		{[]string{"tls://192.0.2.53:0"}, usual, nil, "port 0"},
		{[]string{"192.0.2.53#dns.example.net"}, usual, nil, "only a resolver over tls://"},
		{[]string{"tcp://192.0.2.53#dns.example.net"}, usual, nil, "only a resolver over tls://"},
	} {
		t.Run(strconv.Itoa(i)+" "+strings.Join(story.servers, " "), func(t *testing.T) {
			tr, err := transport.New(story.servers, transport.Options{ResolvConf: story.conf})
			if story.want == nil {
				if err == nil || !strings.Contains(err.Error(), story.says) {
					t.Errorf("error %v, want it to say %q", err, story.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tr.Servers(); !slices.Equal(got, story.want) {
				t.Errorf("%q, want %q", got, story.want)
			}
		})
	}
}
