package caa

import "maps"

// Issuers maps organizations, as in the issuer names of certificates, to the issuer
// domain names that their CAs recognize in CAA records.
type Issuers map[string][]string

// With returns a copy of i with the entries of more. They replace those of the same
// organizations.
func (i Issuers) With(more Issuers) Issuers {
	all := make(Issuers, len(i)+len(more))
	maps.Copy(all, i)
	maps.Copy(all, more)
	return all
}

// KnownIssuers returns the CAs that issue most certificates of mail servers. The domain
// names are from their certification practice statements and the CCADB ("CAA Identifiers").
func KnownIssuers() Issuers {
	sectigo := []string{"sectigo.com", "usertrust.com", "trust-provider.com", "comodo.com", "comodoca.com", "entrust.net", "affirmtrust.com"}
	digicert := []string{"digicert.com", "www.digicert.com", "digicert.ne.jp", "cybertrust.ne.jp", "thawte.com", "geotrust.com", "rapidssl.com", "symantec.com",
		"digitalcertvalidation.com", "volusion.digitalcertvalidation.com", "stratossl.digitalcertvalidation.com", "intermediatecertificate.digitalcertvalidation.com",
		"1and1.digitalcertvalidation.com", "amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com", "quovadisglobal.com", "pkioverheid.nl"}
	amazon := []string{"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com", "aws.amazon.com"}
	return Issuers{
		"Actalis S.p.A.":                   {"actalis.it"},
		"Amazon":                           amazon,
		"Asseco Data Systems S.A.":         {"certum.pl", "certum.eu"},
		"Buypass AS-983163327":             {"buypass.com", "buypass.no"},
		"COMODO CA Limited":                sectigo,
		"Certainly":                        {"certainly.com"},
		"D-Trust GmbH":                     {"d-trust.net", "dtrust.de", "d-trust.de"},
		"Deutsche Telekom Security GmbH":   {"telesec.de", "pki.dfn.de", "dfn.de"},
		"DigiCert Inc":                     digicert,
		"DigiCert, Inc.":                   digicert,
		"GlobalSign nv-sa":                 {"globalsign.com"},
		"GoDaddy.com, Inc.":                {"godaddy.com", "starfieldtech.com"},
		"Google Trust Services":            {"pki.goog"},
		"Google Trust Services LLC":        {"pki.goog"},
		"Internet Security Research Group": {"letsencrypt.org"},
		"Let's Encrypt":                    {"letsencrypt.org"},
		"QuoVadis Limited":                 {"quovadisglobal.com"},
		"SSL Corporation":                  {"ssl.com", "entrust.net", "affirmtrust.com"},
		"Sectigo Limited":                  sectigo,
		"Starfield Technologies, Inc.":     {"starfieldtech.com", "godaddy.com", "amazon.com"},
		"SwissSign AG":                     {"swisssign.com"},
		"Telia Company AB":                 {"telia.com"},
		"Telia Finland Oyj":                {"telia.com"},
		"ZeroSSL":                          append([]string{"zerossl.com"}, sectigo...),
	}
}
