#!/bin/sh
# Stops and disables the service before the package is removed, but not before an
# upgrade, after which postinstall.sh restarts it.
set -e
[ "$1" = remove ] || exit 0
[ -d /run/systemd/system ] || exit 0
systemctl disable --now dane_exporter.service
