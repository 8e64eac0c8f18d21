package report

import (
	"slices"

	"dane_exporter/probe/dane"
	"dane_exporter/probe/tlsa"
)

// Limits on the text of servers and zones in a Document, in entries and bytes. Ordinary
// servers and zones stay below them. A part of the Document ends when its bytes are
// used up; its services and endpoints share them equally. Together the limits bound the
// size of a report in all forms, and the work of rendering it.
const (
	maxName         = 300 // bytes of a name or a line
	maxRecords      = 100 // of one lookup or service, and nameservers of one zone
	maxLines        = 40  // of one dialogue
	maxCertificates = 8   // of one chain
	maxNames        = 40  // of one certificate
	maxPatterns     = 100 // of one policy
	maxFindings     = 300
	maxZones        = 500
	maxDelegations  = 32
	maxNotes        = 10 // aliases and extended errors of one lookup

	findingBytes    = 256 << 10
	serviceBytes    = 128 << 10 // records, names and nameservers
	endpointBytes   = 512 << 10 // dialogues, certificates and comparisons
	lookupBytes     = 256 << 10
	zoneBytes       = 128 << 10
	delegationBytes = 128 << 10
	senderBytes     = 128 << 10 // MTA-STS
	entryBytes      = 100       // of a list entry, in addition to its text
	serviceMinimum  = 2 << 10   // bytes of one service, however many there are
	endpointMinimum = 1200
	lookupMinimum   = 512
)

// budget is the number of bytes that a part of a Document may still use.
type budget struct{ left int }

// take takes the bytes of a list entry with these texts. It returns false if fewer
// bytes are left.
func (b *budget) take(texts ...string) bool {
	n := entryBytes
	for _, text := range texts {
		n += len(text)
	}
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

// half returns a budget of half the bytes that are left, and takes no bytes.
func (b *budget) half() budget { return budget{b.left / 2} }

// share returns the budget of one of n parts. It has at least minimum bytes.
func share(total, n, minimum int) *budget { return &budget{max(total/max(n, 1), minimum)} }

// text returns printable text, cut at maxName bytes if the budget is small.
func (b *budget) text(text string) string {
	if b.left < 4*maxText {
		return short(text)
	}
	return Printable(text)
}

// list returns the first entries of a list that the budget allows, at most limit,
// each as by short, and the number of omitted ones.
func (b *budget) list(list []string, limit int) (some []string, more int) {
	for _, text := range list[:min(len(list), limit)] {
		text = short(text)
		if !b.take(text) {
			break
		}
		some = append(some, text)
	}
	return some, len(list) - len(some)
}

// recordRank orders the records that explain the verdict before others.
func recordRank(r dane.RecordVerdict) int {
	switch {
	case r.Matches:
		return 0
	case r.Usability == tlsa.Usable:
		return 1
	default:
		return 2
	}
}

// keep calls take for the indexes below n, those of the lowest rank first, until it
// returns false or limit is reached. It returns the others in order.
func keep(n, limit int, rank func(int) int, take func(int) bool) []int {
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	slices.SortStableFunc(indexes, func(a, b int) int { return rank(a) - rank(b) })
	for taken, i := range indexes {
		if taken == limit || !take(i) {
			indexes = indexes[:taken]
			break
		}
	}
	slices.Sort(indexes)
	return indexes
}
