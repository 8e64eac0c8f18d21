package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// decoder walks one YAML document and collects what is wrong with it. yaml.v3
// could fill the structs itself, but it stops knowing which keys exist wherever
// a type decodes itself, and its errors speak of Go types; whoever mistyped a
// key needs the line, the key and what is allowed.
type decoder struct {
	file string
	errs []error
}

// maxErrors is how many mistakes of one file are told at once.
const maxErrors = 20

// Error is one mistake in a configuration file.
type Error struct {
	File string
	Line int    // from 1; 0 where none is known
	Key  string // the path of keys, as "modules.smtp.port"; empty for the document
	Text string // what is wrong, and what is allowed
}

func (e *Error) Error() string {
	place := e.File
	if e.Line > 0 {
		place += ":" + strconv.Itoa(e.Line)
	}
	if e.Key != "" {
		place += ": " + e.Key
	}
	return place + ": " + e.Text
}

func (d *decoder) fail(line int, key, text string) {
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Key: key, Text: text})
	}
}

func (d *decoder) err() error { return errors.Join(d.errs...) }

// document parses text as a single YAML document. It returns false where there
// is nothing to read: a mistake, or an empty file.
func (d *decoder) document(text []byte) (value, bool) {
	if !utf8.Valid(text) {
		d.fail(1, "", "not UTF-8; a configuration file is")
		return value{}, false
	}
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&root); {
	case err == io.EOF:
		return value{}, false
	case err != nil:
		d.fail(syntaxError(err))
		return value{}, false
	}
	switch err := decoder.Decode(&more); {
	case err == nil:
		d.fail(more.Line, "", "a second document; a configuration file has one")
		return value{}, false
	case err != io.EOF:
		d.fail(syntaxError(err))
		return value{}, false
	}
	return value{decoder: d, node: root.Content[0]}, true
}

// syntaxError takes the line out of the text of a yaml.v3 error,
// "yaml: line 3: did not find expected key".
func syntaxError(err error) (line int, key, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if after, ok := strings.CutPrefix(text, "line "); ok {
		if number, rest, ok := strings.Cut(after, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				return n, "", "not YAML: " + rest
			}
		}
	}
	return 1, "", "not YAML: " + text // yaml.v3 leaves the line out of some errors, those of the first line among them
}

// value is one node of the document and the path of keys that leads to it.
type value struct {
	*decoder
	node *yaml.Node
	path string
}

// read takes in one value.
type read func(value)

func (v value) wrong(format string, args ...any) {
	v.fail(v.node.Line, v.path, fmt.Sprintf(format, args...))
}

// resolved follows an alias to the node that bears the anchor.
func (v value) resolved() *yaml.Node {
	if v.node.Kind == yaml.AliasNode {
		return v.node.Alias
	}
	return v.node
}

// child is the value under one key of v.
func (v value) child(key string, node *yaml.Node) value {
	path := key
	if v.path != "" {
		path = v.path + "." + key
	}
	return value{v.decoder, node, path}
}

// mapping calls each for every key of a mapping, once. Nothing after the colon
// is an empty mapping: a section whose keys are all commented out.
func (v value) mapping(each func(key string, node *yaml.Node, at value)) {
	node := v.resolved()
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return
	}
	if node.Kind != yaml.MappingNode {
		v.wrong("%s; wanted keys and values", describe(node))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		at := v.child(quoteKey(key.Value), content)
		at.node = content
		switch line, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			v.fail(key.Line, v.path, "a key must be a plain word")
		case twice:
			v.fail(key.Line, at.path, fmt.Sprintf("given twice, first in line %d", line))
		default:
			seen[key.Value] = key.Line
			each(key.Value, key, at)
		}
	}
}

// fields reads a mapping whose keys are known.
func (v value) fields(known map[string]read) {
	v.mapping(func(key string, node *yaml.Node, at value) {
		if take, ok := known[key]; ok {
			take(at)
			return
		}
		allowed := strings.Join(slices.Sorted(maps.Keys(known)), ", ")
		v.fail(node.Line, at.path, "unknown key; allowed here: "+allowed)
	})
}

// scalar returns the text of a single value.
func (v value) scalar(wanted string) (string, bool) {
	node := v.resolved()
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		v.wrong("%s; wanted %s", describe(node), wanted)
		return "", false
	}
	return node.Value, true
}

// list calls each for every element of a list.
func (v value) list(wanted string, each func(value)) {
	node := v.resolved()
	if node.Kind != yaml.SequenceNode {
		v.wrong("%s; wanted a list of %s, as [a, b]", describe(node), wanted)
		return
	}
	for i, element := range node.Content {
		each(value{v.decoder, element, fmt.Sprintf("%s[%d]", v.path, i)})
	}
}

// text reads a string that check finds nothing wrong with. wanted says in
// words what is allowed.
func text[T ~string](into *T, wanted string, check func(string) error) read {
	return func(v value) {
		given, ok := v.scalar(wanted)
		if !ok {
			return
		}
		if err := check(given); err != nil {
			v.wrong("%s: %v; wanted %s", quote(given), err, wanted)
			return
		}
		*into = T(given)
	}
}

// oneOf reads one of the allowed words.
func oneOf[T ~string](into *T, allowed []T) read {
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	wanted := strings.Join(words, ", ")
	return func(v value) {
		given, ok := v.scalar("one of: " + wanted)
		if !ok {
			return
		}
		if !slices.Contains(allowed, T(given)) {
			v.wrong("%s is none of: %s", quote(given), wanted)
			return
		}
		*into = T(given)
	}
}

// number reads a whole number from low to high.
func number[T int | uint16](into *T, low, high T) read {
	wanted := fmt.Sprintf("a whole number from %d to %d", low, high)
	return func(v value) {
		given, ok := v.scalar(wanted)
		if !ok {
			return
		}
		n, err := strconv.Atoi(given)
		if err != nil || n < int(low) || n > int(high) {
			v.wrong("%s is not %s", quote(given), wanted)
			return
		}
		*into = T(n)
	}
}

// duration reads a duration from low to high.
func duration(into *time.Duration, low, high time.Duration) read {
	wanted := fmt.Sprintf("a duration from %s to %s, as 500ms, 2s or 1m30s", short(low), short(high))
	return func(v value) {
		given, ok := v.scalar(wanted)
		if !ok {
			return
		}
		d, err := time.ParseDuration(given)
		if err != nil || d < low || d > high {
			v.wrong("%s is not %s", quote(given), wanted)
			return
		}
		*into = d
	}
}

// yesNo reads true or false.
func yesNo(into *bool) read {
	return func(v value) {
		given, ok := v.scalar("true or false")
		if !ok {
			return
		}
		if given != "true" && given != "false" {
			v.wrong("%s is neither true nor false", quote(given))
			return
		}
		*into = given == "true"
	}
}

// listOf reads a list, replacing what was there. parse turns one element into
// what is kept, and its error says what is allowed; wanted names the elements.
func listOf[T any](into *[]T, wanted string, parse func(string) (T, error)) read {
	return func(v value) {
		elements := []T{}
		v.list(wanted, func(element value) {
			given, ok := element.scalar(wanted)
			if !ok {
				return
			}
			parsed, err := parse(given)
			if err != nil {
				element.wrong("%v", err)
				return
			}
			elements = append(elements, parsed)
		})
		*into = elements
	}
}

// describe names what stands where something else was wanted.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "keys and values stand here"
	case node.Kind == yaml.SequenceNode:
		return "a list stands here"
	case node.Tag == "!!null":
		return "nothing stands here"
	default:
		return quote(node.Value) + " stands here"
	}
}

// quote makes what was given fit to be shown: printable, and short.
func quote(given string) string {
	const most = 80
	if len(given) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(given[cut]) {
			cut--
		}
		given = given[:cut] + "…"
	}
	return strconv.Quote(given)
}

// quoteKey is a key as part of a path: quoted only where it must be.
func quoteKey(key string) string {
	quoted := quote(key)
	if quoted == `"`+key+`"` {
		return key
	}
	return quoted
}

// short writes a duration without its zero parts: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
