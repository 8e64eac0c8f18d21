package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"dane_exporter/probe/handshake"
)

// SecretFiles returns the files that WithSecrets reads.
func (c *Config) SecretFiles() []string {
	var files []string
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		if file := c.Modules[name].ProxyPasswordFile; file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}

// WithSecrets returns a copy of the configuration that has the secrets of the files that it
// names. It calls warn for each file that every user of the machine may read or change. The
// errors say which file cannot be used and why, and do not repeat its content.
func (c *Config) WithSecrets(warn func(path string)) (*Config, error) {
	secrets := make(map[string]string)
	var errs []error
	for _, file := range c.SecretFiles() {
		secret, err := readSecret(file, warn)
		if err != nil {
			errs = append(errs, fmt.Errorf("read a proxy_password_file: %w", err))
		}
		secrets[file] = secret
	}
	if len(secrets) == 0 || len(errs) > 0 {
		return c, errors.Join(errs...)
	}
	with := *c
	with.Modules = maps.Clone(c.Modules)
	for name, module := range with.Modules {
		if module.ProxyPasswordFile != "" {
			module.Proxy.Password, module.Proxy.PasswordInFile = secrets[module.ProxyPasswordFile], true
			with.Modules[name] = module
		}
	}
	return &with, nil
}

// readSecret returns the only line of a file, without its end.
func readSecret(path string, warn func(path string)) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // opening a pipe would block
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("%w: the user of the exporter, with ID %d, must be able to read it", err, os.Geteuid())
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, handshake.MaxPassword+3))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case secret == "":
		return "", fmt.Errorf("%s is empty", path)
	case len(secret) > handshake.MaxPassword:
		return "", fmt.Errorf("%s has more than %d bytes", path, handshake.MaxPassword)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s must have one line", path)
	}
	const others = 0o006 // read and write
	if runtime.GOOS != "windows" && info.Mode().Perm()&others != 0 {
		warn(path)
	}
	return secret, nil
}
