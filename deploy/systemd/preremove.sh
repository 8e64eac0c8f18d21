#!/bin/sh
# Stops the service and its socket before the package is removed. Before an upgrade it
# stops nothing: postinstall.sh restarts the service afterwards. The units stay enabled or
# disabled, so that a later installation keeps the administrator's choice. At a purge,
# postremove.sh deletes that choice.
set -e
[ "$1" = remove ] || exit 0
[ -d /run/systemd/system ] || exit 0
systemctl stop dane_exporter.socket dane_exporter.service || true # it fails for a masked unit that is not loaded
