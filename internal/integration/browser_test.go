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
	t.Run("without scripts", func(t *testing.T) { testWithoutScripts(t, b) })
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
	b.follow(t, "#findings .where a", ".document")
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
	for _, target := range []string{"optout-unsigned", "expired-signature", "dane-ta", "no-starttls", "null-mx", "tlsa-mismatch", "good"} {
		response, err := http.Get("http://" + exporterAddress + "/dane/probe?target=" + target + ".lab.test")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	const mismatch = "/report?target=tlsa-mismatch.lab.test&module=smtp_mx"
	for _, image := range []struct {
		name, path, scheme string
		width, height      int
	}{
		{"front", "/", "light", 1120, 945},
		{"report", mismatch, "light", 1120, 1440},
		{"report-dark", mismatch, "dark", 1120, 1440},
		{"report-phone", mismatch, "light", 390, 1300},
		{"front-phone", "/", "dark", 390, 1100},
	} {
		b.devTools(t, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": image.scheme}}})
		b.devTools(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": image.width, "height": image.height, "deviceScaleFactor": 1, "mobile": image.width < 500})
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
	b.do(t, "POST", "/timeouts", map[string]any{"implicit": timeout.Milliseconds() / 2}, nil) // wait for elements
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
	client := http.Client{Timeout: timeout}
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

// console returns the console messages since the last call.
func (b *browser) console(t *testing.T) (messages []string) {
	t.Helper()
	var entries []struct{ Level, Message string }
	b.do(t, "POST", "/se/log", map[string]any{"type": "browser"}, &entries)
	for _, entry := range entries {
		messages = append(messages, entry.Level+": "+entry.Message)
	}
	return messages
}

// devTools sends a command of the Chrome DevTools Protocol and returns its result.
func (b *browser) devTools(t *testing.T, command string, parameters map[string]any) (result json.RawMessage) {
	t.Helper()
	b.do(t, "POST", "/goog/cdp/execute", map[string]any{"cmd": command, "params": parameters}, &result)
	return result
}
