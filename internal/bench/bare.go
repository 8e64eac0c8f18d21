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

// runBare makes the bare handshakes in a process of their own.
func runBare(load load, w *world) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	command := exec.Command(self, "-bare", strings.Join(w.addresses, ","), "-n", strconv.Itoa(load.probes), "-c", strconv.Itoa(load.atOnce))
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

// measureBare makes them, and measures this process.
func measureBare(load load, addresses []string) result {
	probe := func(worker int) error { return shakeHands(addresses[worker]) }
	load.warmUp(probe)
	var before, after runtime.MemStats
	var used syscall.Rusage
	runtime.ReadMemStats(&before)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	already := cpuOf(used)
	r := load.drive(probe)
	runtime.ReadMemStats(&after)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	r.CPU, r.Allocs, r.Memory = cpuOf(used)-already, after.Mallocs-before.Mallocs, peakResident()
	return r
}

// peakResident is the most memory that this process had, in bytes; 0: not known.
// What the kernel tells whoever waits for a process would count what its parent had.
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

func cpuOf(r syscall.Rusage) time.Duration {
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// shakeHands is the least that a client does for a handshake: greeting, EHLO,
// STARTTLS, TLS, QUIT.
func shakeHands(address string) error {
	dialer := net.Dialer{KeepAlive: -1} // as dane_exporter has it
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	clear := textproto.NewConn(conn)
	if _, _, err := clear.ReadResponse(220); err != nil {
		return err
	}
	for _, step := range []struct {
		command string
		code    int
	}{{"EHLO probe.example.net", 250}, {"STARTTLS", 220}} {
		if err := clear.PrintfLine("%s", step.command); err != nil {
			return err
		}
		if _, _, err := clear.ReadResponse(step.code); err != nil {
			return err
		}
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org", SessionTicketsDisabled: true})
	if err := client.Handshake(); err != nil {
		return err
	}
	if len(client.ConnectionState().PeerCertificates) == 0 {
		return errors.New("no certificates")
	}
	if _, err := fmt.Fprint(client, "QUIT\r\n"); err != nil {
		return err
	}
	_, _, err = textproto.NewConn(client).ReadResponse(221)
	return err
}
