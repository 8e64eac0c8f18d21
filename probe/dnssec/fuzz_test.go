package dnssec

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	lab "dane_exporter/internal/lab/zone"
)

// recorder keeps every response that goes through it.
type recorder struct {
	Transport
	mu   sync.Mutex
	tape []byte // each with its length in two octets before it
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

// play turns a tape into evidence; what cannot be read is left out.
func play(tape []byte) evidence {
	e := evidence{replies: make(map[question]*reply), zones: make(map[string]*zone)}
	for len(tape) > 2 && len(e.replies) < 64 {
		n := min(int(binary.BigEndian.Uint16(tape)), len(tape)-2)
		msg := new(dns.Msg)
		if err := msg.Unpack(tape[2 : 2+n]); err == nil && len(msg.Question) == 1 {
			q := question{fold(msg.Question[0].Name), msg.Question[0].Qtype}
			e.replies[q] = newReply(msg)
		}
		tape = tape[2+n:]
	}
	return e
}

// FuzzValidate changes recorded responses at will. Whatever they become, the
// verdict comes without panic, and nothing is secure but what the zones hold.
func FuzzValidate(f *testing.F) {
	today := time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return today }
	ed25519 := []uint8{dns.ED25519}
	net, err := lab.New(clock,
		lab.Zone{Apex: "org.", Algorithms: ed25519},
		lab.Zone{Apex: "example.org.", Algorithms: ed25519, Records: "@ MX 10 mx\nmx A 192.0.2.1\n*.w A 192.0.2.2\na CNAME mx\nd DNAME h.org.\n"},
		lab.Zone{Apex: "h.org.", Algorithms: ed25519, NSEC3: &lab.NSEC3{Salt: "ab", OptOut: true}, Records: "mx A 192.0.2.3\n*.w A 192.0.2.4\n"},
		lab.Zone{Apex: "u.org.", Unsigned: true, Delegation: lab.Insecure, Records: "mx A 192.0.2.5\n"},
		lab.Zone{Apex: "v.h.org.", Unsigned: true, Delegation: lab.Insecure, Records: "mx A 192.0.2.6\n"})
	if err != nil {
		f.Fatal(err)
	}
	asked := []question{{"mx.example.org.", dns.TypeA}, {"mx.example.org.", dns.TypeAAAA}, {"no.example.org.", dns.TypeA}, {"b.w.example.org.", dns.TypeA},
		{"a.example.org.", dns.TypeA}, {"mx.d.example.org.", dns.TypeA}, {"example.org.", dns.TypeMX}, {"no.h.org.", dns.TypeA}, {"b.w.h.org.", dns.TypeA},
		{"mx.u.org.", dns.TypeA}, {"mx.v.h.org.", dns.TypeA}, {"u.org.", dns.TypeDS}}
	truth := make([]Answer, len(asked))
	for i, q := range asked {
		r := &recorder{Transport: net}
		resolver := New(r, net.Anchors(), clock, Options{})
		resolver.speculate = false
		truth[i] = resolver.Lookup(context.Background(), q.name, q.qtype)
		if truth[i].Status.Failed() {
			f.Fatalf("%s: %s", q, truth[i].Why)
		}
		f.Add(uint8(i), r.tape)
	}
	anchors := New(net, net.Anchors(), clock, Options{}).anchors
	f.Fuzz(func(t *testing.T, i uint8, tape []byte) {
		n := int(i) % len(asked)
		l := newLedger(defaultLimits())
		v := validate(asked[n], play(tape), rules{at: today, anchors: anchors, options: Options{}.withDefaults()}, l)
		if len(v.missing) > 0 {
			return
		}
		if v.answer.Why == "" {
			t.Errorf("no why: %+v", v.answer)
		}
		if v.answer.Status == Secure && (truth[n].Status != Secure || !slices.Equal(data(v.answer), data(truth[n]))) {
			t.Errorf("%s is secure: %q %s\ntruth: %q %s", asked[n], data(v.answer), v.answer.Why, data(truth[n]), truth[n].Why)
		}
		if v.answer.Status == Insecure && truth[n].Status == Secure {
			t.Errorf("%s became insecure: %s", asked[n], v.answer.Why)
		}
		if l.work.Signatures > l.limits.signatures || l.work.Hashes > l.limits.hashes {
			t.Errorf("work %+v", l.work)
		}
	})
}

// data is what an answer says, without TTLs and order.
func data(a Answer) []string {
	var list []string
	for _, rr := range a.Records {
		rdata, _ := canonicalRDATA(rr)
		list = append(list, string(rdata))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
