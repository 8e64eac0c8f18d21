package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
)

// TLS is a server with implicit TLS.
type TLS struct {
	Config *tls.Config
	Inside Handler // serves the connection inside TLS; nil: nothing is sent there
}

// Serve implements Handler.
func (t TLS) Serve(ctx context.Context, conn net.Conn) {
	secured := tls.Server(conn, t.Config)
	if secured.Handshake() != nil {
		return
	}
	if t.Inside != nil {
		t.Inside.Serve(ctx, secured)
		secured.Close()
		return
	}
	io.Copy(io.Discard, secured) // until the client closes
	secured.Close()
}

// TLSConfig returns a configuration with one certificate chain, whatever the SNI.
func TLSConfig(certificate tls.Certificate) *tls.Config {
	return TLSConfigBySNI(certificate, nil)
}

// TLSConfigDual returns a configuration with two certificates. The server uses the
// first one whose key type the client supports.
func TLSConfigDual(first, second tls.Certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{first, second}}
}

// TLSConfigBySNI returns a configuration that selects the chain by SNI (RFC 6066 §3).
// Names are lower case without the final dot. fallback is for all other names.
func TLSConfigBySNI(fallback tls.Certificate, byName map[string]tls.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if certificate, ok := byName[strings.ToLower(hello.ServerName)]; ok {
				return &certificate, nil
			}
			return &fallback, nil
		},
	}
}

// TLSConfigOldPath returns a configuration of a server behind a device that drops a
// ClientHello of two packets, which is one with ML-KEM. The device closes the
// connection or, if silent is set, drops what the client sends.
func TLSConfigOldPath(certificate tls.Certificate, silent bool) *tls.Config {
	config := TLSConfig(certificate)
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(hello.SupportedCurves, tls.X25519MLKEM768) {
			return nil, nil
		}
		if silent {
			io.Copy(io.Discard, hello.Conn) // until the client closes
		}
		hello.Conn.Close()
		return nil, io.EOF
	}
	return config
}

// TLSConfigDHE returns a configuration of a server that has one cipher suite, of TLS
// 1.2 and with finite-field Diffie-Hellman, which crypto/tls does not implement. The
// server sends its certificates and makes no key exchange.
func TLSConfigDHE(certificate tls.Certificate) *tls.Config {
	const suite = 0x009f                                            // TLS_DHE_RSA_WITH_AES_256_GCM_SHA384
	return sendCertificates(suite, certificate, "\x0e\x00\x00\x00") // ServerHelloDone
}

// TLSConfigStalled returns a configuration of a server of TLS 1.2 that sends its
// certificates, and then nothing until the client closes.
func TLSConfigStalled(certificate tls.Certificate) *tls.Config {
	return sendCertificates(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, certificate)
}

// sendCertificates returns a configuration of a server of TLS 1.2 that sends a ServerHello
// with a cipher suite, its certificates, and further handshake messages.
func sendCertificates(suite uint16, certificate tls.Certificate, further ...string) *tls.Config {
	return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		defer hello.Conn.Close()
		if !slices.Contains(hello.CipherSuites, suite) {
			io.WriteString(hello.Conn, "\x15\x03\x03\x00\x02\x02\x28") // alert handshake_failure (RFC 5246 §7.2.2)
			return nil, io.EOF
		}
		serverHello := "\x03\x03" + strings.Repeat("r", 32) + "\x00" + string([]byte{byte(suite >> 8), byte(suite)}) + "\x00" + "\x00\x05" + "\xff\x01\x00\x01\x00"
		var certificates string
		for _, der := range certificate.Certificate {
			certificates += number24(len(der)) + string(der)
		}
		for _, message := range append([]string{
			"\x02" + number24(len(serverHello)) + serverHello,
			"\x0b" + number24(len(certificates)+3) + number24(len(certificates)) + certificates,
		}, further...) {
			const most = 1 << 14 // of a record
			for len(message) > 0 {
				part := message[:min(len(message), most)]
				message = message[len(part):]
				io.WriteString(hello.Conn, "\x16\x03\x03"+number24(len(part))[1:]+part)
			}
		}
		io.Copy(io.Discard, hello.Conn) // until the client closes
		return nil, io.EOF
	}}
}

// number24 returns a number in three bytes.
func number24(n int) string { return string([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) }

// TLSConfigByALPN returns a configuration that selects the chain by ALPN (RFC 7301).
// One protocol has its own chain. All others and clients without ALPN have the
// fallback.
func TLSConfigByALPN(fallback tls.Certificate, protocol string, certificate tls.Certificate) *tls.Config {
	config := TLSConfig(fallback)
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(hello.SupportedProtos, protocol) {
			return nil, nil
		}
		own := TLSConfig(certificate)
		own.NextProtos = []string{protocol}
		return own, nil
	}
	return config
}
