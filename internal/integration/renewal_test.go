//go:build integration

package integration

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An acmeClient is an ACME client with the hook of deploy/renewal.
type acmeClient struct {
	name     string
	settings string // for dane-renew
	// issue gets the first certificate, before dane-renew knows the host.
	issue func(*testing.T, *renewalBed, *renewedHost)
	// renew gets a certificate of a new key, and runs the hook.
	renew func(*testing.T, *renewalBed, *renewedHost)
	// keep renews with the served key. It is nil if the client needs other settings for that.
	keep func(*testing.T, *renewalBed, *renewedHost)
	// files returns the newest certificate and its key.
	files func(*renewalBed, *renewedHost) (fullchain, key string)
}

// acmeClients returns the clients that Debian packages. The hook of certbot waits until
// the new certificate is served. Those of the others do not: a timer continues.
func acmeClients() []acmeClient {
	return []acmeClient{
		{
			name: "certbot", settings: "WAIT=60s",
			issue: func(t *testing.T, b *renewalBed, host *renewedHost) {
				b.certbot(t, "certonly", "--register-unsafely-without-email", "--agree-tos", "--server", acmeURL,
					"--manual", "--preferred-challenges", "dns",
					"--manual-auth-hook", `dane-renew challenge-add "$CERTBOT_DOMAIN" "_acme-challenge.$CERTBOT_DOMAIN." "$CERTBOT_VALIDATION"`,
					"--manual-cleanup-hook", `dane-renew challenge-remove "$CERTBOT_DOMAIN" "_acme-challenge.$CERTBOT_DOMAIN." "$CERTBOT_VALIDATION"`,
					"-d", host.mx)
				hook := filepath.Join(b.dir, "letsencrypt/renewal-hooks/deploy/dane-renew")
				if err := os.Symlink(filepath.Join(b.hooks, "certbot-hook"), hook); err != nil {
					t.Fatal(err)
				}
			},
			renew: func(t *testing.T, b *renewalBed, host *renewedHost) {
				b.certbot(t, "renew", "--force-renewal", "--no-random-sleep-on-renew")
			},
			keep: func(t *testing.T, b *renewalBed, host *renewedHost) {
				b.certbot(t, "renew", "--reuse-key", "--force-renewal", "--no-random-sleep-on-renew")
			},
			files: func(b *renewalBed, host *renewedHost) (string, string) {
				live := filepath.Join(b.dir, "letsencrypt/live", host.mx)
				return live + "/fullchain.pem", live + "/privkey.pem"
			},
		},
		{
			name: "lego",
			issue: func(t *testing.T, b *renewalBed, host *renewedHost) {
				b.lego(t, host, "run")
			},
			renew: func(t *testing.T, b *renewalBed, host *renewedHost) {
				b.lego(t, host, "renew", "--days", "36500", "--no-random-sleep", "--renew-hook", filepath.Join(b.hooks, "lego-hook"))
			},
			files: func(b *renewalBed, host *renewedHost) (string, string) {
				base := filepath.Join(b.dir, "lego/certificates", host.mx)
				return base + ".crt", base + ".key"
			},
		},
		{
			name: "dehydrated",
			issue: func(t *testing.T, b *renewalBed, host *renewedHost) {
				config := writeFile(t, filepath.Join(b.dir, "dehydrated"), "config", fmt.Sprintf("BASEDIR=%s/dehydrated\nCA=%s\nCHALLENGETYPE=dns-01\nHOOK=%s/dehydrated-hook\n", b.dir, acmeURL, b.hooks))
				b.mustRun(t, nil, program(t, "dehydrated"), "--config", config, "--register", "--accept-terms")
				// The hook fails: nothing has been adopted yet.
				code, output := b.command(t, nil, program(t, "dehydrated"), "--config", config, "--cron", "--domain", host.mx)
				if code == 0 || !strings.Contains(output, "run: dane-renew adopt "+host.mx) {
					t.Fatalf("dehydrated: exit code %d\n%s", code, output)
				}
			},
			renew: func(t *testing.T, b *renewalBed, host *renewedHost) {
				b.mustRun(t, nil, program(t, "dehydrated"), "--config", filepath.Join(b.dir, "dehydrated/config"), "--cron", "--force", "--domain", host.mx)
			},
			files: func(b *renewalBed, host *renewedHost) (string, string) {
				dir := filepath.Join(b.dir, "dehydrated/certs", host.mx)
				return dir + "/fullchain.pem", dir + "/privkey.pem"
			},
		},
	}
}

func (b *renewalBed) certbot(t *testing.T, args ...string) {
	t.Helper()
	b.mustRun(t, nil, program(t, "certbot"), append(args, "--non-interactive", "--config-dir", filepath.Join(b.dir, "letsencrypt"),
		"--work-dir", filepath.Join(b.dir, "certbot"), "--logs-dir", filepath.Join(b.dir, "certbot"))...)
}

var tsigSecret = regexp.MustCompile(`secret "([^"]+)"`)

func (b *renewalBed) lego(t *testing.T, host *renewedHost, args ...string) {
	t.Helper()
	secret := tsigSecret.FindStringSubmatch(readFile(t, filepath.Join(b.dir, "update.key")))
	variables := []string{"RFC2136_NAMESERVER=" + primaryAddress.String(), "RFC2136_TSIG_ALGORITHM=hmac-sha256.", "RFC2136_TSIG_KEY=update.",
		"RFC2136_TSIG_SECRET=" + secret[1], "RFC2136_POLLING_INTERVAL=1", "RFC2136_TTL=1"}
	b.mustRun(t, variables, program(t, "lego"), append([]string{"--path", filepath.Join(b.dir, "lego"), "--server", acmeURL, "--accept-tos",
		"--email", "postmaster@renew.test", "--dns", "rfc2136", "--domains", host.mx}, args...)...)
}

// TestRenewal renews certificates by the hooks of deploy/renewal. Certificates come from
// Pebble, by DNS-01. BIND signs the zone inline, and its secondary is late. While the
// hooks work, posttls-finger and the exporter probe the hosts through a caching resolver:
// with the gate they always authenticate the server, and without it they do not.
func TestRenewal(t *testing.T) {
	clients := acmeClients()
	others := []string{"by-hand", "kept", "killed", "stuck"}
	names := slices.Clone(others)
	for _, c := range clients {
		names = append(names, c.name)
	}
	b := newRenewalBed(t, names...)
	t.Run("issue", func(t *testing.T) {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				host := b.hosts[c.name]
				host.settings = c.settings
				b.configure(t, host)
				c.issue(t, b, host)
				fullchain, key := c.files(b, host)
				b.mustRun(t, nil, "dane-renew", "adopt", host.mx, fullchain, key)
				b.mustRun(t, nil, "dane-renew", "publish", host.mx)
			})
		}
	})
	first := make(map[string]pair)
	for _, name := range others {
		host := b.hosts[name]
		first[name] = b.newPair(t, host, nil)
		b.mustRun(t, nil, "dane-renew", "adopt", host.mx, first[name].fullchain, first[name].keyFile)
		b.mustRun(t, nil, "dane-renew", "publish", host.mx)
	}
	b.startPostfix(t)
	for _, host := range b.hosts {
		want := recordsOf(firstCertificate(t, b.served(host)))
		b.awaitRecords(t, host, want)
		waitFor(t, "the resolver has the records of "+host.mx, func() bool { return slices.Equal(b.published(t, host, validatorAddress), want) })
	}

	t.Run("gate", func(t *testing.T) {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				host := b.hosts[c.name]
				watch := b.watch(t, host)
				for range 2 {
					before := b.leaf(t, host)
					c.renew(t, b, host)
					b.runUntil(t, host, 0)
					b.checkRenewed(t, c, host, before)
				}
				watch.report(t, host)
			})
		}
		t.Run("by-hand", func(t *testing.T) {
			t.Parallel()
			b.testByHand(t, b.hosts["by-hand"], first["by-hand"])
		})
		t.Run("kept", func(t *testing.T) {
			t.Parallel()
			b.testKeptKey(t, b.hosts["kept"], first["kept"])
		})
		t.Run("killed", func(t *testing.T) {
			t.Parallel()
			b.testKilled(t, b.hosts["killed"], first["killed"])
		})
	})
	t.Run("no gate", func(t *testing.T) {
		t.Run("stuck", func(t *testing.T) { // has the gate; it runs here only to save time
			t.Parallel()
			b.testStuck(t, b.hosts["stuck"], first["stuck"])
		})
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				host := b.hosts[c.name]
				watch := b.watch(t, host)
				for _, prober := range []string{byExporter, byPostfix} {
					waitFor(t, prober+" has probed the server", func() bool {
						probes, refusals := watch.count(prober, host)
						if refusals > 0 {
							t.Fatalf("%s refuses %s before the renewal", prober, host.mx)
						}
						return probes > 2
					})
				}
				b.configure(t, host, "check() { return 0; }")
				before := b.leaf(t, host)
				b.renewUntilRefused(t, c, host, watch)
				watch.stop()
				b.configure(t, host)
				b.runUntil(t, host, 0)
				b.checkRenewed(t, c, host, before)
				if c.keep != nil {
					b.checkKept(t, c, host)
				}
			})
		}
	})
}

// checkKept renews a certificate and keeps its key. The hook installs it without waiting.
func (b *renewalBed) checkKept(t *testing.T, c acmeClient, host *renewedHost) {
	t.Helper()
	before := b.leaf(t, host)
	c.keep(t, b, host)
	fullchain, _ := c.files(b, host)
	newest := firstCertificate(t, fullchain)
	if newest.Equal(before) || !bytes.Equal(before.RawSubjectPublicKeyInfo, newest.RawSubjectPublicKeyInfo) {
		t.Fatal("the renewal did not keep the key")
	}
	waitFor(t, "the new certificate is served", func() bool { return b.leaf(t, host).Equal(newest) })
	b.awaitRecords(t, host, recordsOf(newest))
}

var docsCommand = regexp.MustCompile(`(?m)^ *dane_exporter (tlsa .*)$`)

// testByHand renews as docs/rollover.md describes it, with the commands of that page.
func (b *renewalBed) testByHand(t *testing.T, host *renewedHost, old pair) {
	watch := b.watch(t, host)
	next := b.newPair(t, host, nil)
	inPlace := strings.NewReplacer("current.pem", old.fullchain, "next.key", next.keyFile, "mx.example.org", host.mx, "--wait 3h", "--wait 60s")
	var outputs []string
	for _, command := range docsCommand.FindAllStringSubmatch(readFile(t, "../../docs/rollover.md"), -1) {
		args := append(strings.Fields(inPlace.Replace(command[1])), "--config.file", filepath.Join(b.dir, "exporter.yml"))
		outputs = append(outputs, b.mustRun(t, nil, os.Getenv(binaryEnv), args...))
		if len(outputs) > 1 {
			continue
		}
		for line := range strings.Lines(outputs[0]) {
			if owner, data, found := strings.Cut(strings.TrimSpace(line), " IN TLSA "); found {
				b.update(t, fmt.Sprintf("add %s %d TLSA %s", owner, renewalTTL, data))
			}
		}
		if got, want := b.published(t, host, primaryAddress), recordsOf(old.leaf, next.leaf); !slices.Equal(got, want) {
			t.Fatalf("records %q, want %q", got, want)
		}
	}
	if len(outputs) != 2 || !strings.Contains(outputs[1], "; safe to serve now") {
		t.Fatalf("the commands of the page print %q", outputs)
	}
	served := writeFile(t, b.dir, host.name+".pem", readFile(t, next.keyFile)+readFile(t, next.fullchain))
	if err := os.Rename(served, b.served(host)); err != nil {
		t.Fatal(err)
	}
	b.mustRun(t, nil, "postfix", "-c", filepath.Join(b.dir, "postfix"), "reload")
	waitFor(t, "the new certificate is served", func() bool { return b.leaf(t, host).Equal(next.leaf) })
	reloaded := time.Now()
	waitFor(t, "two TTLs have passed", func() bool { return time.Since(reloaded) > 2*renewalTTL*time.Second })
	b.update(t, "delete _25._tcp."+host.mx+". TLSA "+recordsOf(old.leaf)[0])
	b.awaitRecords(t, host, recordsOf(next.leaf))
	watch.report(t, host)
}

// renewUntilRefused renews until both probers have refused a host. One renewal is nearly
// always enough. It is not refused if the resolver queries the primary between the
// update and the installation.
func (b *renewalBed) renewUntilRefused(t *testing.T, c acmeClient, host *renewedHost, watch *watch) {
	t.Helper()
	for range 4 {
		c.renew(t, b, host)
		// Now caches and the secondary have the new record.
		noticeable := time.NewTimer(12 * time.Second)
		defer noticeable.Stop()
		retry := time.NewTicker(100 * time.Millisecond)
		defer retry.Stop()
		for waiting := true; waiting; {
			_, byOne := watch.count(byExporter, host)
			_, byOther := watch.count(byPostfix, host)
			if byOne > 0 && byOther > 0 {
				return
			}
			select {
			case <-retry.C:
			case <-noticeable.C:
				t.Logf("%d refusals by the exporter and %d by posttls-finger", byOne, byOther)
				waiting = false
			}
		}
	}
	t.Fatalf("without the gate, no renewal of %s was refused", host.mx)
}

// awaitRecords waits until both nameservers have exactly the given records.
func (b *renewalBed) awaitRecords(t *testing.T, host *renewedHost, want []string) {
	t.Helper()
	for _, server := range []struct {
		name string
		got  func() []string
	}{
		{"primary", func() []string { return b.published(t, host, primaryAddress) }},
		{"secondary", func() []string { return b.published(t, host, secondaryAddress) }},
	} {
		waitFor(t, fmt.Sprintf("the %s has the records %q of %s", server.name, want, host.mx), func() bool { return slices.Equal(server.got(), want) })
	}
}

// checkRenewed checks that a host serves the newest certificate of a client, that it has
// another key than before, and that only its record is left.
func (b *renewalBed) checkRenewed(t *testing.T, c acmeClient, host *renewedHost, before *x509.Certificate) {
	t.Helper()
	fullchain, _ := c.files(b, host)
	newest, after := firstCertificate(t, fullchain), b.leaf(t, host)
	if !after.Equal(newest) {
		t.Errorf("%s does not serve the newest certificate", host.mx)
	}
	if bytes.Equal(before.RawSubjectPublicKeyInfo, after.RawSubjectPublicKeyInfo) {
		t.Errorf("%s serves the same key as before the renewal", host.mx)
	}
	b.awaitRecords(t, host, recordsOf(after))
}

// testKeptKey renews a certificate and keeps its key. The new certificate is served
// immediately, and no update is sent.
func (b *renewalBed) testKeptKey(t *testing.T, host *renewedHost, old pair) {
	watch := b.watch(t, host)
	b.configure(t, host, "dns_update() { return 1; }", "check() { return 2; }")
	next := b.newPair(t, host, old.key)
	b.mustRun(t, nil, "dane-renew", "renew", host.mx, next.fullchain, next.keyFile)
	waitFor(t, "the new certificate is served", func() bool { return b.leaf(t, host).Equal(next.leaf) })
	if got := b.published(t, host, primaryAddress); !slices.Equal(got, recordsOf(old.leaf)) {
		t.Errorf("records %q", got)
	}
	before, _ := watch.count(byPostfix, host)
	waitFor(t, "ten probes after the renewal", func() bool {
		probes, _ := watch.count(byPostfix, host)
		return probes >= before+10
	})
	watch.report(t, host)
}

// testStuck renews while the secondary cannot update its zone. The gate fails, and the old
// certificate stays until the secondary is up to date.
func (b *renewalBed) testStuck(t *testing.T, host *renewedHost, old pair) {
	watch := b.watch(t, host)
	b.allowTransfers(t, false)
	b.configure(t, host, "WAIT=4s", "PATIENCE=0")
	next := b.newPair(t, host, nil)
	code, output := b.command(t, nil, "dane-renew", "renew", host.mx, next.fullchain, next.keyFile)
	if code != 2 || !strings.Contains(output, secondaryAddress.String()+"): missing") {
		t.Errorf("exit code %d, want 2 for %s\n%s", code, secondaryAddress, output)
	}
	b.configure(t, host)
	if code, output := b.command(t, nil, "dane-renew", "run", host.mx); code != 1 {
		t.Errorf("exit code %d of the next run, want 1, because this is no failure yet\n%s", code, output)
	}
	if !b.leaf(t, host).Equal(old.leaf) {
		t.Error("the old certificate is no longer served")
	}
	if got, want := b.published(t, host, primaryAddress), recordsOf(old.leaf, next.leaf); !slices.Equal(got, want) {
		t.Errorf("the primary has %q, want %q", got, want)
	}
	if got, want := b.published(t, host, secondaryAddress), recordsOf(old.leaf); !slices.Equal(got, want) {
		t.Errorf("the secondary has %q, want %q", got, want)
	}
	b.allowTransfers(t, true)
	b.runUntil(t, host, 0)
	if !b.leaf(t, host).Equal(next.leaf) {
		t.Error("the new certificate is not served")
	}
	b.awaitRecords(t, host, recordsOf(next.leaf))
	watch.report(t, host)
}

// killSettings replace functions of dane-renew by ones that kill it, before or after
// their work, if the variable KILL names them.
const killSettings = `
case ${KILL-} in
stage) exporter() { kill -9 $$; } ;;
"before an update") dns_add() { kill -9 $$; exit 1; } ;;
"after an update") dns_add() { dns_update "update add $1 $2 IN $3 $4"; kill -9 $$; exit 1; } ;;
"before the gate") gate() { kill -9 $$; } ;;
"before the installation") install_pair() { kill -9 $$; } ;;
"after the installation") install_pair() { cp "$1" "$SERVED.new" && mv "$SERVED.new" "$SERVED"; kill -9 $$; } ;;
"before the reload") reload() { kill -9 $$; } ;;
"after the reload") reload() { postfix -c "$POSTFIX" reload; kill -9 $$; } ;;
"before the removal") dns_remove() { kill -9 $$; exit 1; } ;;
"after the removal") dns_remove() { dns_update "update delete $1 IN $2 $3"; kill -9 $$; exit 1; } ;;
esac
`

// testKilled kills dane-renew at each step of one renewal, and repeats the step. Until
// the installation the old certificate is served, and the records of both stay published
// until the end.
func (b *renewalBed) testKilled(t *testing.T, host *renewedHost, old pair) {
	watch := b.watch(t, host)
	host.settings = "POSTFIX=" + filepath.Join(b.dir, "postfix") + killSettings
	b.configure(t, host)
	next := b.newPair(t, host, nil)
	both := recordsOf(old.leaf, next.leaf)
	const killed = -1 // by a signal
	check := func(when string, records []string, leaves ...*x509.Certificate) {
		t.Helper()
		if got := b.published(t, host, primaryAddress); !slices.Equal(got, records) {
			t.Errorf("killed %s: records %q, want %q", when, got, records)
		}
		if leaf := b.leaf(t, host); !slices.ContainsFunc(leaves, leaf.Equal) {
			t.Errorf("killed %s: another certificate is served", when)
		}
	}
	kill := func(when string) {
		t.Helper()
		b.runUntil(t, host, killed, "KILL="+when)
	}

	if code, output := b.command(t, []string{"KILL=stage"}, "dane-renew", "stage", host.mx, next.fullchain, next.keyFile); code != killed {
		t.Fatalf("exit code %d\n%s", code, output)
	}
	check("while it stages", recordsOf(old.leaf), old.leaf)
	b.mustRun(t, nil, "dane-renew", "stage", host.mx, next.fullchain, next.keyFile)
	kill("before an update")
	check("before an update", recordsOf(old.leaf), old.leaf)
	kill("after an update")
	check("after an update", recordsOf(old.leaf), old.leaf)
	kill("before the gate")
	check("before the gate", both, old.leaf)
	b.killAtGate(t, host)
	check("at the gate", both, old.leaf)
	kill("before the installation")
	check("before the installation", both, old.leaf)
	b.awaitRecords(t, host, both)
	kill("after the installation")
	check("after the installation", both, old.leaf, next.leaf)
	kill("before the reload")
	check("before the reload", both, old.leaf, next.leaf)
	kill("after the reload")
	waitFor(t, "the new certificate is served", func() bool { return b.leaf(t, host).Equal(next.leaf) })
	check("after the reload", both, next.leaf)
	kill("before the removal")
	check("before the removal", both, next.leaf)
	kill("after the removal")
	check("after the removal", recordsOf(next.leaf), next.leaf)
	b.runUntil(t, host, 0)
	b.awaitRecords(t, host, recordsOf(next.leaf))
	if code, output := b.command(t, nil, "dane-renew", "status", host.mx); code != 0 || strings.Contains(output, strings.TrimPrefix(recordsOf(old.leaf)[0], "3 1 1 ")) {
		t.Errorf("exit code %d\n%s", code, output)
	}
	watch.report(t, host)
}

// killAtGate kills dane-renew, with dane_exporter, while it waits for the nameservers.
func (b *renewalBed) killAtGate(t *testing.T, host *renewedHost) {
	t.Helper()
	b.configure(t, host, "WAIT=60s")
	state := filepath.Join(b.dir, "state", host.name, "gate.json")
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(b.hooks, "dane-renew"), "gate", host.mx)
	command.Env, command.Dir = b.env, b.dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := os.Remove(state); err != nil { // of the steps before
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the gate has asked the nameservers", func() bool {
		_, err := os.Stat(state)
		return err == nil
	})
	if err := syscall.Kill(-command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil {
		t.Error("the gate opened before it was killed")
	}
	b.configure(t, host)
}
