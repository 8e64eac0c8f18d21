package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// world is a mail server at several loopback addresses, since nobody makes two
// connections at once to one, and a resolver that knows a domain for each.
type world struct {
	names     []string // d0.example.org and so on
	addresses []string // of their mail hosts, with the port
	port      int
	resolver  string
	internet  *zone.Internet
	closers   []func() error
}

func newWorld(hosts int) (*world, error) {
	authority, err := server.NewRoot("Bench", time.Now())
	if err != nil {
		return nil, err
	}
	leaf, err := authority.Issue(server.Leaf{Names: []string{"mx.example.org"}})
	if err != nil {
		return nil, err
	}
	smtp := server.SMTP{Name: "mx.example.org", TLS: server.Always(leaf.Chain())}
	w := &world{}
	var records strings.Builder
	for i := range hosts {
		ip := net.IPv4(127, 0, 1, byte(i+1))
		listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: ip, Port: w.port})
		if err != nil {
			w.close()
			return nil, err
		}
		w.closers = append(w.closers, listener.Close)
		w.port = listener.Addr().(*net.TCPAddr).Port
		go accept(listener, smtp)
		w.names = append(w.names, fmt.Sprintf("d%d.example.org", i))
		w.addresses = append(w.addresses, listener.Addr().String())
		fmt.Fprintf(&records, "d%d MX 10 mx%d\nmx%d A %s\n_%d._tcp.mx%d TLSA 3 1 1 %x\n", i, i, i, ip, w.port, i, sha256.Sum256(leaf.PublicKey))
	}
	if w.internet, err = zone.New(time.Now, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records.String()}); err != nil {
		w.close()
		return nil, err
	}
	if err := w.resolve(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func accept(listener net.Listener, smtp server.SMTP) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			smtp.Serve(context.Background(), conn)
		}()
	}
}

// resolve answers DNS over UDP and TCP, with what it has answered before where
// it can, as a resolver does.
func (w *world) resolve() error {
	var known sync.Map // responses, by question
	packets, stream, err := listenDNS()
	if err != nil {
		return err
	}
	w.resolver = packets.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: packets}, {Listener: stream}} {
		s.Handler = dns.HandlerFunc(func(to dns.ResponseWriter, query *dns.Msg) {
			key := fmt.Sprint(s.PacketConn != nil, query.Question)
			packed, ok := known.Load(key)
			if !ok {
				response, _, err := w.internet.Exchange(context.Background(), query)
				if err != nil {
					return
				}
				if s.PacketConn != nil {
					response.Truncate(1232)
				}
				wire, err := response.Pack()
				if err != nil {
					return
				}
				packed, _ = known.LoadOrStore(key, wire)
			}
			wire := slices.Clone(packed.([]byte))
			binary.BigEndian.PutUint16(wire, query.Id)
			_, _ = to.Write(wire)
		})
		go s.ActivateAndServe()
		w.closers = append(w.closers, s.Shutdown)
	}
	return nil
}

// listenDNS listens on one port of both UDP and TCP. The kernel chooses a port
// that is free on TCP; where another process has it on UDP, the next one is tried.
func listenDNS() (packets net.PacketConn, stream net.Listener, err error) {
	for range 100 {
		if stream, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if packets, err = net.ListenPacket("udp4", stream.Addr().String()); err == nil {
			return packets, stream, nil
		}
		stream.Close()
	}
	return nil, nil, err
}

func (w *world) close() {
	for _, end := range w.closers {
		_ = end()
	}
}

// anchors are the trust anchors in zone-file form.
func (w *world) anchors() string {
	var text strings.Builder
	for _, ds := range w.internet.Anchors() {
		text.WriteString(ds.String() + "\n")
	}
	return text.String()
}
