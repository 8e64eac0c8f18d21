package discovery

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// Limits on the times of SOA records.
const (
	minWait = 30 * time.Second
	maxWait = 24 * time.Hour
	// firstRetry is the time until the next attempt if no SOA record is known.
	firstRetry = time.Minute
)

// zoneLoader reads a list from a zone, as a secondary does (RFC 1034 §4.3.5). The list
// remains after the zone has expired (RFC 9432 §5.1).
type zoneLoader struct {
	source    Source
	dial      func(ctx context.Context, primary string) (net.Conn, error)
	transfers chan struct{} // has an element during a transfer

	soa *dns.SOA // of the last transfer; nil: there was no transfer
}

// load transfers the zone if its serial number has increased.
func (l *zoneLoader) load(ctx context.Context) (reading, time.Duration, error) {
	read, err := l.transfer(ctx)
	switch {
	case err != nil && l.soa == nil:
		return reading{}, firstRetry, err
	case err != nil:
		return reading{}, seconds(l.soa.Retry), err
	default:
		return read, seconds(l.soa.Refresh), nil
	}
}

func seconds(n uint32) time.Duration {
	return min(max(time.Duration(n)*time.Second, minWait), maxWait)
}

func (l *zoneLoader) transfer(ctx context.Context) (reading, error) {
	select {
	case l.transfers <- struct{}{}:
		defer func() { <-l.transfers }()
	case <-ctx.Done():
		return reading{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, maxTransferTime, fmt.Errorf("it takes longer than %s", maxTransferTime))
	defer cancel()
	read, err := l.transferNow(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("transfer %s: %w", l.source.Zone, context.Cause(ctx))
	}
	if err != nil {
		return reading{}, fmt.Errorf("%s: %w", l.source.Primary, err)
	}
	return read, nil
}

func (l *zoneLoader) transferNow(ctx context.Context) (reading, error) {
	key, err := readKey(l.source.TSIGFile)
	if err != nil {
		return reading{}, err
	}
	dialing, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	conn, err := l.dial(dialing, l.source.Primary)
	if err != nil {
		return reading{}, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	c := &connection{conn: conn, key: key}
	defer c.closeAtEnd(ctx)()

	zone := dns.CanonicalName(l.source.Zone)
	soa, err := c.soa(zone)
	if err != nil {
		return reading{}, err
	}
	if l.soa != nil {
		switch newer := int32(soa.Serial - l.soa.Serial); { // RFC 1982 §3.2
		case newer == 0:
			l.soa = soa
			return reading{}, nil
		case newer < 0:
			return reading{}, fmt.Errorf("the serial number of %s decreased from %d to %d; to accept that, restart the exporter", zone, l.soa.Serial, soa.Serial)
		}
	}
	var members memberList = newCatalog(zone)
	if l.source.Members == MembersDelegations {
		members = &delegations{zone: zone}
	}
	if soa, err = c.transfer(zone, members.add); err != nil {
		return reading{}, err
	}
	read, err := members.list()
	if err != nil {
		return reading{}, fmt.Errorf("%s: %w", zone, err)
	}
	l.soa = soa
	return read, nil
}
