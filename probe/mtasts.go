package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/dnssec"
	"dane_exporter/probe/handshake"
	"dane_exporter/probe/mtasts"

	"github.com/miekg/dns"
)

// probeMTASTS finds what is published for MTA-STS and for TLSRPT. Nothing of
// DANE waits for it.
func (r *run) probeMTASTS(ctx, lookups context.Context, facts *dane.MTASTS) {
	var errs [2]error
	runAll(
		job{
			run: func() { r.findPolicy(ctx, lookups, facts) },
			err: &errs[0],
		},
		job{
			run: func() {
				facts.TLSRPT = r.lookupTLSRPT(lookups, r.meter(), r.target.Name)
			},
			err: &errs[1],
		},
	)
	facts.Err = errors.Join(errs[:]...)
}

// lookupTLSRPT looks up the TLSRPT record of a policy domain.
func (r *run) lookupTLSRPT(ctx context.Context, meter dnssec.Meter, domain string) dane.TLSRPT {
	answer := r.lookup(ctx, meter, mtasts.TLSRPTName(domain), dns.TypeTXT)
	found := dane.TLSRPT{Domain: domain, TXT: &answer}
	if !answer.Status.Failed() {
		found.Record, found.Err = mtasts.ParseTLSRPT(txtRecords(&answer))
	}
	return found
}

// lookupServiceTLSRPT looks up the TLSRPT record of the TLSA base domain of a mail
// server, unless that is the domain itself. No outcome depends on it, so it takes none of
// the queries of the lookups that decide.
func (r *run) lookupServiceTLSRPT(ctx context.Context, service *dane.Service) {
	lookup := service.TLSAResult.Lookup
	if lookup == nil || lookup.Answer.Status != dnssec.Secure || !lookup.Answer.Found() || lookup.Base == r.target.Name {
		return
	}
	found := r.lookupTLSRPT(ctx, r.nameserverMeter(), lookup.Base)
	service.TLSRPT = &found
}

// findPolicy does what a sender with an empty cache does: it looks up the record
// and the policy host, and fetches the policy (RFC 8461 §3). Answers may be
// insecure; a bogus one does not count, as with any validating resolver.
func (r *run) findPolicy(ctx, lookups context.Context, facts *dane.MTASTS) {
	answer := r.lookup(lookups, r.meter(), mtasts.RecordName(r.target.Name), dns.TypeTXT)
	facts.TXT = &answer
	if answer.Status.Failed() {
		return
	}
	if facts.Record, facts.RecordErr = mtasts.ParseRecord(txtRecords(&answer)); facts.RecordErr != nil {
		return
	}
	facts.Host.Name = mtasts.PolicyHost(r.target.Name)
	r.lookupAddresses(lookups, r.meter(), &facts.Host)
	r.fetchPolicy(ctx, facts)
	if last := facts.Fetched(); last != nil && last.Err == nil {
		facts.Policy, facts.PolicyErr = mtasts.ParsePolicy(last.Text)
	}
}

// fetchPolicy tries the addresses of the policy host in turn until one accepts
// the connection; its result counts. Each has its share of the time that is left.
func (r *run) fetchPolicy(ctx context.Context, facts *dane.MTASTS) {
	addresses, _ := limitAddresses(&facts.Host)
	for i, address := range addresses {
		shareCtx, cancel := share(ctx, len(addresses)-i)
		fetch := r.fetchFrom(shareCtx, address)
		fetch.TimedOutEarly = fetch.TimedOutEarly && !handshake.HasTime(ctx)
		fetch.Err = classifyFetch(&fetch)
		cancel()
		facts.Fetches = append(facts.Fetches, fetch)
		_, notConnected := errors.AsType[*mtasts.DialError](fetch.Err)
		if ctx.Err() != nil || !notConnected && !errors.Is(fetch.Err, ErrNotAllowed) {
			return
		}
	}
}

// httpsPort is the only port of a policy's URL (RFC 8461 §3.2).
const httpsPort = 443

func (r *run) fetchFrom(ctx context.Context, address netip.Addr) dane.PolicyFetch {
	fetch := dane.PolicyFetch{Address: address}
	if fetch.Err = r.prober.access.checkAddress(address); fetch.Err != nil {
		return fetch
	}
	to := netip.AddrPortFrom(address, httpsPort)
	unlock, err := r.prober.handshakes.Lock(ctx, to)
	if err != nil {
		fetch.Err, fetch.TimedOutEarly = fmt.Errorf("waiting for another connection to %s to end: %w", to, err), true
		return fetch
	}
	defer unlock()
	started := time.Now()
	dial := func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return r.prober.handshakes.Dial(ctx, r.route(to), to, r.usage.Grow)
	}
	fetcher := mtasts.Fetcher{Dial: dial, Roots: r.prober.env.Roots, Now: r.prober.env.Now}
	fetch.Fetched, fetch.Err = fetcher.Fetch(ctx, r.target.Name, to)
	fetch.TimedOutEarly = timedOutEarly(ctx, started, r.minWait)
	return fetch
}

// classifyFetch returns the error of a fetch with its cause, in the order in
// which package handshake classifies its errors.
func classifyFetch(fetch *dane.PolicyFetch) error {
	err := fetch.Err
	_, wrongType := errors.AsType[*mtasts.MediaTypeError](err)
	switch cause := dane.CauseOf(err); {
	case err == nil:
		return nil
	case cause == dane.CauseNotAllowed || cause == dane.CauseInternal:
		return err
	case errors.Is(err, mtasts.ErrNoRoots):
		return dane.WithCause(dane.CauseNoRoots, err)
	case cause == dane.CauseIPv6Unavailable:
		return err
	case handshake.Exhausted(err):
		return dane.WithCause(dane.CauseInternal, err)
	case fetch.TimedOutEarly:
		return dane.WithCause(dane.CauseDeadline, err)
	case cause != dane.CauseNone:
		return err
	case wrongType, errors.Is(err, mtasts.ErrTooLarge):
		return dane.WithCause(dane.CausePolicyInvalid, err)
	default:
		return dane.WithCause(dane.CausePolicyUnavailable, err)
	}
}

// txtRecords returns the TXT records of an answer, with the strings of each
// record joined (RFC 8461 §3.1, RFC 8460 §3).
func txtRecords(answer *dnssec.Answer) []string {
	var texts []string
	for _, rr := range answer.Records {
		if txt, ok := rr.(*dns.TXT); ok {
			texts = append(texts, unescape(strings.Join(txt.Txt, "")))
		}
	}
	return texts
}

// unescape removes the escapes that miekg/dns adds to TXT strings for characters
// that are not printable or are special in zone files: \DDD and \X (RFC 1035 §5.1).
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
