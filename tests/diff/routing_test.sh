#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 600
# Ways through the router other than from one device by one table to another; and flowtables other
# than the plain one.
. "$(dirname "$0")/lib.sh"
diff_start "$@"

nets() {
	net lan 1
	net wan 2
	net wan2 3
}

router_vrf() {
	device red type vrf table 10
	ip_do link set lan master red
	ip_do link set wan master red
	undo link set lan nomaster
	undo link set wan nomaster
	net lan 1
	net wan 2
	rules 'lan, wan'
}

router_bond() {
	device bond0 type bond mode active-backup miimon 100
	ip_do link set wan down
	ip_do link set wan2 down
	ip_do link set wan master bond0
	ip_do link set wan2 master bond0
	ip_do link set bond0 mtu 1400 up
	net lan 1
	net bond0 2
	rules 'lan, bond0' "$(postnat 'oifname "bond0" masquerade')"
}

# The flowtable's routes know neither source nor mark there: it asks by ARP for the destination.
follows_rules() {
	! is_5_10 || flawed 'does not follow ip rules'
}

# The destination lies behind a gateway, which depends on the connection's mark.
router_mark() {
	follows_rules || return
	nets
	ip_do route add 10.9.0.0/16 via 10.0.2.2
	ip_do route add 10.9.0.0/16 via 10.0.3.3 table 20
	undo route del 10.9.0.0/16 table 20
	ip_rule 100 fwmark 1 lookup 20
	rules 'lan, wan, wan2' 'chain premark {
		type filter hook prerouting priority -150
		ip saddr 10.0.1.3 ct mark set 1
		meta mark set ct mark
	}'
}

router_source() {
	follows_rules || return
	nets
	ip_do route add 10.9.0.0/16 via 10.0.2.2
	ip_do route add 10.9.0.0/16 via 10.0.3.3 table 20
	undo route del 10.9.0.0/16 table 20
	ip_rule 100 from 10.0.1.3 lookup 20
	rules 'lan, wan, wan2'
}

# The kernel's choice depends on the addresses and on a secret that all namespaces share.
router_ecmp() {
	! is_5_10 || flawed 'asks for routes without the source address' || return
	nets
	ip_do route add 10.9.0.0/16 nexthop via 10.0.2.2 nexthop via 10.0.3.3
	undo route del 10.9.0.0/16
	rules 'lan, wan, wan2'
}

router_gateway() {
	nets
	ip_do route add 10.9.0.0/16 via 10.0.2.2
	ip_do route add 2001:db8:9::/48 via 2001:db8:2::2
	rules 'lan, wan' "$(postnat 'oifname "wan" masquerade')"
}

# The kernel's slow path takes the MAC address of the next hop, its flowtable asks by ARP for the
# destination, in vain on a real network. Both get the same answer here.
router_via_ipv6() {
	echo "# via-ipv6: the kernel's flowtable looks for the destination's neighbour, not the next hop's" >&2
	nets
	ip_do route add 10.9.0.0/16 via inet6 2001:db8:2::4 dev wan
	ip_do neigh replace 10.9.0.1 lladdr 02:00:00:00:00:04 dev wan nud permanent
	rules 'lan, wan'
}

router_counter() {
	nets
	DIFF_FLAGS=counter rules 'lan, wan' "$(postnat 'oifname "wan" masquerade')"
}

router_tables() {
	nets
	rules_text 'table inet filter {
		counter slow {
		}
		chain forward {
			type filter hook forward priority -10
			counter name slow
		}
	}
	table ip four {
		flowtable f {
			hook ingress priority 0
			devices = { lan, wan }
		}
		chain forward {
			type filter hook forward priority 0
			meta l4proto { tcp, udp } flow add @f
		}
	}
	table ip6 six {
		flowtable f {
			hook ingress priority 0
			devices = { lan, wan }
		}
		chain forward {
			type filter hook forward priority 0
			meta l4proto { tcp, udp } flow add @f
		}
	}'
}

router_zone() {
	nets
	rules 'lan, wan' 'chain zone {
		type filter hook prerouting priority -300
		iifname { "lan", "wan" } ct zone set 7
	}'
}

flows() { # DESTINATION
	local proto
	for proto in tcp udp; do
		echo "$proto,from=lan,src=10.0.1.2,dst=$1 $proto,from=lan,src=10.0.1.3,dst=$1"
	done
}

# shellcheck disable=SC2046 # words
{
	kind gateway yes gateway $(flows 10.9.0.1)
	kind gateway-ipv6 yes gateway tcp,from=lan,src=2001:db8:1::2,dst=2001:db8:9::1 \
		udp,from=lan,src=2001:db8:1::2,dst=2001:db8:9::1
	kind counter yes counter $(flows 10.0.2.2)
	kind two-tables yes tables $(flows 10.0.2.2)
	kind two-tables-ipv6 yes tables udp,from=lan,src=2001:db8:1::2,dst=2001:db8:2::2
	kind zone yes zone $(flows 10.0.2.2)
	kind vrf yes vrf $(flows 10.0.2.2)
	kind bond yes bond $(flows 10.0.2.2)
	kind rule-by-mark yes mark $(flows 10.9.0.1)
	kind rule-by-source yes source $(flows 10.9.0.1)
	kind ecmp yes ecmp $(flows 10.9.0.1) $(flows 10.9.0.2) $(flows 10.9.7.3)
	kind via-ipv6 yes via_ipv6 $(flows 10.9.0.1)
}
