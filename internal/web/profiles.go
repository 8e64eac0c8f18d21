package web

import (
	"net/http"
	"net/http/pprof"
)

// profiles serves what Go knows of the running process: memory, goroutines,
// CPU time. It costs time to make, and tells names of functions and targets, so
// it is there only where it was asked for.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
