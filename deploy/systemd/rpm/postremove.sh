#!/bin/sh
# Restarts a running service after an upgrade: rpm calls it with the number of versions
# that remain, after postinstall.sh of the new version.
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
[ "$1" = 0 ] || systemctl try-restart dane_exporter.service ||
	echo "dane_exporter did not start; see: journalctl -u dane_exporter.service" >&2
exit 0
