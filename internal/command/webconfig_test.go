package command

import (
	"net/http"
	"testing"
)

// TestWebConfig: --web.config.file says who may ask, and how often, of every path.
func TestWebConfig(t *testing.T) {
	ask := func(p *program, path, password string) int {
		t.Helper()
		request, err := http.NewRequest("GET", p.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("prometheus", password)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	const users = "basic_auth_users: {prometheus: \"$2a$04$sDMK81pClxS6VOqwQ2OluOOCDsRpXGdggDN2H3KrNzoskF0a/8ula\"}\n"

	guarded := start(t, "--web.config.file="+write(t, "users.yml", users), "--web.enable-pprof")
	defer guarded.end()
	for _, path := range []string{"/", "/probe?target=good.lab.test", "/metrics", "/config", "/report?number=1", "/-/healthy", "/debug/pprof/"} {
		if got := ask(guarded, path, ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a password: %d", path, got)
		}
		if got := ask(guarded, path, "another"); got != http.StatusUnauthorized {
			t.Errorf("%s with a wrong one: %d", path, got)
		}
		if got := ask(guarded, path, "open sesame"); got != http.StatusOK && path != "/report?number=1" {
			t.Errorf("%s with the right one: %d", path, got)
		}
	}

	const most = 3
	limited := start(t, "--web.config.file="+write(t, "rate.yml", "rate_limit: {burst: 3, interval: 1h}\n"))
	defer limited.end()
	for i := range most + 3 {
		want := http.StatusOK
		if i >= most {
			want = http.StatusTooManyRequests
		}
		if got := ask(limited, "/probe?target=null-mx.lab.test", ""); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
}
