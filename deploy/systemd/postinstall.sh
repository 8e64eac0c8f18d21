#!/bin/sh
# Enables and starts the service after its first installation. After an upgrade, it
# restarts the service if it is enabled or runs. A disabled or masked service stays
# disabled or masked. If the service does not start, the installation does not fail.
# It starts an enabled socket first: with --web.systemd-socket, the service needs it, and
# an earlier removal of the package has stopped it.
#
# dpkg calls it as: postinst configure OLD-VERSION, where OLD-VERSION is empty at the
# first installation; or as postinst abort-ACTION if another action has failed.
set -e
command -v systemctl >/dev/null || exit 0
service=dane_exporter.service

# is-enabled prints the state, and fails unless the unit is enabled. It needs no running
# systemd, and neither does enable: in the build of an image it only creates a link.
state=$(systemctl is-enabled "$service" 2>/dev/null) || true
case "$state" in
masked*) ;;
enabled*) ;;
*)
	if [ "$1" = configure ] && [ -z "$2" ] && systemctl enable "$service"; then
		state=enabled
	fi
	;;
esac

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || true
case "$state" in
masked*) exit 0 ;;
enabled*) action=restart ;;
*) action=try-restart ;; # restarts it if the administrator has started it
esac
# The administrator may forbid packages to start services: invoke-rc.d(8), status 101.
policy=0
[ ! -x /usr/sbin/policy-rc.d ] || /usr/sbin/policy-rc.d dane_exporter "$action" >/dev/null || policy=$?
[ "$policy" != 101 ] || exit 0
if systemctl is-enabled dane_exporter.socket >/dev/null 2>&1; then
	systemctl start dane_exporter.socket || true # it fails if the service runs without the socket
fi
systemctl "$action" "$service" ||
	echo "dane_exporter did not start; see: journalctl -u $service" >&2
