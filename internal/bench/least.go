package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
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
	address, err := freeAddress()
	return &exporter{
		command: exec.Command(self, "-bare", strings.Join(w.addresses, ","), "-least", address, "-resolver", w.resolver), address: address,
		probe: func(worker int) url.Values { return url.Values{"target": {strconv.Itoa(worker)}} },
	}, err
}

const (
	leastLookups = 4 // MX, A, AAAA, TLSA
	leastAnswer  = 13 << 10
)

// serveLeast is that exporter.
func serveLeast(address, resolver string, servers []string) error {
	query := new(dns.Msg).SetQuestion("d0.example.org.", dns.TypeMX)
	query.SetEdns0(1232, true)
	packed, err := query.Pack()
	if err != nil {
		return err
	}
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
		for range leastLookups {
			if err := exchange(socket, packed); err != nil {
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
	return http.ListenAndServe(address, nil)
}

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
