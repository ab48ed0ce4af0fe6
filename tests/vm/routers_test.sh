#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# Links of different MTUs between client and server: what has to be fragmented or asked to be smaller
# goes through the kernel, the rest past it, and every file arrives as it was sent; without and with
# path MTU discovery, with NAT, by IPv6, and with MTUs and sizes by chance.
export LAB_IPV6=1
. "$(dirname "$0")/../lab/lib.sh"
lab_init
. "$(dirname "$0")/../lab/routers.sh"
# To see one run again: its seed is in the log.
: "${LAB_SEED:=$((RANDOM * 32768 + RANDOM))}"
fast_families=4 # those that the workers forward

bytes=3000000
masquerade='chain post {
	type nat hook postrouting priority 100
	oifname "wan" masquerade
}'

# dnat PORT: what calls 10.0.9.9 port 1666 gets the server's PORT, and the server sees the gateway.
dnat() {
	routers_rules '' "$masquerade
		chain pre {
			type nat hook prerouting priority -100
			ip daddr 10.0.9.9 tcp dport 1666 dnat ip to 10.0.3.2:$1
		}"
}

# transfer_dnat BYTES up|down
transfer_dnat() {
	dnat $((lab_port + 1)) || return
	lab_server=10.0.9.9 lab_call_port=1666 transfer_tcp "$@"
}

both_dnat() { # NAME BYTES
	check "$1-dnat-up" transfer_dnat "$2" up
	check "$1-dnat-down" transfer_dnat "$2" down
}

fast() { # NAME FAMILY
	[[ " $fast_families " != *" $2 "* ]] || check "$1" lab_fast
}

# mixed NAME COMMAND...: some of its packets were too long for the workers, some were not.
mixed() {
	local name=$1 long offloaded
	long=$(routers_punted mtu) offloaded=$(lab_sum offloaded_packets show ports)
	"${@:2}"
	check "$name-slow" eval '[ "$(routers_punted mtu)" -gt $((long + 100)) ]'
	check "$name-fast" eval '[ "$(lab_sum offloaded_packets show ports)" -gt $((offloaded + 100)) ]'
}

check start routers_start || exit
check rules routers_rules '' || exit
lab_server=10.0.3.2
check ping in_cl ping -q -c 2 -i 0.2 -W 15 10.0.3.2
check ping6 in_cl ping -q -c 2 -i 0.2 -W 15 fd00:3::2
check ping-fragments in_cl ping -q -c 2 -i 0.2 -W 15 -s 5000 -M dont 10.0.3.2

# The sender's MTU is above the middle's, and nobody tells.
check pmtu-off routers_pmtu off
mixed blind routers_both blind $((bytes / 2))
check rules-masquerade routers_rules '' "$masquerade"
mixed blind-nat routers_both blind-nat $((bytes / 2))
mixed blind-dnat both_dnat blind $((bytes / 2))

check pmtu-on routers_pmtu on
check rules-plain routers_rules ''
lab_mark
routers_both aware "$bytes"
fast aware-fast 4
check aware-learnt eval 'ip -n "$CL" route get 10.0.3.2 | grep -q "mtu $mtu_middle"'
check rules-masquerade-again routers_rules '' "$masquerade"
lab_mark
routers_both aware-nat "$bytes"
fast aware-nat-fast 4
lab_mark
both_dnat aware "$bytes"
fast aware-dnat-fast 4

# A router of IPv6 never fragments.
lab_server=fd00:3::2
check rules-v6 routers_rules ''
lab_mark
routers_both v6 "$bytes"
fast v6-fast 6
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
	check "random-$round-rules" routers_rules '' "$masquerade"
	check "random-$round-pmtu" routers_pmtu "$pmtu"
	lab_server=10.0.3.2
	routers_both "random-$round" "$size"
	both_dnat "random-$round" "$size"
	lab_server=fd00:3::2
	routers_both "random-$round-v6" "$size6"
done
check stop lab_stop
