package server

import (
	"context"
	"crypto/tls"
	"encoding/asn1"
	"io"
	"net"
)

// LDAP is an LDAP server that supports StartTLS (RFC 4511 §4.14) and has no entries.
// It closes the connection on any other request.
type LDAP struct {
	TLS        *tls.Config // for StartTLS
	NoStartTLS bool        // StartTLS is unknown: the result is protocolError (RFC 4511 §4.12)
	Reject     bool        // the result of StartTLS is unavailable
}

// Result codes (RFC 4511 §4.1.9).
const (
	ldapSuccess       = 0
	ldapProtocolError = 2
	ldapUnavailable   = 52
)

// oidStartTLS is the name of the StartTLS request and its response.
const oidStartTLS = "1.3.6.1.4.1.1466.20037"

// Tags of operations (RFC 4511 §4.5.1, §4.12).
const (
	ldapSearch   = 3
	ldapExtended = 23
)

// ldapRequest is an LDAPMessage.
type ldapRequest struct {
	ID        int
	Operation asn1.RawValue
}

// ldapSearchDoneMessage is an LDAPMessage with a SearchResultDone.
type ldapSearchDoneMessage struct {
	ID   int
	Done struct {
		Result     asn1.Enumerated
		MatchedDN  []byte
		Diagnostic []byte
	} `asn1:"application,tag:5"`
}

// ldapResponse is an LDAPMessage with an ExtendedResponse.
type ldapResponse struct {
	ID       int
	Extended extendedResponse `asn1:"application,tag:24"`
}

type extendedResponse struct {
	Result     asn1.Enumerated
	MatchedDN  []byte
	Diagnostic []byte
	Name       []byte `asn1:"tag:10,optional"` // absent if the request is unknown
}

// Serve implements Handler.
func (l LDAP) Serve(ctx context.Context, conn net.Conn) {
	request, ok := readLDAP(conn)
	if !ok {
		return
	}
	if request.Operation.Tag == ldapSearch {
		l.answerSearch(ctx, conn, request.ID)
		return
	}
	var name []byte
	if _, err := asn1.UnmarshalWithParams(request.Operation.Bytes, &name, "tag:0"); err != nil || request.Operation.Tag != ldapExtended || string(name) != oidStartTLS {
		return
	}
	answer := extendedResponse{Result: ldapSuccess, Name: name}
	switch {
	case l.NoStartTLS:
		answer = extendedResponse{Result: ldapProtocolError, Diagnostic: []byte("no such operation")}
	case l.Reject:
		answer.Result, answer.Diagnostic = ldapUnavailable, []byte("not now")
	}
	response, err := asn1.Marshal(ldapResponse{request.ID, answer})
	if err != nil {
		return
	}
	conn.Write(response) // the next read reports any error
	if answer.Result == ldapSuccess {
		TLS{l.TLS, LDAP{NoStartTLS: true}}.Serve(ctx, conn)
		return
	}
	io.CopyN(io.Discard, conn, 1) // unbind has no response
}

// answerSearch answers that there is nothing, and serves the next request.
func (l LDAP) answerSearch(ctx context.Context, conn net.Conn, id int) {
	done, err := asn1.Marshal(ldapSearchDoneMessage{ID: id})
	if err != nil {
		return
	}
	conn.Write(done) // the next read reports any error
	l.Serve(ctx, conn)
}

// readLDAP reads one message, or returns false. The message must be shorter than
// 128 bytes, so that its second byte is its length.
func readLDAP(conn net.Conn) (request ldapRequest, ok bool) {
	message := make([]byte, 2, 2+127)
	if _, err := io.ReadFull(conn, message); err != nil || message[1] > 127 {
		return request, false
	}
	message = message[:2+message[1]]
	if _, err := io.ReadFull(conn, message[2:]); err != nil {
		return request, false
	}
	_, err := asn1.Unmarshal(message, &request)
	return request, err == nil
}
