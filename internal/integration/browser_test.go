//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// screenshots is the directory for screenshots of the pages, as in docs/screenshots.
var screenshots = flag.String("screenshots", "", "directory to write screenshots of the pages to")

// TestBrowser loads the pages of the lab in Debian's Chromium, controlled with
// WebDriver.
func TestBrowser(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	dir := tempDir(t)
	start(t, dir, exec.Command(os.Getenv(binaryEnv), "lab", "--web.listen-address", exporterAddress, "--web.external-url", "http://"+exporterAddress+"/dane"), exporterAddress)
	b := startBrowser(t, dir)

	t.Run("form", func(t *testing.T) { testForm(t, b) })
	t.Run("report", func(t *testing.T) { testReport(t, b) })
	t.Run("runbook", func(t *testing.T) { testRunbook(t, b) })
	t.Run("hostile", func(t *testing.T) { testHostile(t, b) })
	t.Run("targets", func(t *testing.T) { testTargets(t, b) })
	t.Run("fault", func(t *testing.T) { testFault(t, b) })
	t.Run("without scripts", func(t *testing.T) { testWithoutScripts(t, b) })
	t.Run("keyboard", func(t *testing.T) { testKeyboard(t, b) })
	t.Run("accessible", func(t *testing.T) { testAccessible(t, b) })
	t.Run("console", func(t *testing.T) {
		if messages := b.console(t); len(messages) > 0 {
			t.Errorf("console messages: %q", messages)
		}
		b.open(t, "/nothing") // a missing page must appear on the console
		if messages := b.console(t); len(messages) == 0 {
			t.Error("no console message about a missing page: the test does not see the console")
		}
	})
	if *screenshots != "" {
		takeScreenshots(t, b)
	}
}

// testForm checks that the form leads to the report, and that the start page then
// lists the probe.
func testForm(t *testing.T, b *browser) {
	b.open(t, "/")
	b.fill(t, "target", "tlsa-mismatch.lab.test")
	b.follow(t, ".ask button", ".verdict")
	if got := b.script(t, `return document.querySelector("h1").textContent + " " + location.pathname`); got != "tlsa-mismatch.lab.test /dane/report" {
		t.Errorf("the form leads to %s, want the report of the target", got)
	}
	b.follow(t, ".home", ".hero")
	if got := b.script(t, `return document.querySelector(".targets tbody").innerText`); !strings.Contains(got, "tlsa-mismatch.lab.test") || !strings.Contains(got, "refused") {
		t.Errorf("targets on the start page: %q", got)
	}
}

// testReport checks that the page that alerts link to has styles, shows the
// mismatch, and copies the right record.
func testReport(t *testing.T, b *browser) {
	b.open(t, "/report?target=tlsa-mismatch.lab.test&module=smtp_mx")
	if got := b.script(t, `return getComputedStyle(document.querySelector(".pair.bad")).display`); got != "grid" {
		t.Errorf("display = %s, want grid: the styles are missing", got)
	}
	if got := b.script(t, `return document.querySelector(".pair.bad .sign").innerText`); !strings.Contains(got, "no match") {
		t.Errorf("the mismatch is shown as %q, want no match in it", got)
	}
	b.click(t, ".lookup:last-of-type summary")
	if got := b.script(t, `return document.querySelectorAll(".lookup[open] .chain li").length`); got != "4" {
		t.Errorf("%s links in the chain, want 4: ., test., lab.test. and the record", got)
	}
	b.devTools(t, "Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true})
	b.devTools(t, "Browser.grantPermissions", map[string]any{"permissions": []string{"clipboardReadWrite", "clipboardSanitizedWrite"}})
	b.click(t, ".copier")
	copied := b.async(t, `const done = arguments[0];
		const wait = () => document.querySelector(".copier").textContent === "Copied" ? navigator.clipboard.readText().then(done, e => done("error: " + e)) : setTimeout(wait, 20);
		wait();`)
	if !strings.HasPrefix(copied, "_25._tcp.mx.tlsa-mismatch.lab.test. IN TLSA 3 1 1 ") || len(strings.Fields(copied)) != 7 || len(strings.Fields(copied)[6]) != 64 {
		t.Errorf("copied %q", copied)
	}
}

// testRunbook checks that a finding links to its section of the served runbook.
func testRunbook(t *testing.T, b *browser) {
	b.open(t, "/report?target=tlsa-mismatch.lab.test&module=smtp_mx")
	b.follow(t, "#findings .meaning a", ".document")
	if got := b.script(t, `return location.pathname + " " + document.querySelector(":target").innerText`); got != "/dane/docs/runbook.md tlsa_mismatch" {
		t.Errorf("the finding leads to %s", got)
	}
}

// testHostile checks that hostile input and certificates are shown as text.
func testHostile(t *testing.T, b *browser) {
	const hostile = `<img src=x onerror="window.struck=1"><script>window.struck=1</script>`
	b.open(t, "/report?target="+url.QueryEscape(hostile))
	if got := b.script(t, `return document.querySelector("input[name=target]").value`); got != hostile {
		t.Errorf("the form has target %q", got)
	}
	b.console(t) // discard the message about the error status
	b.open(t, "/")
	b.fill(t, "target", "hostile-subject.lab.test")
	b.follow(t, ".ask button", ".verdict")
	if got := b.script(t, `return document.querySelector("h1").textContent`); got != "hostile-subject.lab.test" {
		t.Errorf("the report is about %s", got)
	}
	if got := b.script(t, `return [document.scripts.length, document.images.length, String(window.struck)].join(" ")`); got != "1 0 undefined" {
		t.Errorf("scripts, images and injected variable: %s, want 1 0 undefined", got)
	}
}

// probe makes the exporter probe a domain of the lab.
func (b *browser) probe(t *testing.T, name, module string) {
	t.Helper()
	response, err := http.Get("http://" + exporterAddress + "/dane/probe?target=" + name + ".lab.test&module=" + module)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

// shownTargets is a script that returns the targets of the visible rows, without the
// common part of their names.
const shownTargets = `return [...document.querySelectorAll(".targets tbody tr")].filter(row => row.checkVisibility()).map(row => row.querySelector("a").textContent.replace(".lab.test", "")).join(" ")`

// testTargets checks that the list of targets can be filtered and sorted, with scripts and
// without.
func testTargets(t *testing.T, b *browser) {
	for _, name := range []string{"good", "dane-ta", "null-mx", "tlsa-mismatch"} {
		b.probe(t, name, "smtp_mx")
	}
	const all = "/?module=smtp_mx"
	for _, scripts := range []bool{true, false} {
		b.devTools(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": !scripts})
		b.open(t, "/")
		b.fill(t, "q", "null")
		if !scripts {
			b.follow(t, ".filter button", "input[name=q][value=null]")
		}
		// WebDriver's own scripts do not run while scripts are disabled.
		if got := b.text(t, ".targets caption"); scripts && !strings.HasPrefix(got, "1 of ") || !scripts && !strings.HasPrefix(got, "1 matching target") {
			t.Errorf("scripts %t: the filter finds %q", scripts, got)
		}
		if scripts {
			if got := b.script(t, shownTargets); got != "null-mx" {
				t.Errorf("the filter shows %s, want null-mx", got)
			}
		}
		b.open(t, all)
		b.follow(t, ".targets th a", ".targets th[aria-sort=ascending]")
		if got := b.text(t, ".targets tbody tr:first-child a"); got != "dane-ta.lab.test" {
			t.Errorf("scripts %t: the first target by name is %s, want dane-ta.lab.test", scripts, got)
		}
		b.open(t, "/")
		b.follow(t, ".chips a:nth-child(2)", ".chips [aria-current]:nth-child(2)")
		if got := b.text(t, ".targets tbody"); !strings.Contains(got, "tlsa-mismatch.lab.test") || strings.Contains(got, "good.lab.test") {
			t.Errorf("scripts %t: the first severity has the targets %q", scripts, got)
		}
	}
	b.devTools(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": false})
	b.open(t, "/")
	b.click(t, ".targets th a")
	b.click(t, ".targets th a")
	b.fill(t, "q", "a")
	names := strings.Fields(b.script(t, shownTargets))
	if len(names) < 2 || !slices.IsSortedFunc(names, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("sorted in reverse and filtered: %q", names)
	}
	b.probe(t, "xn--plauderstbchen-osb", "xmpp_client")
	b.open(t, "/")
	b.fill(t, "q", "Plauderstübchen.lab.test")
	if got := b.script(t, shownTargets); got != "xn--plauderstbchen-osb" {
		t.Errorf("the filter for a U-label shows %q", got)
	}
}

// testFault checks that the report of a domain with fifty mail servers shows the one
// with a fault.
func testFault(t *testing.T, b *browser) {
	b.probe(t, "fifty-mx-one-broken", "smtp_mx")
	b.open(t, "/report?target=fifty-mx-one-broken.lab.test")
	if got := b.script(t, `return [...document.querySelectorAll(".endpoint[open]")].map(e => e.closest(".service").querySelector(".name").textContent).join(" ")`); got != "mx37.fifty-mx-one-broken.lab.test" {
		t.Errorf("expanded: %s, want the host with the fault", got)
	}
	if got := b.script(t, `return [...document.querySelectorAll(".service")].filter(e => e.checkVisibility()).length`); got != "5" {
		t.Errorf("%s hosts are shown, want 5", got)
	}
	b.follow(t, ".places a.where", ":target")
	if got := b.script(t, `return document.querySelector(":target .name").textContent`); got != "mx37.fifty-mx-one-broken.lab.test" {
		t.Errorf("the finding leads to %s", got)
	}
	b.openURL(t, "http://"+exporterAddress+"/dane/report?target=fifty-mx-one-broken.lab.test#host-50")
	if got := b.script(t, `return String(document.querySelector("#host-50").checkVisibility())`); got != "true" {
		t.Error("a link to a host that is collapsed does not show it")
	}
	b.click(t, "#host-50 summary")
	b.follow(t, "#host-50 a", "#host-1 .endpoint")
	if got := b.script(t, `return document.querySelectorAll(".service").length + " " + document.querySelector(".service .name").textContent`); got != "1 mx49.fifty-mx-one-broken.lab.test" {
		t.Errorf("the page of one host shows %s", got)
	}
}

// pages are the pages of which accessibility is tested, in the form of browser.open.
var pages = []string{
	"/", "/?list=probes", "/?q=nothing", "/?severity=nothing", "/config", "/config?module=smtp_mx", "/docs/", "/docs/all", "/docs/runbook.md", "/docs/rollover.md",
	"/report?target=tlsa-mismatch.lab.test&module=smtp_mx", "/report?target=fifty-mx-one-broken.lab.test",
	"/report?target=fifty-mx-one-broken.lab.test&host=mx49.fifty-mx-one-broken.lab.test",
	"/report?target=good.lab.test&module=smtp_mx_full", "/report?target=mta-sts-pkix-refuses.lab.test", "/report?target=expired-signature.lab.test", "/report?target=none.lab.test",
}

// brokenWords is a script that returns the headings and captions of tables that have a line break
// within a word.
const brokenWords = `return [...document.querySelectorAll("caption, thead th")].filter(e => {
	const range = document.createRange();
	range.selectNodeContents(e);
	const lines = new Set([...range.getClientRects()].filter(r => r.height > 0).map(r => Math.round(r.bottom)));
	return lines.size > e.textContent.trim().split(/[\s-]+/).length;
}).map(e => e.textContent).join(", ")`

// testAccessible checks every page with axe: in light colours on a desktop, and in dark
// colours on a phone. No page is wider than the window.
func testAccessible(t *testing.T, b *browser) {
	for name, module := range map[string]string{"good": "smtp_mx_full", "mta-sts-pkix-refuses": "smtp_mx_mta_sts", "expired-signature": "smtp_mx", "rollover": "smtp_mx"} {
		b.probe(t, name, module)
	}
	axe, err := os.ReadFile(axePath())
	if err != nil {
		t.Fatal(err)
	}
	defer b.console(t) // discard the messages about error statuses
	defer b.devTools(t, "Emulation.clearDeviceMetricsOverride", map[string]any{})
	for _, path := range pages {
		for scheme, width := range map[string]int{"light": 1120, "dark": 360} {
			b.emulate(t, scheme, width, 900)
			b.open(t, path)
			if got := b.script(t, fmt.Sprintf(`return Math.max(document.documentElement.scrollWidth - %d, 0)`, width)); got != "0" {
				t.Errorf("%s: the page is %s px wider than %d px", path, got, width)
			}
			b.script(t, `for (const details of document.querySelectorAll("details")) details.open = true`)
			if got := b.script(t, brokenWords); got != "" {
				t.Errorf("%s, %d px: more lines than words: %s", path, width, got)
			}
			b.script(t, string(axe))
			found := b.async(t, `const done = arguments[0];
				axe.run().then(r => done([r.passes.length > 20 ? "" : "few rules pass", ...r.violations.map(v => v.impact + " " + v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map(n => n.html).join(" "))].join("\\n")), e => done("error: " + e))`)
			if found != "" {
				t.Errorf("%s, %s, %d px: %s", path, scheme, width, found)
			}
		}
	}
}

// testKeyboard checks that the tab key leads to all controls of a page, and that the one
// with the focus is visible.
func testKeyboard(t *testing.T, b *browser) {
	for _, path := range []string{"/", "/report?target=tlsa-mismatch.lab.test&module=smtp_mx", "/docs/"} {
		b.open(t, path)
		want := b.script(t, `window.controls = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")].filter(e => e.checkVisibility());
			return window.controls.length`)
		n, err := strconv.Atoi(want)
		if err != nil || n < 5 {
			t.Fatalf("%s: %s controls", path, want)
		}
		b.script(t, `window.reached = new Set(); window.faint = [];
			document.addEventListener("focusin", e => { window.reached.add(e.target); if (getComputedStyle(e.target).outlineStyle === "none") window.faint.push(e.target.outerHTML) })`)
		for range n + 5 {
			for _, kind := range []string{"keyDown", "keyUp"} {
				b.devTools(t, "Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9})
			}
		}
		if got := b.script(t, `return window.controls.filter(e => !window.reached.has(e)).map(e => e.outerHTML).join("\n")`); got != "" {
			t.Errorf("%s: the tab key does not lead to\n%s", path, got)
		}
		if got := b.script(t, `return window.faint.join("\n")`); got != "" {
			t.Errorf("%s: the focus is not visible on\n%s", path, got)
		}
	}
}

// emulate sets the colour scheme and the size of the window.
func (b *browser) emulate(t *testing.T, scheme string, width, height int) {
	t.Helper()
	b.devTools(t, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}})
	b.devTools(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
}

// testWithoutScripts checks that the form and report work without JavaScript.
func testWithoutScripts(t *testing.T, b *browser) {
	b.devTools(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	defer b.devTools(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": false})
	b.open(t, "/")
	b.fill(t, "target", "good.lab.test")
	b.follow(t, ".ask button", ".verdict")
	if got := b.text(t, ".verdict h1"); got != "good.lab.test" {
		t.Errorf("the form leads to %q, want good.lab.test", got)
	}
	if got := b.text(t, ".verdict .badge"); got != "authenticated" {
		t.Errorf("the outcome is shown as %q, want authenticated", got)
	}
}

// takeScreenshots writes the images of docs/screenshots.
func takeScreenshots(t *testing.T, b *browser) {
	for _, target := range []string{"optout-unsigned", "expired-signature", "dane-ta", "no-starttls", "null-mx", "rollover", "tlsa-mismatch", "good"} {
		b.probe(t, target, "smtp_mx")
	}
	const mismatch = "/report?target=tlsa-mismatch.lab.test&module=smtp_mx"
	for _, image := range []struct {
		name, path, scheme string
		width, height      int
	}{
		{"front", "/", "light", 1120, 1200},
		{"report", mismatch, "light", 1120, 1440},
		{"report-dark", mismatch, "dark", 1120, 1440},
		{"report-phone", mismatch, "light", 390, 1300},
		{"front-phone", "/", "dark", 390, 1100},
		{"rollover", "/report?target=rollover.lab.test&module=smtp_mx#hosts", "light", 1120, 760},
		{"config", "/config", "light", 1120, 900},
		{"docs", "/docs/", "light", 1120, 1100},
	} {
		b.emulate(t, image.scheme, image.width, image.height)
		b.open(t, image.path)
		var shot struct{ Data []byte }
		if err := json.Unmarshal(b.devTools(t, "Page.captureScreenshot", map[string]any{"format": "png"}), &shot); err != nil {
			t.Fatal(err)
		}
		decoded, err := png.Decode(bytes.NewReader(shot.Data))
		if err != nil {
			t.Fatal(err)
		}
		var small bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, decoded); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*screenshots, image.name+".png"), small.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// scriptTimeout limits the time of a script. On a busy machine, axe checks the page of all
// documents for 13 s.
const scriptTimeout = 3 * timeout

// A browser is a WebDriver session (W3C WebDriver §8).
type browser struct{ session string }

// startBrowser starts chromedriver, and Chromium with a new profile. Chromium accepts
// every certificate.
func startBrowser(t *testing.T, dir string, args ...string) *browser {
	t.Helper()
	_, port, _ := strings.Cut(driverAddress, ":")
	driver := exec.Command(program(t, "chromedriver"), "--port="+port)
	driver.Env = append(os.Environ(), "HOME="+dir)
	start(t, dir, driver, driverAddress)
	b := &browser{session: "http://" + driverAddress + "/session"}
	var session struct{ SessionID string }
	b.do(t, "POST", "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"acceptInsecureCerts": true,
		"goog:loggingPrefs":   map[string]any{"browser": "ALL"},
		"goog:chromeOptions": map[string]any{
			"binary": program(t, "chromium"),
			"args": append(args, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir="+filepath.Join(dir, "profile")),
		},
	}}}, &session)
	b.session += "/" + session.SessionID
	b.do(t, "POST", "/timeouts", map[string]any{"implicit": timeout.Milliseconds() / 2, "script": scriptTimeout.Milliseconds()}, nil) // implicit: wait for elements
	t.Cleanup(func() { b.do(t, "DELETE", "", nil, nil) })
	return b
}

// do sends a WebDriver command and decodes its value.
func (b *browser) do(t *testing.T, method, path string, body, value any) {
	t.Helper()
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, b.session+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: scriptTimeout + timeout}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("WebDriver %s %s: %s, %v: %.400s", method, path, response.Status, err, answer.Value)
	}
	if value == nil {
		return
	}
	if err := json.Unmarshal(answer.Value, value); err != nil {
		t.Fatalf("WebDriver %s %s: %v: %.400s", method, path, err, answer.Value)
	}
}

// open loads a page of the lab.
func (b *browser) open(t *testing.T, path string) {
	t.Helper()
	b.openURL(t, "http://"+exporterAddress+"/dane"+path)
}

func (b *browser) openURL(t *testing.T, url string) {
	t.Helper()
	b.do(t, "POST", "/url", map[string]any{"url": url}, nil)
}

// find returns the command path of the first element that matches a CSS selector.
func (b *browser) find(t *testing.T, selector string) string {
	t.Helper()
	var element map[string]string
	b.do(t, "POST", "/element", map[string]any{"using": "css selector", "value": selector}, &element)
	for _, id := range element {
		return "/element/" + id
	}
	t.Fatalf("no element %s", selector)
	return ""
}

func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	b.do(t, "POST", b.find(t, selector)+"/click", map[string]any{}, nil)
}

// follow clicks a link or button and waits for an element that only the next page
// has.
func (b *browser) follow(t *testing.T, selector, awaited string) {
	t.Helper()
	b.click(t, selector)
	b.find(t, awaited)
}

// fill types text into a form field.
func (b *browser) fill(t *testing.T, field, text string) {
	t.Helper()
	b.do(t, "POST", b.find(t, "input[name="+field+"]")+"/value", map[string]any{"text": text}, nil)
}

// text returns the visible text of an element.
func (b *browser) text(t *testing.T, selector string) (text string) {
	t.Helper()
	b.do(t, "GET", b.find(t, selector)+"/text", nil, &text)
	return text
}

// script runs a function body in the page and returns its result as text.
func (b *browser) script(t *testing.T, body string) string {
	t.Helper()
	var result any
	b.do(t, "POST", "/execute/sync", map[string]any{"script": body, "args": []any{}}, &result)
	return fmt.Sprint(result)
}

// async runs a function body that passes its result to its only argument, a callback.
func (b *browser) async(t *testing.T, body string) string {
	t.Helper()
	var result any
	b.do(t, "POST", "/execute/async", map[string]any{"script": body, "args": []any{}}, &result)
	return fmt.Sprint(result)
}

// console returns the console messages about our pages since the last call.
func (b *browser) console(t *testing.T) (messages []string) {
	t.Helper()
	var entries []struct{ Level, Message string }
	b.do(t, "POST", "/se/log", map[string]any{"type": "browser"}, &entries)
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Message, "chrome://") { // a page of Chromium itself
			messages = append(messages, entry.Level+": "+entry.Message)
		}
	}
	return messages
}

// devTools sends a command of the Chrome DevTools Protocol and returns its result.
func (b *browser) devTools(t *testing.T, command string, parameters map[string]any) (result json.RawMessage) {
	t.Helper()
	b.do(t, "POST", "/goog/cdp/execute", map[string]any{"cmd": command, "params": parameters}, &result)
	return result
}
