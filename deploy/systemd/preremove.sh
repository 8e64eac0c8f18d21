#!/bin/sh
# Stops the service and its socket before the package is removed, but not before an upgrade, after
# which postinstall.sh restarts it. The service stays enabled or disabled, so that a
# later installation keeps the administrator's choice. postremove.sh deletes it at a
# purge.
set -e
[ "$1" = remove ] || exit 0
[ -d /run/systemd/system ] || exit 0
systemctl stop dane_exporter.socket dane_exporter.service || true # it fails for a masked unit that is not loaded
