package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// rawRecord returns a record with any RDATA.
func rawRecord(rrtype uint16, rdata ...byte) dns.RR {
	return &dns.RFC3597{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: rrtype, Class: dns.ClassINET, Ttl: 60}, Rdata: hex.EncodeToString(rdata)}
}

// rawMessage packs a message with one answer, and the given records.
func rawMessage(t *testing.T, authority, additional []dns.RR) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	m.Response, m.Compress = true, true
	m.Answer = []dns.RR{rawRecord(dns.TypeA, 192, 0, 2, 1)}
	m.Ns = authority
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range additional { // dns.Msg cannot pack a raw OPT record
		one := make([]byte, 512)
		end, err := dns.PackRR(rr, one, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		wire = append(wire, one[:end]...)
	}
	wire[additionalCount+1] = byte(len(additional))
	return wire
}

// TestUnpackAdditional checks that the additional section does not affect the
// others.
func TestUnpackAdditional(t *testing.T) {
	opt := func(ttl uint32, options ...byte) dns.RR {
		rr := rawRecord(dns.TypeOPT, options...)
		*rr.Header() = dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: 1232, Ttl: ttl}
		return rr
	}
	for _, c := range []struct {
		name       string
		additional []dns.RR
		cut        int // bytes at the end
		extra      int // records that remain
		rcode      int
	}{
		{"nothing wrong", []dns.RR{rawRecord(dns.TypeA, 192, 0, 2, 2), opt(0)}, 0, 2, 0},
		{"an address of three octets", []dns.RR{rawRecord(dns.TypeA, 192, 0, 2), rawRecord(dns.TypeA, 192, 0, 2, 2)}, 0, 1, 0},
		{"an option that is too long", []dns.RR{opt(0, 0, 10, 0, 200, 1)}, 0, 1, 0},
		{"a client subnet of a wrong family", []dns.RR{opt(0, 0, 8, 0, 4, 0, 9, 24, 0)}, 0, 1, 0},
		{"an extended error of one octet", []dns.RR{opt(0, 0, 15, 0, 1, 0)}, 0, 1, 0},
		{"an option that is too long, with an extended response code", []dns.RR{opt(1<<24, 0, 10, 0, 200, 1)}, 0, 1, dns.RcodeBadVers},
		{"cut off within the last record", []dns.RR{rawRecord(dns.TypeA, 192, 0, 2, 2), rawRecord(dns.TypeA, 192, 0, 2, 3)}, 2, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire := rawMessage(t, nil, c.additional)
			m, err := unpack(wire[:len(wire)-c.cut])
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Answer) != 1 || len(m.Extra) != c.extra || m.Rcode != c.rcode {
				t.Errorf("%d answers, %d additional records, response code %d: %s", len(m.Answer), len(m.Extra), m.Rcode, m)
			}
		})
	}
}

// TestUnpackMalformed checks that the other sections must be complete.
func TestUnpackMalformed(t *testing.T) {
	whole := rawMessage(t, []dns.RR{rawRecord(dns.TypeNS, 1, 'n', 0)}, nil)
	for n := range len(whole) {
		if m, err := unpack(whole[:n]); n != headerSize && !errors.Is(err, errMalformed) && n > 0 {
			t.Errorf("%d octets of %d: %v, %v", n, len(whole), m, err)
		}
	}
	for _, at := range []int{7, 9} {
		more := bytes.Clone(whole)
		more[at]++
		if _, err := unpack(more); !errors.Is(err, errShort) {
			t.Errorf("a count too high: %v", err)
		}
	}
	if _, err := unpack(rawMessage(t, []dns.RR{rawRecord(dns.TypeA, 1, 2, 3)}, nil)); !errors.Is(err, errMalformed) {
		t.Errorf("a wrong record in the authority section: %v", err)
	}
	loop := binary.BigEndian.AppendUint16(bytes.Clone(whole[:headerSize]), 0xc00c)
	if _, err := unpack(loop); err == nil {
		t.Error("a name that points to itself was accepted")
	}
}

// TestUnpackBitmaps checks that NSEC and NSEC3 records keep the form that they
// arrived in, if it is not the shortest.
func TestUnpackBitmaps(t *testing.T) {
	nsec3 := append([]byte{1, 0, 0, 0, 0, 20}, make([]byte, 20)...)
	for _, c := range []struct {
		name   string
		rrtype uint16
		rdata  []byte
		raw    bool
	}{
		{"NSEC", dns.TypeNSEC, []byte{1, 'b', 0, 0, 1, 0x40}, false},
		{"NSEC without types", dns.TypeNSEC, []byte{1, 'b', 0}, false},
		{"NSEC with a zero octet at the end", dns.TypeNSEC, []byte{1, 'b', 0, 0, 2, 0x40, 0}, true},
		{"NSEC with zero octets in the first of two blocks", dns.TypeNSEC, []byte{1, 'b', 0, 0, 3, 0x40, 0, 0, 1, 1, 0x40}, true},
		{"NSEC with a block of zeros", dns.TypeNSEC, []byte{1, 'b', 0, 0, 1, 0x40, 1, 1, 0}, true},
		{"NSEC3", dns.TypeNSEC3, append(bytes.Clone(nsec3), 0, 1, 0x40), false},
		{"NSEC3 with zero octets at the end", dns.TypeNSEC3, append(bytes.Clone(nsec3), 0, 4, 0x40, 0, 0, 0), true},
		{"another type", dns.TypeTXT, []byte{1, 'x', 0}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := unpack(rawMessage(t, []dns.RR{rawRecord(dns.TypeNS, 1, 'n', 0), rawRecord(c.rrtype, c.rdata...)}, nil))
			if err != nil {
				t.Fatal(err)
			}
			raw, isRaw := m.Ns[1].(*dns.RFC3597)
			if isRaw != c.raw {
				t.Fatalf("%T: %s", m.Ns[1], m.Ns[1])
			}
			if isRaw && (raw.Rdata != hex.EncodeToString(c.rdata) || raw.Hdr.Rrtype != c.rrtype || raw.Hdr.Name != "a.example.") {
				t.Errorf("%s", raw)
			}
		})
	}
}

// TestDiscardEarly checks that a datagram that is there before the query is sent is
// not taken for a response, even with the right ID.
func TestDiscardEarly(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		if _, err := server.WriteTo([]byte("early"), conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if err := discardEarly(conn); err != nil {
		t.Fatal(err)
	}
	if _, err := server.WriteTo([]byte("late"), conn.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 16)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := conn.Read(buffer)
	if err != nil || string(buffer[:n]) != "late" {
		t.Errorf("got %q, %v", buffer[:n], err)
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	if _, err := conn.Read(buffer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v after the last datagram", err)
	}
}

// FuzzUnpack checks that what dns.Msg accepts stays the same, but for raw records.
func FuzzUnpack(f *testing.F) {
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	m.SetEdns0(1232, true)
	m.Answer = []dns.RR{rawRecord(dns.TypeA, 192, 0, 2, 1)}
	m.Ns = []dns.RR{rawRecord(dns.TypeNSEC, 1, 'b', 0, 0, 2, 0x40, 0)}
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, message []byte) {
		response, err := unpack(message)
		whole := new(dns.Msg)
		if whole.Unpack(message) != nil {
			return
		}
		if err != nil {
			if !errors.Is(err, errShort) {
				t.Fatal(err)
			}
			return
		}
		for i, rr := range whole.Ns {
			if raw, ok := response.Ns[i].(*dns.RFC3597); ok && rr.Header().Rrtype == dns.TypeNSEC {
				parsed, _, err := dns.UnpackRRWithHeader(raw.Hdr, mustHex(t, raw.Rdata), 0)
				if err != nil || !dns.IsDuplicate(parsed, rr) {
					t.Fatalf("%s: %v, want %s", raw, err, rr)
				}
			}
		}
		if len(response.Answer) != len(whole.Answer) || len(response.Ns) != len(whole.Ns) || len(response.Extra) != len(whole.Extra) {
			t.Fatalf("%s\nwant %s", response, whole)
		}
	})
}

func mustHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
