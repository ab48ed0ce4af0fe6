# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The lab with a second router and links of different MTUs, for tests/vm/routers_test.sh and its
# kin. To be sourced after lib.sh and lab_init.
#
#    client $CL      gateway $GW: lan, wan      router $RT        server $SV
#    eth0 10.0.1.2 <-> 10.0.1.1 10.0.2.1 <-> eth0 10.0.2.2
#                                            eth1 10.0.3.1  <-> eth0 10.0.3.2
#          mtu_client          mtu_middle            mtu_server
#
# IPv6, with LAB_IPV6=1, is fd00:N:: beside 10.0.N. The ports are libpcap's on p-lan and p-wan: they
# take jumbo frames and, other than af_packet's, do not put fragments together.

mtu_client=9000 mtu_middle=1500 mtu_server=2000
# More text for config.ini.
routers_config=''
LAB_EAL=(--no-huge -m 400 --no-pci -l 0-1)

in_rt() { ip netns exec "$RT" "$@"; }

# routers_start: everything up to the daemon, but for the ruleset.
routers_start() {
	RT=$LAB_PREFIX-rt
	LAB_NAMESPACES+=("$RT")
	lab_topology veth || return
	ip netns add "$RT" && ip -n "$RT" link set lo up && ip -n "$SV" link set eth0 netns "$RT" &&
		ip -n "$RT" link add eth1 type veth peer name eth0 netns "$SV" || return
	in_rt sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
	[ "${LAB_IPV6:-0}" != 1 ] || {
		in_rt sysctl -qw net.ipv6.conf.all.forwarding=1
		in_gw sysctl -qw net.ipv6.conf.all.forwarding=1
	}
	lab_host "$RT" 10.0.2 && lab_no_offloads "$RT" eth1 && routers_address "$RT" eth1 3 1 &&
		lab_host "$SV" 10.0.3 || return
	routers_daemon
}

# routers_daemon: (re)starts the daemon with the MTUs as they are now, and gives them to all links.
routers_daemon() {
	lab_stop
	routers_mtu "$CL" eth0 "$mtu_client" && routers_mtu "$GW" p-lan "$mtu_client" &&
		routers_mtu "$GW" p-wan "$mtu_middle" && routers_mtu "$RT" eth0 "$mtu_middle" &&
		routers_mtu "$RT" eth1 "$mtu_server" && routers_mtu "$SV" eth0 "$mtu_server" || return
	lab_config "$routers_config"
	sed -i -e 's/net_af_packet\(.*\)/net_pcap\1,phy_mac=1/' \
		-e "/p-lan/a mtu = $mtu_client" -e "/p-wan/a mtu = $mtu_middle" "$LAB_CONFIG"
	lab_start && routers_addresses
}

routers_mtu() { # NAMESPACE DEVICE MTU
	ip -n "$1" link set "$2" mtu "$3"
}

routers_address() { # NAMESPACE DEVICE NET HOST
	ip -n "$1" link set "$2" up && ip -n "$1" addr replace "10.0.$3.$4/24" dev "$2" || return
	[ "${LAB_IPV6:-0}" != 1 ] || ip -n "$1" addr replace "fd00:$3::$4/64" dev "$2" nodad
}

# Beyond what lib.sh has given, or had to take with the twins of a daemon that ended.
routers_addresses() {
	routers_address "$CL" eth0 1 2 && routers_address "$GW" lan 1 1 &&
		routers_address "$GW" wan 2 1 && routers_address "$RT" eth0 2 2 &&
		routers_address "$RT" eth1 3 1 && routers_address "$SV" eth0 3 2 &&
		ip -n "$GW" route replace 10.0.3.0/24 via 10.0.2.2 || return
	[ "${LAB_IPV6:-0}" != 1 ] || {
		ip -n "$CL" route replace default via fd00:1::1 &&
			ip -n "$GW" route replace fd00:3::/64 via fd00:2::2 &&
			ip -n "$RT" route replace default via fd00:2::1 &&
			ip -n "$SV" route replace default via fd00:3::1
	}
}

# routers_rules FORWARD [CHAINS]: replaces the gateway's rules; what comes before the offload in the
# forward chain, and further chains.
routers_rules() {
	lab_rules "$1
		meta l4proto { tcp, udp, gre } flow add @f" "${2:-}"
}

# routers_pmtu on|off: path MTU discovery of both ends, which forget what they know.
routers_pmtu() {
	local name off=0
	[ "$1" = on ] || off=1
	for name in "$CL" "$SV"; do
		ip netns exec "$name" sysctl -qw net.ipv4.ip_no_pmtu_disc=$off || return
		ip -n "$name" route flush cache
		[ "${LAB_IPV6:-0}" != 1 ] || ip -n "$name" -6 route flush cache
	done
}

# routers_both NAME BYTES: checks NAME-up and NAME-down.
routers_both() {
	check "$1-up" transfer_tcp "$2" up
	check "$1-down" transfer_tcp "$2" down
}

routers_masquerade='chain post {
	type nat hook postrouting priority 100
	oifname "wan" masquerade
}'

# routers_dnat PORT: what calls 10.0.9.9 port 1666 gets the server's PORT, and the server sees the gateway.
routers_dnat() {
	routers_rules '' "$routers_masquerade
		chain pre {
			type nat hook prerouting priority -100
			ip daddr 10.0.9.9 tcp dport 1666 dnat ip to 10.0.3.2:$1
		}"
}

# transfer_dnat BYTES up|down: transfer_tcp to such a port.
transfer_dnat() {
	routers_dnat $((lab_port + 1)) || return
	lab_server=10.0.9.9 lab_call_port=1666 transfer_tcp "$@"
}

# routers_both_dnat NAME BYTES: the same by routers_dnat.
routers_both_dnat() {
	check "$1-dnat-up" transfer_dnat "$2" up
	check "$1-dnat-down" transfer_dnat "$2" down
}

# routers_stays NAME REASON...: checks NAME-reason: a connection stays with the kernel, for one of the
# reasons.
routers_stays() {
	hold_tcp
	check "$1-reason" wait_for 20 lab_records "[x['reason'] in '${*:2}'.split() for x in r
		if x['dport'] == $lab_port] == [True]" show flows
	release_tcp
}

# routers_punted WORD: how many packets the workers gave to the kernel for that reason.
routers_punted() {
	lab_sum "punts.$1" show stats
}
