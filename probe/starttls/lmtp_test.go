package starttls

import (
	"slices"
	"testing"
)

func TestLMTP(t *testing.T) {
	runCases(t, "lmtp", []testCase{
		{"no extensions", script{greeting, "250 mx.example.org\r\n"}, ErrNotOffered, ""},
		{"a server that speaks SMTP only", script{greeting, "500 what?\r\n"}, &Rejected{}, "answers LHLO with 500 what?"},
		{"STARTTLS refused", script{greeting, ehlo, "454 no TLS today\r\n"}, &Rejected{}, "answers STARTTLS with 454"},
	})
}

func TestLMTPSendsLHLO(t *testing.T) {
	conn, commands := serve(t, script{greeting, ehlo, ready}, false)
	if _, err := newClient(t, "lmtp").Start(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if got := <-commands; !slices.Equal(got, []string{"LHLO probe.example.net\r\n", "STARTTLS\r\n"}) {
		t.Errorf("the server received %q", got)
	}
}
