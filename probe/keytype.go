package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"dane_exporter/probe/tlsa"
)

// KeyType is a kind of key that a server may have a certificate for. Servers
// with several choose by what the client offers, so that one handshake shows
// one of them, and a record that was forgotten for the other goes unseen.
type KeyType string

const (
	ECDSA KeyType = "ecdsa"
	RSA   KeyType = "rsa"
)

// KeyTypes lists those that a module may ask for.
func KeyTypes() []KeyType { return []KeyType{ECDSA, RSA} }

// errNoKey: a server has no key of the type that it was asked for.
var errNoKey = errors.New("the server has no such key")

// meetEach meets one address as often as there are endpoints, for one key type
// after another: one connection to an address at a time.
func (r *run) meetEach(ctx context.Context, service *Service, endpoints []Endpoint, sni func() string) {
	for i := range endpoints {
		endpoint := &endpoints[i]
		if first := endpoints[0]; i > 0 && first.Reached < StageStartTLS {
			// What went wrong before TLS is nobody's key.
			first.KeyType, first.Copied = endpoint.KeyType, true
			*endpoint = first
			continue
		}
		together(task{do: func() { r.meet(ctx, service, endpoint, sni) }, fault: &endpoint.Err})
	}
	if endpoints[0].KeyType == "" || !ofOneKind(endpoints) {
		return
	}
	// None of the key types: then it has another, or cannot do with so short an
	// offer. As all senders offer all, it is met as they do.
	open := Endpoint{Address: endpoints[0].Address}
	together(task{do: func() { r.meet(ctx, service, &open, sni) }, fault: &open.Err})
	if open.Reached < StageTLS {
		endpoints[0].Other = &open
		return
	}
	first := endpoints[0]
	open.KeyType, open.Other = typeOfKey(open.Chain), &first
	endpoints[0] = open
	ofOneKind(endpoints)
}

// ofOneKind excuses the endpoints that the server refused as one does that lacks
// keys of their type, beside one that came about. It reports whether all were
// refused so, and there is nothing to excuse them by.
func ofOneKind(endpoints []Endpoint) (unexcused bool) {
	var lacking []*Endpoint
	shaken := false
	for i := range endpoints {
		e := &endpoints[i]
		shaken = shaken || e.Reached == StageTLS
		if e.Reached == StageStartTLS && reasonOfEndpoint(e) == TLSHandshakeFailed && lacksKey(e.Err) {
			lacking = append(lacking, e)
		}
	}
	if !shaken {
		return len(lacking) == len(endpoints)
	}
	for _, e := range lacking {
		e.Skipped, e.Err = true, fmt.Errorf("%w, %s: %w", errNoKey, e.KeyType, e.Err)
	}
	return false
}

// lacksKey reports whether a handshake failed as it does where nothing that was
// offered suits the server: with one of the two alerts that say so (RFC 8446
// §6.2), or by its hanging up. Any other failure is one to be looked into.
func lacksKey(err error) bool {
	var alert *net.OpError
	if errors.As(err, &alert) && alert.Op == "remote error" { // crypto/tls and utls export no type for it
		words := alert.Err.Error()
		return words == "tls: handshake failure" || words == "tls: insufficient security level"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// typeOfKey names the type of the leaf's key, as crypto/x509 does.
func typeOfKey(chain *tlsa.Chain) KeyType {
	if chain == nil {
		return "unknown"
	}
	leaf := chain.Certificates[0]
	switch leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return ECDSA
	case *rsa.PublicKey:
		return RSA
	default:
		return KeyType(strings.ToLower(leaf.PublicKeyAlgorithm.String()))
	}
}
