package web

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"dane_exporter/docs"
)

// documentPage is one page of the documentation.
type documentPage struct {
	layout
	Text template.HTML
}

// docsPage serves a file of docs/ under its own name, so that links between the
// files work here as they do in a checkout. Alerts link to the runbook.
func (s *Server) docsPage(w http.ResponseWriter, r *http.Request) {
	source, err := docs.Pages.ReadFile(r.PathValue("page"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.showDocument(w, source)
}

// docsImage serves an image of docs/.
func docsImage(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, docs.Pages, "screenshots/"+r.PathValue("image"))
}

// docsIndex serves the index of docs/.
func (s *Server) docsIndex(w http.ResponseWriter, _ *http.Request) {
	index, err := docs.Pages.ReadFile("README.md")
	if err != nil {
		panic(err) // the file is embedded
	}
	s.showDocument(w, index)
}

func (s *Server) showDocument(w http.ResponseWriter, source []byte) {
	page := documentPage{s.layout(titleOf(source), "", ""), renderMarkdown(source)}
	page.Base = ".." // documents are one level below the other pages
	s.renderer.render(w, http.StatusOK, "document.html", page)
}

// titleOf returns the heading on the first line of a document.
func titleOf(source []byte) string {
	title, _, _ := strings.Cut(strings.TrimPrefix(string(source), "# "), "\n")
	return title
}

// renderMarkdown converts one of our own documents to HTML. The result is not
// escaped: source must be trusted.
func renderMarkdown(source []byte) template.HTML {
	converter := goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(unlinkOutside{}, 0))),
	)
	var html bytes.Buffer
	if err := converter.Convert(source, &html, parser.WithContext(parser.NewContext(parser.WithIDs(headingIDs{})))); err != nil {
		panic(fmt.Errorf("render a document: %w", err)) // writing to a buffer does not fail
	}
	return template.HTML(html.String())
}

// headingIDs generates the IDs of headings as GitHub does, for the links of the
// documents: lower case, a hyphen for each space, and no other punctuation.
type headingIDs struct{}

var notInHeadingID = regexp.MustCompile(`[^a-z0-9_-]`)

func (headingIDs) Generate(heading []byte, _ ast.NodeKind) []byte {
	return notInHeadingID.ReplaceAll(bytes.ReplaceAll(bytes.ToLower(heading), []byte(" "), []byte("-")), nil)
}

func (headingIDs) Put([]byte) {}

// unlinkOutside replaces each link to a file outside docs/, which is not served,
// by the path of the file in a checkout.
type unlinkOutside struct{}

func (unlinkOutside) Transform(document *ast.Document, _ text.Reader, _ parser.Context) {
	var outside []*ast.Link
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering && bytes.HasPrefix(link.Destination, []byte("../")) {
			outside = append(outside, link)
		}
		return ast.WalkContinue, nil // Walk returns only our own errors
	})
	for _, link := range outside {
		file := ast.NewString(bytes.TrimPrefix(link.Destination, []byte("../")))
		link.Parent().ReplaceChild(link.Parent(), link, file)
	}
}
