package handshake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"dane_exporter/internal/flight"
	"dane_exporter/probe/dane"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// Dialer opens a TCP connection to an address, from the local address from if
// that is valid.
type Dialer func(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error)

// Client makes handshakes. It is safe for concurrent use.
type Client struct {
	dial     Dialer
	hostname string
	locks    addressLock
	attempts flight.Group[Key, attempt]
	cache    *cache
}

// New returns a client that connects with dial and introduces itself to mail
// servers as hostname; if that is empty, as the address literal of the connection
// (RFC 5321 §4.1.3). The result of a handshake serves later requests for as long
// as reuse says. With 0, only simultaneous requests share one.
func New(dial Dialer, hostname string, reuse time.Duration) *Client {
	return &Client{dial: dial, hostname: hostname, cache: newCache(reuse)}
}

// Key is everything that the result of a handshake depends on.
type Key struct {
	Address  netip.AddrPort
	Protocol string // a name of package starttls
	Service  string // of the SRV record that named the server; empty unless TLS begins with the first byte
	Domain   string // that the client asks for; empty unless the protocol needs it
	EHLO     string // empty: the client's hostname
	SNI      string
	KeyType  dane.KeyType // the only one to offer; empty: all
	Route    Route
}

// Request is one handshake that a probe needs.
type Request struct {
	Key     Key
	Timeout time.Duration // of an attempt that is started for this request and shared with others
	MinWait time.Duration // the minimum time that the server must have had before silence is its fault
	Fresh   bool          // do not share the result of another handshake
	Probe   *Probe        // probe that the handshake is for; nil: a probe of its own
	Grow    Grow          // counts the memory of an attempt that is started for this request
}

// Do returns the result of the handshake that a request describes: that of a
// recent attempt, of one in flight, or of a new one. It returns when ctx ends,
// with what is known by then.
func (c *Client) Do(ctx context.Context, r Request) dane.Endpoint {
	requested := time.Now()
	a := c.inTurn(ctx, r, requested)
	if !a.done {
		a.interrupt(ctx, r.Key.Address)
	}
	e := a.endpoint
	if e.Err != nil && (a.cut || !HasTime(ctx)) {
		e.TimedOutEarly = a.timedOutEarly(requested, r.MinWait)
	}
	e.Err = classify(&e)
	e.Address, e.KeyType = r.Key.Address.Addr(), r.Key.KeyType
	return e
}

// inTurn returns a known result. Otherwise it waits for other requests of the same probe
// to the address, and returns the result of an attempt.
func (c *Client) inTurn(ctx context.Context, r Request, requested time.Time) attempt {
	if a, ok := c.known(r); ok {
		return a
	}
	end, err := r.Probe.turn(ctx, r.Key.Address)
	if a, ok := c.known(r); ok { // it became known during the wait
		end()
		return a
	}
	if err != nil {
		return attempt{cut: true}
	}
	defer end()
	a := c.share(ctx, r)
	for a.cut && HasTime(ctx) && a.timedOutEarly(requested, r.MinWait) {
		a = c.share(ctx, r) // the earlier deadline of another probe ended the attempt
	}
	r.Probe.keep(r.Key, a)
	return a
}

// known returns the result of a recent attempt, or what this probe has learned from an
// equal request.
func (c *Client) known(r Request) (a attempt, ok bool) {
	if r.Fresh {
		return attempt{}, false
	}
	if a, ok = r.Probe.result(r.Key); !ok {
		a, ok = c.cache.get(r.Key)
	}
	a.endpoint.Reused = true
	return a, ok
}

// share returns a recent attempt, or joins or starts one. The deadline of a
// shared attempt is its own, as long as the module's timeout, and not that of a
// probe that waits for it.
func (c *Client) share(ctx context.Context, r Request) attempt {
	if r.Fresh {
		return c.attempt(ctx, r, func(attempt) {})
	}
	if a, ok := c.known(r); ok {
		return a
	}
	a, joined, err := c.attempts.Do(ctx, r.Key, r.Timeout, func(ctx context.Context, report func(attempt)) attempt {
		return c.attempt(ctx, r, report)
	})
	if joined && errors.Is(a.endpoint.Err, errMemory) {
		a, joined = c.attempt(ctx, r, func(attempt) {}), false
	}
	if err != nil && ctx.Err() == nil {
		a.endpoint.Err, a.done = dane.WithCause(dane.CauseInternal, err), true
	}
	a.endpoint.Reused = joined
	return a
}

// attempt makes a new handshake once the address is free.
func (c *Client) attempt(ctx context.Context, r Request, report func(attempt)) attempt {
	key := r.Key
	a := attempt{report: report, grow: r.Grow}
	unlock, err := c.locks.lock(ctx, key.Address)
	if err != nil {
		a.cut = true
		return a
	}
	defer unlock()
	a.started = time.Now()
	a.endpoint.Err = c.handshake(ctx, key, &a)
	a.done, a.cut, a.report, a.grow = true, !cacheable(a.endpoint.Err) && !HasTime(ctx), nil, nil
	c.cache.put(key, a)
	return a
}

// handshake makes the handshake of a key, and further ones where the first failure
// needs an explanation: a sender may offer something else.
func (c *Client) handshake(ctx context.Context, key Key, a *attempt) (err error) {
	defer dane.CatchPanic(&err)
	o := offer{keyType: key.KeyType}
	err = c.try(ctx, key, o, a)
	if errors.Is(err, starttls.ErrSilent) && HasTime(ctx) {
		o.patient = true
		err = c.retry(ctx, key, o, a, err)
	}
	if refusesALPN(err) && HasTime(ctx) {
		o.noALPN = true
		if err = c.retry(ctx, key, o, a, err); a.endpoint.Reached == dane.StageTLS {
			a.endpoint.ALPNRefused = true
		}
	}
	if a.endpoint.Reached != dane.StageStartTLS {
		return err
	}
	if dropped := !a.answered && (isEnd(err) || isTimeout(err)); (dropped || rejectsHello(err)) && HasTime(ctx) {
		o.small = true
		large := *a
		slow := isTimeout(err)
		err = c.retry(ctx, key, o, a, err)
		slow = slow && a.silence >= large.silence // with every ClientHello
		a.endpoint.LargeDropped = (a.endpoint.Reached == dane.StageTLS || dropped && a.answered) && !slow
	}
	if key.KeyType == "" && a.endpoint.Reached == dane.StageStartTLS && maybeOurLimit(err, a.answered) {
		err = c.explain(ctx, key, o, a, err)
	}
	return err
}

// maxSilence is the maximum time that a server has to reply to STARTTLS, and to
// begin its answer to a ClientHello. It applies if another attempt can be made.
const maxSilence = 6 * time.Second

// replyBy returns the time by which a server must have replied to STARTTLS, and
// zero if only ctx limits it. The same dialogue follows once more, so it must have
// the time for itself and at least as long a wait.
func replyBy(ctx context.Context, started time.Time) time.Time {
	now := time.Now()
	deadline, limited := ctx.Deadline()
	if left := deadline.Sub(now) - now.Sub(started); !limited || left < 2*maxSilence {
		return time.Time{}
	}
	return now.Add(maxSilence)
}

// retry makes another handshake after a failure, with another offer. It replaces the
// first if the server completes more steps.
func (c *Client) retry(ctx context.Context, key Key, o offer, a *attempt, first error) error {
	a.endpoint.Err = first
	a.update() // what is known if ctx ends meanwhile
	again := attempt{started: a.started, report: func(attempt) {}, grow: a.grow}
	err := c.try(ctx, key, o, &again)
	if again.endpoint.Reached < a.endpoint.Reached || again.endpoint.Reached == a.endpoint.Reached && !again.answered {
		return first
	}
	a.endpoint, a.answered, a.silence = again.endpoint, again.answered, again.silence
	return err
}

// rejectsHello reports whether the server answered with an alert of a TLS library
// that cannot read a ClientHello (RFC 8446 §6.2).
func rejectsHello(err error) bool {
	switch alertOf(err) {
	case "error decoding message", "record overflow", "unexpected message", "illegal parameter":
		return true
	}
	return false
}

// refusesALPN reports whether a handshake failed because of the protocol that the
// client named in ALPN (RFC 7301 §3.2), or named another.
func refusesALPN(err error) bool {
	return err != nil && (alertOf(err) == "no application protocol" || strings.Contains(err.Error(), "server selected unadvertised ALPN protocol"))
}

// try connects to a server, completes TLS and makes the first exchange inside it.
// It reports its progress in a, and ends the dialogue when nothing more can be
// learned.
func (c *Client) try(ctx context.Context, key Key, o offer, a *attempt) (err error) {
	e := &a.endpoint
	a.begin("connecting to", &e.Connect)
	conn, err := c.Dial(ctx, key.Route, key.Address, a.grow)
	a.end(&e.Connect)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", key.Address, err)
	}
	defer conn.Close()
	e.Reached = dane.StageConnect

	settings := starttls.Settings{
		EHLO: c.ehlo(key.EHLO, conn), Domain: key.Domain, Service: key.Service, Port: key.Address.Port(),
		Watch: func(soFar starttls.Dialogue) {
			if e.Dialogue = soFar; soFar.Requested {
				a.step = "waiting for the reply to STARTTLS of"
			}
			a.update()
		},
	}
	if !o.patient {
		settings.ReplyBy = func() time.Time { return replyBy(ctx, e.Connect.Start) }
	}
	protocol, err := starttls.New(key.Protocol, settings)
	if err != nil {
		return err
	}
	a.begin("speaking "+key.Protocol+" with", &e.StartTLS)
	e.Dialogue, err = protocol.Start(ctx, conn)
	a.end(&e.StartTLS)
	if err != nil {
		err = fmt.Errorf("speaking %s with %s: %w", key.Protocol, key.Address, err)
		a.conclude(err)
		if ctx.Err() == nil && !errors.Is(err, starttls.ErrSilent) { // TLS may begin at any time
			protocol.Goodbye(ctx, conn)
		}
		return err
	}
	e.Reached = dane.StageStartTLS

	e.SNI = key.SNI
	if !o.noALPN {
		o.alpn = protocol.ALPN()
	}
	flight := &firstFlight{Conn: conn}
	if deadline, limited := ctx.Deadline(); limited && !o.small {
		// Another offer needs the time of this dialogue again, and time for an answer.
		now := time.Now()
		left := deadline.Sub(now) - now.Sub(e.Connect.Start)
		if left >= maxSilence {
			flight.until = now.Add(min(maxSilence, left*2/3))
		}
	}
	a.begin("TLS handshake with", &e.TLS)
	session, err := startTLS(ctx, flight, key.SNI, o)
	a.end(&e.TLS)
	a.answered, a.silence = flight.answered(), e.TLS.End.Sub(e.TLS.Start)
	if a.answered {
		a.silence = flight.first.Sub(e.TLS.Start)
	}
	if required, ok := errors.AsType[*clientCertificateError](err); ok && protocol.Mutual() {
		// Real clients have a certificate. The handshake is not complete without it.
		e.Raw, err = required.sent, dane.WithCause(dane.CauseTLSUnsupported, required)
	}
	if err != nil {
		return fmt.Errorf("TLS handshake with %s: %w", key.Address, err)
	}
	e.Reached = dane.StageTLS
	e.TLSVersion, e.Cipher, e.Group = session.version, session.cipher, session.group
	e.InsecureRenegotiation = flight.lacksSecureRenegotiation()
	e.Raw, e.Chain = rawCertificates(session.certificates), tlsa.NewChain(session.certificates)
	a.step = "speaking " + key.Protocol + " inside TLS with"
	a.update()
	if err = session.accepted(ctx, protocol, func() { a.conclude(nil) }); err != nil {
		err = fmt.Errorf("speaking %s inside TLS with %s: %w", key.Protocol, key.Address, err)
	}
	a.conclude(err)
	if ctx.Err() == nil {
		protocol.Goodbye(ctx, session)
	}
	session.Close()
	return err
}

// Lock waits until no other connection of this client to an address is open.
// The caller must call unlock. The error is that of ctx, if it ends first.
func (c *Client) Lock(ctx context.Context, address netip.AddrPort) (unlock func(), err error) {
	return c.locks.lock(ctx, address)
}

// ehlo returns the name to introduce ourselves with: the configured one, this
// machine's, or the address literal of the connection (RFC 5321 §4.1.3).
func (c *Client) ehlo(configured string, conn net.Conn) string {
	if name := cmp.Or(configured, c.hostname); name != "" {
		return name
	}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return "[127.0.0.1]"
	}
	addr := local.Addr().WithZone("").Unmap()
	if addr.Is6() {
		return "[IPv6:" + addr.String() + "]"
	}
	return "[" + addr.String() + "]"
}

// HasTime reports whether the deadline of ctx has not passed. A connection with
// the same deadline may time out just before ctx does, so the clock decides.
func HasTime(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() == nil && (!limited || time.Now().Before(deadline))
}
