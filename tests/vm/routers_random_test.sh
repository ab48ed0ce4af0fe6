#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# As routers_test.sh, by IPv6, and then with MTUs and sizes by chance.
export LAB_IPV6=1
. "$(dirname "$0")/../lab/lib.sh"
lab_init
. "$(dirname "$0")/../lab/routers.sh"
# To see one run again: its seed is in the log.
: "${LAB_SEED:=$((RANDOM * 32768 + RANDOM))}"

check start routers_start || exit
check ping6 in_cl ping -q -c 2 -i 0.2 -W 15 fd00:3::2

# A router of IPv6 never fragments.
lab_server=fd00:3::2
check rules-v6 routers_rules ''
lab_mark
routers_both v6 3000000
check v6-fast lab_fast 85 # with the start of each connection
check v6-learnt eval 'ip -n "$CL" route get fd00:3::2 | grep -q "mtu $mtu_middle"'

echo "LAB_SEED=$LAB_SEED" >&2
RANDOM=$LAB_SEED
for round in 1 2; do
	mtu_client=$((1280 + RANDOM % 7721)) mtu_middle=$((1280 + RANDOM % 721))
	mtu_server=$((1280 + RANDOM % 1721))
	pmtu=$([ $((RANDOM % 2)) = 0 ] && echo on || echo off)
	size=$((1 + RANDOM * 32768 % 2000000)) size6=$((1 + RANDOM * 32768 % 2000000))
	echo "round $round: MTUs $mtu_client $mtu_middle $mtu_server, path MTU discovery $pmtu," \
		"$size and $size6 bytes" >&2
	check "random-$round-start" routers_daemon || exit
	check "random-$round-rules" routers_rules '' "$routers_masquerade"
	check "random-$round-pmtu" routers_pmtu "$pmtu"
	lab_server=10.0.3.2
	routers_both "random-$round" "$size"
	routers_both_dnat "random-$round" "$size"
	lab_server=fd00:3::2
	routers_both "random-$round-v6" "$size6"
done
check stop lab_stop
