package dane

import "fmt"

// groupNames are the groups of the TLS Supported Groups registry of IANA that
// crypto/tls implements.
var groupNames = map[uint16]string{
	23: "secp256r1", 24: "secp384r1", 25: "secp521r1", 29: "x25519",
	4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768", 4589: "SecP384r1MLKEM1024",
}

// GroupName returns the name that the TLS Supported Groups registry of IANA gives
// to a group, or its number in hexadecimal if it is not known. It returns "" for 0.
func GroupName(group uint16) string {
	if name, ok := groupNames[group]; ok || group == 0 {
		return name
	}
	return fmt.Sprintf("0x%04x", group)
}
