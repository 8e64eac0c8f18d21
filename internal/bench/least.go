package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// leastExporter is the bare handshake as an exporter would have to make it, and
// nothing else: asked over HTTP, after the datagrams of four look-ups, which it
// does not read, and with an answer as long as ours, which says nothing.
func leastExporter(w *world) (*exporter, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	probe := func(worker int) url.Values { return url.Values{"target": {strconv.Itoa(worker)}} }
	return newExporter(probe, self, "-bare", strings.Join(w.addresses, ","), "-least", w.resolver)
}

const (
	// leastAnswer is about as long as the answer of dane_exporter to the same probe.
	leastAnswer = 12 << 10
	// leastSlack is what dane_exporter holds too, so that garbage is collected seldom.
	leastSlack = 24 << 20
)

// serveLeast is that exporter. It serves at the listener that it inherited.
func serveLeast(resolver string, servers []string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	queries, err := lookups(servers[0])
	if err != nil {
		return err
	}
	slack := make([]byte, leastSlack)
	defer runtime.KeepAlive(slack)
	sockets := make(chan net.Conn, 64)
	for range cap(sockets) {
		socket, err := net.Dial("udp", resolver)
		if err != nil {
			return err
		}
		sockets <- socket
	}
	page := append([]byte("probe_success 1\n"), bytes.Repeat([]byte("# nothing\n"), leastAnswer/10)...)
	http.Handle("/metrics", promhttp.Handler())
	http.HandleFunc("/probe", func(w http.ResponseWriter, r *http.Request) {
		socket := <-sockets
		defer func() { sockets <- socket }()
		for _, query := range queries {
			if err := exchange(socket, query); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		worker, err := strconv.Atoi(r.URL.Query().Get("target"))
		if err == nil {
			err = shakeHands(servers[worker])
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(page)))
		_, _ = w.Write(page)
	})
	return http.Serve(listener, nil)
}

// lookups are the queries of one probe, ready to be sent.
func lookups(server string) (queries [][]byte, err error) {
	_, port, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	for _, q := range []struct {
		name  string
		qtype uint16
	}{
		{"d0.example.org.", dns.TypeMX},
		{"mx0.example.org.", dns.TypeA},
		{"mx0.example.org.", dns.TypeAAAA},
		{"_" + port + "._tcp.mx0.example.org.", dns.TypeTLSA},
	} {
		query := new(dns.Msg).SetQuestion(q.name, q.qtype)
		query.SetEdns0(1232, true)
		packed, err := query.Pack()
		if err != nil {
			return nil, err
		}
		queries = append(queries, packed)
	}
	return queries, nil
}

// exchange sends a query and takes the next datagram for its answer.
func exchange(socket net.Conn, query []byte) error {
	if err := socket.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := socket.Write(query); err != nil {
		return fmt.Errorf("ask the resolver: %w", err)
	}
	var response [4096]byte
	if _, err := socket.Read(response[:]); err != nil {
		return fmt.Errorf("ask the resolver: %w", err)
	}
	return nil
}
