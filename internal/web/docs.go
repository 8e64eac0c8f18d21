package web

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
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
	Documents []document
	Index     bool
}

// document is one document as HTML.
type document struct {
	Name     string // of the file, without .md
	Title    template.HTML
	Text     template.HTML // the rest
	Contents []section     // empty if the document is short, or has a list of its own
}

// section is a heading of a document.
type section struct {
	ID, Text string
	Level    int
}

// docsPage serves a file of docs/ under its own name, so that links between the
// files work here as they do in a checkout. Alerts link to the runbook.
func (s *Server) docsPage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("page")
	source, err := docs.Pages.ReadFile(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.showDocuments(w, titleOf(source), renderMarkdown(name, source, false))
}

// docsImage serves an image of docs/.
func docsImage(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, docs.Pages, "screenshots/"+r.PathValue("image"))
}

// docsIndex serves the index of docs/.
func (s *Server) docsIndex(w http.ResponseWriter, _ *http.Request) {
	index := readDocument(indexFile)
	s.showDocuments(w, titleOf(index), renderMarkdown(indexFile, index, false))
}

// docsAll serves all documents on one page, in the order of the index, so that the search of the
// browser finds every word of them.
func (s *Server) docsAll(w http.ResponseWriter, _ *http.Request) {
	files, err := fs.Glob(docs.Pages, "*.md")
	if err != nil {
		panic(err) // the pattern is valid
	}
	index := readDocument(indexFile)
	position := func(file string) int { return bytes.Index(index, []byte("]("+file+")")) } // -1 of the index itself
	slices.SortFunc(files, func(a, b string) int { return position(a) - position(b) })
	var all []document
	for _, file := range files {
		all = append(all, renderMarkdown(file, readDocument(file), true))
	}
	s.showDocuments(w, "Documentation: all documents", all...)
}

const indexFile = "README.md"

func readDocument(file string) []byte {
	source, err := docs.Pages.ReadFile(file)
	if err != nil {
		panic(err) // the file is embedded
	}
	return source
}

func (s *Server) showDocuments(w http.ResponseWriter, title string, documents ...document) {
	page := documentPage{s.layout(title, "", ""), documents, documents[0].Name+".md" == indexFile}
	page.Base = ".." // documents are one level below the other pages
	s.renderer.render(w, http.StatusOK, "document.html", page)
}

// titleOf returns the heading on the first line of a document.
func titleOf(source []byte) string {
	title, _, _ := strings.Cut(strings.TrimPrefix(string(source), "# "), "\n")
	return title
}

// renderMarkdown converts one of our own documents to HTML. together reports whether it is one of
// several on a page. The result is not escaped: source must be trusted.
func renderMarkdown(file string, source []byte, together bool) document {
	d := document{Name: strings.TrimSuffix(file, ".md")}
	ids := headingIDs{}
	transformers := []util.PrioritizedValue{util.Prioritized(unlinkOutside{}, 0)}
	if together {
		ids.prefix = d.Name + "-"
		transformers = append(transformers, util.Prioritized(linkWithin{d.Name}, 1))
	}
	converter := goldmark.New(
		goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(transformers...)),
	)
	root := converter.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(ids))))
	if !together && file != indexFile {
		d.Contents = contentsOf(root, source)
	}
	var html bytes.Buffer
	if err := converter.Renderer().Render(&html, source, root); err != nil {
		panic(fmt.Errorf("render a document: %w", err)) // writing to a buffer does not fail
	}
	title, rest, _ := strings.Cut(html.String(), "</h1>")
	d.Title, d.Text = template.HTML(title+"</h1>"), template.HTML(rest)
	return d
}

// contentsOf returns the headings of a document that has at least four sections and no section
// Contents: those of level 2 and, if there are not too many, of level 3.
func contentsOf(root ast.Node, source []byte) []section {
	const few, many = 4, 40
	var all []section
	own := false
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		heading, ok := n.(*ast.Heading)
		if !ok || !entering || heading.Level < 2 || heading.Level > 3 {
			return ast.WalkContinue, nil // Walk returns only our own errors
		}
		id, _ := heading.AttributeString("id")
		s := section{ID: fmt.Sprintf("%s", id), Text: plainText(heading, source), Level: heading.Level}
		own = own || s.Text == "Contents"
		all = append(all, s)
		return ast.WalkContinue, nil
	})
	sections := slices.DeleteFunc(slices.Clone(all), func(s section) bool { return s.Level > 2 })
	switch {
	case own || len(sections) < few:
		return nil
	case len(all) > many:
		return sections
	default:
		return all
	}
}

// plainText returns the text of a node without its markup.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	for child := n.FirstChild(); child != nil; child = child.NextSibling() {
		if segment, ok := child.(*ast.Text); ok {
			b.Write(segment.Value(source))
		} else {
			b.WriteString(plainText(child, source))
		}
	}
	return b.String()
}

// headingIDs generates the IDs of headings as GitHub does, for the links of the
// documents: lower case, a hyphen for each space, and no other punctuation.
type headingIDs struct{ prefix string }

var notInHeadingID = regexp.MustCompile(`[^a-z0-9_-]`)

func (h headingIDs) Generate(heading []byte, _ ast.NodeKind) []byte {
	id := notInHeadingID.ReplaceAll(bytes.ReplaceAll(bytes.ToLower(heading), []byte(" "), []byte("-")), nil)
	return append([]byte(h.prefix), id...)
}

func (headingIDs) Put([]byte) {}

// linkWithin changes the links between the documents to links within the page that has all.
type linkWithin struct{ name string }

func (l linkWithin) Transform(document *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		link, ok := n.(*ast.Link)
		if !ok || !entering || bytes.Contains(link.Destination, []byte(":")) {
			return ast.WalkContinue, nil // Walk returns only our own errors
		}
		file, anchor, deep := strings.Cut(string(link.Destination), "#")
		name, isDocument := strings.CutSuffix(file, ".md")
		switch {
		case file == "":
			name = l.name
		case !isDocument:
			return ast.WalkContinue, nil
		}
		if deep {
			anchor = "-" + anchor
		}
		link.Destination = []byte("#" + name + anchor)
		return ast.WalkContinue, nil
	})
}

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
