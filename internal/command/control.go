package command

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"dane_exporter/internal/lab"
)

// control listens for orders to break the lab's domains while it runs; an empty
// address: nowhere. end stops it.
func (s *session) control(address string, l *lab.Lab) (end func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--lab.control-address: %w", err)
	}
	server := &http.Server{Handler: controls(l), ReadTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	fmt.Fprintf(s.stdout, "Break a domain: curl -X POST 'http://%s/break?scenario=good&fault=new-certificate'; faults: %q\n\n", listener.Addr(), lab.Faults())
	return func() { _ = server.Close() }, nil
}

// controls is the form of the orders.
func controls(l *lab.Lab) http.Handler {
	orders := http.NewServeMux()
	orders.HandleFunc("POST /break", func(w http.ResponseWriter, r *http.Request) {
		scenario, fault := r.URL.Query().Get("scenario"), lab.Fault(r.URL.Query().Get("fault"))
		if err := l.Break(scenario, fault); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s: %s\n", scenario, fault)
	})
	return orders
}
