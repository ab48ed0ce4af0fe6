#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# What the workers leave to the kernel: connections into a tunnel that begins at the gateway, over
# 'wan' or a VLAN upon it, and those of a bridge upon 'lan', untagged and tagged. And tunnels that
# only pass by. Files arrive as they were sent everywhere.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
. "$(dirname "$0")/../lab/routers.sh"

bytes=1000000
lab_server=10.0.3.2
masquerade='chain post {
	type nat hook postrouting priority 100
	ip daddr 10.0.3.0/24 masquerade
}'

# tunnel KIND NET [VLAN]: between the gateway and the router, of addresses 10.0.NET; what is between
# client and server takes it.
tunnel() {
	local kind=$1 net=$2 wan=wan eth0=eth0 outer=10.0.2
	[ -z "${3:-}" ] || {
		wan=wan.$3 eth0=eth0.$3 outer=10.0.$3
		vlan "$GW" wan "$3" 1 && vlan "$RT" eth0 "$3" 2 || return
	}
	ip -n "$GW" link add tun0 type "$kind" local "$outer.1" remote "$outer.2" dev "$wan" &&
		ip -n "$RT" link add tun0 type "$kind" local "$outer.2" remote "$outer.1" dev "$eth0" &&
		routers_address "$GW" tun0 "$net" 1 && routers_address "$RT" tun0 "$net" 2 &&
		ip -n "$GW" route replace 10.0.3.0/24 via "10.0.$net.2" &&
		ip -n "$RT" route replace 10.0.1.0/24 via "10.0.$net.1"
}

vlan() { # NAMESPACE DEVICE VLAN HOST
	ip -n "$1" link add link "$2" name "$2.$3" type vlan id "$3" && routers_address "$1" "$2.$3" "$3" "$4"
}

tunnel_end() {
	ip -n "$GW" link del tun0
	ip -n "$RT" link del tun0
	ip -n "$GW" link del wan.7 2>/dev/null
	ip -n "$RT" link del eth0.7 2>/dev/null
	routers_pmtu on
	ip -n "$GW" route replace 10.0.3.0/24 via 10.0.2.2
}

# passing KIND [VLAN]: a tunnel between the client and the router, which the gateway only forwards.
passing() {
	local kind=$1 there=10.0.2.2
	ip -n "$CL" link add tun0 mtu 1400 type "$kind" local 10.0.1.2 remote "$there" &&
		ip -n "$RT" link add tun0 mtu 1400 type "$kind" local "$there" remote 10.0.1.2 &&
		routers_address "$CL" tun0 9 1 && routers_address "$RT" tun0 9 2 &&
		ip -n "$CL" route replace 10.0.3.0/24 via 10.0.9.2
}

passing_end() {
	ip -n "$CL" link del tun0
	ip -n "$RT" link del tun0
}

tunnelled() { # more than half of the file's packets went into the tunnel
	[ "$(in_gw cat /sys/class/net/tun0/statistics/tx_packets)" -gt $((bytes / 1500 / 2)) ]
}

check start routers_start || exit
for module in ipip ip_gre 8021q bridge; do
	modprobe "$module" 2>/dev/null
done
check rules routers_rules '' || exit

for kind in ipip gre; do
	check "$kind-tunnel" tunnel "$kind" 8
	routers_both "$kind" "$bytes"
	check "$kind-tunnelled" tunnelled
	routers_stays "$kind" not-a-port
	check "$kind-end" tunnel_end
done
check vlan-tunnel tunnel ipip 8 7
routers_both vlan "$bytes"
check vlan-tunnelled tunnelled
routers_stays vlan not-a-port
check vlan-end tunnel_end

for kind in ipip gre; do
	check "passing-$kind" passing "$kind"
	routers_both "passing-$kind" "$bytes"
	check "passing-$kind-outer" conntrack_has "src=10.0.1.2 dst=10.0.2.2"
	[ "$kind" = ipip ] || check "passing-$kind-offloaded" wait_for 20 lab_records \
		"any(x['proto'] == 'gre' and x['original']['packets'] > 100 for x in r)" show flows
	check "passing-$kind-end" passing_end
done

# After a tunnel the twin itself is as fast as ever.
check direct ip -n "$CL" route flush 10.0.3.0/24
lab_mark
routers_both direct 2000000
check direct-fast lab_fast 85 # with the start of each connection

bridge() {
	ip -n "$GW" link add br0 mtu "$mtu_client" type bridge && ip -n "$GW" addr flush dev lan &&
		ip -n "$GW" link set lan master br0 && routers_address "$GW" br0 1 1
}

bridge_vlan() {
	vlan "$GW" br0 19 1 && vlan "$CL" eth0 19 2 && ip -n "$CL" route replace default via 10.0.19.1
}

check bridge-rules routers_rules '' "$masquerade"
check bridge bridge
check bridge-ping in_cl ping -q -c 2 -i 0.2 -W 15 10.0.3.2
routers_both bridge "$bytes"
routers_stays bridge bridge
check bridge-vlan bridge_vlan
routers_both bridge-vlan "$bytes"
routers_stays bridge-vlan bridge
check stop lab_stop
