#!/bin/sh
# Applies the preset policy of the distribution at the first installation: Fedora and RHEL
# enable only services that an administrator or a preset names. rpm calls it with the
# number of installed versions: 1 at the first installation, 2 or more at an upgrade.
command -v systemctl >/dev/null || exit 0
if [ "$1" = 1 ]; then
	systemctl --no-reload preset dane_exporter.service || true
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
