#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 400
# What sends no event, and what changes under a live flow: an insertion long after the connection
# began, a neighbour with a new MAC address, a route that goes, a device that leaves the flowtable,
# a deleted conntrack entry.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset classic
check ping lab_ping

offloaded() {
	lab_records "any(x['dport'] == $lab_port and x['reason'] == 'offloaded' for x in r)" show flows
}

not_offloaded() {
	lab_records "not any(x['reason'] == 'offloaded' for x in r)" show flows
}

# 'ping' and its echo pass five times a second while hold_tcp holds.
alive() {
	local before
	before=$(lab_sum offloaded_packets show ports)
	wait_for 10 more_than "$before"
}

more_than() {
	[ "$(lab_sum offloaded_packets show ports)" -gt $(($1 + 4)) ]
}

next_hop_is() {
	lab_records "any(x['original'].get('eth_dst') == '$1' for x in r)" show flows
}

hold_tcp
check established wait_for 10 conntrack_has ASSURED -p tcp --orig-port-dst "$lab_port"
check not-in-a-flowtable not_offloaded
check ruleset-late lab_ruleset plain
check silent-insertion-found wait_for 20 offloaded
check forwarded alive

mac=02:00:00:00:aa:55
ip -n "$SV" link set eth0 address $mac
in_sv ping -q -c 1 -W 10 10.0.2.1 >/dev/null # the gateway learns it
check new-mac wait_for 20 next_hop_is $mac
check alive-after-new-mac alive

check route-goes ip -n "$GW" route del 10.0.2.0/24 dev wan
check flow-left wait_for 10 not_offloaded
check route-returns ip -n "$GW" route add 10.0.2.0/24 dev wan src 10.0.2.1
check flow-returned wait_for 20 offloaded
check alive-after-route alive

in_gw nft delete flowtable inet filter f "{ devices = { lan }; }"
check device-left wait_for 10 not_offloaded
in_gw nft add flowtable inet filter f "{ hook ingress priority 0; devices = { lan }; }"
check device-returned wait_for 20 offloaded

check conntrack-delete in_gw conntrack -D -p tcp --orig-port-dst "$lab_port"
check conntrack-deleted wait_for 10 not_offloaded
release_tcp
