package dnssec_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/internal/lab/zone"
	"dane_exporter/probe/dnssec"
)

// scenario is one story of a file in testdata: a world, what is broken in it,
// what is asked, and what a validator must say. testdata/README.md explains
// the form.
type scenario struct {
	name, story, rfc string

	zones   []*zoneText
	anchors []string // nil: those of the root
	options dnssec.Options
	limits  lowered
	faults  []verbLine
	asks    []inquiry
}

// inquiry is one question and what must come out.
type inquiry struct {
	at    string // file and line
	name  string
	qtype uint16
	later time.Duration // after today
	want  expectation
}

type expectation struct {
	status    dnssec.Status
	err       string
	rcode     int
	records   int
	canonical string
	ttl       time.Duration // -1: any
	ede       string
	differ    bool // that resolvers differ must be noticed; else it must not
	why       []string
	atMost    map[string]int
	asked     map[string]bool // by question: whether it must be asked, or must not
}

// lowered are limits of a Resolver below their defaults.
type lowered map[string]int

// verbLine is one thing broken, as it was written.
type verbLine struct {
	at, verb string
	args     []string
}

// zoneText is a zone as it was written.
type zoneText struct {
	zone.Zone
	keys, ds []string // as written; nil: the zone's default
}

func readScenarios(file string) ([]*scenario, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseScenarios(file, f)
}

// parseScenarios reads a file of scenarios. An error names file and line.
func parseScenarios(file string, text io.Reader) ([]*scenario, error) {
	r := &reader{file: file, now: new(scenario), names: make(map[string]bool)}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		r.line++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		keyword, rest, _ := strings.Cut(line, " ")
		if err := r.read(keyword, strings.TrimSpace(rest)); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", r.at(), keyword, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.at(), err)
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	if len(r.all) == 0 {
		return nil, fmt.Errorf("%s: no scenario", file)
	}
	return r.all, nil
}

// reader holds what was read so far. What stands before the first scenario is
// part of each.
type reader struct {
	file   string
	line   int
	common *scenario // nil until the first scenario begins
	now    *scenario
	begun  string // where the scenario began
	all    []*scenario
	names  map[string]bool
	zone   *zoneText
}

func (r *reader) at() string { return fmt.Sprintf("%s:%d", r.file, r.line) }

func (r *reader) read(keyword, rest string) error {
	args := strings.Fields(rest)
	switch keyword {
	case "scenario":
		return r.begin(args)
	case "story":
		return once(&r.now.story, rest)
	case "rfc":
		return once(&r.now.rfc, rest)
	case "zone":
		return r.readZone(args)
	case "has":
		return r.readRecords(rest)
	case "anchors":
		r.now.anchors = args
		return nil
	case "options":
		return r.readOptions(args)
	case "limits":
		return r.readLimits(args)
	case "ask":
		return r.readAsk(args)
	case "expect":
		return r.readExpect(rest)
	case "why":
		return r.readWhy(rest)
	}
	if _, ok := verbs[keyword]; !ok && keyword != "server" {
		return errors.New("neither a keyword nor a verb")
	}
	r.now.faults = append(r.now.faults, verbLine{r.at(), keyword, args})
	return nil
}

func once(to *string, text string) error {
	if text == "" || *to != "" {
		return errors.New("wants some text, and only one line of it")
	}
	*to = text
	return nil
}

// begin begins a scenario with a copy of all that is common.
func (r *reader) begin(args []string) error {
	if err := r.finish(); err != nil {
		return err
	}
	if len(args) != 1 || r.names[args[0]] {
		return errors.New("wants a name of one word that no other scenario of the file has")
	}
	if r.common == nil {
		r.common = r.now
	}
	s := *r.common
	s.name = args[0]
	s.zones = nil
	for _, z := range r.common.zones {
		copied := *z
		s.zones = append(s.zones, &copied)
	}
	s.limits = maps.Clone(s.limits)
	s.faults, s.asks = slices.Clone(s.faults), slices.Clone(s.asks)
	r.names[s.name], r.now, r.begun, r.zone = true, &s, r.at(), nil
	return nil
}

// finish checks that the scenario now read is whole.
func (r *reader) finish() error {
	s := r.now
	if s.name == "" {
		return nil
	}
	wants := func(what string) error { return fmt.Errorf("%s: scenario %s: wants %s", r.begun, s.name, what) }
	switch {
	case s.story == "":
		return wants("a story")
	case s.rfc == "":
		return wants("the rfc that says so")
	case len(s.asks) == 0:
		return wants("something to ask")
	}
	for _, ask := range s.asks {
		if ask.want.ttl == unset {
			return wants("to expect something of each ask")
		}
		if len(ask.want.why) == 0 && ask.want.status != dnssec.Secure {
			return wants("a why for each verdict that is not secure")
		}
	}
	if _, _, err := s.build(); err != nil {
		return fmt.Errorf("%s: scenario %s: %w", r.begun, s.name, err)
	}
	r.all = append(r.all, s)
	r.now = &scenario{}
	return nil
}

// readZone adds a zone, or more words to one that is there.
func (r *reader) readZone(args []string) error {
	if len(args) == 0 || !strings.HasSuffix(args[0], ".") {
		return errors.New("wants an absolute name")
	}
	apex := dns.CanonicalName(args[0])
	i := slices.IndexFunc(r.now.zones, func(z *zoneText) bool { return z.Apex == apex })
	if i < 0 {
		i = len(r.now.zones)
		r.now.zones = append(r.now.zones, &zoneText{Zone: zone.Zone{Apex: apex}})
	}
	r.zone = r.now.zones[i]
	for _, word := range args[1:] {
		if err := r.zone.set(word); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}

// set applies one word of a zone line.
func (z *zoneText) set(word string) error {
	key, value, _ := strings.Cut(word, "=")
	list := strings.Split(value, ",")
	var err error
	switch key {
	case "unsigned":
		z.Unsigned, z.Delegation = true, zone.Insecure
	case "insecure":
		z.Delegation = zone.Insecure
	case "former":
		z.Delegation = zone.Former
	case "csk":
		z.CSK = true
	case "algorithms":
		z.Algorithms, err = octets(list)
	case "digests":
		z.Digests, err = octets(list)
	case "keys":
		z.keys = list
	case "ds":
		z.ds = list
	case "nsec":
		z.NSEC3 = nil
	case "nsec3", "opt-out", "iterations", "salt":
		hashed := zone.NSEC3{}
		if z.NSEC3 != nil {
			hashed = *z.NSEC3
		}
		z.NSEC3 = &hashed
		switch key {
		case "opt-out":
			hashed.OptOut = true
		case "salt":
			hashed.Salt = value
		case "iterations":
			n, numberErr := strconv.ParseUint(value, 10, 16)
			hashed.Iterations, err = uint16(n), numberErr
		}
	default:
		return errors.New("not a word of zones")
	}
	return err
}

func octets(words []string) ([]uint8, error) {
	var list []uint8
	for _, word := range words {
		n, err := strconv.ParseUint(word, 10, 8)
		if err != nil {
			return nil, err
		}
		list = append(list, uint8(n))
	}
	return list, nil
}

func (r *reader) readRecords(rest string) error {
	if r.zone == nil {
		return errors.New("stands below a zone")
	}
	for record := range strings.SplitSeq(rest, ";") {
		r.zone.Records += strings.TrimSpace(record) + "\n"
	}
	return nil
}

func (r *reader) readOptions(args []string) error {
	for _, word := range args {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "sha1":
			r.now.options.SHA1 = dnssec.SHA1(value)
		case "iterations":
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return err
			}
			r.now.options.NSEC3MaxIterations = uint16(n)
		default:
			return fmt.Errorf("%s: not an option", word)
		}
	}
	return nil
}

func (r *reader) readLimits(args []string) error {
	r.now.limits = lowered{}
	for _, word := range args {
		key, value, _ := strings.Cut(word, "=")
		n, err := strconv.Atoi(value)
		if err != nil || !slices.Contains([]string{"signatures", "queries", "hashes"}, key) {
			return fmt.Errorf("%s: not a limit", word)
		}
		r.now.limits[key] = n
	}
	return nil
}

// unset as a TTL marks an inquiry of which nothing is expected yet.
const unset = -2

func (r *reader) readAsk(args []string) error {
	ask := inquiry{at: r.at(), want: expectation{ttl: unset}}
	if len(args) < 2 {
		return errors.New("wants a name and a type")
	}
	ask.name = args[0]
	qtype, ok := dns.StringToType[args[1]]
	if !ok {
		return fmt.Errorf("%s: not a type", args[1])
	}
	ask.qtype = qtype
	if len(args) > 2 {
		later, err := duration(args[len(args)-1])
		if err != nil || len(args) != 4 || args[2] != "at" {
			return errors.New(`wants nothing more but "at" and a time from now, as +2h`)
		}
		ask.later = later
	}
	if n := len(r.now.asks); n > 0 && r.now.asks[n-1].want.ttl == unset {
		r.now.asks = r.now.asks[:n-1] // the one common to the file
	}
	r.now.asks = append(r.now.asks, ask)
	return nil
}

// duration reads a time from now; d and y are units too.
func duration(word string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "y": 365 * 24 * time.Hour} {
		if n, err := strconv.Atoi(strings.TrimSuffix(word, unit)); err == nil && strings.HasSuffix(word, unit) {
			return time.Duration(n) * length, nil
		}
	}
	return time.ParseDuration(word)
}

func (r *reader) lastAsk() (*inquiry, error) {
	if len(r.now.asks) == 0 {
		return nil, errors.New("stands below an ask")
	}
	return &r.now.asks[len(r.now.asks)-1], nil
}

func (r *reader) readWhy(rest string) error {
	ask, err := r.lastAsk()
	if err == nil {
		ask.want.why = append(ask.want.why, rest)
	}
	return err
}

func (r *reader) readExpect(rest string) error {
	ask, err := r.lastAsk()
	if err != nil {
		return err
	}
	if ask.want.ttl != unset {
		return errors.New("stands once below an ask")
	}
	status, clauses, _ := strings.Cut(rest, ",")
	i := slices.IndexFunc(dnssec.Statuses(), func(s dnssec.Status) bool { return s.String() == status })
	if i < 0 {
		return fmt.Errorf("%s: not a status", status)
	}
	ask.want = expectation{status: dnssec.Statuses()[i], ttl: -1, records: 1, why: ask.want.why,
		atMost: make(map[string]int), asked: make(map[string]bool)}
	if ask.want.status.Failed() {
		ask.want.records = 0
	}
	for clause := range strings.SplitSeq(clauses, ",") {
		if err := ask.want.clause(strings.TrimSpace(clause)); err != nil {
			return fmt.Errorf("%s: %w", clause, err)
		}
	}
	return nil
}

// clause reads one of the things expected besides the status.
func (w *expectation) clause(text string) error {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	last := words[len(words)-1]
	count := func(word string) (n int, err error) { return strconv.Atoi(word) }
	var err error
	switch {
	case text == "inconsistent":
		w.differ = true
	case text == "nodata":
		w.records = 0
	case len(words) == 1 && slices.Contains([]string{"NXDOMAIN", "YXDOMAIN"}, text):
		w.rcode, w.records = dns.StringToRcode[text], 0
	case len(words) == 2 && (last == "records" || last == "record"):
		w.records, err = count(words[0])
	case len(words) == 2 && words[0] == "canonical":
		w.canonical = dns.CanonicalName(last)
	case len(words) == 2 && words[0] == "error" && errorWords[last] != nil:
		w.err = last
	case len(words) == 2 && words[0] == "ttl":
		w.ttl, err = duration(last)
	case words[0] == "ede":
		w.ede = strings.Join(words[1:], " ")
	case len(words) == 4 && words[0] == "at" && words[1] == "most":
		w.atMost[last], err = count(words[2])
	case len(words) == 3 && (words[0] == "asked" || words[0] == "unasked"):
		w.asked[words[1]+" "+words[2]] = words[0] == "asked"
	default:
		return errors.New("not a thing to expect")
	}
	return err
}

// build makes the world: an Internet with its faults, and the trust anchors.
func (s *scenario) build() (*zone.Internet, []dnssec.Anchor, error) {
	zones, err := s.buildZones()
	if err != nil {
		return nil, nil, err
	}
	net, err := zone.New(clock, zones...)
	if err != nil {
		return nil, nil, err
	}
	for _, line := range s.faults {
		fault, err := (&breaking{s, net}).makeFault(line)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %s: %w", line.at, line.verb, err)
		}
		net.Break(fault)
	}
	anchors, err := s.buildAnchors(net)
	return net, anchors, err
}

func (s *scenario) buildZones() ([]zone.Zone, error) {
	records := make(map[string]string) // more, by apex
	for _, z := range s.zones {
		for _, word := range z.ds {
			ds, err := s.ds(z.Apex, word)
			if err != nil {
				return nil, fmt.Errorf("zone %s: %w", z.Apex, err)
			}
			records[s.zoneAbove(z.Apex).Apex] += ds.String() + "\n"
		}
	}
	var zones []zone.Zone
	if s.zoneOf(".").Apex != "." {
		zones = append(zones, zone.Zone{Apex: ".", Records: records["."]})
	}
	for _, z := range s.zones {
		made := z.Zone
		made.Records += records[z.Apex]
		for _, word := range z.keys {
			key, err := s.key(z.Apex, word)
			if err != nil {
				return nil, fmt.Errorf("zone %s: %w", z.Apex, err)
			}
			if slices.ContainsFunc(made.Keys, func(k zone.Key) bool { return k.Public.PublicKey == key.Public.PublicKey }) {
				return nil, fmt.Errorf("zone %s: %s is the same as a key before it: give it another role", z.Apex, word)
			}
			made.Keys = append(made.Keys, key)
		}
		zones = append(zones, made)
	}
	return zones, nil
}

// noZone stands for a root that was not written.
var noZone = &zoneText{}

// zoneOf is the zone, of those written, that name lies in.
func (s *scenario) zoneOf(name string) *zoneText {
	best := noZone
	for _, z := range s.zones {
		if dns.IsSubDomain(z.Apex, name) && len(z.Apex) > len(best.Apex) {
			best = z
		}
	}
	return best
}

func (s *scenario) zoneAbove(apex string) *zoneText {
	above := s.zoneOf(parentName(apex))
	if above == noZone {
		return &zoneText{Zone: zone.Zone{Apex: "."}}
	}
	return above
}

func parentName(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// key makes the key that a word such as zsk, ksk-old:8, org./zsk:idle or
// ksk:revoked names; apex is the zone meant where the word names none.
func (s *scenario) key(apex, word string) (zone.Key, error) {
	if before, after, ok := strings.Cut(word, "/"); ok {
		apex, word = dns.CanonicalName(before), after
	}
	words := strings.Split(word, ":")
	role := words[0]
	algorithm, flags := uint8(dns.ECDSAP256SHA256), uint16(dns.ZONE)
	if z := s.zoneOf(apex); z.Apex == apex && len(z.Algorithms) > 0 {
		algorithm = z.Algorithms[0]
	}
	if !strings.HasPrefix(role, "zsk") {
		flags |= dns.SEP
	}
	idle, protocol, twin := false, uint8(3), 0
	for _, attribute := range words[1:] {
		switch name, value, _ := strings.Cut(attribute, "="); name {
		case "idle":
			idle = true
		case "revoked":
			flags |= dns.REVOKE
		case "no-zone":
			flags &^= dns.ZONE
		case "no-sep":
			flags &^= dns.SEP
		case "protocol":
			n, err := octets([]string{value})
			if err != nil {
				return zone.Key{}, err
			}
			protocol = n[0]
		case "twin":
			n, err := strconv.Atoi(value)
			if err != nil {
				return zone.Key{}, err
			}
			twin = n
		default:
			n, err := octets([]string{attribute})
			if err != nil {
				return zone.Key{}, fmt.Errorf("key %s: %s is neither an algorithm nor an attribute", word, attribute)
			}
			algorithm = n[0]
		}
	}
	key, err := zone.NewKey(apex, role, algorithm, flags)
	if err != nil {
		return zone.Key{}, err
	}
	key.Public.Protocol = protocol
	if idle {
		key = key.Idle()
	}
	if twin > 0 {
		return key.Twin(twin)
	}
	return key, nil
}

// ds makes the DS record of a key, as ksk:digest=1 names it: with words of its
// own after those of the key. wrong is a digest of something else, cut half of
// the right one; a digest type that nobody knows has the digest of SHA-256.
func (s *scenario) ds(apex, word string) (*dns.DS, error) {
	words := strings.Split(word, ":")
	isDS := func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return slices.Contains([]string{"digest", "wrong", "cut", "as-algorithm", "as-tag"}, name)
	}
	i := slices.IndexFunc(words, isDS)
	if i < 0 {
		i = len(words)
	}
	key, err := s.key(apex, strings.Join(words[:i], ":"))
	if err != nil {
		return nil, err
	}
	ds := key.Public.ToDS(dns.SHA256)
	for _, word := range words[i:] {
		name, value, _ := strings.Cut(word, "=")
		n, err := uint64(0), error(nil)
		if value != "" {
			if n, err = strconv.ParseUint(value, 10, 16); err != nil {
				return nil, fmt.Errorf("%s: %w", word, err)
			}
		}
		switch name {
		case "digest":
			if known := key.Public.ToDS(uint8(n)); known != nil {
				ds = known
			}
			ds.DigestType = uint8(n)
		case "wrong":
			ds.Digest = strings.Repeat("5a", len(ds.Digest)/2)
		case "cut":
			ds.Digest = ds.Digest[:len(ds.Digest)/2]
		case "as-algorithm":
			ds.Algorithm = uint8(n)
		case "as-tag":
			ds.KeyTag = uint16(n)
		default:
			return nil, fmt.Errorf("%s: not a word of DS records", word)
		}
	}
	return ds, nil
}

func (s *scenario) buildAnchors(net *zone.Internet) ([]dnssec.Anchor, error) {
	if s.anchors == nil {
		return net.Anchors(), nil
	}
	var anchors []dnssec.Anchor
	for _, word := range s.anchors {
		if word == "none" {
			continue
		}
		ds, err := s.ds(".", word)
		if err != nil {
			return nil, fmt.Errorf("anchors: %w", err)
		}
		anchors = append(anchors, *ds)
	}
	return anchors, nil
}

func TestScenarioReader(t *testing.T) {
	const whole = "scenario s\nstory x\nrfc 1 §1\nzone org.\nask org. SOA\nexpect secure\n"
	if all, err := parseScenarios("f", strings.NewReader(whole)); err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "# a comment\n", "f: no scenario"},
		{"a word that nobody knows", whole + "sing org.\n", "f:7: sing: neither a keyword nor a verb"},
		{"no story", "scenario s\nrfc 1\nask org. A\nexpect secure\n", "f:1: scenario s: wants a story"},
		{"no section", "scenario s\nstory x\nask org. A\nexpect secure\n", "f:1: scenario s: wants the rfc"},
		{"nothing asked", "scenario s\nstory x\nrfc 1\n", "f:1: scenario s: wants something to ask"},
		{"nothing expected", "scenario s\nstory x\nrfc 1\nask org. A\n", "f:1: scenario s: wants to expect something"},
		{"bogus, and nobody says why", "scenario s\nstory x\nrfc 1\nask org. A\nexpect bogus\n", "f:1: scenario s: wants a why"},
		{"one name twice", whole + "scenario s\n", "f:7: scenario: wants a name"},
		{"an unknown type", "ask org. B\n", "f:1: ask: B: not a type"},
		{"an unknown status", "ask org. A\nexpect perhaps\n", "f:2: expect: perhaps: not a status"},
		{"an unknown clause", "ask org. A\nexpect secure, somehow\n", "f:2: expect:  somehow: not a thing to expect"},
		{"an unknown word of a zone", "zone org. wobbly\n", "f:1: zone: wobbly: not a word of zones"},
		{"records of no zone", "has a A 192.0.2.1\n", "f:1: has: stands below a zone"},
		{"records that do not parse", whole + "zone org.\nhas a A b\n", "f:1: scenario s: zone org."},
		{"a verb without arguments", whole + "corrupt\n", "f:1: scenario s: f:7: corrupt: wants a name"},
		{"an unknown rcode", whole + "rcode org. A MAYBE\n", "f:1: scenario s: f:7: rcode: "},
		{"an unknown field", whole + "alter org. A colour=1\n", "f:1: scenario s: f:7: alter: colour=1"},
		{"an unknown key", whole + "sign-with org. A zsk:young\n", "f:1: scenario s: f:7: sign-with: key zsk:young: young"},
		{"an unknown server", whole + "server 9 rcode org. A SERVFAIL\n", "f:1: scenario s: f:7: server: 9: there are servers"},
		{"a signature that one server breaks", whole + "server 1 corrupt org. A\n", "f:1: scenario s: f:7: server: corrupt: breaks what all"},
		{"an unknown limit", "limits patience=1\n", "f:1: limits: patience=1: not a limit"},
		{"an unknown option", "options sha2=1\n", "f:1: options: sha2=1: not an option"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseScenarios("f", strings.NewReader(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v\nwanted %s…", err, c.want)
			}
		})
	}
}
