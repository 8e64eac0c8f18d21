package dnssec

// Guess switches queries on a guess on or off: they may change no verdict.
func (r *Resolver) Guess(on bool) { r.speculate = on }

// LimitSignatures lowers a limit, as the next two do.
func (r *Resolver) LimitSignatures(n int) { r.limits.signatures = n }
func (r *Resolver) LimitQueries(n int)    { r.limits.queries = n }
func (r *Resolver) LimitHashes(n int)     { r.limits.hashes = n }
