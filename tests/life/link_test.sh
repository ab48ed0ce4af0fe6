#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# Links, VLANs, MTUs and twins that change below flows in use. The flows that a change is about follow it and
# send nothing the old way any more, or are the kernel's until it takes them again; the others are not touched.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/wires.sh"
lab_init
need_flowtable
wires_start

# --- MTU of the link: of all that leaves by it ---
life_mark
check mtu gw link set wan mtu 1400
check mtu-followed flows "len(f) == 10 and all(x['original']['mtu_bytes'] == 1400 and x['reply']['mtu_bytes'] == 1500 for x in f)"
follow mtu 10 20
gw link set wan mtu 1500
check mtu-back flows "len(f) == 10 and all(x['original']['mtu_bytes'] == 1500 for x in f)"

# --- another VLAN behind the same name ---
uplink() { # ID: of the gateway's VLAN, and the server's that has the address now
	gw link del uplink 2>/dev/null
	ip -n "$SV" addr flush dev v5
	ip -n "$SV" addr flush dev v6
	ip -n "$SV" addr add 10.0.6.2/24 dev "v$1" && answer_by 10.0.6.1 "v$1" &&
		gw link add link wan name uplink type vlan id "$1" && gw addr add 10.0.6.1/24 dev uplink &&
		gw link set uplink up && gw route replace 10.9.1.0/24 via 10.0.6.2
}

vlan_packets() { # ID
	in_sv cat "/sys/class/net/v$1/statistics/rx_packets"
}

vlan() {
	local before
	for id in 5 6; do
		ip -n "$SV" link add link eth0 name v$id type vlan id $id && ip -n "$SV" link set v$id up || return
	done
	check vlan-5 uplink 5
	check vlan-5-followed moved_are "x['out'] == 'uplink'"
	check vlan-5-goes-on echo_alive moved
	life_mark
	check vlan-6 uplink 6
	check vlan-6-followed moved_are "x['out'] == 'uplink'"
	before=$(vlan_packets 5)
	follow vlan-6 0 10 5
	check vlan-6-not-the-old-way [ "$(vlan_packets 5)" = "$before" ]
	gw link del uplink
	answer_by 10.0.2.1 eth0
	check vlan-again gateway
	check vlan-back moved_are "$via_main"
}

case $(uname -r) in
5.10.*) skip vlan "this kernel's flowtable ignores VLAN tags" ;;
*) vlan ;;
esac

# --- another interface ---
by_wan2() {
	answer_by 10.0.4.1 eth1 && gw link set wan2 up && gw route replace 10.9.1.0/24 via 10.0.4.2
}
life_mark
check interface by_wan2
check interface-followed moved_are "x['out'] == 'wan2'"
check interface-not-the-old-way wire_still eth0 main moved
follow interface 0 10 5

# --- down and up ---
life_mark
check down gw link set wan2 down
without down 5 moved
check down-not-the-old-way wire_still eth1 moved moved
check down-touches-its-own life_touched 0 10 5
check up by_wan2
check up-followed moved_are "x['out'] == 'wan2'"
check up-goes-on echo_alive moved

# --- the twin has another name: it is no port's, its packets are the kernel's ---
rename() { # FROM TO
	gw link set "$1" down && gw link set "$1" name "$2" && gw link set "$2" up &&
		gw route replace 10.9.1.0/24 via 10.0.4.2
}
life_mark
check rename rename wan2 away
check rename-leaves flows "len(f) == 5"
check rename-told wait_for 20 lab_records "any(x['reason'] == 'not-a-port' for x in r)" show flows
check rename-touches-its-own life_touched 0 10 5
check rename-by-the-kernel echo_alive moved
check rename-beside echo_alive still
check rename-back rename away wan2
check rename-followed moved_are "x['out'] == 'wan2'"
check rename-goes-on echo_alive moved

# --- the twin is deleted ---
life_mark
check delete gw link del wan2
check delete-leaves flows "len(f) == 5"
check delete-not-the-old-way wire_still eth1 moved moved
check delete-touches-its-own life_touched 0 10 5
check delete-beside echo_alive still
answer_by 10.0.2.1 eth0
gw route replace 10.9.1.0/24 via 10.0.2.2
check delete-moved moved_are "$via_main"
check delete-goes-on echo_alive moved
wires_end
