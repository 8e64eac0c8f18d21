package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/internal/rollover"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// tlsaFlags are the flags of tlsa.
type tlsaFlags struct {
	cert, key, connect            string
	next                          string
	name                          string
	port                          uint16
	protocol                      string
	usage, selector, matchingType uint8
	services                      []string
	check                         bool
	wait                          time.Duration
	state                         string
	output                        string
	configFile                    string
}

// tlsaParameters are the numbers of a TLSA record that precede its data.
type tlsaParameters struct {
	usage        tlsa.Usage
	selector     tlsa.Selector
	matchingType tlsa.MatchingType
}

func (s *session) addTLSA(app *kingpin.Application, commands map[string]runFunc) {
	cmd := app.Command("tlsa", "Generate TLSA records in zone-file format: from a certificate, from a key whose certificate is not issued yet, or from a running server. "+
		"Exit codes are 0: success; with --check, the certificate or key is safe to serve. 1: all nameservers have its record, but it is not safe to serve yet. "+
		"2: a nameserver lacks a record that authenticates it, or serves records that do not validate. 3: no record could be made, or an address did not answer.")
	flags := newTLSAFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) exitCode { return s.tlsa(ctx, flags, internet{}) }
}

func newTLSAFlags(cmd *kingpin.CmdClause) *tlsaFlags {
	f := new(tlsaFlags)
	cmd.Flag("cert", "File with a certificate, as PEM or DER, or with the chain of a server as PEM. Usages 3 and 1 use the first certificate, usages 2 and 0 the first issuer whose record authenticates the server.").StringVar(&f.cert)
	cmd.Flag("key", "File with a public key, private key or certificate request, as PEM or DER.").StringVar(&f.key)
	cmd.Flag("connect", "Server to get the certificate from: host:port, or address:port with --name.").StringVar(&f.connect)
	cmd.Flag("starttls", "Protocol of the server before TLS; tls is TLS from the first byte. Default: the protocol of the port, such as smtp for 25, otherwise tls. One of: "+strings.Join(starttls.Names(), ", ")+".").EnumVar(&f.protocol, starttls.Names()...)
	cmd.Flag("next", "File with the next certificate, key or certificate request. Its record is added, for a rollover.").StringVar(&f.next)
	cmd.Flag("name", "Host of the records. Default: the host of --connect.").StringVar(&f.name)
	cmd.Flag("port", "Port of the records. Default: the port of --connect, otherwise 25.").Uint16Var(&f.port)
	cmd.Flag("usage", "Certificate usage: 3 (DANE-EE) server certificate, 2 (DANE-TA) issuer certificate, 1 (PKIX-EE) and 0 (PKIX-TA) the same with Web PKI validation.").Default("3").Uint8Var(&f.usage)
	cmd.Flag("selector", "Selector: 1 public key, 0 whole certificate.").Default("1").Uint8Var(&f.selector)
	cmd.Flag("type", "Matching type: 1 SHA-256, 2 SHA-512, 0 the full data.").Default("1").Uint8Var(&f.matchingType)
	cmd.Flag("service", "Port of the records, with or without the protocol of its clients, such as 25/smtp. Can be repeated. Default: --port.").StringsVar(&f.services)
	cmd.Flag("check", "Query every nameserver of the zone. Check whether its records authenticate the certificate or key for DANE clients, and when it is safe to serve (RFC 7671 §8.1).").BoolVar(&f.check)
	cmd.Flag("wait", "With --check, repeat the check until the certificate or key is safe to serve, for at most this long. The command ends early if this time is too short.").DurationVar(&f.wait)
	cmd.Flag("state", "With --check, file that stores when each nameserver was first seen with the records. Later runs count the time from then.").StringVar(&f.state)
	cmd.Flag("output", "Output format: text or json.").Default(outputText).EnumVar(&f.output, outputText, outputJSON)
	cmd.Flag("config.file", helpConfigFile).StringVar(&f.configFile)
	return f
}

func (f *tlsaFlags) parameters() tlsaParameters {
	return tlsaParameters{tlsa.Usage(f.usage), tlsa.Selector(f.selector), tlsa.MatchingType(f.matchingType)}
}

// tlsa writes the records that the flags ask for.
func (s *session) tlsa(ctx context.Context, f *tlsaFlags, env environment) exitCode {
	code, err := s.writeTLSA(ctx, f, env)
	if err != nil {
		return s.failTLSA(err)
	}
	return code
}

func (s *session) failTLSA(err error) exitCode {
	s.printError(err)
	return exitUnknown
}

func (s *session) writeTLSA(ctx context.Context, f *tlsaFlags, env environment) (exitCode, error) {
	host, err := f.host()
	if err != nil {
		return exitUnknown, err
	}
	services, err := f.gatedServices(host)
	if err != nil {
		return exitUnknown, err
	}
	for _, service := range services {
		if int(f.usage) < len(service.verifier.Usages) && !service.verifier.Usages[f.usage] {
			return exitUnknown, fmt.Errorf("--usage %d: mail servers that connect to port %d do not use such records (RFC 7672 §3.1.3)", f.usage, service.port)
		}
	}
	var prober *probe.Prober
	var module probe.Module
	if f.check || f.connect != "" {
		if prober, module, err = s.tlsaProber(f, env); err != nil {
			return exitUnknown, err
		}
	}
	code := exitOK
	verifier := tlsa.Verifier{Usages: tlsa.Client(), Names: []string{host.Name}, At: time.Now()}
	var sources []keySource
	if f.connect != "" {
		r := prober.ProbeUncached(ctx, host, f.module(module, host.Port))
		verifier.At, verifier.Roots = r.Verdict.At, r.Rules.Roots
		for _, service := range r.Verdict.Services {
			verifier.Names = append(verifier.Names, service.Names...)
		}
		if sources, err = s.servedSources(r); err != nil {
			return exitUnknown, err
		}
		if len(sources) < len(endpointsOf(r)) {
			code = exitUnknown
		}
	} else {
		source, err := readKeyFile(f.cert + f.key)
		if err != nil {
			return exitUnknown, fmt.Errorf("read certificate or key: %w", err)
		}
		sources = append(sources, source)
		if f.usage <= uint8(tlsa.PKIXEE) {
			verifier.Roots = systemRoots()
		}
	}
	if f.next != "" {
		next, err := readKeyFile(f.next)
		if err != nil {
			return exitUnknown, fmt.Errorf("read next certificate or key: %w", err)
		}
		sources = append(sources, next)
	}
	records, err := f.records(sources, verifier)
	if err != nil {
		return exitUnknown, err
	}
	out := s.newTLSAOutput(f)
	out.records(services, records)
	if f.check {
		checked, err := s.checkPublished(ctx, f, &gate{prober: prober, sources: sources, served: f.connect != "" && f.next == "",
			services: services, wait: f.wait, changed: out.changes}, verifier, out)
		if err != nil {
			return exitUnknown, err
		}
		code = worse(code, checked)
	}
	return code, out.flush()
}

// checkPublished runs a gate.
func (s *session) checkPublished(ctx context.Context, f *tlsaFlags, g *gate, verifier tlsa.Verifier, out tlsaOutput) (exitCode, error) {
	state, err := rollover.Load(f.state, time.Now())
	if err != nil && !errors.Is(err, rollover.ErrDamaged) {
		return exitUnknown, fmt.Errorf("read the state: %w", err)
	}
	if err != nil {
		s.printError(fmt.Errorf("the state is not used: %w", err))
	}
	g.state, g.statePath = state, f.state
	for _, service := range g.services {
		usages := service.verifier.Usages
		service.verifier = verifier
		service.verifier.Usages = usages
		if service.publication, err = state.Publication(service.owner(), g.key(service)); err != nil {
			s.printError(fmt.Errorf("the state is not used: %w", err))
		}
	}
	err = g.run(ctx)
	if err != nil && !errors.Is(err, errInterrupted) {
		return exitUnknown, err
	}
	now := time.Now()
	out.result(g, now)
	if err != nil { // the result is that of the last whole round
		s.printError(err)
		return exitUnknown, nil
	}
	return g.code(now), nil
}

// gatedServices returns the services of --service. Without it, it returns the one of --port.
func (f *tlsaFlags) gatedServices(host probe.Target) ([]*gatedService, error) {
	if len(f.services) > 0 && f.port != 0 {
		return nil, errors.New("--service and --port must not be used together")
	}
	texts := f.services
	if len(texts) == 0 {
		texts = []string{fmt.Sprintf("%d/%s", host.Port, cmp.Or(f.protocol, starttls.ByPort(host.Port).Name))}
	}
	var services []*gatedService
	for _, text := range texts {
		service, err := parseService(host.Name, text)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(services, func(s *gatedService) bool { return s.port == service.port }) {
			services = append(services, service)
		}
	}
	return services, nil
}

// submission is the SMTP port of mail clients, which are no relays (RFC 6409 §3.1).
const submission = 587

// parseService parses a value of --service.
func parseService(name, text string) (*gatedService, error) {
	number, protocol, _ := strings.Cut(text, "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("--service %s: must be a port, or a port and a protocol, such as 25/smtp", sanitize(text))
	}
	protocol = cmp.Or(protocol, starttls.ByPort(uint16(port)).Name)
	if _, ok := starttls.Lookup(protocol); !ok {
		return nil, fmt.Errorf("--service %s: the protocol must be one of %s", sanitize(text), strings.Join(starttls.Names(), ", "))
	}
	service := &gatedService{name: name, port: uint16(port), verifier: tlsa.Verifier{Usages: tlsa.Client()}}
	if protocol == "smtp" && port != submission {
		service.verifier.Usages = tlsa.SMTPRelay()
	}
	return service, nil
}

// host returns the host and port of the records.
func (f *tlsaFlags) host() (probe.Target, error) {
	sources := slices.DeleteFunc([]string{f.cert, f.key, f.connect}, func(s string) bool { return s == "" })
	if len(sources) != 1 {
		return probe.Target{}, errors.New("exactly one of --cert, --key and --connect is required")
	}
	text, flag, hostname := f.name, "--name", ""
	switch {
	case f.connect != "":
		text, flag, hostname = f.connect, "--connect", f.name
	case f.name == "":
		return probe.Target{}, errors.New("--name is required: the host of the records, such as mx.example.org")
	case f.protocol != "":
		return probe.Target{}, errors.New("--starttls requires --connect")
	}
	if !f.check && (f.wait != 0 || f.state != "") {
		return probe.Target{}, errors.New("--wait and --state require --check")
	}
	if f.wait < 0 {
		return probe.Target{}, errors.New("--wait must not be negative")
	}
	host, err := probe.ParseTarget(text, hostname, probe.Module{Discover: probe.DiscoverNone})
	if err != nil {
		return probe.Target{}, fmt.Errorf("%s: %w", flag, err)
	}
	switch {
	case host.Port != 0 && f.port != 0:
		return probe.Target{}, fmt.Errorf("the port is given twice, in %s and in --port", flag)
	case host.Port == 0 && f.port != 0:
		host.Port = f.port
	case host.Port == 0:
		host.Port = 25
	}
	return host, nil
}

// module returns the settings of the probe of --connect.
func (f *tlsaFlags) module(module probe.Module, port uint16) probe.Module {
	module.Discover, module.MTASTS, module.Nameservers = probe.DiscoverNone, false, false
	module.Protocol = cmp.Or(f.protocol, starttls.ByPort(port).Name)
	return module
}

// tlsaProber returns the prober for --connect and --check, and the default module.
func (s *session) tlsaProber(f *tlsaFlags, env environment) (*probe.Prober, probe.Module, error) {
	c, err := s.loadConfig(f.configFile)
	if err != nil {
		return nil, probe.Module{}, err
	}
	c = env.adjust(c)
	prober, err := newProber(c, env)
	return prober, c.Modules[config.DefaultModule], err
}

// servedSources returns the certificates of each address. It prints the errors of
// addresses that did not answer, and returns them if none did.
func (s *session) servedSources(r *probe.Report) ([]keySource, error) {
	var sources []keySource
	var failed []error
	for _, endpoint := range endpointsOf(r) {
		source, err := servedSource(endpoint)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		sources = append(sources, source)
	}
	if len(sources) == 0 && len(failed) == 0 {
		return nil, fmt.Errorf("%s: no address to connect to: %s", r.Target, strings.Join(reasons(r), ", "))
	}
	if len(sources) == 0 {
		return nil, errors.Join(failed...)
	}
	for _, err := range failed {
		s.printError(err)
	}
	return sources, nil
}

// servedSource returns the certificates of an endpoint.
func servedSource(e *dane.Endpoint) (keySource, error) {
	switch {
	case e.Err != nil:
		return keySource{}, e.Err
	case e.ALPNRefused:
		return keySource{}, fmt.Errorf("%s answers only without ALPN, so the certificate may be of another service", e.Address)
	}
	if e.Chain == nil || len(e.Chain.Certificates) == 0 {
		return keySource{}, fmt.Errorf("%s sends no certificate", e.Address)
	}
	leaf := e.Chain.Certificates[0]
	return keySource{name: e.Address.String(), certificate: leaf, chain: e.Chain.Certificates, served: true, spki: leaf.RawSubjectPublicKeyInfo}, nil
}

// namedRecord is a TLSA record and the names of its sources.
type namedRecord struct {
	record  tlsa.Record
	sources []string
}

// records returns the records of all sources, without duplicates. It returns an error
// if a record would not authenticate its server.
func (f *tlsaFlags) records(sources []keySource, verifier tlsa.Verifier) ([]namedRecord, error) {
	var all []namedRecord
	for _, source := range sources {
		record, err := source.record(f.parameters(), verifier)
		if err != nil {
			return nil, err
		}
		same := slices.IndexFunc(all, func(r namedRecord) bool { return r.record.String() == record.String() })
		if same >= 0 {
			all[same].sources = append(all[same].sources, source.name)
			continue
		}
		all = append(all, namedRecord{record, []string{source.name}})
	}
	return all, nil
}
