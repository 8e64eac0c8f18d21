// Groups of reasons that have an alert.
{
  mismatches: [
    'tlsa_mismatch',
    'trust_anchor_not_sent',
    'chain_invalid',
    'name_mismatch',
    'certificate_expired',
    'certificate_not_yet_valid',
    'pkix_untrusted',
  ],
  bogus: ['dnssec_bogus'],
  starttls: ['starttls_not_offered', 'starttls_rejected'],
  absences: ['no_tlsa', 'tlsa_alias_dangling', 'tlsa_insecure', 'address_insecure'],
  // A zone is not signed, or the parent zone has no DS record for it.
  insecure: ['mx_insecure', 'srv_insecure', 'address_insecure', 'tlsa_insecure'],
  renewals: ['caa_lookup_failed', 'caa_forbids_issuer', 'acme_challenge_bogus'],
  policies: ['mta_sts_record_invalid', 'mta_sts_policy_unavailable', 'mta_sts_policy_invalid'],
  // Servers that are not reachable, for senders with DANE or without.
  unreachable: ['connect_failed', 'timeout', 'client_rejected', 'protocol_error'],
  // Those of targets that have nothing to connect to.
  nothing: ['no_such_domain', 'null_mx', 'invalid_hostname', 'special_use_name', 'no_address', 'no_srv', 'srv_none'],
  // Those of hosts that DANE senders refuse.
  ofHosts: self.mismatches + self.bogus + self.starttls,
}
