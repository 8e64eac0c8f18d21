package discovery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"dane_exporter/probe"
)

// Limits on the files of one source.
const (
	maxFiles     = 10_000
	maxFileBytes = 512 << 20 // of all files
	maxLine      = 4096      // bytes; the rest of a longer line is skipped
)

// fileLoader reads a list from files. They have one domain on each line; a # starts a
// comment.
type fileLoader struct {
	patterns []string
	poll     time.Duration
	now      func() time.Time

	seen      []fileState // of the files at the last call
	read      []fileState // of the files that were read last
	rejected  error       // why their list was rejected; nil: it was not
	unsettled int         // number of calls since that returned errUnsettled
}

// fileState identifies a version of a file. It changes if the file is written or replaced.
type fileState struct {
	path string
	info os.FileInfo
}

func (a fileState) equal(b fileState) bool {
	return a.path == b.path && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime()) && os.SameFile(a.info, b.info)
}

// errNoDomains is the error of files without domains. They may be the result of a full disk,
// so they must not remove all targets.
var errNoDomains = errors.New("the files list no domain")

// errTooLarge is the error of files that exceed maxFileBytes.
var errTooLarge = fmt.Errorf("the files have more than %d MiB", maxFileBytes>>20)

// isRejected reports whether the content of files is the cause of an error. It is not read
// again before the files change: that would take seconds each time.
func isRejected(err error) bool {
	return errors.Is(err, errNoDomains) || errors.Is(err, errTooLarge) || errors.Is(err, errTooManyNames)
}

// maxUnsettled is the number of calls in a row that may find that files are being written.
const maxUnsettled = 30

// errUnsettledLong is the error of files that are written continuously, such as a log.
var errUnsettledLong = fmt.Errorf("the files have changed at each of the last %d checks; replace a file by renaming a complete one", maxUnsettled)

// load reads the files if they have changed. It leaves files that may still be being written
// for the next call.
func (l *fileLoader) load(ctx context.Context) (reading, time.Duration, error) {
	read, err := l.loadFiles(ctx)
	if !errors.Is(err, errUnsettled) {
		l.unsettled = 0
	} else if l.unsettled++; l.unsettled > maxUnsettled {
		err = errUnsettledLong
	}
	return read, l.poll, err
}

func (l *fileLoader) loadFiles(ctx context.Context) (reading, error) {
	files, err := l.find()
	if err != nil {
		return reading{}, err
	}
	settled := slices.EqualFunc(files, l.seen, fileState.equal) || l.areOld(files)
	l.seen = files
	switch {
	case l.read != nil && slices.EqualFunc(files, l.read, fileState.equal):
		return reading{}, l.rejected
	case !settled:
		return reading{}, errUnsettled
	}
	read, err := readFiles(ctx, files)
	if err == nil || isRejected(err) {
		l.read, l.rejected = files, err
	}
	return read, err
}

// areOld reports whether no file was modified within the interval between calls.
func (l *fileLoader) areOld(files []fileState) bool {
	return !slices.ContainsFunc(files, func(f fileState) bool {
		age := l.now().Sub(f.info.ModTime())
		return age < l.poll
	})
}

// find returns the files that the patterns match, sorted by path. Each pattern must match at
// least one path. Directories are skipped; all others must be regular files.
func (l *fileLoader) find() ([]fileState, error) {
	var files []fileState
	for _, pattern := range l.patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("%s: no file matches", pattern)
		}
		if len(files)+len(paths) > maxFiles {
			return nil, fmt.Errorf("%s: the patterns match more than %d files", pattern, maxFiles)
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil {
				return nil, err
			}
			if info.IsDir() { // such as ..data in a volume of Kubernetes
				continue
			}
			if err := checkRegular(path, info); err != nil {
				return nil, err
			}
			files = append(files, fileState{path, info})
		}
	}
	slices.SortFunc(files, func(a, b fileState) int { return strings.Compare(a.path, b.path) })
	return slices.CompactFunc(files, func(a, b fileState) bool { return a.path == b.path }), nil
}

// checkRegular rejects pipes and devices, which may have no end.
func checkRegular(path string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}

// readFiles reads the lists of several files.
func readFiles(ctx context.Context, files []fileState) (reading, error) {
	var read reading
	var names builder
	size := int64(0)
	for _, file := range files {
		size += file.info.Size()
	}
	if size > maxFileBytes {
		return reading{}, errTooLarge
	}
	size = 0
	for _, file := range files {
		n, err := readFile(ctx, file, maxFileBytes-size, &names, &read)
		if err != nil {
			return reading{}, err
		}
		size += n
	}
	if len(names.ends) == 0 {
		return reading{}, errNoDomains
	}
	read.list, _ = names.list()
	return read, nil
}

// readFile reads the list of one file and returns its size. The file must still be the one
// that find returned.
func readFile(ctx context.Context, expected fileState, limit int64, names *builder, read *reading) (size int64, err error) {
	// Without O_NONBLOCK, opening a pipe that has replaced the file would block.
	file, err := os.OpenFile(expected.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if err := checkRegular(expected.path, info); err != nil {
		return 0, err
	}
	limited := &io.LimitedReader{R: file, N: limit + 1}
	if err := readLines(ctx, limited, expected.path, names, read); err != nil {
		return 0, fmt.Errorf("read %s: %w", expected.path, err)
	}
	if size = limit + 1 - limited.N; size > limit {
		return 0, fmt.Errorf("read %s: %w", expected.path, errTooLarge)
	}
	if info, err = file.Stat(); err != nil {
		return 0, err
	}
	if !expected.equal(fileState{expected.path, info}) {
		return 0, errUnsettled
	}
	return size, nil
}

// readLines reads one domain from each line. It counts lines that are not domain names, and
// continues.
func readLines(ctx context.Context, r io.Reader, path string, names *builder, read *reading) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		if number == 1 {
			line = trimBOM(line)
		}
		text, _, commented := strings.Cut(string(line), "#")
		long := false
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if number%10_000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if text = strings.TrimSpace(text); text != "" || long && !commented {
			name, reason := parseDomain(text)
			if long && !commented {
				reason = errors.New("the line is too long")
			}
			if reason != nil {
				read.addBad(fmt.Sprintf("%s:%d: ", path, number), text, reason)
			} else if err := names.add(name); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// trimBOM removes the byte order mark that editors on Windows write.
func trimBOM(line []byte) []byte {
	const bom = "\ufeff"
	if len(line) >= len(bom) && string(line[:len(bom)]) == bom {
		return line[len(bom):]
	}
	return line
}

// parseDomain returns a domain name in A-labels. It rejects IP addresses.
func parseDomain(text string) (string, error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return "", errors.New("it is an address")
	}
	return probe.DomainName(text)
}
