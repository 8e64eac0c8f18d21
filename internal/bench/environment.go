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
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/server"
	"dane_exporter/internal/lab/zone"
)

// environment is what the subjects connect to: mail servers at loopback addresses
// that share a port, and a resolver for their domains.
type environment struct {
	domains   []string // d0.example.org and so on
	addresses []string // of their mail hosts, with the port
	port      int      // of all mail servers
	resolver  string   // address of the resolver, with the port

	resolverSettings string // for dane_exporter, besides its address and the trust anchors; may be empty

	connections atomic.Int64 // accepted by all mail servers
	queries     atomic.Int64 // received by the resolver

	internet *zone.Internet
	closers  []func() error
}

// newEnvironment returns an environment with as many domains, each with a mail
// host at its own address: probes make one connection at a time to an
// address.
func newEnvironment(domains int) (_ *environment, err error) {
	env := new(environment)
	defer func() {
		if err != nil {
			env.close()
		}
	}()
	leaf, err := newLeaf("Bench")
	if err != nil {
		return nil, err
	}
	serve := goodMailServer(leaf)
	var records strings.Builder
	for i := range domains {
		ip := net.IPv4(127, 0, 1, byte(i+1))
		if err := env.listen(ip, serve); err != nil {
			return nil, err
		}
		env.domains = append(env.domains, fmt.Sprintf("d%d.example.org", i))
		fmt.Fprintf(&records, "d%d MX 10 mx%d\nmx%d A %s\n_%d._tcp.mx%d %s\n", i, i, i, ip, env.port, i, tlsaRecord(leaf))
	}
	if env.internet, err = zone.New(time.Now, zone.Zone{Apex: "org"}, zone.Zone{Apex: "example.org", Records: records.String()}); err != nil {
		return nil, err
	}
	return env, env.startResolver()
}

// newLeaf returns a certificate for mx.example.org of a new CA of that name.
func newLeaf(ca string) (*server.Certificate, error) {
	root, err := server.NewRoot(ca, time.Now())
	if err != nil {
		return nil, err
	}
	return root.Issue(server.Leaf{Names: []string{"mx.example.org"}})
}

// tlsaRecord returns the type and data of the 3 1 1 record of leaf.
func tlsaRecord(leaf *server.Certificate) string {
	return fmt.Sprintf("TLSA 3 1 1 %x", sha256.Sum256(leaf.PublicKey))
}

// goodMailServer returns a function that serves SMTP with the certificate on a connection.
func goodMailServer(leaf *server.Certificate) func(net.Conn) {
	smtp := server.SMTP{Name: "mx.example.org", TLS: server.TLSConfig(leaf.Chain())}
	return func(conn net.Conn) { smtp.Serve(context.Background(), conn) }
}

// listen starts a mail server at a loopback address. The kernel chooses the port
// at the first address. While that listener holds it, the kernel chooses another
// port for any other process, so it is free at the further addresses too.
func (env *environment) listen(ip net.IP, serve func(net.Conn)) error {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: ip, Port: env.port})
	if err != nil {
		return err
	}
	env.closers = append(env.closers, listener.Close)
	env.port = listener.Addr().(*net.TCPAddr).Port
	env.addresses = append(env.addresses, listener.Addr().String())
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			env.connections.Add(1)
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return nil
}

// startResolver serves DNS over UDP and TCP, with a cache of all responses: the
// resolver should cost little next to the exporters.
func (env *environment) startResolver() error {
	var cache sync.Map // packed responses, by transport and question
	packets, stream, err := listenDNS()
	if err != nil {
		return err
	}
	env.resolver = packets.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: packets}, {Listener: stream}} {
		s.Handler = dns.HandlerFunc(func(to dns.ResponseWriter, query *dns.Msg) {
			env.queries.Add(1)
			key := fmt.Sprint(s.PacketConn != nil, query.Question)
			packed, ok := cache.Load(key)
			if !ok {
				response, _, err := env.internet.Exchange(context.Background(), query)
				if err != nil {
					return
				}
				response.Compress = true
				if s.PacketConn != nil {
					response.Truncate(1232)
				}
				wire, err := response.Pack()
				if err != nil {
					return
				}
				packed, _ = cache.LoadOrStore(key, wire)
			}
			wire := slices.Clone(packed.([]byte))
			binary.BigEndian.PutUint16(wire, query.Id)
			_, _ = to.Write(wire)
		})
		go s.ActivateAndServe()
		env.closers = append(env.closers, s.Shutdown)
	}
	return nil
}

// listenDNS listens on one port of both UDP and TCP. The kernel chooses a port
// that is free on TCP. If another process has it on UDP, the next one is tried.
func listenDNS() (packets net.PacketConn, stream net.Listener, err error) {
	for range 100 {
		if stream, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if packets, err = net.ListenPacket("udp4", stream.Addr().String()); err == nil {
			// A burst of queries must not be lost. The kernel may allow less.
			_ = packets.(*net.UDPConn).SetReadBuffer(4 << 20)
			return packets, stream, nil
		}
		stream.Close()
	}
	return nil, nil, err
}

// close stops all servers.
func (env *environment) close() {
	for _, end := range env.closers {
		_ = end()
	}
}

// anchors returns the trust anchors in zone-file form.
func (env *environment) anchors() string {
	var text strings.Builder
	for _, ds := range env.internet.Anchors() {
		text.WriteString(ds.String() + "\n")
	}
	return text.String()
}
