package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"dane_exporter/internal/discovery"
)

// discover handles /sd: the targets of the sources, for http_sd_configs of Prometheus. It
// returns status 503 until all targets are known. Prometheus then keeps its targets.
func (s *Server) discover(w http.ResponseWriter, r *http.Request) {
	query, err := parseDiscoveryQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	targets, err := s.Discovery.Targets(query)
	if _, incomplete := errors.AsType[*discovery.NotReadyError](err); incomplete {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	switch {
	case errors.Is(err, discovery.ErrNoSources):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, "parameter source: "+err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/json")
		writeShared(w, targets)
	}
}

// maxShards is the largest number of parts of the targets.
const maxShards = 1000

// parseDiscoveryQuery parses the query string of /sd. The error is one line that names the
// parameter and its allowed values.
func parseDiscoveryQuery(text string) (discovery.Query, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return discovery.Query{}, errors.New("invalid query string; use /sd, /sd?by=mx, /sd?source=NAME or /sd?shard=1/8")
	}
	for key, given := range values {
		switch {
		case !slices.Contains([]string{"by", "source", "shard"}, key):
			return discovery.Query{}, fmt.Errorf("unknown parameter %.40q; allowed: by, source, shard", key)
		case len(given) > 1:
			return discovery.Query{}, fmt.Errorf("parameter %s is given %d times; it must be given once", key, len(given))
		}
	}
	query := discovery.Query{By: discovery.ByDomain, Source: values.Get("source")}
	if values.Has("by") {
		query.By = discovery.By(values.Get("by"))
	}
	if query.By != discovery.ByDomain && query.By != discovery.ByMX {
		return discovery.Query{}, fmt.Errorf("parameter by: %.40q is not one of: domain, mx", query.By)
	}
	if values.Has("source") && query.Source == "" { // such as of a variable that is not set
		return discovery.Query{}, errors.New("parameter source is empty; without it, /sd has the targets of all sources")
	}
	if values.Has("shard") {
		shard, shards, _ := strings.Cut(values.Get("shard"), "/")
		var errShard, errShards error
		query.Shard, errShard = strconv.Atoi(shard)
		query.Shards, errShards = strconv.Atoi(shards)
		if errors.Join(errShard, errShards) != nil || query.Shards < 1 || query.Shards > maxShards || query.Shard < 1 || query.Shard > query.Shards {
			return discovery.Query{}, fmt.Errorf("parameter shard: %.40q is not a shard such as 1/8; at most %d shards are allowed", values.Get("shard"), maxShards)
		}
	}
	return query, nil
}
