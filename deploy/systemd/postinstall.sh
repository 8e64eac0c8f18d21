#!/bin/sh
# Enables and starts the service after an installation, and restarts it after an
# upgrade. Does nothing if systemd is not running.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl enable dane_exporter.service
systemctl restart dane_exporter.service
