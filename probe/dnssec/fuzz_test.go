package dnssec

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	lab "dane_exporter/internal/lab/zone"
)

// recorder records every response.
type recorder struct {
	Transport
	mu   sync.Mutex
	tape []byte // responses, each after its length in two octets
}

func (r *recorder) Exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, string, error) {
	response, server, err := r.Transport.Exchange(ctx, query)
	if err != nil {
		return nil, "", err
	}
	wire, err := response.Pack()
	if err != nil {
		return nil, "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tape = append(binary.BigEndian.AppendUint16(r.tape, uint16(len(wire))), wire...)
	return response, server, nil
}

// play converts a tape into evidence. It leaves out what cannot be parsed.
func play(tape []byte) evidence {
	e := evidence{replies: make(map[question]*reply), zones: make(map[string]*zone)}
	for len(tape) > 2 && len(e.replies) < 64 {
		n := min(int(binary.BigEndian.Uint16(tape)), len(tape)-2)
		msg := new(dns.Msg)
		if err := msg.Unpack(tape[2 : 2+n]); err == nil && len(msg.Question) == 1 {
			q := question{fold(msg.Question[0].Name), msg.Question[0].Qtype}
			e.replies[q] = newReply(msg, q)
		}
		tape = tape[2+n:]
	}
	return e
}

// playground is a recording of a small Internet: the questions, the responses for
// each question, and the right answers.
type playground struct {
	at      time.Time
	anchors map[string][]*dns.DS
	asked   []question
	tapes   [][]byte
	truth   []Answer
}

func newPlayground(t testing.TB) *playground {
	p := &playground{at: time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return p.at }
	ed25519 := []uint8{dns.ED25519}
	net, err := lab.New(clock,
		lab.Zone{Apex: "org.", Algorithms: ed25519},
		lab.Zone{Apex: "example.org.", Algorithms: ed25519, Records: "@ MX 10 mx\nmx A 192.0.2.1\n*.w A 192.0.2.2\na CNAME mx\nd DNAME h.org.\n"},
		lab.Zone{Apex: "s.example.org.", Algorithms: ed25519, Records: "mx A 192.0.2.7\n"},
		lab.Zone{Apex: "h.org.", Algorithms: ed25519, NSEC3: &lab.NSEC3{Salt: "ab"}, Records: "mx A 192.0.2.3\n*.w A 192.0.2.4\n"},
		lab.Zone{Apex: "s.h.org.", Algorithms: ed25519, Records: "mx A 192.0.2.8\n"},
		lab.Zone{Apex: "u.org.", Unsigned: true, Delegation: lab.Insecure, Records: "mx A 192.0.2.5\n"},
		lab.Zone{Apex: "v.h.org.", Unsigned: true, Delegation: lab.Insecure, Records: "mx A 192.0.2.6\n"})
	if err != nil {
		t.Fatal(err)
	}
	resolver := New(net, net.Anchors(), clock, Options{})
	p.anchors = resolver.anchors
	for _, name := range []string{"mx.example.org.", "no.example.org.", "b.w.example.org.", "a.example.org.", "mx.d.example.org.", "mx.s.example.org.",
		"s.example.org.", "example.org.", "mx.h.org.", "no.h.org.", "b.w.h.org.", "mx.s.h.org.", "mx.u.org.", "mx.v.h.org."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeMX, dns.TypeDS, dns.TypeCNAME} {
			q := question{name, qtype}
			r := &recorder{Transport: net}
			fresh := New(r, net.Anchors(), clock, Options{})
			fresh.speculate = false
			a := fresh.Lookup(context.Background(), name, qtype)
			if a.Status.Failed() {
				t.Fatalf("%s: %s", q, a.Why)
			}
			p.asked, p.tapes, p.truth = append(p.asked, q), append(p.tapes, r.tape), append(p.truth, a)
		}
	}
	return p
}

// judge validates evidence and checks the invariants of verdicts.
func (p *playground) judge(t *testing.T, n int, e evidence) {
	t.Helper()
	budget := newWorkBudget(defaultLimits(), nil)
	v := validate(p.asked[n], e, rules{at: p.at, anchors: p.anchors, options: Options{}.withDefaults()}, budget)
	if budget.work.Signatures > budget.limits.signatures || budget.work.Hashes > budget.limits.hashes {
		t.Errorf("work %+v", budget.work)
	}
	if len(v.missing) > 0 {
		return
	}
	got, truth := v.answer, p.truth[n]
	if got.Why == "" {
		t.Errorf("Why is empty: %+v", got)
	}
	if got.Status == Secure && (truth.Status != Secure || !slices.Equal(data(*got), data(truth))) {
		t.Errorf("%s is secure: %q %s\ntruth: %q %s", p.asked[n], data(*got), got.Why, data(truth), truth.Why)
	}
	if got.Status == Insecure && truth.Status == Secure {
		t.Errorf("%s became insecure: %s", p.asked[n], got.Why)
	}
}

// FuzzValidate changes the octets of recorded responses. Validation must not
// panic, only data of the zones may be secure, and secure data must not become
// insecure.
func FuzzValidate(f *testing.F) {
	p := newPlayground(f)
	for i, tape := range p.tapes {
		f.Add(uint8(i), tape)
	}
	f.Fuzz(func(t *testing.T, i uint8, tape []byte) {
		p.judge(t, int(i)%len(p.asked), play(tape))
	})
}

// FuzzReplay drops, moves, repeats and exchanges signed records among all responses
// of the playground.
func FuzzReplay(f *testing.F) {
	p := newPlayground(f)
	for i := range p.asked {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{2, 0, 1, 0, 0, 0, byte(i), 1})
	}
	f.Fuzz(func(t *testing.T, i uint8, moves []byte) {
		n := int(i) % len(p.asked)
		p.judge(t, n, p.shuffle(n, moves))
	})
}

// TestReplay is FuzzReplay with moves from a fixed source.
func TestReplay(t *testing.T) {
	t.Parallel()
	p := newPlayground(t)
	source := rand.New(rand.NewPCG(1, 2))
	for range 1500 {
		n := source.IntN(len(p.asked))
		moves := make([]byte, 5*(1+source.IntN(6)))
		for i := range moves {
			moves[i] = byte(source.Uint32())
		}
		if p.judge(t, n, p.shuffle(n, moves)); t.Failed() {
			t.Fatalf("moves %v of question %d", moves, n)
		}
	}
}

// shuffle returns the evidence for one question after a number of moves. A move
// has five octets: the kind, the reply, section and record that it changes, and
// the tape and index of another record.
func (p *playground) shuffle(n int, moves []byte) evidence {
	e := play(p.tapes[n])
	order := inOrder(e)
	for ; len(moves) >= 5; moves = moves[5:] {
		r := e.replies[order[int(moves[1])%len(order)]]
		section := &r.answer
		if moves[2]&1 != 0 {
			section = &r.authority
		}
		other := p.record(moves[3], moves[4])
		switch at := int(moves[2]>>1) % (len(*section) + 1); moves[0] % 7 {
		case 0: // drop
			if at < len(*section) {
				*section = slices.Delete(slices.Clone(*section), at, at+1)
			}
		case 1: // insert another record
			*section = slices.Insert(slices.Clone(*section), at, other)
		case 2: // change the response code
			r.rcode = []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeYXDomain}[int(moves[3])%3]
		case 3: // strip the signatures
			if at < len(*section) {
				bare := *(*section)[at]
				bare.sigs = nil
				*section = slices.Clone(*section)
				(*section)[at] = &bare
			}
		case 4: // give it another name
			if at < len(*section) {
				renamed := *(*section)[at]
				renamed.name = other.name
				*section = slices.Clone(*section)
				(*section)[at] = &renamed
			}
		case 5: // answer with the reply to another question
			from := play(p.tapes[int(moves[3])%len(p.tapes)])
			*r = *from.replies[p.asked[int(moves[3])%len(p.asked)]]
		case 6: // deny with the proof of another question
			from := play(p.tapes[int(moves[3])%len(p.tapes)])
			reply := from.replies[p.asked[int(moves[3])%len(p.asked)]]
			r.answer, r.authority, r.rcode = nil, reply.authority, int(moves[4]&1)*dns.RcodeNameError
		}
	}
	return e
}

// inOrder returns the questions of evidence in a fixed order.
func inOrder(e evidence) []question {
	return slices.SortedFunc(maps.Keys(e.replies), func(a, b question) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.qtype, b.qtype))
	})
}

// record returns an RRset of the playground.
func (p *playground) record(tape, index byte) *rrset {
	var all []*rrset
	e := play(p.tapes[int(tape)%len(p.tapes)])
	for _, q := range inOrder(e) {
		all = slices.Concat(all, e.replies[q].answer, e.replies[q].authority)
	}
	return all[int(index)%len(all)]
}

// data returns the RDATA of an answer, without TTLs and order.
func data(a Answer) []string {
	var list []string
	canonical, _ := canonicalRDATA(a.Records)
	for _, rdata := range canonical {
		list = append(list, string(rdata))
	}
	return list
}
