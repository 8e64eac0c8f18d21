package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const testKey = `key "transfer.example" {
	algorithm hmac-sha256;
	secret "c2VjcmV0IG9mIHRoZSB0ZXN0IHdpdGggMzIgYnl0ZXM=";
};
`

func parsedKey(t testing.TB) tsigKey {
	t.Helper()
	key, err := parseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParseKey(t *testing.T) {
	secret := "c2VjcmV0"
	for _, c := range []struct{ name, text, want string }{
		{"of tsig-keygen", testKey, ""},
		{"on one line, without quotes", "key k. { algorithm HMAC-SHA512; secret " + secret + "; };", ""},
		{"with comments", "# hmac-sha256:k:" + secret + "\n// more\n/* and more */\nkey k { secret \"" + secret + "\"; algorithm hmac-sha384; };\n", ""},
		{"a secret with slashes", `key k { algorithm hmac-sha256; secret "//8/"; };`, ""},
		{"empty", "", "must have one key"},
		{"two keys", testKey + testKey, "must have one key"},
		{"an unknown algorithm", "key k { algorithm hmac-md5; secret " + secret + "; };", "algorithm"},
		{"no secret", "key k { algorithm hmac-sha256; };", "secret"},
		{"a secret that is not Base64", "key k { algorithm hmac-sha256; secret \"s3cret!\"; };", "secret"},
		{"another statement", "zone k { type primary; };", "must have one key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := parseKey(c.text)
			switch {
			case c.want == "" && (err != nil || len(key.secret) == 0 || !dns.IsFqdn(key.name) || hashes[key.algorithm] == nil):
				t.Errorf("%+v, %v", key, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")):
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		})
	}
}

// primary is a nameserver for one connection at a time. It answers each query by a
// function that writes messages.
type primary struct {
	key    tsigKey
	mu     sync.Mutex
	answer func(p *response) error // nil: connections are refused
	asked  []string
}

// set changes how the primary answers. It forgets the queries so far.
func (p *primary) set(answer func(*response) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer, p.asked = answer, nil
}

// response writes the messages of one response, and signs those that are to be signed.
type response struct {
	conn    net.Conn
	key     tsigKey
	query   *dns.Msg
	mac     string
	later   bool
	pending []byte
}

func (p *primary) dial(ctx context.Context, _ string) (net.Conn, error) {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		for {
			var length [2]byte
			if _, err := io.ReadFull(server, length[:]); err != nil {
				return
			}
			wire := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(server, wire); err != nil {
				return
			}
			query := new(dns.Msg)
			if err := query.Unpack(wire); err != nil || query.IsTsig() == nil {
				return
			}
			p.mu.Lock()
			p.asked = append(p.asked, dns.TypeToString[query.Question[0].Qtype])
			p.mu.Unlock()
			if err := answer(&response{conn: server, key: p.key, query: query, mac: query.IsTsig().MAC}); err != nil {
				return
			}
		}
	}()
	return client, ctx.Err()
}

// send writes a message with records.
func (r *response) send(signed bool, all ...dns.RR) error {
	m := new(dns.Msg)
	m.SetReply(r.query)
	if r.later {
		m.Question = nil
	}
	m.Answer = all
	return r.sendMessage(signed, m)
}

func (r *response) sendMessage(signed bool, m *dns.Msg) error {
	m.Compress = true
	wire, err := m.Pack()
	if err != nil {
		return err
	}
	if signed {
		m.SetTsig(r.key.name, r.key.algorithm, 300, time.Now().Unix())
		wire, r.mac, err = dns.TsigGenerateWithProvider(m, pendingSigner{r}, r.mac, r.later)
		if err != nil {
			return err
		}
		r.pending = nil
	} else {
		r.pending = append(r.pending, wire...)
	}
	r.later = true
	_, err = r.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...))
	return err
}

// pendingSigner signs a message together with the unsigned ones before it.
type pendingSigner struct{ r *response }

func (s pendingSigner) Generate(data []byte, _ *dns.TSIG) ([]byte, error) {
	prior := 2 + len(s.r.mac)/2
	return s.r.key.mac(slices.Concat(data[:prior], s.r.pending, data[prior:])), nil
}

func (pendingSigner) Verify([]byte, *dns.TSIG) error { return errors.New("not used") }

// catalogOf answers with a catalog zone.
func catalogOf(t testing.TB, serial uint32, members ...string) func(*response) error {
	soa := soaOf(t, serial)
	all := append([]dns.RR{soa}, records(t, "version TXT 2\n")...)
	for i, member := range members {
		all = append(all, records(t, fmt.Sprintf("n%d.zones PTR %s.\n", i, member))...)
	}
	all = append(all, soa)
	return func(r *response) error {
		if r.query.Question[0].Qtype == dns.TypeSOA {
			return r.send(true, soa)
		}
		return r.send(true, all...)
	}
}

func soaOf(t testing.TB, serial uint32) dns.RR {
	return records(t, fmt.Sprintf("@ SOA . . %d 3600 600 86400 60\n", serial))[0]
}

// newZone returns a loader that transfers catalog.example from p.
func newZone(t testing.TB, p *primary) *zoneLoader {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	writeList(t, file, testKey)
	if p.key.name == "" {
		p.key = parsedKey(t)
	}
	return &zoneLoader{
		source: Source{Name: "hosting", Zone: "catalog.example", Members: MembersCatalog, Primary: "192.0.2.1", TSIGFile: file},
		dial:   p.dial, transfers: make(chan struct{}, 1),
	}
}

// TestZoneLoader checks when a zone is transferred: first, and when its serial number has
// increased (RFC 1982).
func TestZoneLoader(t *testing.T) {
	p := &primary{}
	l := newZone(t, p)
	for _, c := range []struct {
		serial  uint32
		members []string
		asked   string
		want    []string
		wait    time.Duration
		fails   string
	}{
		{1, []string{"a.example", "b.example"}, "SOA AXFR", []string{"a.example", "b.example"}, time.Hour, ""},
		{1, []string{"c.example"}, "SOA", nil, time.Hour, ""},
		{2, []string{"c.example"}, "SOA AXFR", []string{"c.example"}, time.Hour, ""},
		{1, []string{"d.example"}, "SOA", nil, 10 * time.Minute, "decreased from 2 to 1"},
		{2 + 1<<31 - 1, []string{"d.example"}, "SOA AXFR", []string{"d.example"}, time.Hour, ""},
		{2 + 1<<31 - 1 + 1<<30, []string{"d.example"}, "SOA AXFR", []string{"d.example"}, time.Hour, ""},
		{5, []string{"e.example"}, "SOA AXFR", []string{"e.example"}, time.Hour, ""},
	} {
		p.set(catalogOf(t, c.serial, c.members...))
		read, wait, err := l.load(t.Context())
		var got []string
		if read.list != nil {
			got = read.list.names()
		}
		if !slices.Equal(got, c.want) || wait != c.wait || strings.Join(p.asked, " ") != c.asked || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("serial %d: asked %q, %q, next in %s, %v; want %q, %q, %s, %q", c.serial, p.asked, got, wait, err, c.asked, c.want, c.wait, c.fails)
		}
	}
}

// The times of the SOA record are limited.
func TestWaitIsBounded(t *testing.T) {
	for given, want := range map[uint32]time.Duration{0: minWait, 1: minWait, 3600: time.Hour, 1 << 31: maxWait} {
		if got := seconds(given); got != want {
			t.Errorf("%d: %s, want %s", given, got, want)
		}
	}
}

// TestTransfer checks which responses are a complete and authentic zone.
func TestTransfer(t *testing.T) {
	soa, next := soaOf(t, 7), soaOf(t, 8)
	version := records(t, "version TXT 2\n")[0]
	member := func(i int) dns.RR {
		return records(t, fmt.Sprintf("n%d.zones PTR m%d.example.\n", i, i))[0]
	}
	for _, c := range []struct {
		name   string
		answer func(r *response) error
		want   int    // number of domains
		fails  string // part of the error
	}{
		{"one message", func(r *response) error { return r.send(true, soa, version, member(1), soa) }, 1, ""},
		{"several signed messages", func(r *response) error {
			return errors.Join(r.send(true, soa), r.send(true, version, member(1)), r.send(true, member(2)), r.send(true, soa))
		}, 2, ""},
		{"unsigned messages between signed ones", func(r *response) error {
			return errors.Join(r.send(true, soa, version), r.send(false, member(1)), r.send(false, member(2)), r.send(true, member(3)), r.send(false, member(4)), r.send(true, soa))
		}, 4, ""},
		{"99 unsigned messages", func(r *response) error {
			err := r.send(true, soa, version)
			for i := range 99 {
				err = errors.Join(err, r.send(false, member(i)))
			}
			return errors.Join(err, r.send(true, soa))
		}, 99, ""},
		{"100 unsigned messages", func(r *response) error {
			err := r.send(true, soa, version)
			for i := range 100 {
				err = errors.Join(err, r.send(false, member(i)))
			}
			return errors.Join(err, r.send(true, soa))
		}, 0, "not signed"},
		{"no signature", func(r *response) error { return r.send(false, soa, version, member(1), soa) }, 0, "not signed"},
		{"the first message is not signed", func(r *response) error { return errors.Join(r.send(false, soa, version), r.send(true, soa)) }, 0, "not signed"},
		{"the last message is not signed", func(r *response) error { return errors.Join(r.send(true, soa, version), r.send(false, soa)) }, 0, "not signed"},
		{"an unsigned message was changed", func(r *response) error {
			err := errors.Join(r.send(true, soa, version), r.send(false, member(1)))
			r.pending[len(r.pending)-3] ^= 1
			return errors.Join(err, r.send(true, soa))
		}, 0, "signature"},
		{"the key has another secret", func(r *response) error {
			r.key.secret = []byte("other")
			return r.send(true, soa, version, soa)
		}, 0, "signature"},
		{"the key has another name", func(r *response) error {
			r.key.name = "other.example."
			return r.send(true, soa, version, soa)
		}, 0, "another key"},
		{"a signature of another query", func(r *response) error {
			r.mac = strings.Repeat("00", 32)
			return r.send(true, soa, version, soa)
		}, 0, "signature"},
		{"the connection ends before the zone", func(r *response) error {
			return errors.Join(r.send(true, soa, version, member(1)), r.conn.Close())
		}, 0, "EOF"},
		{"the zone changes during the transfer", func(r *response) error { return r.send(true, soa, version, next) }, 0, "starts with serial 7 and ends with 8"},
		{"records after the end", func(r *response) error { return r.send(true, soa, version, soa, member(1)) }, 0, "follow the end"},
		{"no SOA record at the start", func(r *response) error { return r.send(true, version, soa) }, 0, "does not start"},
		{"the SOA record of another zone", func(r *response) error {
			other := dns.Copy(soa)
			other.Header().Name = "other.example."
			return r.send(true, other, version, other)
		}, 0, "does not start"},
		{"another class", func(r *response) error {
			other := dns.Copy(version)
			other.Header().Class = dns.ClassCHAOS
			return r.send(true, soa, other, soa)
		}, 0, "class"},
		{"a response to another question", func(r *response) error {
			m := new(dns.Msg)
			m.SetReply(r.query)
			m.Question[0].Name = "other.example."
			m.Answer = []dns.RR{soa, version, soa}
			return r.sendMessage(true, m)
		}, 0, "another question"},
		{"another ID", func(r *response) error {
			r.query.Id++
			return r.send(true, soa, version, soa)
		}, 0, "not a response"},
		{"the primary refuses", func(r *response) error {
			m := new(dns.Msg)
			m.SetRcode(r.query, dns.RcodeRefused)
			return r.sendMessage(false, m)
		}, 0, "REFUSED"},
		{"no DNS message", func(r *response) error {
			_, err := r.conn.Write([]byte("\x00\x05HTTP/"))
			return err
		}, 0, "parse"},
		{"a broken catalog", func(r *response) error { return r.send(true, soa, member(1), soa) }, 0, "not a catalog zone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &primary{answer: func(r *response) error {
				if r.query.Question[0].Qtype == dns.TypeSOA {
					return r.send(true, soa)
				}
				return c.answer(r)
			}}
			read, _, err := newZone(t, p).load(t.Context())
			switch {
			case c.fails == "" && (err != nil || read.list.Len() != c.want):
				t.Errorf("%d domains, %v; want %d", read.list.Len(), err, c.want)
			case c.fails != "" && (err == nil || read.list != nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("%v, want an error with %q", err, c.fails)
			}
		})
	}
}

// A zone may have any size: the transfer ends at the limit of names.
func TestEndlessTransfer(t *testing.T) {
	soa, version := soaOf(t, 1), records(t, "version TXT 2\n")[0]
	sent := 0
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3)
	p := &primary{answer: func(r *response) error {
		if r.query.Question[0].Qtype == dns.TypeSOA {
			return r.send(true, soa)
		}
		err := r.send(true, soa, version)
		for err == nil {
			batch := make([]dns.RR, 200)
			for i := range batch {
				sent++
				batch[i] = &dns.PTR{Hdr: dns.RR_Header{Name: fmt.Sprintf("n%d.zones.catalog.example.", sent), Rrtype: dns.TypePTR, Class: dns.ClassINET}, Ptr: fmt.Sprintf("m%d.%sexample.", sent, long)}
			}
			err = r.send(true, batch...)
		}
		return err
	}}
	if _, _, err := newZone(t, p).load(t.Context()); !errors.Is(err, errTooManyNames) {
		t.Errorf("%v, want %v", err, errTooManyNames)
	}
}

// A transfer that sends nothing that counts ends with its context, and leaves no goroutine.
func TestTransferEndsWithContext(t *testing.T) {
	soa := soaOf(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	messages := 0
	p := &primary{answer: func(r *response) error {
		if r.query.Question[0].Qtype == dns.TypeSOA {
			return r.send(true, soa)
		}
		err := r.send(true, soa)
		for err == nil {
			if messages++; messages == 1000 {
				cancel()
			}
			err = r.send(true)
		}
		return err
	}}
	if _, _, err := newZone(t, p).load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
}

// There is one transfer at a time.
func TestOneTransferAtATime(t *testing.T) {
	p := &primary{answer: catalogOf(t, 1, "a.example")}
	l := newZone(t, p)
	l.transfers <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.load(ctx); !errors.Is(err, context.Canceled) || len(p.asked) > 0 {
		t.Errorf("%v, asked %q", err, p.asked)
	}
	<-l.transfers
	if _, _, err := l.load(t.Context()); err != nil || len(l.transfers) > 0 {
		t.Errorf("%v, %d transfers in progress", err, len(l.transfers))
	}
}
