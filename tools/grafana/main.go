// Command grafana reads Grafana dashboards strictly: a field that Grafana does not have,
// or a value of the wrong type, is an error. Grafana itself ignores both.
//
// The schema is that of the Grafana Foundation SDK for the classic model, which every
// version of Grafana imports. The SDK does not read all parts strictly. This program reads
// the rest: properties of fields, overrides like the defaults that they replace, data
// links, queries of variables and annotations, and the transformations that are used.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

func main() {
	plugins.RegisterDefaultPlugins()
	status := 0
	for _, file := range os.Args[1:] {
		content, err := os.ReadFile(file)
		if err == nil {
			err = check(content)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s:\n%v\n", file, err)
			status = 1
		}
	}
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: grafana FILE...")
		status = 2
	}
	os.Exit(status)
}

// check returns all errors of a dashboard.
func check(content []byte) error {
	known, err := withoutDataLinks(content)
	if err != nil {
		return err
	}
	var d dashboard.Dashboard
	errs := []error{found(d.UnmarshalJSONStrict(known))}

	var raw rest
	if err := json.Unmarshal(content, &raw); err != nil {
		return err
	}
	for _, p := range raw.Panels {
		errs = append(errs, p.check())
		for _, inner := range p.Panels {
			errs = append(errs, inner.check())
		}
	}
	for _, v := range raw.Templating.List {
		errs = append(errs, v.check())
	}
	for _, a := range raw.Annotations.List {
		var query prometheus.Dataquery
		errs = append(errs, found(query.UnmarshalJSONStrict(a.Target)))
	}
	return errors.Join(errs...)
}

// A rest has the parts of a dashboard that the SDK does not read strictly.
type rest struct {
	Panels      []panel
	Templating  struct{ List []variable }
	Annotations struct {
		List []struct{ Target json.RawMessage }
	}
}

type variable struct {
	Name  string
	Type  string
	Query json.RawMessage
}

func (v variable) check() error {
	if v.Type != "query" {
		return nil
	}
	if err := decode(v.Query, &struct {
		RefID string `json:"refId"`
		Query string `json:"query"`
	}{}); err != nil {
		return fmt.Errorf("query of variable %s: %w", v.Name, err)
	}
	return nil
}

type panel struct {
	Title           string
	Type            string
	Panels          []panel
	FieldConfig     json.RawMessage
	Transformations []struct {
		ID      string
		Options json.RawMessage
	}
}

type property struct {
	ID    string
	Value json.RawMessage
}

func (p panel) check() error {
	if p.Type == "row" {
		return nil
	}
	var errs []error
	if _, ok := cog.NewRuntime().ConfigForPanelcfgVariant(p.Type); !ok {
		errs = append(errs, fmt.Errorf("unknown type of panel %q", p.Type))
	}
	errs = append(errs, p.checkFields())
	for _, t := range p.Transformations {
		if err := checkTransformation(t.ID, t.Options); err != nil {
			errs = append(errs, fmt.Errorf("transformation %s: %w", t.ID, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("panel %q: %w", p.Title, err)
	}
	return nil
}

// checkFields checks the defaults of the fields and their overrides.
func (p panel) checkFields() error {
	var source struct {
		Defaults  map[string]json.RawMessage
		Overrides []struct{ Properties []property }
	}
	if err := json.Unmarshal(p.FieldConfig, &source); err != nil {
		return err
	}
	var errs []error
	if links, ok := source.Defaults["links"]; ok {
		errs = append(errs, checkLinks(links))
	}
	known, err := withoutDataLinks(p.FieldConfig)
	if err != nil {
		return err
	}
	var config dashboard.FieldConfigSource
	errs = append(errs, found(config.UnmarshalJSONStrict(known)))
	var custom map[string]any
	if defaults, ok := source.Defaults["custom"]; ok {
		errs = append(errs, json.Unmarshal(defaults, &custom), p.checkCustom(custom))
	}
	for _, override := range source.Overrides {
		for _, property := range override.Properties {
			if err := p.checkProperty(property, custom); err != nil {
				errs = append(errs, fmt.Errorf("override of %s: %w", property.ID, err))
			}
		}
	}
	return errors.Join(errs...)
}

// checkProperty checks the value of an override like the default that it replaces.
func (p panel) checkProperty(property property, custom map[string]any) error {
	if property.ID == "links" {
		return checkLinks(property.Value)
	}
	if name, ok := strings.CutPrefix(property.ID, "custom."); ok {
		fields := maps.Clone(custom) // some of the others are required
		fields[name] = property.Value
		return p.checkCustom(fields)
	}
	content, err := json.Marshal(map[string]any{property.ID: property.Value})
	if err != nil {
		return err
	}
	var defaults dashboard.FieldConfig
	return found(defaults.UnmarshalJSONStrict(content))
}

// checkCustom checks the properties that only this type of panel has.
func (p panel) checkCustom(fields map[string]any) error {
	variant, _ := cog.NewRuntime().ConfigForPanelcfgVariant(p.Type)
	if variant.StrictFieldConfigUnmarshaler == nil {
		return fmt.Errorf("a panel of type %q has no custom properties", p.Type)
	}
	content, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	_, err = variant.StrictFieldConfigUnmarshaler(content)
	return found(err)
}

// found returns err, or nil if it is an empty list: the SDK returns one for valid input.
func found(err error) error {
	if list, ok := errors.AsType[cog.BuildErrors](err); ok && len(list) == 0 {
		return nil
	}
	return err
}

// checkLinks checks data links. The SDK takes them for links between dashboards.
func checkLinks(content []byte) error {
	var links []struct {
		Title       string `json:"title"`
		URL         string `json:"url"`
		TargetBlank bool   `json:"targetBlank"`
	}
	if err := decode(content, &links); err != nil {
		return fmt.Errorf("data links: %w", err)
	}
	for _, link := range links {
		if link.Title == "" || link.URL == "" {
			return fmt.Errorf("the data link %q to %q lacks its title or URL", link.Title, link.URL)
		}
	}
	return nil
}

func checkTransformation(id string, options json.RawMessage) error {
	switch id {
	case "merge":
		return decode(options, &struct{}{})
	case "organize":
		return decode(options, &struct {
			ExcludeByName map[string]bool   `json:"excludeByName"`
			RenameByName  map[string]string `json:"renameByName"`
			IndexByName   map[string]int    `json:"indexByName"`
		}{})
	}
	return errors.New("its options are not known to this program")
}

// decode decodes JSON into a value that must have all its fields.
func decode(content []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// withoutDataLinks returns a dashboard or a part of it without the links in the defaults
// of fields.
func withoutDataLinks(content []byte) ([]byte, error) {
	var tree any
	if err := json.Unmarshal(content, &tree); err != nil {
		return nil, err
	}
	removeDataLinks(tree)
	return json.Marshal(tree)
}

func removeDataLinks(node any) {
	switch node := node.(type) {
	case []any:
		for _, element := range node {
			removeDataLinks(element)
		}
	case map[string]any:
		if defaults, ok := node["defaults"].(map[string]any); ok {
			delete(defaults, "links")
		}
		for _, value := range node {
			removeDataLinks(value)
		}
	}
}
