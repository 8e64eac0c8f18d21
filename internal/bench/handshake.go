package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runBareHandshakes makes the bare handshakes in a child process, so that their
// CPU time is measured apart from that of the servers in this process.
func runBareHandshakes(l load, env *environment) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	command := exec.Command(self, "-bare", strings.Join(env.addresses, ","), "-n", strconv.Itoa(l.probes), "-c", strconv.Itoa(l.concurrency))
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return r, fmt.Errorf("run bare handshakes: %w", err)
	}
	return r, json.Unmarshal(out, &r)
}

// measureBareHandshakes makes bare handshakes with the addresses, and measures
// this process.
func measureBareHandshakes(l load, addresses []string) result {
	probe := func(worker int) error { return bareHandshake(addresses[worker]) }
	l.warmUp(probe)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore := ownCPU()
	r := l.drive(probe)
	runtime.ReadMemStats(&after)
	r.CPU, r.Allocs, r.Memory = ownCPU()-cpuBefore, after.Mallocs-before.Mallocs, peakResident()
	return r
}

// peakResident returns the peak resident memory of this process in bytes, or 0
// if it is unknown. The maximum that wait4(2) reports for a child is of no use
// here: it includes what the parent had before exec.
func peakResident() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib)
	return kib << 10
}

// ownCPU returns the CPU time, user and system, that this process has used.
func ownCPU() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// bareHandshake is the minimum that a client must do for one SMTP handshake:
// read the greeting, EHLO, STARTTLS, TLS, QUIT.
func bareHandshake(address string) error {
	dialer := net.Dialer{KeepAlive: -1} // like dane_exporter
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	plain := textproto.NewConn(conn)
	if _, _, err := plain.ReadResponse(220); err != nil {
		return err
	}
	for _, step := range []struct {
		command string
		code    int
	}{{"EHLO probe.example.net", 250}, {"STARTTLS", 220}} {
		if err := plain.PrintfLine("%s", step.command); err != nil {
			return err
		}
		if _, _, err := plain.ReadResponse(step.code); err != nil {
			return err
		}
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org", SessionTicketsDisabled: true})
	if err := client.Handshake(); err != nil {
		return err
	}
	if len(client.ConnectionState().PeerCertificates) == 0 {
		return errors.New("the server sent no certificates")
	}
	if _, err := fmt.Fprint(client, "QUIT\r\n"); err != nil {
		return err
	}
	_, _, err = textproto.NewConn(client).ReadResponse(221)
	return err
}
