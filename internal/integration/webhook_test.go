//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// An alert, as Alertmanager tells of it.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	receiver    string            // the path that it came to
}

func (a alert) is(receiver, status, name, instance string) bool {
	return a.receiver == receiver && a.Status == status && a.Labels["alertname"] == name && a.Labels["instance"] == instance
}

// inbox keeps what the receivers of alertmanager.yml were told.
type inbox struct {
	mu     sync.Mutex
	alerts []alert
}

// startWebhook listens for Alertmanager's messages until the test ends.
func startWebhook(t *testing.T) *inbox {
	t.Helper()
	box := &inbox{}
	listener, err := net.Listen("tcp", webhookAddress)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: box}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return box
}

// ServeHTTP takes one message.
func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []alert `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range message.Alerts {
		one.receiver = strings.TrimPrefix(r.URL.Path, "/")
		b.alerts = append(b.alerts, one)
	}
}

func (b *inbox) find(receiver, status, name, instance string) (alert, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.alerts {
		if one.is(receiver, status, name, instance) {
			return one, true
		}
	}
	return alert{}, false
}

func (b *inbox) has(receiver, status, name, instance string) bool {
	_, found := b.find(receiver, status, name, instance)
	return found
}

// await returns an alert when it has come.
func (b *inbox) await(t *testing.T, receiver, status, name, instance string) alert {
	t.Helper()
	await(t, fmt.Sprintf("%s is told that %s of %s is %s", receiver, name, instance, status), func() bool {
		return b.has(receiver, status, name, instance)
	})
	found, _ := b.find(receiver, status, name, instance)
	return found
}

// onlyOf wants nobody to have been told of other instances than these.
func (b *inbox) onlyOf(t *testing.T, instances ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.alerts {
		if !slices.Contains(instances, one.Labels["instance"]) {
			t.Errorf("%s was told that %s is %s: %s", one.receiver, one.Labels["alertname"], one.Status, one.Annotations["summary"])
		}
	}
}
