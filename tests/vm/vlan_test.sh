#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A VLAN interface upon a twin: its packets are the kernel's, both ways, and are not offloaded.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset plain

vlan() { # NAMESPACE DEVICE ADDRESS
	ip -n "$1" link add link "$2" name "$2.5" type vlan id 5 && ip -n "$1" addr add "$3/24" dev "$2.5" &&
		ip -n "$1" link set "$2.5" up
}

modprobe 8021q 2>/dev/null
check vlan-gateway vlan "$GW" lan 10.0.5.1 || exit
check vlan-client vlan "$CL" eth0 10.0.5.2
check route ip -n "$CL" route replace default via 10.0.5.1
check ping-gateway lab_ping 2 10.0.5.1
check ping-server lab_ping
check full-size in_cl ping -q -c 2 -i 0.2 -W 15 -s 1472 -M do 10.0.2.2
check up transfer_tcp 1000000 up
check down transfer_tcp 1000000 down
check udp transfer_udp 10 1472
check by-vlan conntrack_has src=10.0.5.2 -p tcp
check tagged lab_records 'r[0]["punts"]["not-ip"] > 500' show stats
check not-offloaded eval '[ "$(lab_sum offloaded_packets show ports)" = 0 ]'

# beside it the twin itself works as ever
check route-untagged ip -n "$CL" route replace default via 10.0.1.1
lab_mark
check untagged-up transfer_tcp 4000000 up
check untagged-fast lab_fast
check stop lab_stop
