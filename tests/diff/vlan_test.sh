#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 600
# 802.1Q and QinQ, with the flowtable upon the VLAN's device (-sub) or upon the one below (-real).
. "$(dirname "$0")/lib.sh"
# ip_do_fragment() and ip6_fragment() keep the sizes of fragments only where buffers have headroom for
# the headers to come, tags among them, which depends on the device that they came by. Fragments are
# for the other scripts.
DIFF_OPTIONS='--without fragments'
diff_start "$@"

# Packets of any VLAN are taken for a flow's, and leave with the tag that they came with.
looks_at_tags() {
	! is_5_10 || flawed 'does not look at VLAN tags'
}

vlan() { # DEVICE NAME VID [PROTOCOL]
	device "$2" link "$1" type vlan protocol "${4:-802.1Q}" id "$3"
}

masquerade() { # DEVICE
	postnat "oifname \"$1\" masquerade"
}

lan_vlan() {
	vlan lan lan.5 5
	net lan.5 1
	net wan 2
}

router_lan_sub() {
	lan_vlan
	rules 'lan.5, wan'
}

router_lan_real() {
	looks_at_tags || return
	lan_vlan
	rules 'lan, wan'
}

wan_vlan() {
	vlan wan wan.6 6
	net lan 1
	net wan.6 2
}

router_wan_sub() {
	wan_vlan
	rules 'lan, wan.6' "$(masquerade wan.6)"
}

router_wan_real() {
	looks_at_tags || return
	wan_vlan
	rules 'lan, wan' "$(masquerade wan.6)"
}

both_vlan() {
	vlan lan lan.5 5
	vlan wan wan.6 6
	net lan.5 1
	net wan.6 2
}

router_both_sub() {
	both_vlan
	rules 'lan.5, wan.6'
}

router_both_real() {
	looks_at_tags || return
	both_vlan
	rules 'lan, wan' "$(masquerade wan.6)"
}

qinq() {
	vlan lan lan.100 100 802.1ad
	vlan lan.100 lan.100.5 5
	net lan.100.5 1
	net wan 2
}

router_qinq_sub() {
	qinq
	rules 'lan.100.5, wan'
}

router_qinq_real() {
	looks_at_tags || return
	qinq
	rules 'lan, wan' "$(masquerade wan)"
}

# Two VLANs of one port: in and out by the same wire.
router_between() {
	looks_at_tags || return
	vlan lan lan.5 5
	vlan lan lan.7 7
	net lan.5 1
	net lan.7 2
	rules 'lan'
}

flows() { # TAGS, each with a comma before it
	local proto
	for proto in tcp tcp udp udp; do
		echo "$proto,from=lan,src=10.0.1.2,dst=10.0.2.2$1"
	done
}

# shellcheck disable=SC2046 # words
{
	for where in sub real; do
		kind "vlan-in-$where" yes "lan_$where" $(flows ,tag=8100.5)
		kind "vlan-out-$where" yes "wan_$where" $(flows '')
		kind "vlan-both-$where" yes "both_$where" $(flows ,tag=8100.5)
		kind "qinq-$where" yes "qinq_$where" $(flows ,tag=88a8.100,tag=8100.5)
	done
	kind vlan-to-vlan yes between $(flows ,tag=8100.5)
	kind vlan-ipv6 yes both_real tcp,from=lan,src=2001:db8:1::2,dst=2001:db8:2::2,tag=8100.5 \
		udp,from=lan,src=2001:db8:1::2,dst=2001:db8:2::2,tag=8100.5
}
