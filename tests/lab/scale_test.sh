#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# 100,000 connections to 1,000 destinations: taken up at the start, moved to another gateway by a
# route, to another MAC address by a neighbour, and left alone by what does not concern them. Times
# are printed only. COUNT is how many connections (100000).
. "$(dirname "$0")/lib.sh"
: "${COUNT:=100000}"
LAB_EAL=(--no-huge -m $((256 + COUNT / 2000)) --no-pci -l 0-1)
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
sed -i "s/^socket.*/&\nmax-connections = $((2 * COUNT))/" "$LAB_CONFIG"

# What is there before the daemon.
fill() {
	sysctl -qw "net.netfilter.nf_conntrack_max=$((4 * COUNT))" 2>/dev/null
	in_gw sysctl -qw net.netfilter.nf_conntrack_udp_timeout_stream=600
	in_gw "$LAB_BUILD/tests/nfo-ctfill" "$COUNT" 1000 0x1000
}

# Once: its twins, then their addresses, neighbours and routes stay.
check start lab_start || exit
gateways() {
	local i
	ip -n "$GW" route add 10.64.0.0/16 via 10.0.1.2 && ip -n "$GW" route add 10.128.0.0/9 via 10.0.2.2 &&
		ip -n "$GW" neigh replace 10.0.1.2 lladdr 02:00:00:00:01:02 dev lan nud permanent || return
	for i in 2 3; do
		ip -n "$GW" neigh replace "10.0.2.$i" lladdr "02:00:00:00:02:0$i" dev wan nud permanent || return
	done
}
check gateways gateways
lab_crash

all_forwarded() {
	lab_records "r[0]['mirror']['by_reason']['offloaded'] == $COUNT" show stats
}

# Has every flow's original this MAC address, and none another one?
all_to() {
	lab_records "all(x['original']['eth_dst'] == '$1' for x in r) and len(r) == $COUNT" show flows
}

settled() {
	lab_records "r[0]['routes']['in_doubt'] == 0" show stats && sleep 0.5
}

touched() {
	echo "$(lab_stat mirror.replaced) $(lab_stat mirror.held)"
}

check fill fill
began=$(date +%s%N)
check restart lab_start || exit
check taken-up wait_for 60 all_forwarded
echo "start to last flow: $((($(date +%s%N) - began) / 1000000)) ms" >&2
grep 'connections were there' "$LAB_LOG" >&2
check at-gateway all_to 02:00:00:00:02:02

replaced=$(lab_stat mirror.replaced)
ip -n "$GW" route replace 10.128.0.0/9 via 10.0.2.3
check route wait_for 20 all_to 02:00:00:00:02:03
check each-replaced-once eval '[ $(($(lab_stat mirror.replaced) - replaced)) = '$COUNT' ]'
echo "route change: all flows after $(lab_stat mirror.settle_ms) ms" >&2

# A neighbour's new address touches the next hop alone.
before=$(touched)
ip -n "$GW" neigh replace 10.0.2.3 lladdr 02:00:00:00:02:99 dev wan nud permanent
check neighbour wait_for 20 all_to 02:00:00:00:02:99
check none-touched eval '[ "$(touched)" = "$before" ]'

# Nor does what is beside them.
asked=$(lab_stat routes.asked)
others() {
	ip -n "$GW" route add 10.200.0.0/24 via 10.0.2.2 && ip -n "$GW" link add name extra0 type veth peer name extra1 &&
		ip -n "$GW" link set extra0 up && ip -n "$GW" addr add 10.9.9.1/24 dev extra0 &&
		ip -n "$GW" link del extra0 && ip -n "$GW" neigh replace 10.0.2.77 lladdr 02:00:00:00:02:77 dev wan nud permanent
}
check others others
check settled wait_for 10 settled
check others-touch-none eval '[ "$(touched)" = "$before" ]'
echo "route queries for others: $(($(lab_stat routes.asked) - asked))" >&2

# A more specific route takes its part along; what it leads to is unknown: the kernel's.
ip -n "$GW" route add 10.128.0.0/25 via 10.0.2.50
part() { # of 1,000 destinations the first 128
	lab_records "r[0]['mirror']['by_reason']['no-neighbour'] == 128 * $COUNT / 1000" show stats
}
check specific wait_for 20 part
ip -n "$GW" route del 10.128.0.0/25
check specific-gone wait_for 20 all_forwarded
ip -n "$GW" route del 10.128.0.0/9
none() {
	lab_records 'r[0]["mirror"]["by_reason"]["offloaded"] == 0 and r[0]["table"]["used"] == 0' show stats
}
check gone wait_for 20 none
check stop lab_stop
