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

// How much the differential test does; more is for patient people:
//
//	go test -tags integration ./internal/integration -run Differential -timeout 1h -seed 7 -trials 50000
var (
	seed   = flag.Uint64("seed", 1, "where the differential test starts to break things at random")
	trials = flag.Int("trials", 1800, "how many states of the world the differential test breaks")
	only   = flag.Int("trial", -1, "the number of the one trial to make")
)

const (
	questionsEach = 6    // questions of one trial
	benches       = 4    // trials at a time, on a machine with as many processors
	enough        = 1500 // trials in which every mutation should occur
	delvEvery     = 8    // trials of which one has a question for delv, too
)

// nsec3Limit is our limit of NSEC3 iterations, which Unbound is told.
const nsec3Limit = 50

// TestDifferential breaks what Knot and BIND signed, at random, and asks a
// validating Unbound and us what we make of it. Each disagreement is explained
// by a row of explanations, or a defect.
func TestDifferential(t *testing.T) {
	w := &world{dir: directory(t), zones: manyZones()}
	bringUpLoopback(t)
	w.publish(t)
	newUnbound(t, w, "iterator", iteratorAddress).start(t)
	source := newSource()
	s := &surgery{source: source, zones: w.zones, signers: collectKeys(t, w, source), all: manyQuestions(t, w.zones)}

	c := newComparison()
	first, end := 0, *trials
	if *only >= 0 {
		first, end = *only, *only+1
	}
	var next atomic.Int64
	next.Store(int64(first))
	t.Run("benches", func(t *testing.T) {
		for i := range benches {
			b := newBench(t, w, i)
			t.Run(b.mutator.address.String(), func(t *testing.T) {
				t.Parallel()
				if i == 0 && *only < 0 {
					b.compare(t, c, s.unbroken(*seed))
				}
				for number := int(next.Add(1) - 1); number < end; number = int(next.Add(1) - 1) {
					tr, err := s.trial(*seed, number)
					if err != nil {
						t.Fatalf("trial %d: %v", number, err)
					}
					b.compare(t, c, tr)
				}
			})
		}
	})
	c.report(t)
}

// anchors are the trust anchors of the world.
func (w *world) anchors(t testing.TB) []dnssec.Anchor {
	t.Helper()
	anchors, err := dnssec.ParseAnchors(strings.NewReader(w.anchor))
	if err != nil {
		t.Fatal(err)
	}
	return anchors
}

// A bench is a mutator, the judge that asks it, and what we need to do so too.
type bench struct {
	mutator *mutator
	judge   *judge
	delv    delv
	carrier dnssec.Transport
	anchors []dnssec.Anchor
}

// newBench starts one of several, each with addresses of its own.
func newBench(t testing.TB, w *world, number int) *bench {
	t.Helper()
	mutator, judge := netip.AddrFrom4([4]byte{127, 0, 2, byte(number + 1)}), netip.AddrFrom4([4]byte{127, 0, 1, byte(number + 1)})
	carrier, err := transport.New([]string{mutator.String()}, transport.Options{Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{mutator: startMutator(t, mutator), judge: startJudge(t, w, judge, mutator), delv: newDelv(t, w, mutator), carrier: carrier, anchors: w.anchors(t)}
}

// compare asks the judge and us everything of one trial.
func (b *bench) compare(t *testing.T, c *comparison, tr *trial) {
	for i, q := range tr.questions {
		d, err := b.ask(t, tr, q)
		if err != nil {
			t.Error(err)
			return
		}
		if d.about() != "" { // on a busy machine a message may have been late
			if d, err = b.ask(t, tr, q); err != nil {
				t.Error(err)
				return
			}
		}
		class := ""
		if d.about() != "" {
			if class, err = b.explain(t, d); err != nil {
				t.Error(err)
			}
		}
		c.add(t, d, class)
		if tr.number%delvEvery == 0 && i == 0 {
			judged, _ := b.delv.status(t, q)
			c.addDelv(d, judged)
		}
	}
}

// ask asks one question of one trial. Nothing is remembered from one to the next.
func (b *bench) ask(t *testing.T, tr *trial, q question) (disagreement, error) {
	b.mutator.trial.Store(tr)
	judged, err := b.judge.ask(q)
	if err != nil {
		return disagreement{}, fmt.Errorf("%w (trial %d: %s)", err, tr.number, tr)
	}
	options := dnssec.Options{SHA1: dnssec.SHA1Accept, NSEC3MaxIterations: nsec3Limit, QueryTimeout: patience}
	ours := dnssec.New(b.carrier, b.anchors, time.Now, options).Lookup(t.Context(), q.name, q.qtype)
	return disagreement{tr, q, ours, judged}, nil
}

// explain returns the class of a disagreement, or nothing. Where several things
// are broken, it may take a second class to explain what the first leaves.
func (b *bench) explain(t *testing.T, d disagreement) (string, error) {
	for _, e := range explanations() {
		if !e.applies(d) {
			continue
		}
		if e.cure == nil {
			return e.class, nil
		}
		cured, err := b.experiment(t, d, e)
		if err != nil {
			return "", err
		}
		if d.settledBy(cured) {
			return e.class, nil
		}
		for _, rest := range explanations() {
			if cured.about() == "" || rest.cure == nil || !rest.applies(cured) {
				continue
			}
			twice, err := b.experiment(t, cured, rest)
			if err != nil {
				return "", err
			}
			if d.settledBy(twice) {
				return e.class, nil
			}
		}
	}
	return "", nil
}

// experiment asks again without what an explanation blames.
func (b *bench) experiment(t *testing.T, d disagreement, e explanation) (disagreement, error) {
	q := d.question
	if e.instead != nil {
		q = e.instead(d)
	}
	return b.ask(t, d.trial.cured(d, e), q)
}

// settledBy reports whether we agree with the judge in an experiment, while one
// of us still says what it said before.
func (d disagreement) settledBy(cured disagreement) bool {
	weStay := cured.ours.Status == d.ours.Status && slices.Equal(texts(cured.ours.Records), texts(d.ours.Records))
	return cured.about() == "" && (weStay || statusOf(cured.judged) == statusOf(d.judged))
}

// A disagreement is what we and the judge say about one question, where it is not the same.
type disagreement struct {
	trial    *trial
	question question
	ours     dnssec.Answer
	judged   *dns.Msg
}

// about says in which respect they disagree; empty where they do not.
func (d disagreement) about() string {
	judged := statusOf(d.judged)
	switch {
	case d.ours.Status.Failed() && judged.Failed():
		return ""
	case d.ours.Status != judged:
		return fmt.Sprintf("%s to us, %s to Unbound", d.ours.Status, judged)
	case d.ours.Rcode != d.judged.Rcode:
		return fmt.Sprintf("%s to us, %s to Unbound", dns.RcodeToString[d.ours.Rcode], dns.RcodeToString[d.judged.Rcode])
	case !slices.Equal(texts(d.ours.Records), texts(final(d.question, d.judged))):
		return "other records"
	}
	return ""
}

// final are the records that answer a question, at the end of its aliases.
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

// texts are the data of records, each once, in order and in lower case.
func texts(records []dns.RR) []string {
	var list []string
	for _, record := range records {
		list = append(list, strings.ToLower(strings.TrimPrefix(record.String(), record.Header().String())))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// String says what there is to know, and how to see it again.
func (d disagreement) String() string {
	response, err := d.trial.answer(d.question)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s: %s (again: -seed %d -trial %d)\n\tbroken: %s\n\twe say: %s (%v)\n\tUnbound says: %s\n\tboth were told: %s",
		d.question, d.about(), *seed, d.trial.number, d.trial, d.ours.Why, d.ours.Err, d.judged, response)
}

// comparison counts. It is safe for concurrent use.
type comparison struct {
	mu          sync.Mutex
	statuses    map[dnssec.Status]int // by what Unbound says
	explained   map[string]int        // by class
	unexplained int
	applied     map[string]int // by mutation: look-ups
	bogus       map[string]int // by mutation: look-ups that are bogus to Unbound
	delv        map[string]int // by whose side delv takes
}

func newComparison() *comparison {
	return &comparison{statuses: make(map[dnssec.Status]int), explained: make(map[string]int),
		applied: make(map[string]int), bogus: make(map[string]int), delv: make(map[string]int)}
}

// add counts one look-up, and fails the test where a disagreement has no class.
func (c *comparison) add(t *testing.T, d disagreement, class string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	judged := statusOf(d.judged)
	c.statuses[judged]++
	for _, change := range d.trial.changes {
		c.applied[change.mutation]++
		if judged.Failed() {
			c.bogus[change.mutation]++
		}
	}
	switch {
	case d.about() == "":
	case class != "":
		c.explained[class]++
	default:
		c.unexplained++
		t.Error(d)
	}
}

// addDelv counts whose side delv takes. It stands alone wherever it refuses a
// response that is not well formed in its own view, and where it does not heed
// opt-out; what it and Unbound both say and we do not is among the disagreements.
func (c *comparison) addDelv(d disagreement, delv dnssec.Status) {
	same := func(a, b dnssec.Status) bool { return a == b || a.Failed() && b.Failed() }
	unbound := statusOf(d.judged)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case same(delv, d.ours.Status) && same(delv, unbound):
		c.delv["agrees with both"]++
	case same(delv, d.ours.Status):
		c.delv["agrees with us, against Unbound"]++
	case same(delv, unbound):
		c.delv["agrees with Unbound, against us"]++
	default:
		c.delv["agrees with neither"]++
	}
}

// report says how much was compared, and that it was worth it.
func (c *comparison) report(t *testing.T) {
	t.Helper()
	lookups := 0
	for status, n := range c.statuses {
		t.Logf("%d look-ups are %s to Unbound", n, status)
		lookups += n
	}
	t.Logf("%d look-ups compared, %d disagreements unexplained", lookups, c.unexplained)
	for class, n := range c.explained {
		t.Logf("%d disagreements explained: %s", n, class)
	}
	for side, n := range c.delv {
		t.Logf("%d times delv %s", n, side)
	}
	if *only >= 0 || *trials < enough {
		return
	}
	for _, status := range []dnssec.Status{dnssec.Secure, dnssec.Insecure, dnssec.Bogus} {
		if c.statuses[status] == 0 {
			t.Errorf("no look-up is %s", status)
		}
	}
	if len(c.bogus) < len(mutations())/2 {
		t.Errorf("only %d of %d mutations ever made anything bogus", len(c.bogus), len(mutations()))
	}
	for _, m := range mutations() {
		if c.applied[m.name] == 0 {
			t.Errorf("nothing was broken by %s", m.name)
		}
	}
}
