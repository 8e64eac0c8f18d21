// Package lab is a small signed Internet in one process: a root, the TLD test,
// and below lab.test one domain for each way in which DANE goes well or wrong.
//
// [Scenarios] is the table of them: the story, and what a DANE client ends up
// with, in the public words. Their names resolve through [Lab.DNS]; their
// addresses are those reserved for documentation (RFC 5737, RFC 3849), with
// real ports, and [Lab.Dial] leads them to servers on this machine. It needs
// neither a network nor IPv6.
//
// Nothing here is shared with the code that the lab is there to test: it signs
// zones and makes TLSA records by itself.
package lab
