#!/bin/sh
# Creates the system user of the service: OpenRC has no dynamic users. A removal keeps it,
# as is usual on Alpine.
addgroup -S dane-exporter 2>/dev/null
adduser -S -D -H -h /dev/null -s /sbin/nologin -G dane-exporter -g dane-exporter dane-exporter 2>/dev/null
exit 0
