package dnssec

import (
	"time"

	"github.com/miekg/dns"
)

// Anchor is one trust anchor: a DS of a zone's key (RFC 4033 §2).
type Anchor = dns.DS

// SHA1 says what signatures made with SHA-1 (algorithms 5 and 7) prove.
type SHA1 string

// The choices for Options.SHA1.
const (
	SHA1Insecure SHA1 = "insecure" // nothing: such a zone is as good as unsigned (RFC 9905)
	SHA1Accept   SHA1 = "accept"   // as much as any other
)

// Options are the settings of a Resolver.
type Options struct {
	SHA1               SHA1          // default SHA1Insecure
	NSEC3MaxIterations uint16        // above it an NSEC3 record proves nothing (RFC 9276 §3.2); default 50
	CacheEntries       int           // validated zones, and names that are none, kept; default 50000
	CacheBytes         int           // the memory that they may take, estimated; default 32 MiB
	QueryTimeout       time.Duration // for one query and its retries; default 5 s
}

func (o Options) withDefaults() Options {
	if o.SHA1 == "" {
		o.SHA1 = SHA1Insecure
	}
	if o.NSEC3MaxIterations == 0 {
		o.NSEC3MaxIterations = 50
	}
	if o.CacheEntries <= 0 {
		o.CacheEntries = 50000
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 32 << 20
	}
	if o.QueryTimeout <= 0 {
		o.QueryTimeout = 5 * time.Second
	}
	return o
}
