package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"dane_exporter/probe"
)

// maxTargets is the most that one check takes on.
const maxTargets = 100_000

// targets reads what is to be checked: the arguments, then the file. The error
// names everything that is no target.
func (s *session) targets(f *checkFlags, module probe.Module) ([]probe.Target, error) {
	asked := f.targets
	if f.targetsFile != "" {
		more, err := s.readTargets(f.targetsFile)
		if err != nil {
			return nil, err
		}
		asked = append(asked, more...)
	}
	if len(asked) == 0 {
		return nil, errors.New("there is nothing to check: name a target, --targets-file or --self")
	}
	var targets []probe.Target
	var wrong []error
	for _, text := range asked {
		target, err := probe.ParseTarget(text, f.hostname, module)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		targets = append(targets, target)
	}
	return targets, errors.Join(wrong...)
}

// readTargets reads a file of targets, one a line; "-" is standard input. Empty
// lines, and what follows a #, do not count.
func (s *session) readTargets(path string) ([]string, error) {
	file := s.stdin
	if path != "-" {
		opened, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read the targets: %w", err)
		}
		defer opened.Close()
		file = opened
	}
	targets, err := scanTargets(file)
	if err != nil {
		return nil, fmt.Errorf("read the targets of %s: %w", path, err)
	}
	return targets, nil
}

func scanTargets(r io.Reader) ([]string, error) {
	var targets []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if len(targets) == maxTargets {
			return nil, fmt.Errorf("there are more than %d", maxTargets)
		}
		targets = append(targets, text)
	}
	return targets, lines.Err()
}
