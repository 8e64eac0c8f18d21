package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/mtasts"

	"github.com/miekg/dns"
)

// MTASTS is what a domain publishes for MTA-STS (RFC 8461) and TLSRPT (RFC
// 8460). What is nil was not asked for.
type MTASTS struct {
	TXT       *dnssec.Answer // at mtasts.RecordName
	Record    mtasts.Record
	RecordErr error          // why Record is none; nil too where TXT failed
	Host      Host           // the policy host: its name and addresses; asked for where there is a Record
	Fetches   []PolicyFetch  // in order; the last one decides
	Policy    *mtasts.Policy // in force; nil: there is none
	PolicyErr error          // of reading what was fetched
	TLSRPTTXT *dnssec.Answer // at mtasts.TLSRPTName
	TLSRPT    mtasts.TLSRPT
	TLSRPTErr error // why TLSRPT is none; nil too where TLSRPTTXT failed
	Fault     error // a defect of ours that cost any of this
}

// PolicyFetch is one attempt to fetch the policy.
type PolicyFetch struct {
	Address netip.Addr
	mtasts.Fetched
	Err     error
	Hurried bool // our deadline came before the host had had a fair time
}

// Lookups lists the look-ups that were made for MTA-STS and TLSRPT. They stand
// apart from Facts.Lookups: DANE does not depend on them, nor MTA-STS on their
// being secure.
func (m *MTASTS) Lookups() []Lookup {
	var all []Lookup
	for _, lookup := range []Lookup{
		{LookupTXT, "", m.TXT}, {LookupA, m.Host.Name, m.Host.A}, {LookupAAAA, m.Host.Name, m.Host.AAAA}, {LookupTXT, "", m.TLSRPTTXT},
	} {
		if lookup.Answer != nil {
			all = append(all, lookup)
		}
	}
	return all
}

// Fetched is the attempt that decided; nil: there was none.
func (m *MTASTS) Fetched() *PolicyFetch {
	if len(m.Fetches) == 0 {
		return nil
	}
	return &m.Fetches[len(m.Fetches)-1]
}

// CertificateEnd is when the certificate of the policy host ends, trusted or
// not; zero: none was seen.
func (m *MTASTS) CertificateEnd() time.Time {
	last := m.Fetched()
	if last == nil || last.Certificate == nil {
		return time.Time{}
	}
	return last.Certificate.NotAfter
}

// Hurried reports whether our deadline cut the fetching short.
func (m *MTASTS) Hurried() bool {
	last := m.Fetched()
	return last != nil && last.Hurried
}

// probeMTASTS finds what is published for MTA-STS and for TLSRPT. Whatever
// comes of it, nothing of DANE waits for it.
func (r *run) probeMTASTS(ctx, lookups context.Context, facts *MTASTS) {
	var faults [2]error
	together(
		task{
			do:    func() { r.findPolicy(ctx, lookups, facts) },
			fault: &faults[0],
		},
		task{
			do: func() {
				answer := r.lookUp(lookups, mtasts.TLSRPTName(r.target.Name), dns.TypeTXT)
				facts.TLSRPTTXT = &answer
				if !answer.Status.Failed() {
					facts.TLSRPT, facts.TLSRPTErr = mtasts.ParseTLSRPT(textsOf(&answer))
				}
			},
			fault: &faults[1],
		},
	)
	facts.Fault = errors.Join(faults[:]...)
}

// findPolicy goes the way of a sender that has nothing in its cache: the
// record, the policy host, the policy (RFC 8461 §3). Answers may be insecure;
// one that is bogus is none, as behind any resolver that validates.
func (r *run) findPolicy(ctx, lookups context.Context, facts *MTASTS) {
	answer := r.lookUp(lookups, mtasts.RecordName(r.target.Name), dns.TypeTXT)
	facts.TXT = &answer
	if answer.Status.Failed() {
		return
	}
	if facts.Record, facts.RecordErr = mtasts.ParseRecord(textsOf(&answer)); facts.RecordErr != nil {
		return
	}
	facts.Host.Name = mtasts.PolicyHost(r.target.Name)
	r.lookUpAddresses(lookups, &facts.Host)
	r.fetchPolicy(ctx, facts)
	if last := facts.Fetched(); last != nil && last.Err == nil {
		facts.Policy, facts.PolicyErr = mtasts.ParsePolicy(last.Text)
	}
}

// fetchPolicy asks the addresses of the policy host in turn, until one takes
// the connection: what comes of that is the result. Each has its share of the
// time that is left.
func (r *run) fetchPolicy(ctx context.Context, facts *MTASTS) {
	addresses, _ := addressesOf(&facts.Host)
	for i, address := range addresses {
		share, cancel := shareOf(ctx, len(addresses)-i)
		fetch := r.fetchFrom(share, address)
		fetch.Hurried = fetch.Hurried && !hasTime(ctx)
		cancel()
		facts.Fetches = append(facts.Fetches, fetch)
		var dial *mtasts.DialError
		if ctx.Err() != nil || !errors.As(fetch.Err, &dial) && !errors.Is(fetch.Err, ErrNotAllowed) {
			return
		}
	}
}

// httpsPort is that of the policy host: a policy's URL has no other (RFC 8461 §3.2).
const httpsPort = 443

func (r *run) fetchFrom(ctx context.Context, address netip.Addr) PolicyFetch {
	fetch := PolicyFetch{Address: address}
	if fetch.Err = r.access.checkAddress(address); fetch.Err != nil {
		return fetch
	}
	to := netip.AddrPortFrom(address, httpsPort)
	done, err := r.turns.take(ctx, to)
	if err != nil {
		fetch.Err, fetch.Hurried = fmt.Errorf("waiting for another connection to %s to end: %w", to, err), true
		return fetch
	}
	defer done()
	begun := time.Now()
	fetcher := mtasts.Fetcher{Dial: r.dial, Roots: r.world.Roots, Now: r.world.Now}
	fetch.Fetched, fetch.Err = fetcher.Fetch(ctx, r.target.Name, to)
	fetch.Hurried = !hasTime(ctx) && time.Since(begun) < r.fairTime
	return fetch
}

// shareOf returns a context that has one of n equal parts of ctx's time.
func shareOf(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, time.Now().Add(time.Until(deadline)/time.Duration(n)))
}

// textsOf returns the TXT records of an answer, the strings of each joined
// (RFC 8461 §3.1, RFC 8460 §3).
func textsOf(answer *dnssec.Answer) []string {
	var texts []string
	for _, rr := range answer.Records {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, unescape(strings.Join(txt.Txt, "")))
		}
	}
	return texts
}

// unescape undoes what miekg does to characters of TXT strings that do not
// print or are special in zone files: \DDD and \X (RFC 1035 §5.1).
func unescape(text string) string {
	var b strings.Builder
	for {
		plain, rest, escaped := strings.Cut(text, `\`)
		b.WriteString(plain)
		if !escaped || rest == "" {
			return b.String()
		}
		width := 1
		octet := rest[0]
		if len(rest) >= 3 {
			if n, err := strconv.ParseUint(rest[:3], 10, 8); err == nil {
				width, octet = 3, byte(n)
			}
		}
		b.WriteByte(octet)
		text = rest[width:]
	}
}
