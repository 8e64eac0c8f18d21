package tlsa

// lazy is a value that is worked out when it is first asked for, with an error
// if there is none. The zero value is ready; it is for one goroutine.
type lazy[T any] struct {
	known bool
	value T
	err   error
}

func (l *lazy[T]) get(work func() (T, error)) (T, error) {
	if !l.known {
		l.value, l.err = work()
		l.known = true
	}
	return l.value, l.err
}
