#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 300
# The harness itself: two routers of the kernel's send the same, and what is spoilt is found.
. "$(dirname "$0")/lib.sh"
DIFF_FRAMES=600
diff_start --flavour kernel "$@"

router_masquerade() {
	net lan 1
	net wan 2
	rules 'lan, wan' "$(postnat 'oifname "wan" masquerade')"
}

flows=(tcp,from=lan,src=10.0.1.2,dst=10.0.2.2 udp,from=lan,src=10.0.1.3,dst=10.0.2.2)

# found OPTION...: a run ends with mismatches.
found() {
	local said code
	diff_setup masquerade || return
	said=$(diff_run --name spoilt --flow "${flows[0]}" --flow "${flows[1]}" "$@")
	code=$?
	echo "$said" >&2
	[ "$code" = 1 ] && [[ $said != *mismatches=0* ]]
}

other_mac() {
	ip -n "$GW" neigh replace 10.0.2.2 lladdr 02:00:00:00:00:99 dev wan nud permanent && found
}

kind kernel-with-kernel no masquerade "${flows[@]}"
check kept eval '! ls "$LAB_DIR"/*.pcap 2>/dev/null'
check flip found --perturb flip
check pcaps eval 'ls "$LAB_DIR"/mismatch-*-k-wan.pcap'
check drop found --perturb drop
check other-mac other_mac
