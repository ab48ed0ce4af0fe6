# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests/life/{route,link}_test.sh: two wires to the server, and classes of flows on them. To be sourced
# after tests/lab/lib.sh.
. "$(dirname "${BASH_SOURCE[0]}")/hands.sh"
. "$(dirname "${BASH_SOURCE[0]}")/traffic.sh"
# shellcheck disable=SC2034 # wire_still's
LIFE_STILL=12

# A second wire to the server, and there what the classes of flows go to:
#   moved   10.9.1.1, by routes that change: 4 flows of UDP and the TCP stream
#   still   10.9.2.1, by a route beside them: 3 flows
#   near    10.0.5.2, on the first wire without a gateway: 2 flows
# 10.0.2.3 is another gateway on the first wire. The server answers from 10.9.1.1 by its table 101.
main_mac=02:00:00:00:02:02 other_mac=02:00:00:00:02:03
server() {
	ip -n "$SV" link add eth1 type veth peer name p-wan2 netns "$GW" || return
	LAB_IPV6=0 lab_ipv6_off "$GW" p-wan2
	lab_no_offloads "$GW" p-wan2
	lab_no_offloads "$SV" eth1
	ip -n "$GW" link set p-wan2 up
	in_sv sysctl -qw net.ipv4.conf.all.arp_ignore=1
	ip -n "$SV" -batch - <<-END || return
		link set eth0 address $main_mac
		link set eth1 up
		addr add 10.0.4.2/24 dev eth1
		addr add 10.0.5.2/24 dev eth0
		link add link eth0 name other address $other_mac type macvlan mode bridge
		link set other up
		addr add 10.0.2.3/32 dev other
		addr add 10.9.1.1/32 dev lo
		addr add 10.9.2.1/32 dev lo
		route replace default via 10.0.2.1 dev eth0
		route add default via 10.0.2.1 dev eth0 table 101
		rule add from 10.9.1.1 lookup 101
	END
	wire_watch eth0 main "ether daddr $main_mac ip daddr 10.9.1.1" \
		other "ether daddr $other_mac ip daddr 10.9.1.1" near 'ip daddr 10.0.5.2' &&
		wire_watch eth1 moved 'ip daddr 10.9.1.1'
}

gw() {
	ip -n "$GW" "$@"
}

gateway() {
	local address
	gw addr replace 10.0.5.1/24 dev wan && gw addr replace 10.0.4.1/24 dev wan2 && gw link set wan2 up &&
		gw route replace 10.9.1.0/24 via 10.0.2.2 && gw route replace 10.9.2.0/24 via 10.0.2.2 || return
	for address in 10.0.2.2 10.0.2.3 10.0.4.2 10.0.5.2; do # a change is not to wait for ARP
		wait_for 10 in_gw ping -q -c 1 -W 2 $address || return
	done
}

# The mark is what a rule looks at later.
ruleset() { # DEVICES
	lab_rules 'ip protocol { tcp, udp } flow add @f' 'chain pre {
		type filter hook prerouting priority -150
		ip daddr 10.9.1.0/24 ct mark set 9
		meta mark set ct mark
	}' "$1"
}

# moved_are EXPRESSION: waits until all flows are the workers', those of class moved as EXPRESSION says of 'x'.
moved_are() {
	flows "len(f) == 10 and all(($1) for x in f if x['dst'] == '10.9.1.1')"
}

via_main="x['out'] == 'wan' and x['original']['eth_dst'] == '$main_mac'"
via_other="x['out'] == 'wan' and x['original']['eth_dst'] == '$other_mac'"

# follow NAME REPLACED HELD-AT-MOST [WITHDRAWN]: the change is over, and it was about so many flows.
follow() {
	check "$1-touches-its-own" life_touched "${@:2}"
	check "$1-goes-on" echo_alive moved
	check "$1-beside" echo_alive still
}

# without NAME LEFT CLASS...: only LEFT flows are forwarded, and the client is told that these are unreachable.
without() {
	local name=$1 class
	check "$name-leaves" flows "len(f) == $2"
	for class in "${@:3}"; do
		check "$name-unreachable-$class" wait_for 20 echo_more "$class" unreachable "$(echo_of "$class" unreachable)"
	done
	check "$name-beside" echo_alive still
}

# answer_by GATEWAY DEVICE: the server's way back for class moved.
answer_by() {
	ip -n "$SV" route replace default via "$1" dev "$2" table 101
}

# wires_start: topology, daemon and traffic; all flows of class moved are on the main way.
wires_start() {
	check topology lab_topology tap || exit
	modprobe -a macvlan 8021q 2>/dev/null
	check server server || exit
	LAB_PORTS+=(wan2)
	lab_config '[port wan2]
device = net_tap2,iface=t-wan2'
	check start lab_start || exit
	# A stream that stalls would leave the datagrams none of the few ICMP errors that the kernel sends.
	in_gw sysctl -qw net.ipv4.icmp_ratelimit=0
	[ ! -e /run/vm/busybox ] || sysctl -qw net.ipv4.route.error_cost=0 # of all namespaces
	check gateway gateway || exit
	check ruleset ruleset 'lan, wan, wan2' || exit
	check echo echo_start 0.2 moved=10.9.1.1:4 still=10.9.2.1:3 near=10.0.5.2:2
	lab_server=10.9.1.1 stream_start
	check offloaded moved_are "$via_main"
}

# wires_end: nothing was changed on the way, and the flows beside lost nothing.
wires_end() {
	check same life_same
	check stream stream_end
	check datagrams echo_end moved still near
	check still-lost-none eval '[ $((50 * ($(echo_of still sent) - $(echo_of still came)))) -le "$(echo_of still sent)" ]'
	check stop lab_stop
}
