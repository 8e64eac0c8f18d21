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

// scenario is one scenario of a file in testdata: zones, their faults, questions,
// and the expected verdicts. testdata/README.md describes the format.
type scenario struct {
	name, about, rfc string

	zones   []*zoneText
	anchors []string // nil: those of the root
	options dnssec.Options
	limits  testLimits
	faults  []faultLine
	asks    []askLine

	net          *zone.Internet   // built from the rest by finish
	twins        []*zone.Internet // that the verb "also" takes records from
	trustAnchors []dnssec.Anchor
}

// askLine is one question and the expected answer.
type askLine struct {
	at    string // file and line
	name  string
	qtype uint16
	later time.Duration // the time of the question, after today
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
	differ    bool   // Answer.Inconsistent must be set; otherwise it must not
	faultZone string // "none": Answer.FaultZone must be empty; empty: any
	why       []string
	atMost    map[string]int
	asked     map[string]bool // by question: whether it must be sent, or must not
}

// testLimits are limits of a Resolver, by name.
type testLimits map[string]int

// faultLine is one fault, as written.
type faultLine struct {
	at, verb string
	args     []string
}

// zoneText is a zone, as written.
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

// parseScenarios parses a file of scenarios. An error names file and line.
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

// reader is the state of the parser. What is before the first scenario is part of
// each.
type reader struct {
	file   string
	line   int
	common *scenario // nil until the first scenario begins
	now    *scenario
	begun  string // file and line of the scenario
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
	case "about":
		return once(&r.now.about, rest)
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
	r.now.faults = append(r.now.faults, faultLine{r.at(), keyword, args})
	return nil
}

func once(to *string, text string) error {
	if text == "" || *to != "" {
		return errors.New("expected one line of text")
	}
	*to = text
	return nil
}

// begin begins a scenario with a copy of the common part.
func (r *reader) begin(args []string) error {
	if err := r.finish(); err != nil {
		return err
	}
	if len(args) != 1 || r.names[args[0]] {
		return errors.New("expected a name of one word that is unique in the file")
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

// finish checks that the current scenario is complete, and builds it.
func (r *reader) finish() error {
	s := r.now
	if s.name == "" {
		return nil
	}
	missing := func(what string) error { return fmt.Errorf("%s: scenario %s: expected %s", r.begun, s.name, what) }
	switch {
	case s.about == "":
		return missing("an about line")
	case s.rfc == "":
		return missing("an rfc line")
	case len(s.asks) == 0:
		return missing("an ask line")
	}
	for _, ask := range s.asks {
		if ask.want.ttl == unset {
			return missing("an expect line for each ask")
		}
		if len(ask.want.why) == 0 && ask.want.status != dnssec.Secure {
			return missing("a why for each verdict that is not secure")
		}
	}
	if err := s.build(); err != nil {
		return fmt.Errorf("%s: scenario %s: %w", r.begun, s.name, err)
	}
	r.all = append(r.all, s)
	r.now = &scenario{}
	return nil
}

// readZone adds a zone, or more words to an existing one.
func (r *reader) readZone(args []string) error {
	if len(args) == 0 || !strings.HasSuffix(args[0], ".") {
		return errors.New("expected an absolute name")
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
		return errors.New("must be below a zone")
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
	r.now.limits = testLimits{}
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

// unset as a TTL marks an askLine without an expect line.
const unset = -2

func (r *reader) readAsk(args []string) error {
	ask := askLine{at: r.at(), want: expectation{ttl: unset}}
	if len(args) < 2 {
		return errors.New("expected a name and a type")
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
			return errors.New(`expected only "at" and a time from now, as +2h`)
		}
		ask.later = later
	}
	if n := len(r.now.asks); n > 0 && r.now.asks[n-1].want.ttl == unset {
		r.now.asks = r.now.asks[:n-1] // the question of the common part
	}
	r.now.asks = append(r.now.asks, ask)
	return nil
}

// duration parses a time from now; d and y are units too.
func duration(word string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "y": 365 * 24 * time.Hour} {
		if n, err := strconv.Atoi(strings.TrimSuffix(word, unit)); err == nil && strings.HasSuffix(word, unit) {
			return time.Duration(n) * length, nil
		}
	}
	return time.ParseDuration(word)
}

func (r *reader) lastAsk() (*askLine, error) {
	if len(r.now.asks) == 0 {
		return nil, errors.New("must be below an ask")
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
		return errors.New("more than one expect line below an ask")
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

// clause parses one expectation besides the status.
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
	case len(words) == 2 && words[0] == "fault":
		w.faultZone = last
	case len(words) == 2 && words[0] == "ttl":
		w.ttl, err = duration(last)
	case words[0] == "ede":
		w.ede = strings.Join(words[1:], " ")
	case len(words) == 4 && words[0] == "at" && words[1] == "most":
		w.atMost[last], err = count(words[2])
	case len(words) == 3 && (words[0] == "asked" || words[0] == "unasked"):
		w.asked[words[1]+" "+words[2]] = words[0] == "asked"
	default:
		return errors.New("not an expectation")
	}
	return err
}

func TestScenarioReader(t *testing.T) {
	const whole = "scenario s\nabout x\nrfc 1 §1\nzone org.\nask org. SOA\nexpect secure\n"
	if all, err := parseScenarios("f", strings.NewReader(whole)); err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "# a comment\n", "f: no scenario"},
		{"an unknown keyword", whole + "sing org.\n", "f:7: sing: neither a keyword nor a verb"},
		{"no about line", "scenario s\nrfc 1\nask org. A\nexpect secure\n", "f:1: scenario s: expected an about line"},
		{"no section", "scenario s\nabout x\nask org. A\nexpect secure\n", "f:1: scenario s: expected an rfc line"},
		{"nothing asked", "scenario s\nabout x\nrfc 1\n", "f:1: scenario s: expected an ask line"},
		{"nothing expected", "scenario s\nabout x\nrfc 1\nask org. A\n", "f:1: scenario s: expected an expect line"},
		{"bogus without a reason", "scenario s\nabout x\nrfc 1\nask org. A\nexpect bogus\n", "f:1: scenario s: expected a why"},
		{"one name twice", whole + "scenario s\n", "f:7: scenario: expected a name"},
		{"an unknown type", "ask org. B\n", "f:1: ask: B: not a type"},
		{"an unknown status", "ask org. A\nexpect perhaps\n", "f:2: expect: perhaps: not a status"},
		{"an unknown clause", "ask org. A\nexpect secure, somehow\n", "f:2: expect:  somehow: not an expectation"},
		{"an unknown word of a zone", "zone org. wobbly\n", "f:1: zone: wobbly: not a word of zones"},
		{"records of no zone", "has a A 192.0.2.1\n", "f:1: has: must be below a zone"},
		{"records that do not parse", whole + "zone org.\nhas a A b\n", "f:1: scenario s: zone org."},
		{"a verb without arguments", whole + "corrupt\n", "f:1: scenario s: f:7: corrupt: expected a name"},
		{"an unknown rcode", whole + "rcode org. A MAYBE\n", "f:1: scenario s: f:7: rcode: "},
		{"an unknown field", whole + "alter org. A colour=1\n", "f:1: scenario s: f:7: alter: colour=1"},
		{"an unknown key", whole + "sign-with org. A zsk:young\n", "f:1: scenario s: f:7: sign-with: key zsk:young: young"},
		{"an unknown server", whole + "server 9 rcode org. A SERVFAIL\n", "f:1: scenario s: f:7: server: 9: there are servers"},
		{"a signature that one server breaks", whole + "server 1 corrupt org. A\n", "f:1: scenario s: f:7: server: corrupt: applies to all"},
		{"an unknown limit", "limits time=1\n", "f:1: limits: time=1: not a limit"},
		{"an unknown option", "options sha2=1\n", "f:1: options: sha2=1: not an option"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseScenarios("f", strings.NewReader(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v\nwant %s…", err, c.want)
			}
		})
	}
}
