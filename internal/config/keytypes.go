package config

import (
	"slices"

	"dane_exporter/probe/dane"
)

// keyTypes reads a list of key types, each at most once.
func keyTypes(into *[]dane.KeyType) read {
	const wanted = "key types, ecdsa or rsa"
	return func(v value) {
		var keys []dane.KeyType
		v.list(wanted, func(element value) {
			given, ok := element.scalar(wanted)
			if !ok {
				return
			}
			switch key := dane.KeyType(given); {
			case !slices.Contains(dane.KeyTypes(), key):
				element.wrong("%s is none of: ecdsa, rsa", quote(given))
			case slices.Contains(keys, key):
				element.wrong("%s stands there twice", quote(given))
			default:
				keys = append(keys, key)
			}
		})
		*into = keys
	}
}
