package command

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHealthy: a container's health is the exit code of one request.
func TestHealthy(t *testing.T) {
	serving := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/-/healthy" {
			http.NotFound(w, r)
		}
	}))
	defer serving.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, story := range []struct {
		name, url string
		exit      int
		said      string
	}{
		{"it serves", serving.URL + "/-/healthy", exitOK, ""},
		{"something else serves", serving.URL + "/dane/-/healthy", exitError, "404 Not Found"},
		{"nobody listens", gone.URL + "/-/healthy", exitError, "connection refused"},
		{"that is no URL", "::", exitError, "--url: "},
	} {
		t.Run(story.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			exit := Run([]string{"healthy", "--url", story.url}, nil, &stdout, &stderr)
			if exit != story.exit || !strings.Contains(stderr.String(), story.said) || stdout.Len() > 0 || exit == exitOK && stderr.Len() > 0 {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d and %q", exit, &stdout, &stderr, story.exit, story.said)
			}
		})
	}
}
