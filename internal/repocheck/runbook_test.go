package repocheck

import (
	"slices"
	"strings"
	"testing"

	"dane_exporter/probe/dane"
)

// TestRunbook checks that the runbook has one section for each alert and each
// reason, and no other, with the parts that an operator needs. A section of a
// reason holds the effect, meaning and remedy of the reason.
func TestRunbook(t *testing.T) {
	text := readFile(t, "docs/runbook.md")
	var want []string
	for _, r := range readRules(t) {
		if r.Alert != "" {
			want = append(want, r.Alert)
		}
	}
	if len(want) < 10 {
		t.Fatalf("found only %d alerts", len(want))
	}
	infos := make(map[string]dane.ReasonInfo)
	for _, info := range dane.Reasons() {
		name := "`" + string(info.Reason) + "`"
		want, infos[name] = append(want, name), info
	}

	var got []string
	for _, section := range strings.Split(text, "\n### ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		got = append(got, heading)
		for _, part := range []string{"\n- **Senders now:** ", "\n- **Fix:** ", "\n- **Verify:** "} {
			if n := strings.Count(body, part); n != 1 {
				t.Errorf("%s: %q occurs %d times, want 1", heading, part, n)
			}
		}
		info, isReason := infos[heading]
		if !isReason {
			continue
		}
		for _, line := range []string{"\n*" + titleCase(string(info.Effect)) + ".* " + info.Meaning + "\n", "\n- **Senders now:** " + info.Senders + "\n", "\n- **Fix:** " + info.Remedy, "\n- **Verify:** " + info.Verify + "\n"} {
			// An empty field would match, but says nothing.
			if info.Senders == "" || info.Verify == "" {
				t.Errorf("%s: the table of reasons lacks Senders or Verify", heading)
			}
			if !strings.Contains(body, line) {
				t.Errorf("%s lacks the text of the table of reasons:%s", heading, line)
			}
		}
	}
	for _, heading := range want {
		if !slices.Contains(got, heading) {
			t.Errorf("there is no section %s", heading)
		}
	}
	for _, heading := range got {
		if !slices.Contains(want, heading) {
			t.Errorf("the section %s belongs to no alert and no reason", heading)
		}
	}
	sections := anchors(text)
	for _, r := range readRules(t) {
		_, anchor, ok := strings.Cut(r.Annotations["runbook_url"], "runbook.md#")
		if ok && !strings.Contains(anchor, "{{") && !slices.Contains(sections, anchor) {
			t.Errorf("%s links to #%s, which does not exist", r.Alert, anchor)
		}
	}
}

func titleCase(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
