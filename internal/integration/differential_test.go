//go:build integration

package integration

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/dnssec/transport"
)

// Flags of the differential test. A longer run:
//
//	go test -tags integration ./internal/integration -run Differential -timeout 1h -seed 7 -trials 50000
var (
	seed   = flag.Uint64("seed", 1, "random seed of the differential test")
	trials = flag.Int("trials", 1800, "number of trials of the differential test")
	only   = flag.Int("trial", -1, "number of the only trial to run")
)

const (
	questionsPerTrial = 6
	lanes             = 4    // trials in parallel
	fullRun           = 1500 // trials in which every mutation must occur
	delvInterval      = 8    // delv is asked a question in one of so many trials
)

// nsec3Limit is the limit of NSEC3 iterations, for Unbound and for us.
const nsec3Limit = 50

// TestDifferential changes the responses of Knot and BIND at random and compares
// the verdicts of a validating Unbound and of our validator. A disagreement that
// no row of explanations covers is a defect.
func TestDifferential(t *testing.T) {
	tb := &testbed{dir: tempDir(t), zones: differentialZones()}
	configureLoopback(t)
	tb.publish(t)
	newUnbound(t, tb, "iterator", resolverAddress).start(t)
	source := newSource()
	g := &generator{source: source, zones: tb.zones, zoneKeys: loadKeys(t, tb, source), all: differentialQuestions(t, tb.zones)}

	c := newComparison()
	first, end := 0, *trials
	if *only >= 0 {
		first, end = *only, *only+1
	}
	var next atomic.Int64
	next.Store(int64(first))
	t.Run("lanes", func(t *testing.T) {
		for i := range lanes {
			l := newLane(t, tb, i)
			t.Run(l.mutator.address.String(), func(t *testing.T) {
				t.Parallel()
				if i == 0 && *only < 0 {
					l.compare(t, c, g.unchanged(*seed))
				}
				for number := int(next.Add(1) - 1); number < end; number = int(next.Add(1) - 1) {
					tr, err := g.trial(*seed, number)
					if err != nil {
						t.Fatalf("trial %d: %v", number, err)
					}
					l.compare(t, c, tr)
				}
			})
		}
	})
	c.report(t)
}

// anchors returns the trust anchors of the testbed.
func (tb *testbed) anchors(t testing.TB) []dnssec.Anchor {
	t.Helper()
	anchors, err := dnssec.ParseAnchors(strings.NewReader(tb.anchor))
	if err != nil {
		t.Fatal(err)
	}
	return anchors
}

// A lane runs trials: a mutator, with Unbound, delv and our validator behind it.
type lane struct {
	mutator   *mutator
	validator *validator
	delv      delv
	upstream  dnssec.Transport
	anchors   []dnssec.Anchor
}

// newLane starts the lane with a number, which determines its addresses.
func newLane(t testing.TB, tb *testbed, number int) *lane {
	t.Helper()
	mutator, validator := netip.AddrFrom4([4]byte{127, 0, 2, byte(number + 1)}), netip.AddrFrom4([4]byte{127, 0, 1, byte(number + 1)})
	upstream, err := transport.New([]string{mutator.String()}, transport.Options{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return &lane{mutator: startMutator(t, mutator), validator: startValidator(t, tb, validator, mutator),
		delv: newDelv(t, tb, mutator), upstream: upstream, anchors: tb.anchors(t)}
}

// compare asks both validators all questions of a trial.
func (l *lane) compare(t *testing.T, c *comparison, tr *trial) {
	for i, q := range tr.questions {
		d, err := l.ask(t, tr, q)
		if err != nil {
			t.Error(err)
			return
		}
		if d.difference() != "" { // again, because on a busy machine a response may be late
			if d, err = l.ask(t, tr, q); err != nil {
				t.Error(err)
				return
			}
		}
		class := ""
		if d.difference() != "" {
			if class, err = l.explain(t, d); err != nil {
				t.Error(err)
			}
		}
		c.add(t, d, class)
		if tr.number%delvInterval == 0 && i == 0 {
			reference, _ := l.delv.status(t, q)
			c.addDelv(d, reference)
		}
	}
}

// ask asks both validators one question of a trial, with empty caches.
func (l *lane) ask(t *testing.T, tr *trial, q question) (disagreement, error) {
	l.mutator.trial.Store(tr)
	reference, err := l.validator.ask(q)
	if err != nil {
		return disagreement{}, fmt.Errorf("%w (trial %d: %s)", err, tr.number, tr)
	}
	options := dnssec.Options{SHA1: dnssec.SHA1Accept, NSEC3MaxIterations: nsec3Limit, QueryTimeout: timeout}
	ours := dnssec.New(l.upstream, l.anchors, time.Now, options).Lookup(t.Context(), q.name, q.qtype)
	return disagreement{tr, q, ours, reference}, nil
}

// explain returns the class of a disagreement, or "" if there is none. With several
// changes, a second explanation may have to cover what the first one leaves.
func (l *lane) explain(t *testing.T, d disagreement) (string, error) {
	for _, e := range explanations() {
		if !e.applies(d) {
			continue
		}
		if e.revert == nil {
			return e.class, nil
		}
		reverted, err := l.retry(t, d, e)
		if err != nil {
			return "", err
		}
		if d.resolvedBy(reverted) {
			return e.class, nil
		}
		for _, rest := range explanations() {
			if reverted.difference() == "" || rest.revert == nil || !rest.applies(reverted) {
				continue
			}
			twice, err := l.retry(t, reverted, rest)
			if err != nil {
				return "", err
			}
			if d.resolvedBy(twice) {
				return e.class, nil
			}
		}
	}
	return "", nil
}

// retry asks again without the change that an explanation is about.
func (l *lane) retry(t *testing.T, d disagreement, e explanation) (disagreement, error) {
	q := d.question
	if e.question != nil {
		q = e.question(d)
	}
	return l.ask(t, d.trial.reverted(d, e), q)
}

// resolvedBy reports whether the validators agree after the change was reverted,
// and at least one of them has the same verdict as before.
func (d disagreement) resolvedBy(reverted disagreement) bool {
	oursUnchanged := reverted.ours.Status == d.ours.Status && slices.Equal(texts(reverted.ours.Records), texts(d.ours.Records))
	return reverted.difference() == "" && (oursUnchanged || statusOf(reverted.reference) == statusOf(d.reference))
}

// A disagreement holds the verdicts of both validators on one question. They may
// also agree.
type disagreement struct {
	trial     *trial
	question  question
	ours      dnssec.Answer
	reference *dns.Msg
}

// difference describes how the verdicts differ; it is empty if they agree.
func (d disagreement) difference() string {
	reference := statusOf(d.reference)
	switch {
	case d.ours.Status.Failed() && reference.Failed():
		return ""
	case d.ours.Status != reference:
		return fmt.Sprintf("%s for us, %s for Unbound", d.ours.Status, reference)
	case d.ours.Rcode != d.reference.Rcode:
		return fmt.Sprintf("%s for us, %s for Unbound", dns.RcodeToString[d.ours.Rcode], dns.RcodeToString[d.reference.Rcode])
	case !slices.Equal(texts(d.ours.Records), texts(final(d.question, d.reference))):
		return "different records"
	}
	return ""
}

// final returns the records that answer a question, at the end of its aliases.
func final(q question, response *dns.Msg) []dns.RR {
	name := q.name
	for range response.Answer {
		for _, record := range response.Answer {
			alias, ok := record.(*dns.CNAME)
			if ok && q.qtype != dns.TypeCNAME && dns.CanonicalName(alias.Hdr.Name) == name {
				name = dns.CanonicalName(alias.Target)
			}
		}
	}
	var records []dns.RR
	for _, record := range response.Answer {
		if record.Header().Rrtype == q.qtype && record.Header().Class == dns.ClassINET && dns.CanonicalName(record.Header().Name) == name {
			records = append(records, record)
		}
	}
	return records
}

// texts returns the distinct data of records, sorted and in lower case.
func texts(records []dns.RR) []string {
	var list []string
	for _, record := range records {
		list = append(list, strings.ToLower(strings.TrimPrefix(record.String(), record.Header().String())))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// String returns both verdicts, the response, and the flags that repeat the trial.
func (d disagreement) String() string {
	response, err := d.trial.answer(d.question)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s: %s (repeat with -seed %d -trial %d)\n\tchanges: %s\n\tours: %s (%v)\n\tUnbound: %s\n\tresponse to both: %s",
		d.question, d.difference(), *seed, d.trial.number, d.trial, d.ours.Why, d.ours.Err, d.reference, response)
}

// A comparison counts verdicts. It is safe for concurrent use.
type comparison struct {
	mu          sync.Mutex
	statuses    map[dnssec.Status]int // by Unbound's verdict
	explained   map[string]int        // by class
	unexplained int
	applied     map[string]int // lookups by mutation
	bogus       map[string]int // lookups that are bogus for Unbound, by mutation
	delv        map[string]int // lookups by agreement of delv
}

func newComparison() *comparison {
	return &comparison{statuses: make(map[dnssec.Status]int), explained: make(map[string]int),
		applied: make(map[string]int), bogus: make(map[string]int), delv: make(map[string]int)}
}

// add counts one lookup. A disagreement without a class fails the test.
func (c *comparison) add(t *testing.T, d disagreement, class string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	reference := statusOf(d.reference)
	c.statuses[reference]++
	for _, change := range d.trial.changes {
		c.applied[change.mutation]++
		if reference.Failed() {
			c.bogus[change.mutation]++
		}
	}
	switch {
	case d.difference() == "":
	case class != "":
		c.explained[class]++
	default:
		c.unexplained++
		t.Error(d)
	}
}

// addDelv counts with which validator delv agrees. It differs from both where it
// rejects a malformed response and where it ignores opt-out. Where it agrees with
// Unbound only, the lookup is also among the disagreements.
func (c *comparison) addDelv(d disagreement, delv dnssec.Status) {
	same := func(a, b dnssec.Status) bool { return a == b || a.Failed() && b.Failed() }
	unbound := statusOf(d.reference)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case same(delv, d.ours.Status) && same(delv, unbound):
		c.delv["agrees with both"]++
	case same(delv, d.ours.Status):
		c.delv["agrees with us only"]++
	case same(delv, unbound):
		c.delv["agrees with Unbound only"]++
	default:
		c.delv["agrees with neither"]++
	}
}

// report logs the counts and checks that a full run covers all statuses and mutations.
func (c *comparison) report(t *testing.T) {
	t.Helper()
	lookups := 0
	for status, n := range c.statuses {
		t.Logf("%d lookups are %s for Unbound", n, status)
		lookups += n
	}
	t.Logf("%d lookups compared, %d disagreements unexplained", lookups, c.unexplained)
	for class, n := range c.explained {
		t.Logf("%d disagreements explained: %s", n, class)
	}
	for agreement, n := range c.delv {
		t.Logf("%d times delv %s", n, agreement)
	}
	if *only >= 0 || *trials < fullRun {
		return
	}
	for _, status := range []dnssec.Status{dnssec.Secure, dnssec.Insecure, dnssec.Bogus} {
		if c.statuses[status] == 0 {
			t.Errorf("no lookup is %s", status)
		}
	}
	if len(c.bogus) < len(mutations())/2 {
		t.Errorf("only %d of %d mutations made a lookup bogus", len(c.bogus), len(mutations()))
	}
	for _, m := range mutations() {
		if c.applied[m.name] == 0 {
			t.Errorf("no trial used the mutation %q", m.name)
		}
	}
}
