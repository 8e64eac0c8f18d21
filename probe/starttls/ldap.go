package starttls

import (
	"fmt"
	"io"
)

// ldap is the StartTLS operation of RFC 4511 §4.14: an extended request that
// has nothing but a name, and its response. A server that doesn't support TLS
// says that it knows no such request.
type ldap struct{}

const (
	oidStartTLS     = "1.3.6.1.4.1.1466.20037" // RFC 4511 §4.14.1
	oidDisconnected = "1.3.6.1.4.1.1466.20036" // RFC 4511 §4.4.1
)

// Tags of RFC 4511 in BER; each is one byte.
const (
	tagInteger      = 0x02
	tagOctetString  = 0x04
	tagEnumerated   = 0x0a
	tagSequence     = 0x30
	tagUnbind       = 0x42 // [APPLICATION 2], primitive
	tagExtended     = 0x77 // [APPLICATION 23]
	tagExtendedDone = 0x78 // [APPLICATION 24]
	tagRequestName  = 0x80 // [0], in an extended request
	tagResponseName = 0x8a // [10], in an extended response
)

// Result codes of RFC 4511 §4.1.9 that decide.
const (
	resultSuccess       = 0
	resultProtocolError = 2
)

func (ldap) startTLS(s *session) error {
	const what = "the response to StartTLS"
	request := ber(tagSequence, ber(tagInteger, "\x01")+ber(tagExtended, ber(tagRequestName, oidStartTLS)))
	if err := s.write(request, "StartTLS, an extended request"); err != nil {
		return err
	}
	message, err := s.ldapMessage(what)
	if err != nil {
		return err
	}
	response, ok := parseExtended(message)
	if !ok {
		return &ProtocolError{what, fmt.Sprintf("no extended response: \"%s\"", printable(message))}
	}
	s.heard(response.String())
	switch {
	case response.id == 0 && response.name == oidDisconnected:
		return &Rejected{Step: "the connection", Reply: response.String()}
	case response.id != 1:
		return &ProtocolError{what, fmt.Sprintf("a response to message %d, which nobody sent", response.id)}
	case response.name != "" && response.name != oidStartTLS:
		return &ProtocolError{what, fmt.Sprintf("a response to another request: \"%s\"", printable(response.name))}
	case response.result == resultProtocolError:
		// What a server answers that does not know the request (RFC 4511 §4.12).
		return fmt.Errorf("%w: %s", ErrNotOffered, response)
	case response.result != resultSuccess:
		s.offered = true
		return &Rejected{Step: "STARTTLS", Reply: response.String()}
	}
	s.offered = true
	return nil
}

// goodbye unbinds, which has no response (RFC 4511 §4.3).
func (ldap) goodbye(s *session) {
	s.write(ber(tagSequence, ber(tagInteger, "\x02")+ber(tagUnbind, "")), "unbind")
}

// extended is an ExtendedResponse, as far as it interests here.
type extended struct {
	id, result uint32
	text       string // diagnosticMessage
	name       string // responseName; may be left out
}

// String names the result as RFC 4511 does.
func (e extended) String() string {
	text := fmt.Sprintf("%s (%d)", resultName(e.result), e.result)
	if e.name == oidDisconnected {
		text = "Notice of Disconnection, " + text
	}
	if e.text != "" {
		text += ": " + printable(e.text)
	}
	return sentence(text)
}

// parseExtended reads the content of an LDAPMessage.
func parseExtended(message string) (e extended, ok bool) {
	id, rest, ok := unberNumber(message, tagInteger)
	if !ok {
		return e, false
	}
	tag, body, _, ok := unber(rest)
	if !ok || tag != tagExtendedDone {
		return e, false
	}
	e.id = id
	if e.result, body, ok = unberNumber(body, tagEnumerated); !ok {
		return e, false
	}
	tag, _, body, ok = unber(body) // matchedDN
	if !ok || tag != tagOctetString {
		return e, false
	}
	if tag, e.text, body, ok = unber(body); !ok || tag != tagOctetString {
		return e, false
	}
	for body != "" { // referral, responseName, responseValue: all optional
		var content string
		if tag, content, body, ok = unber(body); !ok {
			return e, false
		}
		if tag == tagResponseName {
			e.name = content
		}
	}
	return e, true
}

// resultName gives the results that a server may come to here their names.
func resultName(code uint32) string {
	switch code {
	case resultSuccess:
		return "success"
	case 1:
		return "operationsError"
	case resultProtocolError:
		return "protocolError"
	case 8:
		return "strongerAuthRequired"
	case 10:
		return "referral"
	case 13:
		return "confidentialityRequired"
	case 51:
		return "busy"
	case 52:
		return "unavailable"
	case 53:
		return "unwillingToPerform"
	case 80:
		return "other"
	}
	return "result"
}

// ldapMessage reads one LDAPMessage and returns its content.
func (s *session) ldapMessage(what string) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return "", fmt.Errorf("wait for %s: %w", what, err)
	}
	size := uint32(head[1])
	if head[0] != tagSequence {
		return "", unexpected(what, string(head[:]))
	}
	if size >= 0x80 { // how many bytes of length follow; none would be the indefinite form
		more := make([]byte, size-0x80)
		if len(more) == 0 || len(more) > 4 {
			return "", &ProtocolError{what, fmt.Sprintf("a length of %d bytes", len(more))}
		}
		if _, err := io.ReadFull(s, more); err != nil {
			return "", fmt.Errorf("wait for %s: %w", what, err)
		}
		size = number(string(more))
	}
	if size > maxLine {
		return "", &ProtocolError{what, fmt.Sprintf("a message of %d bytes", size)}
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(s, content); err != nil {
		return "", fmt.Errorf("wait for the end of %s: %w", what, err)
	}
	return string(content), nil
}
