package lab

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"dane_exporter/internal/lab/server"
)

// tlsaData is the data of the TLSA record that a certificate has
// (RFC 6698 §2.1), in zone-file form.
func tlsaData(usage, selector, matchingType uint8, certificate *server.Certificate) string {
	data := certificate.DER
	if selector == 1 {
		data = certificate.PublicKey
	}
	switch matchingType {
	case 1:
		digest := sha256.Sum256(data)
		data = digest[:]
	case 2:
		digest := sha512.Sum512(data)
		data = digest[:]
	}
	return fmt.Sprintf("%d %d %d %x", usage, selector, matchingType, data)
}
