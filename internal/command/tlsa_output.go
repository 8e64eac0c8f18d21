package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"dane_exporter/internal/rollover"
)

// tlsaOutput writes the results of tlsa.
type tlsaOutput interface {
	records([]*gatedService, []namedRecord)
	changes(*gatedService, time.Time, []rollover.Observation)
	result(*gate, time.Time)
	flush() error
}

func (s *session) newTLSAOutput(f *tlsaFlags) tlsaOutput {
	if f.output == outputJSON {
		return &tlsaJSON{w: s.stdout, document: tlsaDocument{Schema: 1}}
	}
	return tlsaText{w: s.stdout, timed: f.wait > 0, several: len(f.services) > 1}
}

// tlsaText writes records in zone-file format, and everything else as comments.
type tlsaText struct {
	w       io.Writer
	timed   bool // lines about nameservers begin with the time
	several bool // lines about nameservers have the owner of the records
}

// records writes the records. If there are several, a comment before each names its
// sources.
func (o tlsaText) records(services []*gatedService, records []namedRecord) {
	for _, service := range services {
		for _, r := range records {
			if len(records) > 1 {
				fmt.Fprintf(o.w, "; from %s\n", sanitize(strings.Join(r.sources, ", ")))
			}
			fmt.Fprintf(o.w, "%s IN TLSA %s\n", service.owner(), r.record)
		}
	}
}

func (o tlsaText) changes(service *gatedService, at time.Time, changes []rollover.Observation) {
	prefix := "; "
	if o.timed {
		prefix += stamp(at) + " "
	}
	if o.several {
		prefix += service.owner() + " "
	}
	for _, c := range changes {
		server := c.Nameserver
		if c.Address != "" {
			server += " (" + c.Address + ")"
		}
		fmt.Fprintf(o.w, "%s%s: %s: %s\n", prefix, sanitize(server), c.Status, sanitize(c.Why))
	}
	if safe := service.publication.Safe(); o.timed && !safe.IsZero() {
		fmt.Fprintf(o.w, "%spublished at all nameservers since %s, TTL %s: safe to serve at %s\n", prefix, stamp(service.publication.Complete()), service.publication.TTL, stamp(safe))
	}
}

func (o tlsaText) result(g *gate, now time.Time) {
	switch code := g.code(now); {
	case code == exitOK && g.served:
		fmt.Fprintln(o.w, "; published at all nameservers")
	case code == exitOK:
		fmt.Fprintln(o.w, "; safe to serve now")
	case code == exitWarning && g.statePath == "" && g.wait == 0:
		fmt.Fprintf(o.w, "; safe to serve at %s, if nothing changes. Without --wait or --state, the time before now does not count.\n", stamp(g.safe()))
	case code == exitWarning:
		fmt.Fprintf(o.w, "; safe to serve at %s, if nothing changes\n", stamp(g.safe()))
	case code == exitUnknown:
		fmt.Fprintln(o.w, "; not known whether it is safe to serve: the answer of a nameserver is unknown")
	default:
		fmt.Fprintln(o.w, "; not safe to serve: DANE clients would not authenticate it")
	}
}

func (o tlsaText) flush() error { return nil }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// tlsaJSON collects a document, and writes it at the end.
type tlsaJSON struct {
	w        io.Writer
	document tlsaDocument
}

// tlsaDocument is the output of tlsa --output json.
type tlsaDocument struct {
	Schema   int           `json:"schema"`
	Records  []tlsaRecord  `json:"records"`
	Safe     *bool         `json:"safe,omitempty"`    // with --check: whether all keys are safe to serve now
	SafeAt   *time.Time    `json:"safe_at,omitempty"` // when they are; nil if that is not known
	Services []tlsaService `json:"services,omitempty"`
}

type tlsaRecord struct {
	Owner   string   `json:"owner"`
	Record  string   `json:"record"`
	Sources []string `json:"sources"`
}

type tlsaService struct {
	Owner         string           `json:"owner"`
	Status        rollover.Status  `json:"status"` // the worst of its nameservers
	CompleteSince *time.Time       `json:"complete_since,omitempty"`
	SafeAt        *time.Time       `json:"safe_at,omitempty"`
	TTLSeconds    int64            `json:"ttl_seconds"`
	Nameservers   []tlsaNameserver `json:"nameservers"`
}

type tlsaNameserver struct {
	Name       string          `json:"name"` // the queried name: the owner of the records, or an alias
	Nameserver string          `json:"nameserver"`
	Address    string          `json:"address,omitempty"`
	Status     rollover.Status `json:"status"`
	Detail     string          `json:"detail"`
	Since      *time.Time      `json:"since,omitempty"`
}

func (o *tlsaJSON) records(services []*gatedService, records []namedRecord) {
	for _, service := range services {
		for _, r := range records {
			o.document.Records = append(o.document.Records, tlsaRecord{service.owner(), r.record.String(), r.sources})
		}
	}
}

func (*tlsaJSON) changes(*gatedService, time.Time, []rollover.Observation) {}

func (o *tlsaJSON) result(g *gate, now time.Time) {
	safe := g.code(now) == exitOK
	o.document.Safe = &safe
	if !g.served {
		o.document.SafeAt = optional(g.safe())
	}
	for _, service := range g.services {
		p := service.publication
		s := tlsaService{Owner: service.owner(), Status: p.Status(), TTLSeconds: int64(p.TTL / time.Second), CompleteSince: optional(p.Complete()), Nameservers: []tlsaNameserver{}}
		if !g.served {
			s.SafeAt = optional(p.Safe())
		}
		for _, server := range p.Servers() {
			s.Nameservers = append(s.Nameservers, tlsaNameserver{server.Name, server.Nameserver, server.Address, server.Status, server.Why, optional(p.Since[server.Key()])})
		}
		o.document.Services = append(o.document.Services, s)
	}
}

// optional returns t in UTC, or nil if it is zero.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (o *tlsaJSON) flush() error {
	encoder := json.NewEncoder(o.w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(o.document)
}
