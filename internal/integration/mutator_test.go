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

// source has the responses of the unbroken world, asked for once each of the
// resolver that does not validate.
type source struct {
	mu        sync.Mutex
	responses map[question]*dns.Msg
}

func newSource() *source { return &source{responses: make(map[question]*dns.Msg)} }

// ask returns a response that the caller may change.
func (s *source) ask(q question) (*dns.Msg, error) {
	s.mu.Lock()
	known := s.responses[q]
	s.mu.Unlock()
	if known != nil {
		return known.Copy(), nil
	}
	query := new(dns.Msg)
	query.SetQuestion(q.name, q.qtype)
	query.SetEdns0(1232, true)
	query.CheckingDisabled = true
	client := dns.Client{Net: "tcp", Timeout: patience}
	response, _, err := client.Exchange(query, netip.AddrPortFrom(iteratorAddress, 53).String())
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", iteratorAddress, q, err)
	}
	for _, section := range [][]dns.RR{response.Answer, response.Ns} {
		settle(section)
	}
	s.mu.Lock()
	s.responses[q] = response
	s.mu.Unlock()
	return response.Copy(), nil
}

// settle puts the records of each RRset in an order of their own, so that the
// same seed breaks the same.
func settle(section []dns.RR) {
	place := make(map[victim]int)
	at := func(record dns.RR) int {
		v := victim{owner: record.Header().Name, rrtype: covered(record)}
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

// A trial is one broken state of the world, and what is asked of it. Who asks
// the same gets the same, however often.
type trial struct {
	number    int
	changes   []change
	questions []question
	source    *source

	mu      sync.Mutex
	answers map[question]*dns.Msg
}

// A change is one thing that is broken in responses.
type change struct {
	mutation string // what is done, as the table of mutations has it
	place    string // and to what
	act      func(question, *dns.Msg)
}

// cured is the trial without what an explanation blames.
func (tr *trial) cured(d disagreement, e explanation) *trial {
	cure := change{mutation: "a cure", act: func(q question, response *dns.Msg) {
		if pristine, err := tr.source.ask(q); err == nil {
			e.cure(d, q, response, pristine)
		}
	}}
	return &trial{number: tr.number, source: tr.source, changes: append(slices.Clone(tr.changes), cure)}
}

func (c change) String() string { return c.mutation + " of " + c.place }

func (tr *trial) String() string {
	if len(tr.changes) == 0 {
		return "nothing is broken"
	}
	var words []string
	for _, c := range tr.changes {
		words = append(words, c.String())
	}
	return strings.Join(words, "; ")
}

// answer is the broken response to a question.
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
		// What has no wire form is a failure to everybody.
		response.Rcode, response.Answer, response.Ns, response.Extra = dns.RcodeServerFailure, nil, nil, nil
	}
	if tr.answers == nil {
		tr.answers = make(map[question]*dns.Msg)
	}
	tr.answers[q] = response
	return response.Copy(), nil
}

// A mutator is the resolver that the judge and we ask: it answers as the trial
// that is under way wants it.
type mutator struct {
	t       testing.TB
	address netip.Addr
	trial   atomic.Pointer[trial]
}

// startMutator serves at port 53 of an address until the test ends.
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
	w.WriteMsg(response) // an error says that who asked has gone
}

// surgery makes trials: it picks what to break, and breaks it.
type surgery struct {
	source  *source
	zones   []*zone
	signers signers
	all     []question
}

// unbroken is a trial in which nothing is broken: the judge and we have to
// agree about the world as it is, or what comes after means nothing.
func (s *surgery) unbroken(seed uint64) *trial {
	const share = 20
	tr := &trial{number: -1, source: s.source}
	for i := int(seed % share); i < len(s.all); i += share {
		tr.questions = append(tr.questions, s.all[i])
	}
	return tr
}

// trial makes the trial of a number. Equal seeds and numbers make equal trials.
func (s *surgery) trial(seed uint64, number int) (*trial, error) {
	rnd := rand.New(rand.NewPCG(seed, uint64(number)))
	tr := &trial{number: number, source: s.source}
	first := pick(rnd, s.all)
	tr.questions = append(tr.questions, first)
	home := zoneOf(s.zones, first)
	for len(tr.questions) < questionsEach {
		// Others of the same zone, which may meet the same change in other ways.
		other := pick(rnd, s.all)
		if zoneOf(s.zones, other) == home || rnd.IntN(200) == 0 {
			tr.questions = append(tr.questions, other)
		}
	}
	for len(tr.changes) == 0 || rnd.IntN(3) == 0 {
		m := pick(rnd, mutations())
		victims, err := s.victims(first, rnd)
		if err != nil {
			return nil, err
		}
		for _, at := range victims {
			if m.fits(at) {
				tr.changes = append(tr.changes, m.prepare(s, rnd, at))
				break
			}
		}
	}
	return tr, nil
}

// A victim is one RRset of the responses that a verdict rests on.
type victim struct {
	asked  question
	owner  string
	rrtype uint16
}

// victims lists the RRsets of the responses about a name, its aliases, and the
// zones above them, shuffled; those of the first response are twice there.
func (s *surgery) victims(q question, rnd *rand.Rand) ([]victim, error) {
	list, err := s.victimsOf(q)
	if err != nil {
		return nil, err
	}
	list = append(list, list...)
	names := make(map[string]bool)
	for _, v := range list {
		names[v.owner] = true
	}
	for _, z := range s.zones {
		above := false
		for name := range names {
			above = above || dns.IsSubDomain(z.name, name)
		}
		if !above {
			continue
		}
		for _, qtype := range []uint16{dns.TypeDNSKEY, dns.TypeDS} {
			more, err := s.victimsOf(question{z.name, qtype})
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, nil
}

func (s *surgery) victimsOf(q question) ([]victim, error) {
	response, err := s.source.ask(q)
	if err != nil {
		return nil, err
	}
	var list []victim
	for _, record := range slices.Concat(response.Answer, response.Ns) {
		v := victim{q, dns.CanonicalName(record.Header().Name), covered(record)}
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list, nil
}

// covered is the type of a record, or the type that it signs.
func covered(record dns.RR) uint16 {
	if signature, ok := record.(*dns.RRSIG); ok {
		return signature.TypeCovered
	}
	return record.Header().Rrtype
}

func pick[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }

// A mutation is one way to break things. Either set or message is there.
type mutation struct {
	name  string
	types []uint16 // whose RRsets it breaks; none: any

	// set changes an RRset wherever it is seen; forge says that its signatures
	// may be made again afterwards, with the zone's own keys.
	set   func(*rand.Rand, *signedSet)
	forge bool
	// follow says that the zone's DS records are made anew, for the keys as they
	// have become.
	follow bool
	// message changes the response to one question.
	message func(*rand.Rand, *surgery, *dns.Msg)
}

// fits reports whether the mutation can do something to a victim.
func (m mutation) fits(v victim) bool {
	return len(m.types) == 0 || slices.Contains(m.types, v.rrtype)
}

// prepare decides everything that is left to chance, so that the change is the
// same each time.
func (m mutation) prepare(s *surgery, rnd *rand.Rand, v victim) change {
	dice := rnd.Uint64()
	if m.message != nil {
		return change{m.name, "the response to " + v.asked.String(), func(q question, response *dns.Msg) {
			if q == v.asked {
				m.message(rand.New(rand.NewPCG(dice, 0)), s, response)
			}
		}}
	}
	forge := m.forge && rnd.IntN(2) == 0
	c := change{mutation: m.name, place: v.owner + " " + dns.TypeToString[v.rrtype]}
	if forge {
		c.place += ", signed again"
	}
	if m.follow {
		c.place += ", and its DS, too"
	}
	c.act = func(q question, response *dns.Msg) {
		if m.follow && q == (question{v.owner, dns.TypeDS}) {
			s.operate(&response.Answer, v.owner, dns.TypeDS, func(set *signedSet) {
				set.followKeys(rand.New(rand.NewPCG(dice, 0)), m)
				set.forge()
			})
		}
		for _, section := range []*[]dns.RR{&response.Answer, &response.Ns} {
			s.operate(section, v.owner, v.rrtype, func(set *signedSet) {
				m.set(rand.New(rand.NewPCG(dice, 0)), set)
				if forge {
					set.forge()
				}
			})
		}
	}
	return c
}
