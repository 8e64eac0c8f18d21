#!/bin/sh
# Enables and starts the service when the package is installed, and starts it
# anew when it is upgraded; where systemd does not run, does nothing.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl enable dane_exporter.service
systemctl restart dane_exporter.service
