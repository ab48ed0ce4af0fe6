#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# What changes under a connection: a flowtable that it enters late, without any event; conntrack that
# forgets it; its next hop's MAC address; its route.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset classic masquerade

# flow EXPRESSION: waits until it holds for the one flow that is offloaded, 'f'.
flow() {
	wait_for 20 lab_records "any(($1) for f in r if f['state'] == 'offloaded')" show flows || {
		ctl -j show flows >&2
		return 1
	}
}

more() { # COUNTER THAN
	[ "$(lab_stat "mirror.$1")" -gt "$2" ]
}

goes_on() {
	local packets
	packets=$(lab_sum original.packets show flows)
	flow "f['original']['packets'] > $packets"
}

stream_start
check established wait_for 20 conntrack_has ESTABLISHED -p tcp
check not-offered eval '[ -z "$(ctl -j show flows)" ]'
in_gw nft -f - <<-END
	table inet late {
		flowtable f {
			hook ingress priority 0
			devices = { lan, wan }
		}
		chain forward {
			type filter hook forward priority 10
			ip protocol tcp flow add @f
		}
	}
END
check found-by-the-dump flow "f['flowtable'] == 'inet late f' and f['nat'] == 'snat'"
check goes-on goes_on

ended=$(lab_stat mirror.ended)
check deleted in_gw conntrack -D -p tcp --orig-port-dst "$lab_port"
check left wait_for 20 more ended "$ended"
check back flow "f['dport'] == $lab_port"
check goes-on-after-delete goes_on

# the server's network card is replaced
replaced=$(lab_stat mirror.replaced)
ip -n "$SV" link set eth0 address 02:00:00:00:00:77
in_sv ping -q -c 1 -W 5 10.0.2.1 >&2
check mac flow "f['original']['eth_dst'] == '02:00:00:00:00:77'"
check mac-untouched [ "$(lab_stat mirror.replaced)" = "$replaced" ] # the next hop has it, not the flow
check goes-on-after-mac goes_on

# a route of its own, with a path MTU, then none
ip -n "$GW" route add 10.0.2.2/32 dev wan mtu 1400
check route-mtu flow "f['original']['mtu_bytes'] == 1400 and f['reply']['mtu_bytes'] == 1500"
withdrawn=$(lab_stat mirror.withdrawn)
ip -n "$GW" route replace unreachable 10.0.2.2/32
check no-route wait_for 20 lab_records "any(f['reason'] == 'no-route' for f in r)" show flows
check withdrawn more withdrawn "$withdrawn"
ip -n "$GW" route del unreachable 10.0.2.2/32 2>/dev/null
ip -n "$GW" route del 10.0.2.2/32 2>/dev/null
check route-back flow "f['original']['mtu_bytes'] == 1500"
check goes-on-after-route goes_on

# the way out goes down and comes back
ip -n "$GW" link set wan down
check down wait_for 20 lab_records "not any(f['state'] == 'offloaded' for f in r)" show flows
lab_addresses
check up flow "f['dport'] == $lab_port"
check unchanged stream_end
check stop lab_stop
