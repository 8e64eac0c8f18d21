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

// documentPage is one page of the project's documents.
type documentPage struct {
	frame
	Text template.HTML
}

// document shows a page of docs/ under the name of its file, so that links from
// page to page lead here as they do there. Alerts link to the runbook.
func (s *Server) document(w http.ResponseWriter, r *http.Request) {
	source, err := docs.Pages.ReadFile(r.PathValue("page"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.pages.render(w, http.StatusOK, "document.html", documentPage{s.frame(titleOf(source), "", ""), markdown(source)})
}

// documents lists the pages of docs/.
func (s *Server) documents(w http.ResponseWriter, _ *http.Request) {
	list := []byte("# Documents\n\n")
	files, err := docs.Pages.ReadDir(".")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, file := range files {
		source, err := docs.Pages.ReadFile(file.Name())
		if err != nil {
			panic(err)
		}
		list = fmt.Appendf(list, "- [%s](%s)\n", titleOf(source), file.Name())
	}
	s.pages.render(w, http.StatusOK, "document.html", documentPage{s.frame("Documents", "", ""), markdown(list)})
}

// titleOf is the heading that a document begins with.
func titleOf(source []byte) string {
	title, _, _ := strings.Cut(strings.TrimPrefix(string(source), "# "), "\n")
	return title
}

// markdown renders one of our own documents.
func markdown(source []byte) template.HTML {
	converter := goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(stayingHere{}, 0))),
	)
	var html bytes.Buffer
	if err := converter.Convert(source, &html, parser.WithContext(parser.NewContext(parser.WithIDs(anchors{})))); err != nil {
		panic(fmt.Errorf("render a document: %w", err)) // a buffer takes all
	}
	return template.HTML(html.String())
}

// anchors name headings as the links of the documents do: in lower case, a
// hyphen for a space, and no other punctuation.
type anchors struct{}

var notInAnchors = regexp.MustCompile(`[^a-z0-9_-]`)

func (anchors) Generate(heading []byte, _ ast.NodeKind) []byte {
	return notInAnchors.ReplaceAll(bytes.ReplaceAll(bytes.ToLower(heading), []byte(" "), []byte("-")), nil)
}

func (anchors) Put([]byte) {}

// stayingHere puts in place of a link to a file that is not served where the
// file lies in a checkout.
type stayingHere struct{}

func (stayingHere) Transform(document *ast.Document, _ text.Reader, _ parser.Context) {
	var leaving []*ast.Link
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if link, ok := n.(*ast.Link); ok && entering && bytes.HasPrefix(link.Destination, []byte("../")) {
			leaving = append(leaving, link)
		}
		return ast.WalkContinue, nil // and so does Walk
	})
	for _, link := range leaving {
		place := ast.NewString(bytes.TrimPrefix(link.Destination, []byte("../")))
		link.Parent().ReplaceChild(link.Parent(), link, place)
	}
}
