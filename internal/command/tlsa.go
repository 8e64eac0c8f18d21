package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
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
	check                         bool
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
		"Exit codes are 0: success. 1: an address of the server did not answer. 2: --check finds that the records are not published as they should be. 3: no record could be made.")
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
	cmd.Flag("check", "Compare with the published records, after DNSSEC validation.").BoolVar(&f.check)
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
			code = exitWarning
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
	s.writeZoneLines(host, records)
	if f.check {
		code = worse(code, s.comparePublished(prober.LookupTLSA(ctx, host.Name, host.Port), records))
	}
	return code, nil
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
	prober, err := newProber(c, env, func(transport.Event) {})
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

// writeZoneLines writes the records in zone-file format. If there are several, a
// comment before each names its sources.
func (s *session) writeZoneLines(host probe.Target, records []namedRecord) {
	for _, r := range records {
		if len(records) > 1 {
			fmt.Fprintf(s.stdout, "; from %s\n", sanitize(strings.Join(r.sources, ", ")))
		}
		fmt.Fprintf(s.stdout, "%s IN TLSA %s\n", dane.TLSAOwner(host.Name, host.Port), r.record)
	}
}

// comparePublished writes, as comments, the differences between the published and
// the expected records.
func (s *session) comparePublished(answer dnssec.Answer, expected []namedRecord) exitCode {
	published := dane.TLSARecords(&answer)
	if answer.Status.Failed() || answer.Err != nil {
		fmt.Fprintf(s.stdout, "; the TLSA lookup is %s: %s\n", answer.Status, sanitize(answer.Why))
		if answer.Status == dnssec.Bogus && answer.Err == nil {
			return exitCritical
		}
		return exitUnknown
	}
	code := exitOK
	if answer.Status != dnssec.Secure {
		code = exitCritical
		fmt.Fprintf(s.stdout, "; the TLSA lookup is %s, so DANE clients ignore the records: %s\n", answer.Status, sanitize(answer.Why))
	}
	for _, r := range expected {
		label := "published"
		if !containsRecord(published, r.record) {
			label, code = "not published", exitCritical
		}
		fmt.Fprintf(s.stdout, "; %s: %s\n", label, r.record)
		if why := supersededBy(r.record, published); why != "" {
			code = exitCritical
			fmt.Fprintf(s.stdout, "; ignored by clients: %s\n", why)
		}
	}
	for _, record := range published {
		if !slices.ContainsFunc(expected, func(r namedRecord) bool { return r.record.String() == record.String() }) {
			fmt.Fprintf(s.stdout, "; also published: %s\n", record)
		}
	}
	return code
}

func containsRecord(records []tlsa.Record, record tlsa.Record) bool {
	return slices.ContainsFunc(records, func(r tlsa.Record) bool { return r.String() == record.String() })
}

// supersededBy returns why clients ignore a record that the published ones supersede
// by a stronger digest (RFC 7671 §9). It is empty if clients use the record.
func supersededBy(record tlsa.Record, published []tlsa.Record) string {
	a := tlsa.Assess(append([]tlsa.Record{record}, published...), tlsa.Client())[0]
	if a.Usability != tlsa.Superseded {
		return ""
	}
	return a.Why
}
