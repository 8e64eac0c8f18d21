package discovery

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// memberList collects the domains that a zone lists.
type memberList interface {
	// add adds a record of the zone, but not its SOA record. An error ends the transfer.
	add(dns.RR) error
	// list returns the domains, or the reason why the zone is not a valid list. It is called
	// once, after all records were added.
	list() (reading, error)
}

// delegations collects the domains that are delegated from a zone: the owners of NS
// records below its apex.
type delegations struct {
	zone  string
	last  string // owner of the last NS record; servers send a set together
	names builder
	read  reading
}

func (d *delegations) add(rr dns.RR) error {
	if rr.Header().Rrtype != dns.TypeNS || rr.Header().Name == d.last {
		return nil
	}
	d.last = rr.Header().Name
	if name := dns.CanonicalName(d.last); name == d.zone || !dns.IsSubDomain(d.zone, name) {
		return nil
	}
	return addMember(&d.names, &d.read, d.last)
}

// errNoDelegations is the error of a zone without delegations. It may be a catalog zone, or a
// zone that was not generated completely.
var errNoDelegations = errors.New("the zone has no delegations")

func (d *delegations) list() (reading, error) {
	if len(d.names.ends) == 0 {
		return reading{}, errNoDelegations
	}
	d.read.list, _ = d.names.list()
	return d.read, nil
}

// addMember adds a domain from a record. It counts a name that cannot be probed as a bad entry.
func addMember(names *builder, read *reading, fqdn string) error {
	name, err := parseDomain(strings.ToLower(fqdn))
	if err != nil {
		read.addBad("", fqdn, err)
		return nil
	}
	return names.add(name)
}

// catalogVersion is the version of the schema of catalog zones (RFC 9432 §4.3.1).
const catalogVersion = "2"

// catalog collects the member zones of a catalog zone (RFC 9432). A broken catalog zone is
// rejected as a whole (RFC 9432 §5.1). Groups, changes of ownership and custom properties do
// not affect the list.
type catalog struct {
	version  string   // owner of the version property
	zones    string   // parent of the member nodes, with a dot before it
	versions []string // values of the version property
	owners   builder  // of PTR RRsets that must have only one record
	names    builder  // of the member zones
	read     reading
}

func newCatalog(zone string) *catalog {
	return &catalog{version: "version." + zone, zones: ".zones." + zone}
}

// Errors of broken catalog zones.
var (
	errNoVersion    = errors.New("it is not a catalog zone: it has no version TXT record")
	errVersions     = errors.New("the catalog zone is broken: it has several version TXT records (RFC 9432 §4.3.1)")
	errWrongVersion = errors.New("the catalog zone is broken: its version is not 2 (RFC 9432 §4.3.1)")
	errRepeated     = errors.New("the catalog zone is broken: a name has several PTR records (RFC 9432 §4.2)")
	errTwice        = errors.New("the catalog zone is broken: it lists a member twice (RFC 9432 §4.2)")
)

func (c *catalog) add(rr dns.RR) error {
	owner := dns.CanonicalName(rr.Header().Name)
	switch rr := rr.(type) {
	case *dns.TXT:
		if owner == c.version {
			c.versions = append(c.versions, strings.Join(rr.Txt, "\x00"))
			if len(c.versions) > 1 {
				return errVersions
			}
		}
	case *dns.PTR:
		node, ok := strings.CutSuffix(owner, c.zones)
		if !ok {
			return nil
		}
		labels := dns.SplitDomainName(node)
		isMember := len(labels) == 1
		if !isMember && (len(labels) != 2 || labels[0] != "coo") {
			return nil // not a property that this program knows
		}
		if err := c.owners.add(node); err != nil {
			return err
		}
		if !isMember {
			return nil
		}
		return addMember(&c.names, &c.read, rr.Ptr)
	}
	return nil
}

func (c *catalog) list() (reading, error) {
	switch {
	case len(c.versions) == 0:
		return reading{}, errNoVersion
	case !slices.Equal(c.versions, []string{catalogVersion}):
		return reading{}, errWrongVersion
	}
	if _, repeated := c.owners.list(); repeated != "" {
		return reading{}, fmt.Errorf("%w: %s", errRepeated, repeated)
	}
	list, twice := c.names.list()
	if twice != "" {
		return reading{}, fmt.Errorf("%w: %s", errTwice, twice)
	}
	c.read.list = list
	return c.read, nil
}
