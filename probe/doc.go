// Package probe asks what a DANE client would do with one target right now.
package probe
