package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Target is what a probe is about: a mail domain, a host, or host:port.
type Target struct {
	Asked   string     // as given
	Name    string     // domain or host: A-labels, lower case, no final dot
	Address netip.Addr // if the target is an address, which is judged as that of Name
	Port    uint16     // 0: the module's
}

// String returns the target in a short, unambiguous form.
func (t Target) String() string {
	name := t.Name
	if t.Address.IsValid() {
		name = t.Address.String() + " as " + t.Name
	}
	if t.Port != 0 {
		return name + " port " + strconv.Itoa(int(t.Port))
	}
	return name
}

const (
	maxName   = 253  // bytes of a domain name (RFC 1035 §2.3.4)
	maxTarget = 1024 // bytes of a target; an IDN is longer in UTF-8 than in A-labels
)

// ParseTarget parses a target, and hostname if the target is an address. The
// error is one line that says which form is valid.
func ParseTarget(target, hostname string, module Module) (Target, error) {
	t, err := parseTarget(target, hostname)
	if err != nil {
		return Target{}, err
	}
	return t, module.checkTarget(t)
}

// checkTarget returns an error that says which form of target the module needs,
// if t has another.
func (m Module) checkTarget(t Target) error {
	kind, records := "mail domain", "MX"
	switch m.Discover {
	case DiscoverNone:
		if t.Port != 0 && len(m.Services) > 0 {
			return fmt.Errorf("module %s probes several services: give a host without a port; the module sets the ports", m.Name)
		}
		return nil
	case DiscoverSRV:
		kind, records = "domain", "SRV"
	}
	if t.Address.IsValid() {
		return fmt.Errorf("module %s looks up %s records: give a %s such as example.org, not an address", m.Name, records, kind)
	}
	if t.Port != 0 {
		return fmt.Errorf("module %s looks up %s records: give a %s without a port", m.Name, records, kind)
	}
	return nil
}

func parseTarget(target, hostname string) (Target, error) {
	const form = "give a domain, host, host:port, or an address with its hostname"
	t := Target{Asked: target}
	switch {
	case target == "":
		return t, errors.New("the target is empty: " + form)
	case len(target) > maxTarget:
		return t, fmt.Errorf("the target is %d bytes long: %s", len(target), form)
	case strings.Contains(target, "://"):
		return t, fmt.Errorf("the target %.80q has a scheme: %s, without https:// or the like", target, form)
	case strings.ContainsAny(target, "/?#"):
		return t, fmt.Errorf("the target %.80q has a path: %s", target, form)
	case strings.ContainsAny(target, "@"):
		return t, fmt.Errorf("the target %.80q looks like a mail address: give its domain alone", target)
	}

	host, port, err := splitPort(target)
	if err != nil {
		return t, fmt.Errorf("the target %.80q: %w: %s", target, err, form)
	}
	t.Port = port

	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return t, fmt.Errorf("the target %.80q has a zone: %s", target, form)
		}
		if hostname == "" {
			return t, fmt.Errorf("the target %.80q is an address: set hostname to the name of its TLSA records", target)
		}
		t.Address = addr.Unmap()
		host = hostname
	} else if hostname != "" {
		return t, fmt.Errorf("hostname=%.80q needs a target that is an address, and %.80q is not one", hostname, target)
	}

	if t.Name, err = DomainName(host); err != nil {
		return t, fmt.Errorf("%.80q is not a domain name: %w: %s", host, err, form)
	}
	return t, nil
}

// splitPort splits "host:port", "[v6]:port" and "host"; an IPv6 address without brackets has no port.
func splitPort(s string) (host string, port uint16, err error) {
	var text string
	if _, err := netip.ParseAddr(s); err == nil {
		return s, 0, nil
	}
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if host, text, ok = strings.Cut(rest, "]"); !ok {
			return "", 0, errors.New("the closing bracket is missing")
		}
		if addr, err := netip.ParseAddr(host); err != nil || !addr.Is6() {
			return "", 0, errors.New("brackets must contain an IPv6 address")
		}
		if text == "" {
			return host, 0, nil
		}
		if text, ok = strings.CutPrefix(text, ":"); !ok {
			return "", 0, errors.New("only a colon and a port may follow the bracket")
		}
	} else {
		var found bool
		if host, text, found = strings.Cut(s, ":"); !found {
			return s, 0, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%.80q is not a port", text)
	}
	return host, uint16(n), nil
}

// DomainName returns name in A-labels (RFC 5891), lower case, without the final
// dot. It accepts underscores: such names exist in DNS. The error does not contain the
// name.
func DomainName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if isPlainName(name) {
		return name, nil
	}
	if name == "" {
		return "", errors.New("it is empty")
	}
	if strings.HasSuffix(name, ".") {
		return "", errors.New("a label is empty")
	}
	if !utf8.ValidString(name) {
		return "", errors.New("it is not valid UTF-8")
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.StrictDomainName(false), idna.VerifyDNSLength(true), idna.Transitional(false))
	ascii, err := profile.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("%.120s", err.Error()) // it quotes the whole name
	}
	if len(ascii) > maxName {
		return "", fmt.Errorf("it is longer than %d bytes", maxName)
	}
	for _, c := range []byte(ascii) {
		if !isNameByte(c) && c != '.' {
			return "", fmt.Errorf("it contains %q", rune(c))
		}
	}
	return ascii, nil
}

// isPlainName reports whether DomainName returns name unchanged: it is in lower case and has
// no A-labels. It is much faster than the IDNA profile, and lists may have a million names.
func isPlainName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || len(label) > 3 && label[2:4] == "--" {
			return false
		}
		for i := range len(label) {
			if !isNameByte(label[i]) {
				return false
			}
		}
	}
	return true
}

// isNameByte reports whether a label may contain c.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
