//go:build integration

package integration

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience is how long a program may take to start, to answer or to stop.
const patience = 20 * time.Second

// packageOf returns the Debian package that has a program.
func packageOf(program string) string {
	switch program {
	case "ip":
		return "iproute2"
	case "knotd", "keymgr":
		return "knot"
	case "named":
		return "bind9"
	case "dnssec-keygen", "dnssec-signzone", "dnssec-dsfromkey":
		return "bind9-utils"
	case "delv":
		return "bind9-dnsutils"
	case "chromedriver":
		return "chromium-driver"
	case "posttls-finger":
		return "postfix"
	case "dovecot":
		return "dovecot-core"
	case "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/lmtp", "/usr/lib/dovecot/managesieve":
		return "dovecot-" + filepath.Base(program) + "d"
	default:
		return program
	}
}

// program returns the path of a program that the tests cannot do without.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install Debian's package %s", err, packageOf(name))
	}
	return path
}

// run runs a program to its end and returns its standard output.
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

// say runs a program to its end for what it says, on either output and with
// whatever exit status: judges report what they find.
func say(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, program(t, name), args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s %q: no end after %v: %v\n%s", name, args, patience, err, output)
	}
	return string(output)
}

// A process is a server that runs until the test ends or stops it.
type process struct {
	name    string
	log     string // the file that has what it says
	command *exec.Cmd
	exited  chan struct{}
	stopped bool // by us
}

// start starts a server and returns once something listens at each address
// given, as TCP host:port.
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
			t.Errorf("%s ended by itself:\n%s", p.name, p.lastWords())
		}
	})
	for _, address := range listening {
		p.awaitListener(t, address)
	}
	return p
}

// awaitListener returns when the process accepts connections at an address.
func (p *process) awaitListener(t testing.TB, address string) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.After(patience); ; {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-retry.C:
		case <-p.exited:
			t.Fatalf("%s ended before it listened at %s:\n%s", p.name, address, p.lastWords())
		case <-deadline:
			t.Fatalf("%s does not listen at %s after %v: %v\n%s", p.name, address, patience, err, p.lastWords())
		}
	}
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// stop ends the process and the children that it started, and returns when it has ended.
func (p *process) stop(t testing.TB) {
	t.Helper()
	p.stopped = true
	group := -p.command.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		syscall.Kill(group, syscall.SIGKILL)
		<-p.exited
		t.Errorf("%s did not end within %v of SIGTERM", p.name, patience)
	}
}

// lastWords returns the end of the log, for the report of a failure.
func (p *process) lastWords() []byte {
	log, _ := os.ReadFile(p.log)
	return log[max(0, len(log)-3000):]
}
