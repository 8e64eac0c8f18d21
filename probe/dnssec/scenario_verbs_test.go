package dnssec_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
)

// faultBuilder builds the faults of a scenario.
type faultBuilder struct{ scenario *scenario }

// verb builds a fault from the words after it.
type verb func(b *faultBuilder, args []string) (zone.Fault, error)

// verbs are the kinds of faults. Those of the first group concern RRsets, wherever
// they occur; those of the second the response to one question.
var verbs = map[string]verb{
	"sign-with": signWith,
	"sign-at":   signAt,
	"strip":     strip,
	"corrupt":   corrupt,
	"alter":     alter,
	"edit":      edit,
	"drop":      drop,

	"deny-with": denyWith,
	"replay":    replay,
	"unprove":   unprove,
	"add":       add,
	"replace":   replace,
	"rename":    rename,
	"flood":     flood,
	"ttl":       ttl,
	"rcode":     rcode,
	"silence":   silence,
	"drop-cd":   dropCD,
	"ede":       ede,
	"also":      also,
	"unlist":    unlist,
}

// fault builds the fault of one line. "server 1" before a verb of the second group
// limits the fault to the first resolver.
func (b *faultBuilder) fault(line faultLine) (zone.Fault, error) {
	if line.verb != "server" {
		return verbs[line.verb](b, line.args)
	}
	servers := b.scenario.net.Servers()
	if len(line.args) < 2 || verbs[line.args[1]] == nil {
		return zone.Fault{}, errors.New("expected a number and a verb")
	}
	i, err := strconv.Atoi(line.args[0])
	if err != nil || i < 1 || i > len(servers) {
		return zone.Fault{}, fmt.Errorf("%s: there are servers 1 to %d", line.args[0], len(servers))
	}
	fault, err := verbs[line.args[1]](b, line.args[2:])
	if err == nil && fault.Answer == nil {
		return zone.Fault{}, fmt.Errorf("%s: applies to all servers", line.args[1])
	}
	fault.Server = servers[i-1]
	return fault, err
}

// where parses the place that a verb concerns: a name, or "in" a zone, or "under" a
// name, then types; none means all. It returns the words that follow.
func where(args []string) (zone.Where, string, []string, error) {
	choose := zone.At
	if len(args) > 0 && (args[0] == "in" || args[0] == "under") {
		choose = zone.In
		if args[0] == "under" {
			choose = zone.Under
		}
		args = args[1:]
	}
	if len(args) == 0 || !strings.HasSuffix(args[0], ".") {
		return nil, "", nil, errors.New("expected a name with a dot at its end")
	}
	name, rest := dns.CanonicalName(args[0]), args[1:]
	types, rest := leadingTypes(rest)
	return choose(name, types...), name, rest, nil
}

func leadingTypes(args []string) (types []uint16, rest []string) {
	for len(args) > 0 {
		t, ok := dns.StringToType[args[0]]
		if !ok {
			break
		}
		types, args = append(types, t), args[1:]
	}
	return types, args
}

func noMoreWords(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected %q", strings.Join(rest, " "))
	}
	return nil
}

// signWith: WHERE KEY... [as SIGNER].
func signWith(b *faultBuilder, args []string) (zone.Fault, error) {
	at, name, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	signer := ""
	if n := len(rest); n > 2 && rest[n-2] == "as" {
		signer, rest = dns.CanonicalName(rest[n-1]), rest[:n-2]
	}
	if len(rest) == 0 {
		return zone.Fault{}, errors.New("expected a key")
	}
	apex := b.scenario.zoneOf(name).Apex
	if slices.Contains(args, "DS") {
		apex = b.scenario.zoneAbove(name).Apex
	}
	if apex == "" {
		apex = "."
	}
	var keys []zone.Key
	for _, word := range rest {
		key, err := b.scenario.key(apex, word)
		if err != nil {
			return zone.Fault{}, err
		}
		keys = append(keys, key)
	}
	return zone.Fault{Where: at, Sign: func(s *zone.Signing) {
		s.Keys = keys
		if signer != "" {
			s.Signer = signer
		}
	}}, nil
}

// signAt: WHERE FROM TO, times from now.
func signAt(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) != 2 {
		return zone.Fault{}, errors.New("expected two times from now, as -1h +1h")
	}
	from, err1 := duration(rest[0])
	to, err2 := duration(rest[1])
	if err := errors.Join(err1, err2); err != nil {
		return zone.Fault{}, err
	}
	return zone.Fault{Where: at, Sign: func(s *zone.Signing) {
		s.Inception, s.Expiry = today.Add(from), today.Add(to)
	}}, nil
}

// strip: WHERE.
func strip(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	return zone.Strip(at), errors.Join(err, noMoreWords(rest))
}

// corrupt: WHERE.
func corrupt(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	return zone.Corrupt(at), errors.Join(err, noMoreWords(rest))
}

// alter: WHERE FIELD=VALUE..., fields of signatures after signing.
func alter(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	var changes []func(*dns.RRSIG)
	for _, word := range rest {
		change, err := alterField(word)
		if err != nil {
			return zone.Fault{}, fmt.Errorf("%s: %w", word, err)
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return zone.Fault{}, errors.New("expected a field to change")
	}
	return zone.Fault{Where: at, Signed: func(sig *dns.RRSIG) {
		for _, change := range changes {
			change(sig)
		}
	}}, nil
}

func alterField(word string) (func(*dns.RRSIG), error) {
	field, value, _ := strings.Cut(word, "=")
	switch field {
	case "signer":
		return func(sig *dns.RRSIG) { sig.SignerName = value }, nil
	case "covers":
		t, ok := dns.StringToType[value]
		if !ok {
			return nil, errors.New("not a type")
		}
		return func(sig *dns.RRSIG) { sig.TypeCovered = t }, nil
	case "signature":
		return reshapeSignature(value)
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return nil, err
	}
	relative := strings.HasPrefix(value, "+") || n < 0
	next := func(old uint32) uint32 {
		if relative {
			return uint32(int64(old) + n)
		}
		return uint32(n)
	}
	switch field {
	case "labels":
		return func(sig *dns.RRSIG) { sig.Labels = uint8(next(uint32(sig.Labels))) }, nil
	case "algorithm":
		return func(sig *dns.RRSIG) { sig.Algorithm = uint8(next(uint32(sig.Algorithm))) }, nil
	case "tag":
		return func(sig *dns.RRSIG) { sig.KeyTag = uint16(next(uint32(sig.KeyTag))) }, nil
	case "original-ttl":
		return func(sig *dns.RRSIG) { sig.OrigTtl = next(sig.OrigTtl) }, nil
	}
	return nil, errors.New("not a field of signatures that can be changed")
}

// reshapeSignature changes the octets of a signature. Padding keeps their value.
func reshapeSignature(how string) (func(*dns.RRSIG), error) {
	shapes := map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"octet-more":  func(b []byte) []byte { return append(b, 0) },
		"octet-less":  func(b []byte) []byte { return b[1:] },
		"padded":      func(b []byte) []byte { return append([]byte{0}, b...) },
		"both-padded": func(b []byte) []byte { h := len(b) / 2; return slices.Concat([]byte{0}, b[:h], []byte{0}, b[h:]) },
		"zeros":       func(b []byte) []byte { return make([]byte, len(b)) },
		"last-bit":    func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"first-bit":   func(b []byte) []byte { b[0] ^= 128; return b },
	}
	shape, ok := shapes[how]
	if !ok {
		return nil, errors.New("not a shape for signatures")
	}
	return func(sig *dns.RRSIG) {
		raw, err := base64.StdEncoding.DecodeString(sig.Signature)
		if err != nil {
			panic(err)
		}
		sig.Signature = base64.StdEncoding.EncodeToString(shape(raw))
	}, nil
}

// edit: WHERE FIELD=VALUE..., fields of NSEC and NSEC3 records before
// signing: next, hash, flags, iterations, and types with + and −.
func edit(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	var changes []func(dns.RR)
	for _, word := range rest {
		change, err := editField(word)
		if err != nil {
			return zone.Fault{}, fmt.Errorf("%s: %w", word, err)
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return zone.Fault{}, errors.New("expected a field to change")
	}
	return zone.Fault{Where: at, Edit: func(rr dns.RR) {
		for _, change := range changes {
			change(rr)
		}
	}}, nil
}

func editField(word string) (func(dns.RR), error) {
	field, value, _ := strings.Cut(word, "=")
	switch field {
	case "next":
		return func(rr dns.RR) {
			if nsec, ok := rr.(*dns.NSEC); ok {
				nsec.NextDomain = value
			}
		}, nil
	case "types":
		t, ok := dns.StringToType[strings.TrimLeft(value, "+-")]
		if !ok || value[0] != '+' && value[0] != '-' {
			return nil, errors.New("expected + or - and a type")
		}
		return func(rr dns.RR) {
			switch rr := rr.(type) {
			case *dns.NSEC:
				rr.TypeBitMap = withType(rr.TypeBitMap, t, value[0] == '+')
			case *dns.NSEC3:
				rr.TypeBitMap = withType(rr.TypeBitMap, t, value[0] == '+')
			}
		}, nil
	}
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		return nil, err
	}
	fields := map[string]func(*dns.NSEC3){
		"hash":       func(rr *dns.NSEC3) { rr.Hash = uint8(n) },
		"flags":      func(rr *dns.NSEC3) { rr.Flags = uint8(n) },
		"iterations": func(rr *dns.NSEC3) { rr.Iterations = uint16(n) },
	}
	change, ok := fields[field]
	if !ok {
		return nil, errors.New("not a field of NSEC or NSEC3 records that can be changed")
	}
	return func(rr dns.RR) {
		if nsec3, ok := rr.(*dns.NSEC3); ok {
			change(nsec3)
		}
	}, nil
}

func withType(types []uint16, t uint16, there bool) []uint16 {
	types = slices.DeleteFunc(slices.Clone(types), func(other uint16) bool { return other == t })
	if there {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// drop: NAME TYPE..., from every response.
func drop(_ *faultBuilder, args []string) (zone.Fault, error) {
	_, name, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	types, _ := leadingTypes(args[1:])
	return zone.Drop(name, types...), noMoreWords(rest)
}

// denyWith: QUESTION RCODE, then "chain" ZONE, or the questions whose denials are
// replayed.
func denyWith(b *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) < 3 {
		return zone.Fault{}, errors.New("expected a response code and a question")
	}
	code, ok := dns.StringToRcode[rest[0]]
	if !ok {
		return zone.Fault{}, fmt.Errorf("%s: not a response code", rest[0])
	}
	var proof []dns.RR
	for rest = rest[1:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 {
			return zone.Fault{}, fmt.Errorf("%s: expected a type or a zone", rest[0])
		}
		more, err := b.denial(rest[0], rest[1])
		if err != nil {
			return zone.Fault{}, err
		}
		proof = append(proof, more...)
	}
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		response.Rcode, response.Answer, response.Ns = code, nil, copies(proof)
		return nil
	}}, nil
}

func (b *faultBuilder) denial(name, qtype string) ([]dns.RR, error) {
	if name == "chain" {
		return b.scenario.net.Denial(qtype)
	}
	other, err := b.ask(name, qtype)
	if err != nil {
		return nil, err
	}
	return other.Ns, nil
}

// ask queries the Internet with its faults so far.
func (b *faultBuilder) ask(name, qtype string) (*dns.Msg, error) {
	t, ok := dns.StringToType[qtype]
	if !ok {
		return nil, fmt.Errorf("%s: not a type", qtype)
	}
	query := new(dns.Msg).SetQuestion(dns.CanonicalName(name), t)
	query.SetEdns0(1232, true)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return b.scenario.net.ExchangeWith(ctx, b.scenario.net.Servers()[0], query)
}

func copies(records []dns.RR) []dns.RR {
	var list []dns.RR
	for _, rr := range records {
		list = append(list, dns.Copy(rr))
	}
	return list
}

// replay: QUESTION with NAME TYPE, the whole response to another question.
func replay(b *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) != 3 || rest[0] != "with" {
		return zone.Fault{}, errors.New(`expected "with" and another question`)
	}
	other, err := b.ask(rest[1], rest[2])
	if err != nil {
		return zone.Fault{}, err
	}
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		response.Rcode, response.Answer, response.Ns = other.Rcode, copies(other.Answer), copies(other.Ns)
		return nil
	}}, nil
}

// unprove: QUESTION, whose response loses its NSEC and NSEC3 records.
func unprove(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	return zone.DropProof(at), errors.Join(err, noMoreWords(rest))
}

// parseInsert parses QUESTION [authority] RECORD [; RECORD...].
func parseInsert(args []string) (at zone.Where, authority bool, records []dns.RR, err error) {
	at, _, rest, err := where(args)
	if err != nil {
		return nil, false, nil, err
	}
	if len(rest) > 0 && rest[0] == "authority" {
		authority, rest = true, rest[1:]
	}
	for text := range strings.SplitSeq(strings.Join(rest, " "), ";") {
		rr, err := dns.NewRR(strings.TrimSpace(text))
		if err != nil || rr == nil {
			return nil, false, nil, fmt.Errorf("%q: not a record: %v", text, err)
		}
		records = append(records, rr)
	}
	return at, authority, records, nil
}

func insert(response *dns.Msg, authority bool, records []dns.RR) {
	if authority {
		response.Ns = append(response.Ns, copies(records)...)
		return
	}
	response.Answer = append(response.Answer, copies(records)...)
}

// add: QUESTION [authority] RECORD [; RECORD...].
func add(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, authority, records, err := parseInsert(args)
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		insert(response, authority, records)
		return nil
	}}, err
}

// replace: QUESTION [authority] RECORD [; RECORD...], in place of the records
// of that name and type; their signatures stay.
func replace(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, authority, records, err := parseInsert(args)
	if err != nil {
		return zone.Fault{}, err
	}
	header := records[0].Header()
	same := func(rr dns.RR) bool {
		return strings.EqualFold(rr.Header().Name, header.Name) && rr.Header().Rrtype == header.Rrtype
	}
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		response.Answer, response.Ns = slices.DeleteFunc(response.Answer, same), slices.DeleteFunc(response.Ns, same)
		insert(response, authority, records)
		return nil
	}}, nil
}

// rename: QUESTION OLD NEW, the owner of records and signatures.
func rename(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) != 2 {
		return zone.Fault{}, errors.New("expected two names")
	}
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		for _, rr := range slices.Concat(response.Answer, response.Ns) {
			if strings.EqualFold(rr.Header().Name, rest[0]) {
				rr.Header().Name = rest[1]
			}
		}
		return nil
	}}, nil
}

// flood: QUESTION N, adds N different broken signatures before each valid one.
func flood(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) != 1 {
		return zone.Fault{}, errors.New("expected a number")
	}
	n, err := strconv.Atoi(rest[0])
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		response.Answer, response.Ns = floodSection(response.Answer, n), floodSection(response.Ns, n)
		return nil
	}}, err
}

func floodSection(section []dns.RR, n int) []dns.RR {
	var flooded []dns.RR
	for _, rr := range section {
		if sig, ok := rr.(*dns.RRSIG); ok {
			raw, err := base64.StdEncoding.DecodeString(sig.Signature)
			if err != nil {
				panic(err)
			}
			for i := range n {
				bad := dns.Copy(sig).(*dns.RRSIG)
				octets := slices.Clone(raw)
				octets[i%len(octets)] ^= byte(2 + i/len(octets)) // another bit than that of corrupt
				bad.Signature = base64.StdEncoding.EncodeToString(octets)
				flooded = append(flooded, bad)
			}
		}
		flooded = append(flooded, rr)
	}
	return flooded
}

// ttl: QUESTION N, of all records and signatures.
func ttl(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) != 1 {
		return zone.Fault{}, errors.New("expected a number of seconds")
	}
	n, err := strconv.ParseUint(rest[0], 10, 32)
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		for _, rr := range slices.Concat(response.Answer, response.Ns) {
			rr.Header().Ttl = uint32(n)
		}
		return nil
	}}, err
}

// rcode: QUESTION RCODE [keep], the code alone, or with the records of the
// response.
func rcode(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	keep := len(rest) == 2 && rest[1] == "keep"
	if len(rest) != 1 && !keep {
		return zone.Fault{}, errors.New(`expected a response code, and optionally "keep"`)
	}
	code, ok := dns.StringToRcode[rest[0]]
	if !ok {
		return zone.Fault{}, fmt.Errorf("%s: not a response code", rest[0])
	}
	if !keep {
		return zone.Rcode(at, code), nil
	}
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error { response.Rcode = code; return nil }}, nil
}

// silence: QUESTION.
func silence(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	return zone.Silence(at), errors.Join(err, noMoreWords(rest))
}

// dropCD: QUESTION, does not answer queries with CD=1.
func dropCD(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	return withCD(zone.Silence(at)), errors.Join(err, noMoreWords(rest))
}

// ede: QUESTION CODE TEXT, adds an extended error (RFC 8914).
func ede(_ *faultBuilder, args []string) (zone.Fault, error) {
	at, _, rest, err := where(args)
	if err != nil {
		return zone.Fault{}, err
	}
	if len(rest) < 2 {
		return zone.Fault{}, errors.New("expected a code and a text")
	}
	code, err := strconv.ParseUint(rest[0], 10, 16)
	return zone.Fault{Where: at, Answer: func(_, response *dns.Msg) error {
		if response.IsEdns0() == nil {
			response.SetEdns0(1232, true)
		}
		opt := response.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: uint16(code), ExtraText: strings.Join(rest[1:], " ")})
		return nil
	}}, err
}

// also: ZONE [first] WORDS, adds the NSEC and NSEC3 records that the zone would send
// if it were defined with these words too. With "first", they precede the others.
func also(b *faultBuilder, args []string) (zone.Fault, error) {
	if len(args) < 2 {
		return zone.Fault{}, errors.New("expected a zone and its words")
	}
	apex, words := dns.CanonicalName(args[0]), args[1:]
	first := words[0] == "first"
	if first {
		words = words[1:]
	}
	other, found := *b.scenario, false
	other.zones, other.faults = nil, nil
	for _, z := range b.scenario.zones {
		copied := *z
		if copied.Apex == apex {
			found, copied.NSEC3 = true, nil
			for _, word := range words {
				if err := copied.set(word); err != nil {
					return zone.Fault{}, fmt.Errorf("%s: %w", word, err)
				}
			}
		}
		other.zones = append(other.zones, &copied)
	}
	if !found {
		return zone.Fault{}, fmt.Errorf("%s: no such zone", apex)
	}
	zones, err := other.buildZones()
	if err != nil {
		return zone.Fault{}, err
	}
	net, err := zone.New(clock, zones...)
	if err != nil {
		return zone.Fault{}, err
	}
	b.scenario.twins = append(b.scenario.twins, net)
	return zone.Fault{Where: zone.In(apex), Answer: func(query, response *dns.Msg) error {
		same, err := net.ExchangeWith(context.Background(), net.Servers()[0], query.Copy())
		if err != nil {
			return err
		}
		more := slices.DeleteFunc(same.Ns, func(rr dns.RR) bool { return !isDenial(rr) })
		if first {
			response.Ns = append(more, response.Ns...)
		} else {
			response.Ns = append(response.Ns, more...)
		}
		return nil
	}}, nil
}

// isDenial reports whether rr is an NSEC or NSEC3 record, or a signature over one.
func isDenial(rr dns.RR) bool {
	rrtype := rr.Header().Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		rrtype = sig.TypeCovered
	}
	return rrtype == dns.TypeNSEC || rrtype == dns.TypeNSEC3
}

// unlist: ZONE NAME, takes a name out of the NSEC3 chain of a zone. A denial that
// would have its record has the whole chain instead.
func unlist(b *faultBuilder, args []string) (zone.Fault, error) {
	if len(args) != 2 {
		return zone.Fault{}, errors.New("expected a zone and a name")
	}
	apex := dns.CanonicalName(args[0])
	chain, err := b.scenario.net.Denial(apex)
	if err != nil {
		return zone.Fault{}, err
	}
	hashOf := func(rr dns.RR) string { return strings.ToUpper(dns.SplitDomainName(rr.Header().Name)[0]) }
	var hash, next string
	for _, rr := range chain {
		if record, ok := rr.(*dns.NSEC3); ok && record.Match(args[1]) {
			hash, next = hashOf(record), record.NextDomain
		}
	}
	if hash == "" {
		return zone.Fault{}, fmt.Errorf("%s has no NSEC3 record", args[1])
	}
	isUnlisted := func(rr dns.RR) bool { return isDenial(rr) && hashOf(rr) == hash }
	return zone.Fault{Where: zone.In(apex),
		Edit: func(rr dns.RR) {
			if record, ok := rr.(*dns.NSEC3); ok && strings.EqualFold(record.NextDomain, hash) {
				record.NextDomain = next
			}
		},
		Answer: func(_, response *dns.Msg) error {
			if !slices.ContainsFunc(response.Ns, isUnlisted) {
				return nil
			}
			whole, err := b.scenario.net.Denial(apex)
			inChain := func(rr dns.RR) bool {
				return slices.ContainsFunc(whole, func(other dns.RR) bool { return other.Header().Name == rr.Header().Name })
			}
			others := slices.DeleteFunc(response.Ns, inChain)
			response.Ns = append(copies(slices.DeleteFunc(whole, isUnlisted)), others...) // the chain is shared
			return err
		},
	}, nil
}
