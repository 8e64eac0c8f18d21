//go:build integration

package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/netip"
	"net/smtp"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Addresses of the renewal tests.
var (
	primaryAddress   = netip.MustParseAddr("192.0.2.3") // BIND: signs renew.test. inline and accepts updates
	secondaryAddress = netip.MustParseAddr("192.0.2.4") // BIND: is not notified, so it is late
	acmeAddress      = netip.MustParseAddr("192.0.2.5") // Pebble
	firstMailAddress = netip.MustParseAddr("192.0.2.20")
)

const (
	renewalZone = "renew.test."
	renewalTTL  = 3 // of the TLSA records, in seconds
	acmeURL     = "https://acme.renew.test:14000/dir"
)

// A renewalBed is a signed zone on two nameservers, an ACME server and a Postfix for
// hosts whose certificates dane-renew renews.
type renewalBed struct {
	dir     string
	anchor  string
	hooks   string // the directory deploy/renewal
	hosts   map[string]*renewedHost
	primary *process
	env     []string // of ACME clients and of dane-renew
}

// A renewedHost is the mail domain NAME.renew.test with one server.
type renewedHost struct {
	name, domain, mx string
	address          netip.Addr
	settings         string // lines for its settings file
}

func newRenewalBed(t *testing.T, names ...string) *renewalBed {
	t.Helper()
	configureLoopback(t)
	for _, address := range []netip.Addr{primaryAddress, secondaryAddress, acmeAddress} {
		addAddress(t, address)
	}
	hooks, err := filepath.Abs("../../deploy/renewal")
	if err != nil {
		t.Fatal(err)
	}
	b := &renewalBed{dir: tempDir(t), hooks: hooks, hosts: make(map[string]*renewedHost)}
	address := firstMailAddress
	for _, name := range names {
		address = address.Next()
		addAddress(t, address)
		domain := name + ".renew.test"
		b.hosts[name] = &renewedHost{name: name, domain: domain, mx: "mx." + domain, address: address}
	}
	b.startDNS(t)
	authority := newAuthority(t, b.dir)
	b.startPebble(t, authority)
	b.startExporter(t)

	bin := filepath.Join(b.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(hooks, "dane-renew"), filepath.Join(bin, "dane-renew")); err != nil {
		t.Fatal(err)
	}
	b.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+b.dir, "DANE_RENEW_DIR="+filepath.Join(b.dir, "dane-renew"),
		"REQUESTS_CA_BUNDLE="+authority.root, "LEGO_CA_CERTIFICATES="+authority.root, "CURL_CA_BUNDLE="+authority.root)
	for _, host := range b.hosts {
		b.configure(t, host)
	}
	return b
}

// configure writes the settings of a host for dane-renew, with further lines.
func (b *renewalBed) configure(t testing.TB, host *renewedHost, lines ...string) {
	t.Helper()
	writeFile(t, filepath.Join(b.dir, "dane-renew"), host.mx+".conf", fmt.Sprintf(`
TTL=%d
SERVED=%s
STATE=%s/state/%s
DNS_SERVER=%s
TSIG_KEY=%[3]s/update.key
CHALLENGE_WAIT=0
DANE_EXPORTER=%[6]s
EXPORTER_CONFIG=%[3]s/exporter.yml
reload() { postfix -c %[3]s/postfix reload; }
%[7]s
`, renewalTTL, b.served(host), b.dir, host.name, primaryAddress, os.Getenv(binaryEnv), strings.Join(append([]string{host.settings}, lines...), "\n")))
}

// served returns the file that Postfix reads for a host.
func (b *renewalBed) served(host *renewedHost) string {
	return filepath.Join(b.dir, "served", host.name+".pem")
}

// startDNS starts Knot with the root and test., the two BINDs with renew.test., and a
// validating Unbound, the resolver of all programs in the test.
func (b *renewalBed) startDNS(t *testing.T) {
	t.Helper()
	key := run(t, "tsig-keygen", "update")
	writeFile(t, b.dir, "update.key", key)
	primary := filepath.Join(b.dir, "primary")
	writeFile(t, primary, "renew.zone", b.zoneText())
	keyName := strings.TrimSpace(run(t, "dnssec-keygen", "-q", "-k", "default", "-K", primary, renewalZone))
	ds := run(t, "dnssec-dsfromkey", "-2", filepath.Join(primary, keyName+".key"))

	tb := &testbed{dir: b.dir, zones: []*zone{
		{name: ".", signer: signedByKnot, algorithm: "ecdsap256sha256"},
		{name: "test.", signer: signedByKnot, algorithm: "ecdsap256sha256"},
	}}
	root, top := tb.zones[0], tb.zones[1]
	knot := newKnot(t, tb)
	tb.anchor = strings.TrimSpace(knot.makeKeys(t, root))
	root.delegate(top, knot.makeKeys(t, top))
	for i, address := range []netip.Addr{primaryAddress, secondaryAddress} {
		top.records += fmt.Sprintf("%s NS ns%d.%[1]s\nns%[2]d.%[1]s A %[3]s\n", renewalZone, i+1, address)
	}
	top.records += ds
	knot.start(t)
	b.anchor = tb.anchor

	b.writePrimaryConfig(t, "any")
	b.primary = startNamed(t, primary, primaryAddress)
	secondary := filepath.Join(b.dir, "secondary")
	writeFile(t, secondary, "named.conf", fmt.Sprintf(namedOptions, secondary, secondaryAddress, "")+fmt.Sprintf(`
zone "renew.test" {
	type secondary;
	primaries { %s; };
	file "renew.zone";
	notify no;
	min-refresh-time 6;
	max-refresh-time 6;
	min-retry-time 1;
	max-retry-time 1;
};
`, primaryAddress))
	startNamed(t, secondary, secondaryAddress)
	waitFor(t, "both nameservers serve the signed zone", func() bool {
		for _, server := range []netip.Addr{primaryAddress, secondaryAddress} {
			if answer := query(t, server, renewalZone, dns.TypeDNSKEY); answer.Rcode != dns.RcodeSuccess || len(answer.Answer) < 2 {
				return false
			}
		}
		return true
	})
	newUnbound(t, tb, "validator iterator", validatorAddress).start(t)
	resolveWith(t, b.dir, validatorAddress)
}

const namedOptions = `
options {
	directory %q;
	listen-on { %s; };
	listen-on-v6 { none; };
	pid-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	notify no;
};
controls { };
%s
`

// writePrimaryConfig writes the configuration of the primary, which allows transfers to
// clients: any or none.
func (b *renewalBed) writePrimaryConfig(t testing.TB, clients string) {
	t.Helper()
	dir := filepath.Join(b.dir, "primary")
	writeFile(t, dir, "named.conf", fmt.Sprintf(namedOptions, dir, primaryAddress, readFile(t, filepath.Join(b.dir, "update.key")))+fmt.Sprintf(`
zone "renew.test" {
	type primary;
	file "renew.zone";
	inline-signing yes;
	dnssec-policy default;
	update-policy { grant update zonesub ANY; };
	allow-transfer { %s; };
};
`, clients))
}

func startNamed(t *testing.T, dir string, address netip.Addr) *process {
	t.Helper()
	return start(t, dir, exec.Command(program(t, "named"), "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")), address.String()+":53")
}

// allowTransfers sets whether the secondary can update its copy of the zone.
func (b *renewalBed) allowTransfers(t *testing.T, allowed bool) {
	t.Helper()
	clients := "none"
	if allowed {
		clients = "any"
	}
	b.writePrimaryConfig(t, clients)
	signal(t, b.primary, syscall.SIGHUP)
	waitFor(t, "the primary allows transfers to "+clients, func() bool {
		response, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr(renewalZone), netip.AddrPortFrom(primaryAddress, 53).String())
		if err != nil {
			return false
		}
		refused := false
		for envelope := range response {
			refused = refused || envelope.Error != nil
		}
		return refused != allowed
	})
}

// zoneText returns the zone before the first update. Its short times make the tests fast.
func (b *renewalBed) zoneText() string {
	var text strings.Builder
	fmt.Fprintf(&text, "$ORIGIN %s\n$TTL 300\n@ SOA ns1 hostmaster.invalid. 1 6 1 86400 2\n@ NS ns1\n@ NS ns2\nns1 A %s\nns2 A %s\nacme A %s\n",
		renewalZone, primaryAddress, secondaryAddress, acmeAddress)
	for _, host := range b.hosts {
		fmt.Fprintf(&text, "%s. MX 10 %s.\n%[2]s. A %[3]s\n", host.domain, host.mx, host.address)
	}
	return text.String()
}

// startPebble starts the ACME server. It queries the primary only, so that challenges need
// not wait for the secondary.
func (b *renewalBed) startPebble(t *testing.T, authority *authority) {
	t.Helper()
	leaf := authority.issue(t, "acme", authority.intermediate, "leaf", certificate{names: []string{"acme.renew.test"}})
	chain := concatenate(t, leaf+".chain", leaf, authority.intermediate)
	config := writeFile(t, b.dir, "pebble.json", fmt.Sprintf(`{"pebble": {
	"listenAddress": "%[1]s:14000", "managementListenAddress": "%[1]s:15000",
	"certificate": %[2]q, "privateKey": %[3]q, "httpPort": 80, "tlsPort": 443,
	"retryAfter": {"authz": 1, "order": 1}
}}`, acmeAddress, chain, keyOf(leaf)))
	command := exec.Command(pebbleBinary(), "-config", config, "-dnsserver", netip.AddrPortFrom(primaryAddress, 53).String())
	command.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	start(t, b.dir, command, acmeAddress.String()+":14000")
}

// startExporter starts the exporter with the caching resolver that senders use. Each probe
// makes a handshake: by default, probes use handshakes of the last 30 s, which is longer
// than two TTLs here.
func (b *renewalBed) startExporter(t *testing.T) {
	t.Helper()
	anchors := writeFile(t, b.dir, "anchors", b.anchor+"\n")
	config := writeFile(t, b.dir, "exporter.yml", fmt.Sprintf("resolver:\n  servers: [\"%s:53\"]\n  trust_anchors: %q\naccess:\n  allow_networks: [192.0.2.0/24]\nlimits:\n  handshake_reuse: 0s\n", validatorAddress, anchors))
	start(t, b.dir, exec.Command(os.Getenv(binaryEnv), "serve", "--config.file", config, "--web.listen-address", exporterAddress), exporterAddress)
}

// startPostfix starts one Postfix with an smtpd for each host.
func (b *renewalBed) startPostfix(t *testing.T) {
	t.Helper()
	var services strings.Builder
	var listening []string
	for _, host := range b.hosts {
		at := netip.AddrPortFrom(host.address, 25).String()
		fmt.Fprintf(&services, "%s inet n - n - - smtpd\n  -o smtpd_tls_chain_files=%s\n", at, b.served(host))
		listening = append(listening, at)
	}
	runPostfix(t, filepath.Join(b.dir, "postfix"), services.String(), listening)
}

// command runs a program with the environment of the bed and further variables. It
// returns the exit code and the output, or -1 if the program was killed.
func (b *renewalBed) command(t testing.TB, variables []string, name string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*timeout)
	defer cancel()
	command := exec.CommandContext(ctx, "env", append(append(slices.Clone(variables), name), args...)...)
	command.Env, command.Dir = b.env, b.dir
	output, err := command.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return command.ProcessState.ExitCode(), string(output)
}

// mustRun runs a program that must succeed.
func (b *renewalBed) mustRun(t testing.TB, variables []string, name string, args ...string) string {
	t.Helper()
	code, output := b.command(t, variables, name, args...)
	if code != 0 {
		t.Fatalf("%s %q: exit code %d\n%s", name, args, code, output)
	}
	return output
}

// update sends a dynamic update, in the syntax of nsupdate, to the primary.
func (b *renewalBed) update(t testing.TB, change string) {
	t.Helper()
	b.mustRun(t, []string{"UPDATE=" + fmt.Sprintf("server %s\nupdate %s\nsend\n", primaryAddress, change)}, "sh", "-c", `printf %s "$UPDATE" | nsupdate -k update.key`)
}

// runUntil runs the due steps of a host, as a timer would, until the exit code is want.
func (b *renewalBed) runUntil(t testing.TB, host *renewedHost, want int, variables ...string) {
	t.Helper()
	retry := time.NewTicker(500 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(3 * timeout); ; {
		code, output := b.command(t, variables, "dane-renew", "run", host.mx)
		if code == want {
			return
		}
		select {
		case <-retry.C:
		case <-deadline:
			t.Fatalf("dane-renew run %s: exit code %d, want %d\n%s", host.mx, code, want, output)
		}
	}
}

// leaf returns the certificate that a host sends.
func (b *renewalBed) leaf(t testing.TB, host *renewedHost) *x509.Certificate {
	t.Helper()
	client, err := smtp.Dial(netip.AddrPortFrom(host.address, 25).String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil { // the certificate is compared
		t.Fatal(err)
	}
	state, _ := client.TLSConnectionState()
	return state.PeerCertificates[0]
}

// published returns the data of the TLSA records that a DNS server returns for a host, sorted.
func (b *renewalBed) published(t testing.TB, host *renewedHost, server netip.Addr) []string {
	t.Helper()
	var records []string
	for _, rr := range query(t, server, "_25._tcp."+host.mx, dns.TypeTLSA).Answer {
		if record, ok := rr.(*dns.TLSA); ok {
			records = append(records, fmt.Sprintf("%d %d %d %s", record.Usage, record.Selector, record.MatchingType, record.Certificate))
		}
	}
	slices.Sort(records)
	return records
}

// recordsOf returns the data of the records of certificates, sorted.
func recordsOf(certificates ...*x509.Certificate) []string {
	var records []string
	for _, certificate := range certificates {
		digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		records = append(records, "3 1 1 "+hex.EncodeToString(digest[:]))
	}
	slices.Sort(records)
	return records
}

// firstCertificate returns the first certificate of a PEM file.
func firstCertificate(t testing.TB, file string) *x509.Certificate {
	t.Helper()
	rest := []byte(readFile(t, file))
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			t.Fatalf("%s has no certificate", file)
		}
		if rest = after; block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return certificate
	}
}

// A pair is a certificate and its key, in files as an ACME client writes them.
type pair struct {
	fullchain, keyFile string
	leaf               *x509.Certificate
	key                *ecdsa.PrivateKey
}

// newPair makes a self-signed certificate for a host, of a new key if key is nil.
func (b *renewalBed) newPair(t testing.TB, host *renewedHost, key *ecdsa.PrivateKey) pair {
	t.Helper()
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, DNSNames: []string{host.mx}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.dir, "pairs", host.name)
	p := pair{key: key}
	p.fullchain = writeFile(t, dir, serial.String()+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.keyFile = writeFile(t, dir, serial.String()+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	p.leaf = firstCertificate(t, p.fullchain)
	return p
}

// A watch probes hosts continuously, with the exporter and with posttls-finger through a
// caching resolver.
type watch struct {
	mu       sync.Mutex
	probes   map[string]int       // by prober and host
	failures map[string][]failure // by prober and host: everything but authenticated
	stop     func()
}

// A failure is a probe that did not authenticate the server.
type failure struct {
	at      time.Time
	refused bool // by DANE
	text    string
}

// The probers.
const (
	byExporter = "exporter"
	byPostfix  = "posttls-finger"
)

func (b *renewalBed) watch(t testing.TB, hosts ...*renewedHost) *watch {
	w := &watch{probes: make(map[string]int), failures: make(map[string][]failure)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	repeat := func(prober string, host *renewedHost, interval time.Duration, probe func(context.Context, *renewedHost) *failure) {
		running.Go(func() {
			ticker := time.NewTicker(interval)
			defer ticker.Stop()
			for {
				started := time.Now()
				failed := probe(ctx, host)
				if ctx.Err() != nil {
					return
				}
				w.add(prober+" "+host.name, started, failed)
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for _, host := range hosts {
		repeat(byExporter, host, 200*time.Millisecond, scrapeOutcome)
		repeat(byPostfix, host, 400*time.Millisecond, b.deliver)
	}
	w.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

// add adds the result of a probe; failed is nil if it authenticated the server.
func (w *watch) add(key string, at time.Time, failed *failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.probes[key]++
	if failed != nil {
		failed.at = at
		w.failures[key] = append(w.failures[key], *failed)
	}
}

// count returns the numbers of probes of a prober with a host, and of those that refused it.
func (w *watch) count(prober string, host *renewedHost) (probes, refusals int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := prober + " " + host.name
	for _, f := range w.failures[key] {
		if f.refused {
			refusals++
		}
	}
	return w.probes[key], refusals
}

// report ends the watch. It reports each prober that had a failure, or too few probes to
// detect one.
func (w *watch) report(t testing.TB, hosts ...*renewedHost) {
	t.Helper()
	w.stop()
	for _, host := range hosts {
		for _, prober := range []string{byExporter, byPostfix} {
			key := prober + " " + host.name
			failures := w.failures[key]
			t.Logf("%s: %d probes, %d failures", key, w.probes[key], len(failures))
			if w.probes[key] < 10 {
				t.Errorf("%s: only %d probes", key, w.probes[key])
			}
			if len(failures) > 0 {
				t.Errorf("%s: %d of %d probes did not authenticate the server, first at %s: %s", key, len(failures), w.probes[key],
					failures[0].at.Format(time.StampMilli), failures[0].text)
			}
		}
	}
}

var activeOutcome = regexp.MustCompile(`(?m)^dane_outcome\{[^}]*outcome="([a-z]+)"[^}]*\} 1$`)

// scrapeOutcome scrapes the exporter once.
func scrapeOutcome(ctx context.Context, host *renewedHost) *failure {
	address := "http://" + exporterAddress + "/probe?" + url.Values{"target": {host.domain}, "module": {"smtp_mx"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return &failure{text: err.Error()}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return &failure{text: err.Error()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return &failure{text: err.Error()}
	}
	outcome := ""
	if found := activeOutcome.FindAllStringSubmatch(string(body), -1); len(found) == 1 {
		outcome = found[0][1]
	}
	if outcome == "authenticated" {
		return nil
	}
	return &failure{refused: outcome == "refused", text: string(body)}
}

// deliver probes a host once with posttls-finger.
func (b *renewalBed) deliver(ctx context.Context, host *renewedHost) *failure {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	output, err := exec.CommandContext(ctx, "posttls-finger", postTLSFingerArguments(b.dir, "dane", host.domain)...).CombinedOutput()
	result := deliveryOf("dane", string(output))
	if result == verified {
		return nil
	}
	return &failure{refused: result == refused, text: fmt.Sprintf("%v: %s", err, output)}
}
