package dnssec

// Guess switches queries on a guess on or off: they may change no verdict.
func (r *Resolver) Guess(on bool) { r.speculate = on }

// LimitSignatures and the like lower a limit.
func (r *Resolver) LimitSignatures(n int) { r.limits.signatures = n }
func (r *Resolver) LimitQueries(n int)    { r.limits.queries = n }
func (r *Resolver) LimitHashes(n int)     { r.limits.hashes = n }

// Waiting is how many wait for a look-up.
func (r *Resolver) Waiting() int {
	r.lookups.mu.Lock()
	defer r.lookups.mu.Unlock()
	n := 0
	for _, f := range r.lookups.under {
		n += f.waiters
	}
	return n
}
