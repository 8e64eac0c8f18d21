package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// decoder reads one YAML document and collects the mistakes in it.
//
// It uses yaml.v3 for the syntax and not for the structs. With KnownFields,
// yaml.v3 reports an unknown key without its path and without the allowed keys,
// it loses KnownFields wherever a type unmarshals itself, and its errors name Go
// types.
type decoder struct {
	file    string
	errs    []*Error
	lines   map[string]int // of the keys that were decoded, except those of list elements, by path
	merging []*yaml.Node   // mappings of the merge keys that are being followed
	merges  int            // merge keys that were followed for one mapping
}

// maxErrors is the number of mistakes that are reported for one file.
const maxErrors = 20

// Error is one mistake in a configuration file.
type Error struct {
	File string
	Line int    // from 1; 0 if it is not known
	Key  string // the path of keys, such as "modules.smtp.port"; empty for the document
	Text string // the mistake and the allowed values
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

// err joins the mistakes, in the order of the file.
func (d *decoder) err() error {
	slices.SortStableFunc(d.errs, func(a, b *Error) int { return a.Line - b.Line })
	var errs []error
	for _, err := range d.errs {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// document parses text as a single YAML document. ok is false if the text is
// empty or has a mistake.
func (d *decoder) document(text []byte) (document value, ok bool) {
	if !utf8.Valid(text) {
		d.fail(1, "", "the file is not valid UTF-8")
		return value{}, false
	}
	var root, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return value{}, false
	case err != nil:
		d.fail(syntaxError(err))
		return value{}, false
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		d.fail(second.Line, "", "a second YAML document begins here; the file must have one document")
		return value{}, false
	case !errors.Is(err, io.EOF):
		d.fail(syntaxError(err))
		return value{}, false
	}
	return value{decoder: d, node: root.Content[0]}, true
}

// syntaxError separates the line from the text of a yaml.v3 error such as
// "yaml: line 3: did not find expected key". yaml.v3 omits the line from some
// errors, among them those of the first line.
func syntaxError(err error) (line int, key, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(text, "unknown anchor '") {
		text = text[:strings.Index(text, "unknown anchor")] + "a value that begins with * refers to an unknown anchor" // it may be a password
	}
	if after, ok := strings.CutPrefix(text, "line "); ok {
		if number, rest, ok := strings.Cut(after, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				return n, "", "not valid YAML: " + rest
			}
		}
	}
	return 1, "", "not valid YAML: " + text
}

// value is one node of the document and the path of keys that leads to it.
type value struct {
	*decoder
	node *yaml.Node
	path string
}

// decodeFunc decodes one value into the variable that it was made for, or
// reports a mistake.
type decodeFunc func(value)

// wrong reports a mistake at the line of v.
func (v value) wrong(format string, args ...any) {
	v.fail(v.node.Line, v.path, fmt.Sprintf(format, args...))
}

// resolved returns the node of v, or the anchored node if v is a YAML alias.
func (v value) resolved() *yaml.Node {
	if v.node.Kind == yaml.AliasNode {
		return v.node.Alias
	}
	return v.node
}

// child returns the value under a key of v.
func (v value) child(key string, node *yaml.Node) value {
	path := key
	if v.path != "" {
		path = v.path + "." + key
	}
	return value{v.decoder, node, path}
}

// mapping calls each once for every key of a mapping. A null value is an empty
// mapping: it is what remains of a section whose keys are all commented out.
func (v value) mapping(each func(key string, keyNode *yaml.Node, at value)) {
	node := v.resolved()
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return
	}
	if node.Kind != yaml.MappingNode {
		v.wrong("found %s; must be a mapping of keys to values", kindOf(node)) // a single value may be a password
		return
	}
	seen := make(map[string]int)
	for _, e := range v.entries(node) {
		at := v.child(quoteKey(e.key.Value), e.content)
		switch line, duplicate := seen[e.key.Value]; {
		case e.key.Kind != yaml.ScalarNode:
			v.fail(e.key.Line, v.path, "a key must be a single word")
		case duplicate && e.merged: // a key of the mapping itself replaces it
		case duplicate:
			v.fail(e.key.Line, at.path, fmt.Sprintf("duplicate key, first given on line %d", line))
		default:
			seen[e.key.Value] = e.key.Line
			each(e.key.Value, e.key, at)
		}
	}
}

// entry is one key of a mapping and its value.
type entry struct {
	key, content *yaml.Node
	merged       bool // it is from another mapping
}

// maxMerged limits the entries that merge keys add to one mapping, and the merge keys
// that are followed for them. Nested merges could multiply them without limit.
const maxMerged = 1000

// entries returns the entries of a mapping: first its own, then those of its merge keys
// (<<). The first entry of a key takes precedence.
func (v value) entries(node *yaml.Node) []entry {
	v.merging, v.merges = []*yaml.Node{node}, 0
	own, merged := v.collect(nil, node, false), v.collect(nil, node, true)
	if len(merged) >= maxMerged || v.merges >= maxMerged {
		v.wrong("merge keys (<<) add more than %d keys", maxMerged)
		return own
	}
	return append(own, merged...)
}

// collect appends the own entries of a mapping to list or, with merged, those of its merge keys.
func (v value) collect(list []entry, node *yaml.Node, merged bool) []entry {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		if key.Tag != "!!merge" {
			if !merged {
				list = append(list, entry{key: key, content: content})
			}
			continue
		}
		if !merged {
			continue
		}
		sources := []*yaml.Node{content}
		if content.Kind == yaml.SequenceNode {
			sources = content.Content
		}
		for _, source := range sources {
			if v.merges++; v.merges >= maxMerged || len(list) >= maxMerged {
				return list
			}
			from := value{v.decoder, source, v.child("<<", source).path}
			mapping := from.resolved()
			if mapping.Kind != yaml.MappingNode {
				from.wrong("found %s; must be an alias of a mapping, such as *name, or a list of them", kindOf(mapping))
				continue
			}
			list = from.merge(list, mapping)
		}
	}
	return list
}

// merge appends all entries of a mapping that a merge key names.
func (v value) merge(list []entry, mapping *yaml.Node) []entry {
	if slices.Contains(v.merging, mapping) {
		v.wrong("the mapping contains itself")
		return list
	}
	v.merging = append(v.merging, mapping)
	defer func() { v.merging = v.merging[:len(v.merging)-1] }()
	for _, e := range v.collect(nil, mapping, false) {
		e.merged = true
		list = append(list, e)
	}
	return v.collect(list, mapping, true)
}

// keyWord matches what may be a key with a typing error.
var keyWord = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// fields decodes a mapping whose keys are known.
func (v value) fields(known map[string]decodeFunc) {
	v.mapping(func(key string, keyNode *yaml.Node, at value) {
		if decode, ok := known[key]; ok {
			at.found(keyNode.Line)
			decode(at)
			return
		}
		path := at.path
		if !keyWord.MatchString(key) {
			path = v.path // the file may be another one, with a secret
		}
		v.fail(keyNode.Line, path, "unknown key; allowed here: "+strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	})
}

// found records the line of a key.
func (v value) found(line int) {
	if !strings.Contains(v.path, "[") {
		v.lines[v.path] = line
	}
}

// at returns the value under a key of a mapping.
func (v value) at(key string) (at value, ok bool) {
	node := v.resolved()
	if node.Kind != yaml.MappingNode {
		return value{}, false
	}
	quiet := value{&decoder{}, v.node, v.path} // mapping reports the mistakes
	for _, e := range quiet.entries(node) {
		if e.key.Value == key {
			return v.child(key, e.content), true
		}
	}
	return value{}, false
}

// has reports whether a mapping has all of these keys.
func (v value) has(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { _, ok := v.at(key); return !ok })
}

// orAt returns the value under a key, or v if the key is not given.
func (v value) orAt(key string) value {
	if at, ok := v.at(key); ok {
		return at
	}
	return v
}

// scalar returns the text of a single value. allowed describes the values that
// the error suggests.
func (v value) scalar(allowed string) (text string, ok bool) {
	node := v.resolved()
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		v.wrong("found %s; must be %s", describe(node), allowed)
		return "", false
	}
	return node.Value, true
}

// text decodes a string. check returns an error that says what is wrong with
// one; allowed describes the values that the error suggests.
func text[T ~string](into *T, allowed string, check func(string) error) decodeFunc {
	return func(v value) {
		given, ok := v.scalar(allowed)
		if !ok {
			return
		}
		if err := check(given); err != nil {
			v.wrong("%s: %v; must be %s", quote(given), err, allowed)
			return
		}
		*into = T(given)
	}
}

// oneOf decodes one of the allowed words.
func oneOf[T ~string](into *T, allowed []T) decodeFunc {
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	list := "one of: " + strings.Join(words, ", ")
	return func(v value) {
		given, ok := v.scalar(list)
		if !ok {
			return
		}
		if !slices.Contains(allowed, T(given)) {
			v.wrong("%s is not %s", quote(given), list)
			return
		}
		*into = T(given)
	}
}

// number decodes a whole number from low to high.
func number[T int | uint16](into *T, low, high T) decodeFunc {
	allowed := fmt.Sprintf("a whole number from %d to %d", low, high)
	return func(v value) {
		given, ok := v.scalar(allowed)
		if !ok {
			return
		}
		n, err := strconv.Atoi(given)
		if err != nil || n < int(low) || n > int(high) {
			v.wrong("%s is not %s", quote(given), allowed)
			return
		}
		*into = T(n)
	}
}

// duration decodes a duration from low to high.
func duration(into *time.Duration, low, high time.Duration) decodeFunc {
	allowed := fmt.Sprintf("a duration from %s to %s, such as 500ms, 2s or 1m30s", short(low), short(high))
	return func(v value) {
		given, ok := v.scalar(allowed)
		if !ok {
			return
		}
		d, err := time.ParseDuration(given)
		if err != nil || d < low || d > high {
			v.wrong("%s is not %s", quote(given), allowed)
			return
		}
		*into = d
	}
}

// boolean decodes true or false, as the core schema of YAML 1.2 writes them.
func boolean(into *bool) decodeFunc {
	return func(v value) {
		given, ok := v.scalar("true or false")
		if !ok {
			return
		}
		switch given {
		case "true", "True", "TRUE":
			*into = true
		case "false", "False", "FALSE":
			*into = false
		default:
			v.wrong("%s is not true or false", quote(given))
		}
	}
}

// listFunc decodes a list and replaces the previous one. decode returns one
// element, or false if it has reported a mistake in it. earlier holds the
// elements before it. items describes the elements in errors.
func listFunc[T any](into *[]T, items string, decode func(element value, earlier []T) (T, bool)) decodeFunc {
	return func(v value) {
		node := v.resolved()
		if node.Kind != yaml.SequenceNode {
			v.wrong("found %s; must be a list [a, b] of %s", describe(node), items)
			return
		}
		var elements []T
		for i, content := range node.Content {
			element := value{v.decoder, content, fmt.Sprintf("%s[%d]", v.path, i)}
			if decoded, ok := decode(element, elements); ok {
				elements = append(elements, decoded)
			}
		}
		*into = elements
	}
}

// listOf decodes a list of single values. parse returns an error that names the
// given value and the allowed ones.
func listOf[T any](into *[]T, items string, parse func(string) (T, error)) decodeFunc {
	return listFunc(into, items, func(element value, _ []T) (parsed T, ok bool) {
		given, ok := element.scalar("a single value; the list is of " + items)
		if !ok {
			return parsed, false
		}
		parsed, err := parse(given)
		switch {
		case err != nil && strings.Contains(given, "@"): // err may quote a password
			element.wrong("%s is not valid; the list is of %s", quote(given), items)
		case err != nil:
			element.wrong("%v", err)
		}
		return parsed, err == nil
	})
}

// describe returns what a node is, for errors about a value of the wrong kind.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Tag == "!!null":
		return "no value"
	default:
		return quote(node.Value)
	}
}

// kindOf describes a node as describe does, without a single value.
func kindOf(node *yaml.Node) string {
	if node.Kind == yaml.ScalarNode && node.Tag != "!!null" {
		return "a single value"
	}
	return describe(node)
}

// quote returns a given value in quotes, printable and cut to 80 bytes. It masks text
// before an @, because it may be a password that was given under a wrong key.
func quote(given string) string {
	const limit = 80
	if at := strings.LastIndex(given, "@"); at >= 0 {
		scheme, _, ok := strings.Cut(given[:at], "://")
		if ok {
			scheme += "://"
		} else {
			scheme = ""
		}
		given = scheme + "<secret>" + given[at:]
	}
	if len(given) > limit {
		cut := limit
		for cut > 0 && !utf8.RuneStart(given[cut]) {
			cut--
		}
		given = given[:cut] + "…"
	}
	return strconv.Quote(given)
}

// quoteKey returns a key as part of a path. It is in quotes only if it has
// characters that need them.
func quoteKey(key string) string {
	quoted := quote(key)
	if quoted == `"`+key+`"` {
		return key
	}
	return quoted
}

// short formats a duration without its zero parts: 5m instead of 5m0s.
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
