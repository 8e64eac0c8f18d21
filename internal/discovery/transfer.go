package discovery

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/miekg/dns"
)

// Limits on one connection to a primary.
const (
	maxTransferTime = 10 * time.Minute
	maxSilence      = 30 * time.Second // of the primary
	maxTransfer     = 1 << 30          // bytes; a signed zone with 1.3 million delegations takes about 600 MB
)

// connection is a connection to a primary. It has one query in flight at a time. All queries
// and responses are signed.
type connection struct {
	conn     net.Conn
	key      tsigKey
	received int // bytes
	buffer   []byte
}

// closeAtEnd closes the connection when ctx ends, so that reads and writes fail.
func (c *connection) closeAtEnd(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.conn.Close() })
}

// query sends a query and calls each with the records of every message of the response,
// until each returns true. It fails if the last message is not signed.
func (c *connection) query(zone string, qtype uint16, each func([]dns.RR) (last bool, err error)) error {
	query := new(dns.Msg)
	query.SetQuestion(zone, qtype)
	query.RecursionDesired = false
	id := query.Id
	wire, mac, err := c.key.sign(query)
	if err != nil {
		return fmt.Errorf("sign the query: %w", err)
	}
	if err := c.write(wire); err != nil {
		return err
	}
	v := &verifier{key: c.key, mac: mac}
	for {
		wire, err := c.read()
		if err != nil {
			return err
		}
		message := new(dns.Msg)
		if err := message.Unpack(wire); err != nil {
			return fmt.Errorf("parse a message of the primary: %w", err)
		}
		if err := checkResponse(message, id, zone, qtype); err != nil {
			return err
		}
		if err := v.verify(message, wire); err != nil {
			return err
		}
		last, err := each(message.Answer)
		if err != nil {
			return err
		}
		if last {
			if !v.complete() {
				return errors.New("the last message is not signed with TSIG")
			}
			return nil
		}
	}
}

// checkResponse returns an error unless a message is a successful response to the query. Only
// the first message must repeat the question (RFC 5936 §2.2.2).
func checkResponse(m *dns.Msg, id uint16, zone string, qtype uint16) error {
	switch {
	case !m.Response || m.Id != id || m.Opcode != dns.OpcodeQuery || m.Truncated:
		return errors.New("the primary sent a message that is not a response to the query")
	case len(m.Question) > 1 || len(m.Question) == 1 && (dns.CanonicalName(m.Question[0].Name) != zone || m.Question[0].Qtype != qtype):
		return errors.New("the primary sent a response to another question")
	case m.Rcode != dns.RcodeSuccess:
		cause := dns.RcodeToString[m.Rcode]
		if tsig := m.IsTsig(); tsig != nil && tsig.Error != 0 {
			cause += ", TSIG error " + dns.RcodeToString[int(tsig.Error)]
		}
		return fmt.Errorf("the primary returned %s", cause)
	default:
		return nil
	}
}

func (c *connection) write(wire []byte) error {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(wire)))
	c.conn.SetWriteDeadline(time.Now().Add(maxSilence))
	if _, err := c.conn.Write(append(framed, wire...)); err != nil {
		return fmt.Errorf("send a query: %w", err)
	}
	return nil
}

// read returns the next message. It is valid until the next call.
func (c *connection) read() ([]byte, error) {
	if c.buffer == nil {
		c.buffer = make([]byte, dns.MaxMsgSize)
	}
	c.conn.SetReadDeadline(time.Now().Add(maxSilence))
	if _, err := io.ReadFull(c.conn, c.buffer[:2]); err != nil {
		return nil, fmt.Errorf("receive a message: %w", err)
	}
	length := int(binary.BigEndian.Uint16(c.buffer))
	if c.received += 2 + length; c.received > maxTransfer {
		return nil, fmt.Errorf("the zone has more than %d MiB", maxTransfer>>20)
	}
	if _, err := io.ReadFull(c.conn, c.buffer[:length]); err != nil {
		return nil, fmt.Errorf("receive a message: %w", err)
	}
	return c.buffer[:length], nil
}

// soa returns the SOA record of a zone.
func (c *connection) soa(zone string) (*dns.SOA, error) {
	var found *dns.SOA
	err := c.query(zone, dns.TypeSOA, func(records []dns.RR) (bool, error) {
		for _, rr := range records {
			if soa, ok := rr.(*dns.SOA); ok && dns.CanonicalName(soa.Hdr.Name) == zone {
				found = soa
				return true, nil
			}
		}
		return true, errors.New("the primary has no such zone")
	})
	if err != nil {
		return nil, fmt.Errorf("query the SOA record of %s: %w", zone, err)
	}
	return found, nil
}

// transfer transfers a zone (RFC 5936) and calls each with every record between the two
// SOA records. It returns the SOA record.
func (c *connection) transfer(zone string, each func(dns.RR) error) (*dns.SOA, error) {
	var first *dns.SOA
	ended := false
	err := c.query(zone, dns.TypeAXFR, func(records []dns.RR) (bool, error) {
		for _, rr := range records {
			soa, isSOA := rr.(*dns.SOA)
			switch {
			case rr.Header().Class != dns.ClassINET:
				return false, fmt.Errorf("the zone has a record of class %s", dns.ClassToString[rr.Header().Class])
			case ended:
				return false, errors.New("records follow the end of the zone")
			case isSOA && dns.CanonicalName(soa.Hdr.Name) != zone, first == nil && !isSOA:
				return false, errors.New("the zone does not start with its SOA record")
			case first == nil:
				first = soa
			case isSOA && soa.Serial != first.Serial:
				return false, fmt.Errorf("the zone starts with serial %d and ends with %d", first.Serial, soa.Serial)
			case isSOA:
				ended = true
			default:
				if err := each(rr); err != nil {
					return false, err
				}
			}
		}
		return ended, nil
	})
	if err != nil {
		return nil, fmt.Errorf("transfer %s: %w", zone, err)
	}
	return first, nil
}
