//go:build integration

package integration

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// timeout limits the time in which a program must start, answer or stop.
const timeout = 20 * time.Second

// debianPackage returns the Debian package that contains a program.
func debianPackage(program string) string {
	switch program {
	case "ip", "ss":
		return "iproute2"
	case "knotd", "keymgr":
		return "knot"
	case "named", "tsig-keygen":
		return "bind9"
	case "dnssec-keygen", "dnssec-signzone", "dnssec-dsfromkey":
		return "bind9-utils"
	case "delv":
		return "bind9-dnsutils"
	case "chromedriver":
		return "chromium-driver"
	case "nginx":
		return "nginx-light"
	case "posttls-finger":
		return "postfix"
	case "dovecot":
		return "dovecot-core"
	case "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/managesieve":
		return "dovecot-" + filepath.Base(program) + "d"
	case "icinga2":
		return "icinga2-bin"
	case "vmagent":
		return "victoria-metrics"
	default:
		return program
	}
}

// program returns the path of a program. A missing program fails the test.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install the Debian package %s", err, debianPackage(name))
	}
	return path
}

// run runs a program and returns its standard output. A failure fails the test.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	command := exec.Command(program(t, name), args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, &stdout, &stderr)
	}
	return stdout.String()
}

// output runs a program and returns its standard output and error, whatever its
// exit status: the reference programs report their findings with either.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	combined, err := exec.CommandContext(ctx, program(t, name), args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %q: still running after %v: %v\n%s", name, args, timeout, err, combined)
	}
	return string(combined)
}

// A process is a server that runs until the test ends or stops it.
type process struct {
	name    string
	log     string // file with its output
	command *exec.Cmd
	exited  chan struct{}
	stopped bool // by the test
}

// start starts a server and returns once each of the TCP addresses accepts
// connections. It fails the test if the server ends first.
func start(t testing.TB, dir string, command *exec.Cmd, listening ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(command.Path), command: command, exited: make(chan struct{})}
	log, err := os.CreateTemp(dir, p.name+".*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.log = log.Name()
	command.Stdout, command.Stderr = log, log
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setpgid = true
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		defer close(p.exited)
		command.Wait()
	}()
	t.Cleanup(func() {
		if p.running() {
			p.stop(t)
		} else if !p.stopped {
			t.Errorf("%s ended unexpectedly:\n%s", p.name, p.logTail())
		}
	})
	for _, address := range listening {
		p.awaitListener(t, address)
	}
	return p
}

// awaitListener returns when an address accepts connections.
func (p *process) awaitListener(t testing.TB, address string) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(timeout); ; {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-retry.C:
		case <-p.exited:
			t.Fatalf("%s ended before it listened at %s:\n%s", p.name, address, p.logTail())
		case <-deadline:
			t.Fatalf("%s does not listen at %s after %v: %v\n%s", p.name, address, timeout, err, p.logTail())
		}
	}
}

// running reports whether the process is still running.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to a process.
func signal(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// stop terminates the process and its children, and waits until it has ended.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.stopped = true
	group := -p.command.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(timeout):
		syscall.Kill(group, syscall.SIGKILL)
		<-p.exited
		t.Errorf("%s did not end within %v of SIGTERM", p.name, timeout)
	}
}

// kill ends the process and its children without a signal that they can handle.
func (p *process) kill(t testing.TB) {
	t.Helper()
	p.stopped = true
	if err := syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.exited
}

// logTail returns the end of the log, for error messages.
func (p *process) logTail() []byte {
	log, _ := os.ReadFile(p.log)
	return log[max(0, len(log)-3000):]
}

// getPage returns the status and the body of a page.
func getPage(t testing.TB, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
