#!/bin/sh
# Stops the service when the package is removed; an upgrade starts it anew.
set -e
[ "$1" = remove ] || exit 0
[ -d /run/systemd/system ] || exit 0
systemctl disable --now dane_exporter.service
