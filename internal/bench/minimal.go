package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// minimalExporter returns an exporter that does the least that any exporter must
// do: for each HTTP request, four DNS exchanges whose responses it ignores, a bare
// handshake, and a response of the usual size with constant content.
func minimalExporter(env *environment) (*exporter, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	query := func(worker int) url.Values { return url.Values{"target": {strconv.Itoa(worker)}} }
	return newExporter(query, self, "-bare", strings.Join(env.addresses, ","), "-minimal", env.resolver)
}

const (
	// minimalResponse is about the size of dane_exporter's response to the same probe.
	minimalResponse = 12 << 10
	// minimalGCPercent is GOGC of dane_exporter while little memory is in use.
	minimalGCPercent = 600
)

// serveMinimal runs the minimal exporter on the listener that it inherited.
func serveMinimal(resolver string, servers []string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fmt.Errorf("use the inherited listener: %w", err)
	}
	queries, err := probeQueries(servers[0])
	if err != nil {
		return err
	}
	debug.SetGCPercent(minimalGCPercent)
	sockets := make(chan net.Conn, 64)
	for range cap(sockets) {
		socket, err := net.Dial("udp", resolver)
		if err != nil {
			return err
		}
		sockets <- socket
	}
	page := append([]byte("probe_success 1\n"), bytes.Repeat([]byte("# nothing\n"), minimalResponse/10)...)
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
			err = bareHandshake(servers[worker])
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

// probeQueries returns the packed DNS queries of one probe of a server.
func probeQueries(server string) (queries [][]byte, err error) {
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

// exchange sends a query and reads one datagram. It does not look at the response.
func exchange(socket net.Conn, query []byte) error {
	if err := socket.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := socket.Write(query); err != nil {
		return fmt.Errorf("query the resolver: %w", err)
	}
	var response [4096]byte
	if _, err := socket.Read(response[:]); err != nil {
		return fmt.Errorf("query the resolver: %w", err)
	}
	return nil
}
