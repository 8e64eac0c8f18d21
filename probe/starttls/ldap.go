package starttls

import "fmt"

// ldap negotiates TLS in LDAP with the StartTLS operation (RFC 4511 §4.14): an
// extended request that consists of a name, and its response. A server that
// does not support TLS answers that it does not know the request.
type ldap struct{}

func newLDAP(Settings) negotiator { return ldap{} }

// Names of extended operations.
const (
	oidStartTLS     = "1.3.6.1.4.1.1466.20037" // RFC 4511 §4.14.1
	oidDisconnected = "1.3.6.1.4.1.1466.20036" // RFC 4511 §4.4.1
)

// Tags of RFC 4511 in BER; each is one byte.
const (
	tagBoolean      = 0x01
	tagInteger      = 0x02
	tagOctetString  = 0x04
	tagEnumerated   = 0x0a
	tagSequence     = 0x30
	tagUnbind       = 0x42 // [APPLICATION 2], primitive
	tagSearch       = 0x63 // [APPLICATION 3]
	tagExtended     = 0x77 // [APPLICATION 23]
	tagExtendedDone = 0x78 // [APPLICATION 24]
	tagRequestName  = 0x80 // [0], in an extended request
	tagPresent      = 0x87 // [7], a filter
	tagResponseName = 0x8a // [10], in an extended response
)

// Result codes that decide whether TLS is offered (RFC 4511 §4.1.9).
const (
	resultSuccess       = 0
	resultProtocolError = 2
)

func (ldap) startTLS(s *session) error {
	const step = "the response to StartTLS"
	request := encodeBER(tagSequence, encodeBER(tagInteger, "\x01")+encodeBER(tagExtended, encodeBER(tagRequestName, oidStartTLS)))
	s.beginRequest()
	if err := s.write(request, "StartTLS, an extended request"); err != nil {
		return err
	}
	message, err := s.ldapMessage(step)
	if err != nil {
		return err
	}
	response, ok := parseExtendedResponse(message)
	if !ok {
		return protocolErrorf(step, "a message that is not an extended response: \"%s\"", escape(message))
	}
	s.recordReceived(response.String())
	switch {
	case response.id == 0 && response.name == oidDisconnected:
		return &Rejected{Step: "the connection", Reply: response.String()}
	case response.id != 1:
		return protocolErrorf(step, "a response to message %d, which was not sent", response.id)
	case response.name != "" && response.name != oidStartTLS:
		return protocolErrorf(step, "a response to another request: \"%s\"", escape(response.name))
	case response.result == resultProtocolError:
		// The answer of a server that does not know the request (RFC 4511 §4.12).
		return fmt.Errorf("%w: %s", ErrNotOffered, response)
	case response.result != resultSuccess:
		s.offered = true
		return &Rejected{Step: "STARTTLS", Reply: response.String()}
	}
	s.offered = true
	return nil
}

// firstExchange asks for the root DSE, which anonymous clients may read, without
// its attributes (RFC 4511 §4.5.1, RFC 4512 §5.1). Any result is an answer.
func (ldap) firstExchange(s *session) error {
	const step = "the response to the search of the root DSE"
	number := func(tag byte, n byte) string { return encodeBER(tag, string([]byte{n})) }
	search := encodeBER(tagOctetString, "") + // baseObject
		number(tagEnumerated, 0) + // scope: baseObject
		number(tagEnumerated, 0) + // derefAliases: never
		number(tagInteger, 1) + number(tagInteger, 0) + // sizeLimit, timeLimit: none
		number(tagBoolean, 0) + // typesOnly
		encodeBER(tagPresent, "objectClass") +
		encodeBER(tagSequence, encodeBER(tagOctetString, "1.1")) // no attributes (RFC 4511 §4.5.1.8)
	if err := s.write(encodeBER(tagSequence, number(tagInteger, 2)+encodeBER(tagSearch, search)), "search of the root DSE"); err != nil {
		return err
	}
	message, err := s.ldapMessage(step)
	if err != nil {
		return err
	}
	if response, ok := parseExtendedResponse(message); ok && response.id == 0 {
		return &Rejected{Step: "the search of the root DSE", Reply: response.String()}
	}
	if id, _, ok := cutBERNumber(message, tagInteger); !ok || id != 2 {
		return protocolErrorf(step, "a message to another request: \"%s\"", escape(message))
	}
	return nil
}

// goodbye sends an unbind request, which has no response (RFC 4511 §4.3).
func (ldap) goodbye(s *session) {
	_ = s.write(encodeBER(tagSequence, encodeBER(tagInteger, "\x03")+encodeBER(tagUnbind, "")), "unbind")
}

// extendedResponse holds the parts of an ExtendedResponse that are used here
// (RFC 4511 §4.12).
type extendedResponse struct {
	id, result uint32
	text       string // diagnosticMessage
	name       string // responseName; optional
}

// String returns the name of the result in RFC 4511, its number and the text.
func (r extendedResponse) String() string {
	text := fmt.Sprintf("%s (%d)", resultName(r.result), r.result)
	if r.name == oidDisconnected {
		text = "Notice of Disconnection, " + text
	}
	if r.text != "" {
		text += ": " + escape(r.text)
	}
	return truncate(text)
}

// parseExtendedResponse parses the content of an LDAPMessage.
func parseExtendedResponse(message string) (r extendedResponse, ok bool) {
	id, rest, ok := cutBERNumber(message, tagInteger)
	if !ok {
		return r, false
	}
	tag, body, _, ok := cutBER(rest)
	if !ok || tag != tagExtendedDone {
		return r, false
	}
	r.id = id
	if r.result, body, ok = cutBERNumber(body, tagEnumerated); !ok {
		return r, false
	}
	tag, _, body, ok = cutBER(body) // matchedDN
	if !ok || tag != tagOctetString {
		return r, false
	}
	if tag, r.text, body, ok = cutBER(body); !ok || tag != tagOctetString {
		return r, false
	}
	for body != "" { // referral, responseName, responseValue: all optional
		var content string
		if tag, content, body, ok = cutBER(body); !ok {
			return r, false
		}
		if tag == tagResponseName {
			r.name = content
		}
	}
	return r, true
}

// resultName returns the name of a result code that StartTLS may end with
// (RFC 4511 appendix A).
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
func (s *session) ldapMessage(step string) (string, error) {
	var head [2]byte
	if err := s.readFull(step, head[:]); err != nil {
		return "", err
	}
	size := uint32(head[1])
	if head[0] != tagSequence {
		return "", unexpected(step, string(head[:]))
	}
	if size >= 0x80 { // the number of length bytes that follow; 0 is the indefinite form
		length := make([]byte, size-0x80)
		if len(length) == 0 || len(length) > 4 {
			return "", protocolErrorf(step, "a length of %d bytes", len(length))
		}
		if err := s.readFull(step, length); err != nil {
			return "", err
		}
		size = bigEndian(string(length))
	}
	if size > maxLine {
		return "", protocolErrorf(step, "a message of %d bytes", size)
	}
	content := make([]byte, size)
	if err := s.readFull("the end of "+step, content); err != nil {
		return "", err
	}
	return string(content), nil
}

// The subset of BER that LDAP needs here (RFC 4511 §5.1): tags of one byte,
// lengths in the definite form.

// encodeBER returns an element. The content must be shorter than 128 bytes.
func encodeBER(tag byte, content string) string {
	return string([]byte{tag, byte(len(content))}) + content
}

// cutBER splits the first element off b.
func cutBER(b string) (tag byte, content, rest string, ok bool) {
	if len(b) < 2 {
		return 0, "", "", false
	}
	tag, size, rest := b[0], uint32(b[1]), b[2:]
	if size >= 0x80 { // the number of length bytes that follow; 0 is the indefinite form
		n := int(size - 0x80)
		if n == 0 || n > 4 || n > len(rest) {
			return 0, "", "", false
		}
		size, rest = bigEndian(rest[:n]), rest[n:]
	}
	if uint64(size) > uint64(len(rest)) {
		return 0, "", "", false
	}
	return tag, rest[:size], rest[size:], true
}

// cutBERNumber splits an element with a non-negative number off b.
func cutBERNumber(b string, tag byte) (n uint32, rest string, ok bool) {
	found, content, rest, ok := cutBER(b)
	if !ok || found != tag || len(content) < 1 || len(content) > 4 || content[0] >= 0x80 {
		return 0, "", false
	}
	return bigEndian(content), rest, true
}

// bigEndian returns the number in up to four bytes, the most significant first.
func bigEndian(b string) (n uint32) {
	for i := range len(b) {
		n = n<<8 | uint32(b[i])
	}
	return n
}
