#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# kill -9, again and again, under a TCP stream, with and without masquerading: what the kernel has stays,
# connections go on, and after each start they are the workers' again.
# LIFE_LOOPS (1) is how often with each ruleset; 20 is the long form.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/hands.sh"
: "${LIFE_LOOPS:=1}"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
check start lab_start || exit
ip -n "$GW" route add 10.64.0.0/16 via 10.0.1.2
ip -n "$GW" route add 10.128.0.0/9 via 10.0.2.2
ip -n "$GW" neigh replace 10.0.2.77 lladdr 02:00:00:00:00:77 dev wan nud permanent

# What has to outlive the daemon.
persists() {
	ip -n "$GW" -o link show lan | sed 's/: <[^>]*>.*link/ link/'
	ip -n "$GW" -o link show wan | sed 's/: <[^>]*>.*link/ link/'
	ip -n "$GW" -o -4 addr show | sed 's/^[0-9]*: //; s/ *valid_lft.*//' | sort
	ip -n "$GW" route show | sed 's/ linkdown//g; s/ dead//g' | sort
	ip -n "$GW" neigh show 10.0.2.77 | grep -o 'lladdr [0-9a-f:]* PERMANENT'
	in_gw nft -s list table inet filter | grep -E 'hook|devices|flow add|masquerade|mark'
}

same_kernel() {
	persists >"$LAB_DIR/now"
	diff "$LAB_DIR/before" "$LAB_DIR/now" >&2
}

stream_offloaded() {
	lab_records "any(x['dport'] == $lab_port and x['state'] == 'offloaded' for x in r)" show flows
}

counted() { # MORE-THAN: packets by the workers
	[ "$(lab_sum offloaded_packets show ports)" -gt "$1" ]
}

forwarded() {
	local before
	before=$(lab_sum offloaded_packets show ports)
	wait_for 30 counted $((before + 200))
}

# The moment of death: when all is quiet, soon after a start, while a ruleset is loaded, while
# many entries are dumped.
die() { # LOOP
	case $(($1 % 4)) in
	0) lab_crash ;;
	1)
		lab_crash && lab_start && sleep "0.$((RANDOM % 5))" && lab_crash
		;;
	2)
		lab_ruleset "$rules" $life_flow &
		sleep "0.0$((RANDOM % 10))"
		lab_crash && wait $!
		;;
	3)
		lab_crash && in_gw "$LAB_BUILD/tests/nfo-ctfill" 20000 100 0x1000 && lab_start && lab_crash &&
			in_gw "$LAB_BUILD/tests/nfo-ctfill" 20000 100 delete
		;;
	esac
}

for rules in plain masquerade; do
	check "ruleset-$rules" lab_ruleset "$rules" $life_flow
	stream_start
	check "offloaded-$rules" wait_for 30 stream_offloaded
	check "forwarded-$rules" forwarded
	persists >"$LAB_DIR/before"
	for ((loop = 0; loop < LIFE_LOOPS; loop++)); do
		check "crash-$rules-$loop" die "$loop"
		check "kept-$rules-$loop" same_kernel
		began=$(date +%s%N)
		check "restart-$rules-$loop" lab_start || exit
		check "offloaded-$rules-$loop" wait_for 40 stream_offloaded
		check "forwarded-$rules-$loop" forwarded
		echo "the workers forward again $((($(date +%s%N) - began) / 1000000)) ms after the start" >&2
		check "kept-after-$rules-$loop" same_kernel
	done
	check "sound-$rules" lab_records 'r[0]["fault"] is None' show table
	check "unchanged-$rules" stream_end
	check "same-$rules" life_same
done
check stop lab_stop
