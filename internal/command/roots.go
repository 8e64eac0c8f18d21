package command

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Files and directories in which systems store the certificates of trusted CAs. The
// first file that exists and all directories are read.
var (
	rootFiles = []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Gentoo, the container image
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora
		"/etc/ssl/ca-bundle.pem",                            // openSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
		"/usr/local/etc/ssl/cert.pem",                       // FreeBSD
		"/etc/ssl/cert.pem",                                 // Alpine, FreeBSD
		"/usr/local/share/certs/ca-root-nss.crt",            // FreeBSD
	}
	rootDirectories = []string{
		"/etc/ssl/certs",         // SUSE, Debian
		"/etc/pki/tls/certs",     // Fedora
		"/usr/local/share/certs", // FreeBSD
	}
)

// rootPaths returns the files and directories that systemRoots reads. The variables
// SSL_CERT_FILE and SSL_CERT_DIR replace the defaults, as in OpenSSL and crypto/x509.
func rootPaths() (files, directories []string) {
	files, directories = rootFiles, rootDirectories
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		files = []string{file}
	}
	if list := os.Getenv("SSL_CERT_DIR"); list != "" {
		directories = strings.Split(list, ":")
	}
	return files, directories
}

// systemRoots returns the certificate authorities that this machine trusts now. It
// returns nil if there are none, as in a container built from scratch. Results that
// need them are then not measured. x509.SystemCertPool reads them once per process, so
// a new bundle would need a restart.
func systemRoots() *x509.CertPool {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" { // the system verifies chains
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil
		}
		return roots
	}
	roots := x509.NewCertPool()
	files, directories := rootPaths()
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			roots.AppendCertsFromPEM(text)
			break
		}
	}
	for _, directory := range directories {
		entries, err := os.ReadDir(directory)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if text, err := os.ReadFile(filepath.Join(directory, entry.Name())); err == nil {
				roots.AppendCertsFromPEM(text)
			}
		}
	}
	if roots.Equal(x509.NewCertPool()) {
		return nil
	}
	return roots
}
