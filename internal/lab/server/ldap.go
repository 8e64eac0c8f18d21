package server

import (
	"context"
	"crypto/tls"
	"encoding/asn1"
	"io"
	"net"
)

// LDAP is an LDAP server that supports StartTLS (RFC 4511 §4.14). It closes the
// connection on any other request.
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

// ldapRequest is an LDAPMessage with an ExtendedRequest.
type ldapRequest struct {
	ID       int
	Extended struct {
		Name []byte `asn1:"tag:0"`
	} `asn1:"application,tag:23"`
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
func (l LDAP) Serve(_ context.Context, conn net.Conn) {
	request, ok := readLDAP(conn)
	if !ok || string(request.Extended.Name) != oidStartTLS {
		return
	}
	answer := extendedResponse{Result: ldapSuccess, Name: request.Extended.Name}
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
		secured := tls.Server(conn, l.TLS)
		if secured.Handshake() != nil {
			return
		}
		defer secured.Close()
		conn = secured
	}
	io.CopyN(io.Discard, conn, 1) // unbind has no response
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
