package web

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// errorLog logs requests that are answered with status 4xx or 5xx, each cause at most once a minute.
type errorLog struct {
	logger *slog.Logger
	now    func() time.Time
	mu     sync.Mutex
	causes map[errorCause]*loggedCause
}

// errorCause is why requests fail: equal for requests that differ in what they ask for.
type errorCause struct {
	status  int
	pattern string // of the handler; empty: there is none for the path
	message string // without what it quotes from the request
}

type loggedCause struct {
	at         time.Time // of the last line
	suppressed int       // requests since then
}

const (
	errorLogInterval = time.Minute
	maxErrorCauses   = 100 // further causes are logged as one for each status
	maxErrorMessage  = 300 // characters
)

// observe logs the request of a response if it is an error whose cause was not logged within
// the last minute.
func (l *errorLog) observe(r *http.Request, response *bufferedResponse) {
	if response.status < http.StatusBadRequest {
		return
	}
	message := errorMessage(response)
	cause := shorten(quotedText.ReplaceAllString(message, `"…"`))
	suppressed, ok := l.admit(errorCause{response.status, r.Pattern, cause})
	if !ok {
		return
	}
	l.logger.Info("Request answered with an error", "status", response.status, "method", r.Method, "path", r.URL.Path,
		"client", r.RemoteAddr, "err", shorten(quotedText.ReplaceAllStringFunc(message, maskUser)), "suppressed", suppressed)
}

// admit reports whether a line about a cause is due, and how many requests with this cause were
// not logged since the last one.
func (l *errorLog) admit(cause errorCause) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.causes == nil {
		l.causes = make(map[errorCause]*loggedCause)
	}
	last := l.causes[cause]
	if last == nil && len(l.causes) >= maxErrorCauses {
		for other, logged := range l.causes {
			if now.Sub(logged.at) >= errorLogInterval {
				delete(l.causes, other)
			}
		}
		if len(l.causes) >= maxErrorCauses {
			cause = errorCause{status: cause.status}
			last = l.causes[cause]
		}
	}
	if last == nil {
		l.causes[cause] = &loggedCause{at: now}
		return 0, true
	}
	if now.Sub(last.at) < errorLogInterval {
		last.suppressed++
		return 0, false
	}
	suppressed, last.suppressed, last.at = last.suppressed, 0, now
	return suppressed, true
}

// quotedText matches what a message quotes, as strconv.Quote writes it.
var quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// maskUser masks what precedes an @ in a quoted text: a URL may have a password there.
func maskUser(quoted string) string {
	if at := strings.LastIndexByte(quoted, '@'); at >= 0 {
		return `"***` + quoted[at:]
	}
	return quoted
}

// errorMessage returns the first line of a response in plain text, and the text of the status
// for a page.
func errorMessage(response *bufferedResponse) string {
	if !strings.HasPrefix(response.header.Get("Content-Type"), "text/plain") {
		return http.StatusText(response.status)
	}
	line, _, _ := bytes.Cut(response.body.Bytes(), []byte("\n"))
	return string(line)
}

// shorten cuts a message to maxErrorMessage characters.
func shorten(message string) string { return fmt.Sprintf("%.*s", maxErrorMessage, message) }
