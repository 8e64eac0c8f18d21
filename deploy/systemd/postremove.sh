#!/bin/sh
# Reloads systemd after the removal of the package; after an upgrade, postinstall.sh does
# this. At a purge, it deletes the links that enable or mask the units.
set -e
[ "$1" != upgrade ] || exit 0
if [ "$1" = purge ]; then
	rm -f /etc/systemd/system/multi-user.target.wants/dane_exporter.service \
		/etc/systemd/system/sockets.target.wants/dane_exporter.socket
	# A masked unit is a link to /dev/null. A unit of the administrator is kept.
	for unit in /etc/systemd/system/dane_exporter.service /etc/systemd/system/dane_exporter.socket; do
		if [ "$(readlink "$unit")" = /dev/null ]; then
			rm -f "$unit"
		fi
	done
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
