#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 120
# The lab itself: what the other tests compare the daemon with works by the kernel alone.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology kernel || exit

masqueraded() {
	lab_conntrack -p tcp | grep -q 'dst=10.0.2.1 '
}

check ping lab_ping
for rules in classic 'classic masquerade' 'mark masquerade'; do
	in_gw conntrack -F 2>/dev/null
	# shellcheck disable=SC2086 # words
	check "ruleset-${rules// /-}" lab_ruleset $rules
	check "up-${rules// /-}" transfer_tcp 2000000 up
	case $rules in
	*masquerade*) check "nat-${rules// /-}" masqueraded ;;
	*) check "no-nat-${rules// /-}" eval '! masqueraded' ;;
	esac
	check "down-${rules// /-}" transfer_tcp 2000000 down
	check "udp-${rules// /-}" transfer_udp 20 1000
done
check marked eval "lab_conntrack -p tcp | grep -q 'mark=4096'"
