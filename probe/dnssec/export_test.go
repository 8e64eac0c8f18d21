package dnssec

// Guess switches queries on a guess on or off: they may change no verdict.
func (r *Resolver) Guess(on bool) { r.speculate = on }

// LimitSignatures lowers a limit, as the next ones do.
func (r *Resolver) LimitSignatures(n int) { r.limits.signatures = n }
func (r *Resolver) LimitQueries(n int)    { r.limits.queries = n }
func (r *Resolver) LimitOpinions(n int)   { r.limits.opinion = n }
func (r *Resolver) LimitHashes(n int)     { r.limits.hashes = n }
func (r *Resolver) LimitMemo(n int)       { r.memo = newMemo(n) }

// ForgetZones empties the cache of zones.
func (r *Resolver) ForgetZones() { r.cache = newZoneCache(1000, 1<<20) }

// Forget switches the memo of signatures off.
func (r *Resolver) Forget() { r.memo = nil }
