#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 400
# Several workers: any packet of a flow may come to any of them.
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034 # two workers, however many CPUs there are
LAB_EAL=(--no-huge -m 256 --no-pci --lcores '0@0,1@(0-1),2@(0-1)')
diff_start "$@"

router_masquerade() {
	net lan 1
	net wan 2
	rules 'lan, wan' "$(postnat 'oifname "wan" masquerade')"
}

flows() { # PROTO
	local i
	for i in 2 2 3 3 4 4 5 5; do
		echo "$1,from=lan,src=10.0.1.$i,dst=10.0.2.2"
	done
}

# shellcheck disable=SC2046 # words
{
	kind tcp yes masquerade $(flows tcp)
	kind udp yes masquerade $(flows udp)
}
