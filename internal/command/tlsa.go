package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dane_exporter/internal/config"
	"dane_exporter/probe"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"

	"github.com/alecthomas/kingpin/v2"
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

// parameters are the three numbers of a TLSA record.
type parameters struct {
	usage        tlsa.Usage
	selector     tlsa.Selector
	matchingType tlsa.MatchingType
}

func (s *session) addTLSA(app *kingpin.Application, commands map[string]command) {
	cmd := app.Command("tlsa", "Make TLSA records, as lines of a zone file: of a certificate, of a key that has none yet, or of what a server serves. "+
		"Exits with 0 if all went well, 1 if an address of the server did not answer, 2 if --check finds that they are not published as they should be, 3 if nothing could be done.")
	flags := newTLSAFlags(cmd)
	commands[cmd.FullCommand()] = func(ctx context.Context) int { return s.tlsa(ctx, flags, internet{}) }
}

func newTLSAFlags(cmd flagged) *tlsaFlags {
	f := new(tlsaFlags)
	cmd.Flag("cert", "A file with the certificate, in PEM or DER; the first counts.").StringVar(&f.cert)
	cmd.Flag("key", "A file with the public or private key, or the certificate request, in PEM or DER.").StringVar(&f.key)
	cmd.Flag("connect", "A server to take the certificate from: host:port, or address:port with --name.").StringVar(&f.connect)
	cmd.Flag("starttls", "What the server speaks before TLS; tls is nothing. Default: what is usual at the port, as smtp at 25, else tls. One of: "+strings.Join(starttls.Names(), ", ")+".").EnumVar(&f.protocol, starttls.Names()...)
	cmd.Flag("next", "A file with the next certificate, key or request: its record is added, for a roll-over.").StringVar(&f.next)
	cmd.Flag("name", "The host that the records are for. Default: that of --connect.").StringVar(&f.name)
	cmd.Flag("port", "The port that the records are for. Default: that of --connect, else 25.").Uint16Var(&f.port)
	cmd.Flag("usage", "Certificate usage: 3 the server's own certificate, 2 its issuer; 1 and 0 the same for clients that ask the Web PKI too.").Default("3").Uint8Var(&f.usage)
	cmd.Flag("selector", "Selector: 1 the public key, 0 the whole certificate.").Default("1").Uint8Var(&f.selector)
	cmd.Flag("type", "Matching type: 1 SHA-256, 2 SHA-512, 0 the bytes themselves.").Default("1").Uint8Var(&f.matchingType)
	cmd.Flag("check", "Look up what is published, validate it, and compare.").BoolVar(&f.check)
	cmd.Flag("config.file", "Path of the configuration file. Without it, the built-in configuration is in force.").StringVar(&f.configFile)
	return f
}

func (f *tlsaFlags) parameters() parameters {
	return parameters{tlsa.Usage(f.usage), tlsa.Selector(f.selector), tlsa.MatchingType(f.matchingType)}
}

// tlsa makes the records that the flags ask for, and writes them.
func (s *session) tlsa(ctx context.Context, f *tlsaFlags, where surroundings) int {
	result, err := s.tlsaRecords(ctx, f, where)
	if err != nil {
		s.complain(err)
		return exitUnknown
	}
	return int(result)
}

func (s *session) tlsaRecords(ctx context.Context, f *tlsaFlags, where surroundings) (state, error) {
	host, err := f.host()
	if err != nil {
		return stateUnknown, err
	}
	var prober *probe.Prober
	var module probe.Module
	if f.check || f.connect != "" {
		if prober, module, err = s.proberFor(f, where); err != nil {
			return stateUnknown, err
		}
	}
	result := stateOK
	var subjects []subject
	if f.connect != "" {
		found := prober.ProbeUncached(ctx, host, f.module(module, host.Port))
		if subjects, err = s.served(found, f.parameters().usage); err != nil {
			return stateUnknown, err
		}
		if len(subjects) < len(meetings(found)) {
			result = stateWarning
		}
	} else {
		one, err := readSubject(f.cert + f.key)
		if err != nil {
			return stateUnknown, fmt.Errorf("read what the record is of: %w", err)
		}
		subjects = append(subjects, one)
	}
	if f.next != "" {
		next, err := readSubject(f.next)
		if err != nil {
			return stateUnknown, fmt.Errorf("read what the next record is of: %w", err)
		}
		subjects = append(subjects, next)
	}
	records, err := f.records(subjects)
	if err != nil {
		return stateUnknown, err
	}
	s.writeZone(host, records)
	if f.check {
		result = worse(result, s.compare(prober.LookupTLSA(ctx, host.Name, host.Port), records))
	}
	return result, nil
}

// host reads whose records are wanted, and where they are published.
func (f *tlsaFlags) host() (probe.Target, error) {
	sources := slices.DeleteFunc([]string{f.cert, f.key, f.connect}, func(s string) bool { return s == "" })
	if len(sources) != 1 {
		return probe.Target{}, errors.New("say what the record is of, by one of --cert, --key and --connect")
	}
	asked, flag, hostname := f.name, "--name", ""
	switch {
	case f.connect != "":
		asked, flag, hostname = f.connect, "--connect", f.name
	case f.name == "":
		return probe.Target{}, errors.New("--name is missing: the host that the record is for, as mx.example.org")
	case f.protocol != "":
		return probe.Target{}, errors.New("--starttls goes with --connect")
	}
	host, err := probe.ParseTarget(asked, hostname, probe.Module{Discover: probe.DiscoverNone})
	if err != nil {
		return probe.Target{}, fmt.Errorf("%s: %w", flag, err)
	}
	switch {
	case host.Port != 0 && f.port != 0:
		return probe.Target{}, fmt.Errorf("%s names a port, and so does --port", flag)
	case host.Port == 0 && f.port != 0:
		host.Port = f.port
	case host.Port == 0:
		host.Port = 25
	}
	return host, nil
}

// module is how a server is met.
func (f *tlsaFlags) module(module probe.Module, port uint16) probe.Module {
	module.Discover, module.MTASTS, module.Nameservers = probe.DiscoverNone, false, false
	module.Protocol = cmp.Or(f.protocol, starttls.ByPort(port).Name)
	return module
}

func (s *session) proberFor(f *tlsaFlags, where surroundings) (*probe.Prober, probe.Module, error) {
	c, err := s.load(f.configFile)
	if err != nil {
		return nil, probe.Module{}, err
	}
	c = where.adapt(c)
	prober, err := newProber(c, where, func(transport.Event) {})
	return prober, c.Modules[config.DefaultModule], err
}

// served lists what the addresses of a server show that a record of this usage
// is of: its own certificate, or the issuer's that it sends with it. Addresses
// that do not answer are told of on the way.
func (s *session) served(found *probe.Report, usage tlsa.Usage) ([]subject, error) {
	var subjects []subject
	var failed []error
	for _, endpoint := range meetings(found) {
		one, err := servedBy(endpoint, usage)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		subjects = append(subjects, one)
	}
	if len(subjects) == 0 && len(failed) == 0 {
		return nil, fmt.Errorf("%s has no address to connect to: %s", found.Target, strings.Join(reasons(found), ", "))
	}
	if len(subjects) == 0 {
		return nil, errors.Join(failed...)
	}
	for _, err := range failed {
		s.complain(err)
	}
	return subjects, nil
}

func servedBy(e *dane.Endpoint, usage tlsa.Usage) (subject, error) {
	if e.Err != nil {
		return subject{}, e.Err
	}
	depth := 0
	if usage == tlsa.DANETA || usage == tlsa.PKIXTA {
		depth = 1
	}
	if len(e.Chain.Certificates) <= depth {
		return subject{}, fmt.Errorf("%s sends its own certificate alone; a record of usage %s is of an issuer that is sent", e.Address, usage)
	}
	certificate := e.Chain.Certificates[depth]
	return subject{from: e.Address.String(), certificate: certificate, key: certificate.RawSubjectPublicKeyInfo}, nil
}

// made is one record, and what it is of.
type made struct {
	record tlsa.Record
	of     []string
}

// records makes the records of all subjects, each once.
func (f *tlsaFlags) records(subjects []subject) ([]made, error) {
	var all []made
	for _, one := range subjects {
		record, err := one.record(f.parameters())
		if err != nil {
			return nil, err
		}
		known := slices.IndexFunc(all, func(m made) bool { return m.record.String() == record.String() })
		if known >= 0 {
			all[known].of = append(all[known].of, one.from)
			continue
		}
		all = append(all, made{record, []string{one.from}})
	}
	return all, nil
}

// writeZone writes the records as a zone file has them; where there are several,
// with what each is of.
func (s *session) writeZone(host probe.Target, records []made) {
	for _, m := range records {
		if len(records) > 1 {
			fmt.Fprintf(s.stdout, "; of %s\n", harmless(strings.Join(m.of, ", ")))
		}
		fmt.Fprintf(s.stdout, "%s IN TLSA %s\n", dane.TLSAOwner(host.Name, host.Port), m.record)
	}
}

// compare says, in comments, how what is published differs from what was made.
func (s *session) compare(answer dnssec.Answer, wanted []made) state {
	published := dane.TLSARecords(&answer)
	if answer.Status.Failed() || answer.Err != nil {
		fmt.Fprintf(s.stdout, "; the look-up is %s: %s\n", answer.Status, harmless(answer.Why))
		if answer.Status == dnssec.Bogus && answer.Err == nil {
			return stateCritical
		}
		return stateUnknown
	}
	result := stateOK
	if answer.Status != dnssec.Secure {
		result = stateCritical
		fmt.Fprintf(s.stdout, "; what is published is %s, so that no client believes it: %s\n", answer.Status, harmless(answer.Why))
	}
	for _, m := range wanted {
		word := "published"
		if !holds(published, m.record) {
			word, result = "not published", stateCritical
		}
		fmt.Fprintf(s.stdout, "; %s: %s\n", word, m.record)
	}
	for _, record := range published {
		if !slices.ContainsFunc(wanted, func(m made) bool { return holds([]tlsa.Record{record}, m.record) }) {
			fmt.Fprintf(s.stdout, "; also published: %s\n", record)
		}
	}
	return result
}

func holds(set []tlsa.Record, record tlsa.Record) bool {
	return slices.ContainsFunc(set, func(one tlsa.Record) bool { return one.String() == record.String() })
}
