package starttls

// The few elements of BER that LDAP needs here (RFC 4511 §5.1): tags of one
// byte, lengths in the definite form.

// ber writes an element, whose content is shorter than 128 bytes.
func ber(tag byte, content string) string {
	return string([]byte{tag, byte(len(content))}) + content
}

// unber takes the first element off b.
func unber(b string) (tag byte, content, rest string, ok bool) {
	if len(b) < 2 {
		return 0, "", "", false
	}
	tag, size, rest := b[0], uint32(b[1]), b[2:]
	if size >= 0x80 { // how many bytes of length follow; none would be the indefinite form
		n := int(size - 0x80)
		if n == 0 || n > 4 || n > len(rest) {
			return 0, "", "", false
		}
		size, rest = number(rest[:n]), rest[n:]
	}
	if uint64(size) > uint64(len(rest)) {
		return 0, "", "", false
	}
	return tag, rest[:size], rest[size:], true
}

// unberNumber takes a number off b that is not negative.
func unberNumber(b string, want byte) (n uint32, rest string, ok bool) {
	tag, content, rest, ok := unber(b)
	if !ok || tag != want || len(content) < 1 || len(content) > 4 || content[0] >= 0x80 {
		return 0, "", false
	}
	return number(content), rest, true
}

// number reads up to four bytes, the most significant first.
func number(b string) (n uint32) {
	for i := range len(b) {
		n = n<<8 | uint32(b[i])
	}
	return n
}
