package probe

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/handshake"
	"dane_exporter/probe/starttls"
	"dane_exporter/probe/tlsa"
)

// probeEndpoints makes a handshake with every address of a service, in parallel. It
// returns when the TLSA lookups have ended too.
func (r *run) probeEndpoints(ctx context.Context, host *dane.Host, service *dane.Service, decided <-chan struct{}) {
	if r.module.LookupsOnly {
		return
	}
	keyTypes := r.module.KeyTypes
	if len(keyTypes) == 0 {
		keyTypes = []dane.KeyType{""}
	}
	addresses, _ := limitAddresses(host)
	addresses = addresses[:min(len(addresses), r.budget.addresses)]
	service.Endpoints = make([]dane.Endpoint, 0, len(addresses)*len(keyTypes))
	for _, address := range addresses {
		for _, keyType := range keyTypes {
			service.Endpoints = append(service.Endpoints, dane.Endpoint{Address: address, KeyType: keyType})
		}
	}
	sni := r.serverName(host, service, decided)
	var jobs []job
	for endpoints := range slices.Chunk(service.Endpoints, len(keyTypes)) {
		jobs = append(jobs, job{
			run: func() { r.probeAddress(ctx, service, endpoints, sni) },
			err: &endpoints[0].Err,
		})
	}
	runAll(jobs...)

	<-decided
	records := 0
	if result := service.TLSAResult; result.State == dane.StateFound {
		records = len(result.Lookup.Answer.Records)
	}
	for i := range service.Endpoints {
		endpoint := &service.Endpoints[i]
		if err := r.usage.keep(records * sizeOfMatch); err != nil && endpoint.Reached == dane.StageTLS {
			r.exceed(endpoint, service.Port, dane.WithCause(dane.CauseLimit, err))
		}
	}
}

// exceed makes a handshake one that a limit prevented, and drops its certificates.
func (r *run) exceed(endpoint *dane.Endpoint, port uint16, err error) {
	endpoint.Raw, endpoint.Chain, endpoint.Reached = nil, nil, dane.StageStartTLS
	endpoint.Err = fmt.Errorf("TLS handshake with %s: %w", netip.AddrPortFrom(endpoint.Address, port), err)
}

// serverName returns a function that waits for the name to send as SNI: the TLSA
// base domain (RFC 7672 §8.1). It can differ from the host's own name only if the
// host is an alias. The connection then waits for the TLSA lookups, because a
// handshake is shared with other probes only if its SNI is known. If SRV records
// name the host, the SNI can be the service domain. It is if the SRV records are
// insecure or no TLSA record is usable (RFC 7673 §4.1).
func (r *run) serverName(host *dane.Host, service *dane.Service, decided <-chan struct{}) func() string {
	if !service.NamedSecurely() {
		return func() string { return r.target.Name }
	}
	if service.SRV != nil {
		return func() string {
			<-decided
			if result := service.TLSAResult; result.Usable(cmp.Or(service.Policy, r.module.Policy)) {
				return result.Lookup.Base
			}
			return r.target.Name
		}
	}
	if addresses := host.AddressAnswer(); addresses == nil || len(addresses.Aliases) == 0 {
		return func() string { return host.Name }
	}
	return func() string {
		<-decided
		if result := service.TLSAResult; result.State == dane.StateFound {
			return result.Lookup.Base
		}
		return host.Name
	}
}

// probeAddress makes one handshake with an address for each of the endpoints,
// which differ in the key type, one after the other.
func (r *run) probeAddress(ctx context.Context, service *dane.Service, endpoints []dane.Endpoint, sni func() string) {
	for i := range endpoints {
		endpoint := &endpoints[i]
		if first := endpoints[0]; i > 0 && first.Reached < dane.StageStartTLS {
			// A failure before TLS does not depend on the key type.
			first.KeyType, first.Copied = endpoint.KeyType, true
			*endpoint = first
			continue
		}
		job{run: func() { r.probeEndpoint(ctx, service, endpoint, sni) }, err: &endpoint.Err}.do()
	}
	if endpoints[0].KeyType == "" || !skipMissingKeys(endpoints) {
		return
	}
	// No handshake was complete: the server has a key of another type, or cannot
	// work with the reduced offer. All senders make the full offer, so make it too.
	full := dane.Endpoint{Address: endpoints[0].Address}
	job{run: func() { r.probeEndpoint(ctx, service, &full, sni) }, err: &full.Err}.do()
	if full.Reached < dane.StageTLS {
		if dane.CauseOf(full.Err) == dane.CauseTLSUnsupported {
			for i := range endpoints { // the failures are no lack of keys
				endpoints[i].Err, endpoints[i].Raw = full.Err, full.Raw
			}
		}
		endpoints[0].Other = &full
		return
	}
	first := endpoints[0]
	full.KeyType, full.Other = keyTypeOf(full.Chain), &first
	endpoints[0] = full
	skipMissingKeys(endpoints)
}

// probeEndpoint makes one handshake. sni waits for the name to send.
func (r *run) probeEndpoint(ctx context.Context, service *dane.Service, endpoint *dane.Endpoint, sni func() string) {
	address := netip.AddrPortFrom(endpoint.Address, service.Port)
	if err := r.prober.access.checkService(address); err != nil {
		endpoint.Err = err
		return
	}
	request := r.handshakeRequest(service, address, endpoint.KeyType, sni())
	release, err := r.budget.acquire(ctx)
	if err != nil {
		endpoint.TimedOutEarly = true
		endpoint.Err = dane.WithCause(dane.CauseDeadline, fmt.Errorf("waiting for other endpoints of the target before %s: %w", address, err))
		return
	}
	defer release()

	*endpoint = r.prober.handshakes.Do(ctx, request)
	endpoint.Skipped = dane.CauseOf(endpoint.Err) == dane.CauseIPv6Unavailable && r.module.IPProtocol == IPAuto
	err = r.budget.addCertificates(endpoint.Raw)
	if err == nil {
		err = dane.WithCause(dane.CauseLimit, r.usage.keep(endpoint.MemSize()))
	}
	if err != nil {
		r.exceed(endpoint, service.Port, err)
	}
}

func (r *run) handshakeRequest(service *dane.Service, address netip.AddrPort, keyType dane.KeyType, sni string) handshake.Request {
	request := handshake.Request{
		Key: handshake.Key{Address: address, Protocol: service.Protocol, EHLO: r.module.SMTP.EHLO,
			SNI: sni, KeyType: keyType, Route: r.route(address)},
		Timeout: r.module.Timeout, MinWait: r.minWait, Fresh: r.fresh, Probe: &r.handshakes, Grow: r.usage.Grow,
	}
	if service.Protocol == starttls.ImplicitTLS {
		request.Key.Service = srvName(service)
	}
	if protocol, _ := starttls.Resolve(service.Protocol, request.Key.Service, service.Port); protocol.NeedsDomain {
		request.Key.Domain = r.target.Name
	}
	return request
}

// srvName returns the name of a service in the SRV record that named its host,
// such as "imaps"; empty if none did.
func srvName(service *dane.Service) string {
	if service.SRV == nil {
		return ""
	}
	label, _, _ := strings.Cut(service.SRV.Name, ".")
	return strings.ToLower(strings.TrimPrefix(label, "_"))
}

// route returns the module's way to an address.
func (r *run) route(to netip.AddrPort) handshake.Route {
	next := to
	if r.module.Proxy != (handshake.Proxy{}) {
		next = r.module.Proxy.Address
	}
	route := handshake.Route{Proxy: r.module.Proxy}
	for _, source := range r.module.SourceAddresses {
		if source.Is4() == next.Addr().Unmap().Is4() {
			route.Source = source
			break
		}
	}
	return route
}

// skipMissingKeys marks as skipped the endpoints that failed because the server
// has no key of their type, provided that another handshake with the address was
// complete. It reports whether all endpoints failed that way.
func skipMissingKeys(endpoints []dane.Endpoint) (allFailed bool) {
	var failed []*dane.Endpoint
	complete := false
	for i := range endpoints {
		e := &endpoints[i]
		complete = complete || e.Reached == dane.StageTLS
		if e.Reached == dane.StageStartTLS && dane.CauseOf(e.Err) == dane.CauseTLS && handshake.LacksKey(e.Err) {
			failed = append(failed, e)
		}
	}
	if !complete {
		return len(failed) == len(endpoints)
	}
	for _, e := range failed {
		e.Skipped = true
		e.Err = dane.WithCause(dane.CauseNoKey, fmt.Errorf("the server has no key of type %s: %w", e.KeyType, e.Err))
	}
	return false
}

// keyTypeOf returns the type of the leaf's key, by the names of crypto/x509 in lower case.
func keyTypeOf(chain *tlsa.Chain) dane.KeyType {
	if chain == nil {
		return "unknown"
	}
	leaf := chain.Certificates[0]
	switch leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return dane.ECDSA
	case *rsa.PublicKey:
		return dane.RSA
	default:
		return dane.KeyType(strings.ToLower(leaf.PublicKeyAlgorithm.String()))
	}
}
