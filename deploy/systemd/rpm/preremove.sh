#!/bin/sh
# Stops and disables the units before the last version is removed. rpm calls it with the
# number of versions that remain: 0 at a removal, 1 at an upgrade.
[ "$1" = 0 ] || exit 0
command -v systemctl >/dev/null || exit 0
now=
[ ! -d /run/systemd/system ] || now=--now
systemctl --no-reload disable $now dane_exporter.socket dane_exporter.service || true
