//go:build integration

package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// A source caches the unchanged responses of the resolver that does not validate.
// It is safe for concurrent use.
type source struct {
	mu        sync.Mutex
	responses map[question]*dns.Msg
}

func newSource() *source { return &source{responses: make(map[question]*dns.Msg)} }

// ask returns a copy of the response to a question.
func (s *source) ask(q question) (*dns.Msg, error) {
	s.mu.Lock()
	known := s.responses[q]
	s.mu.Unlock()
	if known != nil {
		return known.Copy(), nil
	}
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.SetEdns0(1232, true)
	m.CheckingDisabled = true
	client := dns.Client{Net: "tcp", Timeout: timeout}
	response, _, err := client.Exchange(m, netip.AddrPortFrom(resolverAddress, 53).String())
	if err != nil {
		return nil, fmt.Errorf("query %s for %s: %w", resolverAddress, q, err)
	}
	for _, section := range [][]dns.RR{response.Answer, response.Ns} {
		sortRRsets(section)
	}
	s.mu.Lock()
	s.responses[q] = response
	s.mu.Unlock()
	return response.Copy(), nil
}

// sortRRsets sorts the records within each RRset, so that a seed always changes the
// same records.
func sortRRsets(section []dns.RR) {
	place := make(map[candidate]int)
	at := func(record dns.RR) int {
		v := candidate{owner: record.Header().Name, rrtype: covered(record)}
		if _, ok := place[v]; !ok {
			place[v] = len(place)
		}
		return place[v]
	}
	for _, record := range section {
		at(record)
	}
	slices.SortStableFunc(section, func(a, b dns.RR) int {
		signature := func(record dns.RR) int {
			if record.Header().Rrtype == dns.TypeRRSIG {
				return 1
			}
			return 0
		}
		return cmp.Or(at(a)-at(b), signature(a)-signature(b), strings.Compare(a.String(), b.String()))
	})
}

// A trial is a set of changes to the responses, and the questions to ask. The
// answer to a question is the same each time.
type trial struct {
	number    int
	changes   []change
	questions []question
	source    *source

	mu      sync.Mutex
	answers map[question]*dns.Msg
}

// A change is one change of the responses.
type change struct {
	mutation string // name in the table of mutations
	place    string // the RRset or response that is changed
	act      func(question, *dns.Msg)
}

// reverted returns the trial without the change that an explanation is about.
func (tr *trial) reverted(d disagreement, e explanation) *trial {
	revert := change{mutation: "revert", act: func(q question, response *dns.Msg) {
		if original, err := tr.source.ask(q); err == nil {
			e.revert(d, q, response, original)
		}
	}}
	return &trial{number: tr.number, source: tr.source, changes: append(slices.Clone(tr.changes), revert)}
}

func (c change) String() string { return c.mutation + ": " + c.place }

func (tr *trial) String() string {
	if len(tr.changes) == 0 {
		return "nothing is changed"
	}
	var words []string
	for _, c := range tr.changes {
		words = append(words, c.String())
	}
	return strings.Join(words, "; ")
}

// answer returns the changed response to a question.
func (tr *trial) answer(q question) (*dns.Msg, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if known := tr.answers[q]; known != nil {
		return known.Copy(), nil
	}
	response, err := tr.source.ask(q)
	if err != nil {
		return nil, err
	}
	for _, c := range tr.changes {
		c.act(q, response)
	}
	if _, err := response.Pack(); err != nil {
		// A response without a wire form becomes a SERVFAIL.
		response.Rcode, response.Answer, response.Ns, response.Extra = dns.RcodeServerFailure, nil, nil, nil
	}
	if tr.answers == nil {
		tr.answers = make(map[question]*dns.Msg)
	}
	tr.answers[q] = response
	return response.Copy(), nil
}

// A mutator is the resolver of both validators. It answers with the changed
// responses of the current trial.
type mutator struct {
	t       testing.TB
	address netip.Addr
	trial   atomic.Pointer[trial]
}

// startMutator serves UDP and TCP at port 53 of an address until the test ends.
func startMutator(t testing.TB, address netip.Addr) *mutator {
	t.Helper()
	m := &mutator{t: t, address: address}
	at := netip.AddrPortFrom(address, 53).String()
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: m}, {Listener: listener, Handler: m}} {
		started, ended := make(chan struct{}), make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			if err := server.ActivateAndServe(); err != nil {
				t.Errorf("serve %s: %v", at, err)
			}
		}()
		<-started
		t.Cleanup(func() {
			server.Shutdown()
			<-ended
		})
	}
	return m
}

// ServeDNS answers one query.
func (m *mutator) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	asked := query.Question[0]
	response, err := m.trial.Load().answer(question{dns.CanonicalName(asked.Name), asked.Qtype})
	if err != nil {
		m.t.Error(err)
		return
	}
	response.Id, response.Question, response.Compress = query.Id, query.Question, true
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		response.Truncate(size)
	}
	w.WriteMsg(response) // fails only if the client has gone
}

// A generator makes trials at random.
type generator struct {
	source   *source
	zones    []*zone
	zoneKeys zoneKeys
	all      []question
}

// unchanged returns a trial without changes, with every 20th question. Both
// validators must agree on the unchanged responses.
func (g *generator) unchanged(seed uint64) *trial {
	const share = 20
	tr := &trial{number: -1, source: g.source}
	for i := int(seed % share); i < len(g.all); i += share {
		tr.questions = append(tr.questions, g.all[i])
	}
	return tr
}

// trial returns the trial with a number. Equal seeds and numbers make equal trials.
func (g *generator) trial(seed uint64, number int) (*trial, error) {
	rnd := rand.New(rand.NewPCG(seed, uint64(number)))
	tr := &trial{number: number, source: g.source}
	first := pick(rnd, g.all)
	tr.questions = append(tr.questions, first)
	home := zoneOf(g.zones, first)
	for len(tr.questions) < questionsPerTrial {
		// Mostly questions of the same zone, which the same changes can affect.
		other := pick(rnd, g.all)
		if zoneOf(g.zones, other) == home || rnd.IntN(200) == 0 {
			tr.questions = append(tr.questions, other)
		}
	}
	for len(tr.changes) == 0 || rnd.IntN(3) == 0 {
		m := pick(rnd, mutations())
		candidates, err := g.candidates(first, rnd)
		if err != nil {
			return nil, err
		}
		for _, at := range candidates {
			if m.fits(at) {
				tr.changes = append(tr.changes, m.newChange(g, rnd, at))
				break
			}
		}
	}
	return tr, nil
}

// A candidate is an RRset that a verdict depends on, in the response to a question.
type candidate struct {
	asked  question
	owner  string
	rrtype uint16
}

// candidates lists the RRsets in the responses about a name, its aliases, and the
// zones above them, shuffled. Those of the first response are listed twice.
func (g *generator) candidates(q question, rnd *rand.Rand) ([]candidate, error) {
	list, err := g.rrsetsOf(q)
	if err != nil {
		return nil, err
	}
	list = append(list, list...)
	names := make(map[string]bool)
	for _, v := range list {
		names[v.owner] = true
	}
	for _, z := range g.zones {
		above := false
		for name := range names {
			above = above || dns.IsSubDomain(z.name, name)
		}
		if !above {
			continue
		}
		for _, qtype := range []uint16{dns.TypeDNSKEY, dns.TypeDS} {
			more, err := g.rrsetsOf(question{z.name, qtype})
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, nil
}

// rrsetsOf lists the RRsets in the response to a question.
func (g *generator) rrsetsOf(q question) ([]candidate, error) {
	response, err := g.source.ask(q)
	if err != nil {
		return nil, err
	}
	var list []candidate
	for _, record := range slices.Concat(response.Answer, response.Ns) {
		v := candidate{q, dns.CanonicalName(record.Header().Name), covered(record)}
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list, nil
}

// covered returns the type of a record, or the type that a signature covers.
func covered(record dns.RR) uint16 {
	if signature, ok := record.(*dns.RRSIG); ok {
		return signature.TypeCovered
	}
	return record.Header().Rrtype
}

// pick returns a random element of a list.
func pick[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }

// A mutation is one way to change responses. Either set or message is set.
type mutation struct {
	name  string
	types []uint16 // types of the RRsets that it changes; all if empty

	// set changes an RRset in every response that has it. If resign is set, the
	// signatures are made again in half of the cases, with the zone's own keys.
	set    func(*rand.Rand, *signedSet)
	resign bool
	// updateDS makes new DS records that match the changed keys of the zone.
	updateDS bool
	// message changes the response to one question.
	message func(*rand.Rand, *generator, *dns.Msg)
}

// fits reports whether the mutation applies to a candidate.
func (m mutation) fits(v candidate) bool {
	return len(m.types) == 0 || slices.Contains(m.types, v.rrtype)
}

// newChange makes all random choices, so that the change is the same each time.
func (m mutation) newChange(g *generator, rnd *rand.Rand, v candidate) change {
	localSeed := rnd.Uint64()
	if m.message != nil {
		return change{m.name, "the response to " + v.asked.String(), func(q question, response *dns.Msg) {
			if q == v.asked {
				m.message(rand.New(rand.NewPCG(localSeed, 0)), g, response)
			}
		}}
	}
	resign := m.resign && rnd.IntN(2) == 0
	c := change{mutation: m.name, place: v.owner + " " + dns.TypeToString[v.rrtype]}
	if resign {
		c.place += ", signed again"
	}
	if m.updateDS {
		c.place += ", with matching DS"
	}
	c.act = func(q question, response *dns.Msg) {
		if m.updateDS && q == (question{v.owner, dns.TypeDS}) {
			g.editRRset(&response.Answer, v.owner, dns.TypeDS, func(set *signedSet) {
				set.updateDS(rand.New(rand.NewPCG(localSeed, 0)), m)
				set.resign()
			})
		}
		for _, section := range []*[]dns.RR{&response.Answer, &response.Ns} {
			g.editRRset(section, v.owner, v.rrtype, func(set *signedSet) {
				m.set(rand.New(rand.NewPCG(localSeed, 0)), set)
				if resign {
					set.resign()
				}
			})
		}
	}
	return c
}
