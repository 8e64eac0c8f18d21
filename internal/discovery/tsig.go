package discovery

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// tsigKey is a key for transaction signatures (RFC 8945).
type tsigKey struct {
	name      string // canonical
	algorithm string // canonical
	secret    []byte
}

// hashes are the hash functions of the algorithms that a key may have (RFC 8945 §6).
var hashes = map[string]func() hash.Hash{
	dns.HmacSHA1:   sha1.New,
	dns.HmacSHA224: sha256.New224,
	dns.HmacSHA256: sha256.New,
	dns.HmacSHA384: sha512.New384,
	dns.HmacSHA512: sha512.New,
}

// maxKeyFile is the largest accepted key file, in bytes.
const maxKeyFile = 64 << 10

// readKey reads a file with one key, in the form that tsig-keygen of BIND writes. The errors
// do not contain the content of the file.
func readKey(path string) (tsigKey, error) {
	file, err := os.Open(path)
	if err != nil {
		return tsigKey{}, fmt.Errorf("read the TSIG key: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return tsigKey{}, fmt.Errorf("read the TSIG key: %w", err)
	}
	key, err := parseKey(string(text))
	if err != nil {
		return tsigKey{}, fmt.Errorf("read the TSIG key: %s: %w", path, err)
	}
	return key, nil
}

// CheckKeys returns an error for each key file of the sources that cannot be used.
func (s Settings) CheckKeys() error {
	var failed []error
	for _, source := range s.Sources {
		if source.TSIGFile == "" {
			continue
		}
		if _, err := readKey(source.TSIGFile); err != nil {
			failed = append(failed, fmt.Errorf("discovery.sources, %s: %w", source.Name, err))
		}
	}
	return errors.Join(failed...)
}

var (
	keyComment   = regexp.MustCompile(`(?s)/\*.*?\*/|(?m:(#|//).*?$)`)
	keyStatement = regexp.MustCompile(`(?s)^\s*key\s+("[^"]*"|[^\s"{};]+)\s*\{([^{}]*)\}\s*;?\s*$`)
	keyOption    = regexp.MustCompile(`(?s)\b(algorithm|secret)\s+("[^"]*"|[^\s"{};]+)\s*;`)
)

// parseKey parses a key statement of BIND.
func parseKey(text string) (tsigKey, error) {
	// A secret in quotes may contain "//", so comments are removed only from lines without
	// quotes.
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, `"`) {
			line = keyComment.ReplaceAllString(line, "")
		}
		lines = append(lines, line)
	}
	found := keyStatement.FindStringSubmatch(strings.Join(lines, ""))
	if found == nil {
		return tsigKey{}, errors.New(`must have one key, such as key "name" { algorithm hmac-sha256; secret "…"; };`)
	}
	options := make(map[string]string)
	for _, option := range keyOption.FindAllStringSubmatch(found[2], -1) {
		options[option[1]] = strings.Trim(option[2], `"`)
	}
	key := tsigKey{name: dns.CanonicalName(strings.Trim(found[1], `"`)), algorithm: dns.CanonicalName(options["algorithm"])}
	if _, ok := dns.IsDomainName(key.name); !ok {
		return tsigKey{}, errors.New("the name of the key is not a domain name")
	}
	if hashes[key.algorithm] == nil {
		return tsigKey{}, errors.New("the algorithm must be hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384 or hmac-sha512")
	}
	secret, err := base64.StdEncoding.DecodeString(options["secret"])
	if err != nil || len(secret) == 0 {
		return tsigKey{}, errors.New("the secret must be in Base64")
	}
	key.secret = secret
	return key, nil
}

func (k tsigKey) mac(data []byte) []byte {
	mac := hmac.New(hashes[k.algorithm], k.secret)
	mac.Write(data)
	return mac.Sum(nil)
}

// sign returns a query in wire format with a signature, and the MAC of the signature.
func (k tsigKey) sign(query *dns.Msg) (wire []byte, mac string, err error) {
	const fudge = 300 // seconds (RFC 8945 §10)
	query.SetTsig(k.name, k.algorithm, fudge, time.Now().Unix())
	return dns.TsigGenerateWithProvider(query, signer{k}, "", false)
}

// signer is a dns.TsigProvider that signs queries.
type signer struct{ key tsigKey }

func (s signer) Generate(data []byte, _ *dns.TSIG) ([]byte, error) { return s.key.mac(data), nil }

func (signer) Verify([]byte, *dns.TSIG) error { return errors.New("signer does not verify") }

// maxUnsigned is the maximum number of consecutive messages without a signature
// (RFC 8945 §5.3.1).
const maxUnsigned = 99

// verifier verifies the messages of one response. Package dns verifies single messages,
// and accepts those without a signature.
type verifier struct {
	key      tsigKey
	mac      string // of the last signature, in hexadecimal; at first, of the query
	later    bool   // a message of the response was verified
	unsigned int    // number of unsigned messages since then
	pending  []byte // these messages, in wire format
}

// verify verifies the next message. wire is the message in wire format, which verify modifies.
// A message without a signature is verified together with the next signed one.
func (v *verifier) verify(message *dns.Msg, wire []byte) error {
	if message.IsTsig() == nil {
		if !v.later {
			return errors.New("the response is not signed with TSIG")
		}
		if v.unsigned++; v.unsigned > maxUnsigned {
			return fmt.Errorf("more than %d messages in a row are not signed with TSIG", maxUnsigned)
		}
		v.pending = append(v.pending, wire...)
		return nil
	}
	signature := message.IsTsig().MAC
	if err := dns.TsigVerifyWithProvider(wire, v, v.mac, v.later); err != nil {
		return fmt.Errorf("verify the TSIG signature: %w", err)
	}
	v.mac, v.later, v.unsigned, v.pending = signature, true, 0, nil
	return nil
}

// complete reports whether the last message was signed.
func (v *verifier) complete() bool { return v.later && v.unsigned == 0 }

// Verify is called by package dns with the signed data: the length of the previous MAC, that
// MAC, the message, and the TSIG variables or only the timers. Verify inserts the unsigned
// messages before the message (RFC 8945 §5.3.1).
func (v *verifier) Verify(data []byte, signature *dns.TSIG) error {
	if dns.CanonicalName(signature.Hdr.Name) != v.key.name || dns.CanonicalName(signature.Algorithm) != v.key.algorithm {
		return errors.New("the signature is by another key or algorithm")
	}
	prior := 2 + len(v.mac)/2
	if len(data) < prior {
		return dns.ErrSig
	}
	signed := make([]byte, 0, len(data)+len(v.pending))
	signed = append(append(append(signed, data[:prior]...), v.pending...), data[prior:]...)
	mac, err := hex.DecodeString(signature.MAC)
	if err != nil || !hmac.Equal(mac, v.key.mac(signed)) {
		return dns.ErrSig
	}
	return nil
}

// Generate makes verifier a dns.TsigProvider. It is not called.
func (*verifier) Generate([]byte, *dns.TSIG) ([]byte, error) {
	return nil, errors.New("verifier does not sign")
}
