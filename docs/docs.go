// Package docs embeds the documents for operators and developers, so that the
// program serves those of its own version, without access to the Internet.
package docs

import "embed"

// Pages holds the Markdown files of this directory, and their images.
//
//go:embed *.md screenshots/config.png screenshots/rollover.png
var Pages embed.FS
