// Package docs holds the documents for operators, so that the program can show
// them where it runs: of its own version, and when no other network is at hand.
package docs

import "embed"

// Pages are the documents in Markdown, as they lie in this directory.
//
//go:embed *.md
var Pages embed.FS
