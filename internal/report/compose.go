package report

import (
	"time"

	"dane_exporter/probe"
	"dane_exporter/probe/dane"
)

// How much of what strangers say a Document holds. Honest servers and zones say less.
const (
	shortText       = 300 // bytes of a name or a line
	maxLines        = 40  // of one dialogue
	maxCertificates = 8   // of one chain
	maxNames        = 40  // of one certificate
	maxPatterns     = 100 // of one policy
)

// NewDocument makes the Document of a Report.
func NewDocument(r *probe.Report) *Document {
	v := &r.Verdict
	c := &composer{report: r, d: &Document{
		Schema: Schema,
		Target: Printable(r.Target.String()), Asked: Printable(r.Target.Asked),
		Module: Module{r.Module.Name, string(r.Module.Discover), string(r.Module.Policy), string(r.Module.Require)},
		Start:  r.Start.UTC(), Duration: r.Duration.Seconds(), Timeout: r.Deadline.Seconds(),
		Complete: r.Facts.Complete, Truncated: r.Facts.Truncated,
		At: v.At.UTC(), Outcome: string(v.Outcome), Meaning: sentence(v.Outcome), Success: v.Success,
		Findings: findingsOf(v.Findings), Advice: []Advice{}, Services: []Service{}, Lookups: []Lookup{}, Zones: []Zone{}, Phases: []Phase{},
	}}
	if r.Target.Address.IsValid() {
		c.d.Hostname = Printable(r.Target.Name)
	}
	for _, a := range v.Advice {
		info := a.Topic.Info()
		c.d.Advice = append(c.d.Advice, Advice{string(a.Topic), short(a.Host), a.Port, info.Text, Printable(a.Detail), info.Remedy})
	}
	if l := r.Later; l != nil {
		c.d.Later = &Later{l.At.UTC(), string(l.Outcome), sentence(l.Outcome), l.Success, findingsOf(l.Findings)}
	}
	for _, lookup := range r.Facts.Lookups() {
		c.d.Lookups = append(c.d.Lookups, c.lookup(lookup))
	}
	for i := range v.Services {
		c.d.Services = append(c.d.Services, c.service(&v.Services[i]))
	}
	c.mtaSTS()
	for _, phase := range r.Facts.Phases {
		c.d.Phases = append(c.d.Phases, Phase{phase.Name, phase.Start.Sub(r.Start).Seconds(), phase.End.Sub(r.Start).Seconds()})
	}
	return c.d
}

// composer makes one Document.
type composer struct {
	report *probe.Report
	d      *Document
}

func findingsOf(findings []dane.Finding) []Finding {
	all := []Finding{}
	for _, f := range findings {
		info := f.Reason.Info()
		finding := Finding{string(f.Reason), string(info.Effect), short(f.Host), f.Port, "", string(f.Lookup), info.Meaning, Printable(f.Detail), info.Remedy}
		if f.Address.IsValid() {
			finding.Address = f.Address.String()
		}
		all = append(all, finding)
	}
	return all
}

// short makes a name or a line printable, and cuts it.
func short(text string) string {
	if len(text) > shortText {
		return Printable(text[:shortText]) + "…"
	}
	return Printable(text)
}

// shortened cuts a list, and says how much is left out.
func shortened(list []string, most int) (some []string, more int) {
	for i, text := range list {
		if i == most {
			return some, len(list) - most
		}
		some = append(some, short(text))
	}
	return some, 0
}

// measured is nil where m was not measured.
func measured(m dane.Measure) *bool {
	if m == dane.NotMeasured {
		return nil
	}
	yes := m == dane.Yes
	return &yes
}

// known is nil where there is no such time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// told is the text of an error; empty where there is none.
func told(err error) string {
	if err == nil {
		return ""
	}
	return Printable(err.Error())
}
