package starttls

import (
	"slices"
	"testing"
)

func TestLMTP(t *testing.T) {
	tell(t, "lmtp", []story{
		{"no extensions", script{greeting, "250 mx.example.org\r\n"}, ErrNotOffered, ""},
		{"a server that speaks SMTP", script{greeting, "500 what?\r\n"}, &Rejected{}, "answers LHLO with 500 what?"},
		{"no key", script{greeting, ehlo, "454 no TLS today\r\n"}, &Rejected{}, "answers STARTTLS with 454"},
	})
}

func TestLMTPSaysLHLO(t *testing.T) {
	conn, commands := play(t, script{greeting, ehlo, ready}, false)
	if _, err := speaker(t, "lmtp").Start(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if heard := <-commands; !slices.Equal(heard, []string{"LHLO probe.example.net\r\n", "STARTTLS\r\n"}) {
		t.Errorf("the server heard %q", heard)
	}
}
