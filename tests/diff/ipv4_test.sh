#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# IPv4, plain and with every kind of NAT.
. "$(dirname "$0")/lib.sh"
diff_start "$@"

nets() {
	net lan 1
	net wan 2
	net wan2 3
}

router_plain() {
	nets
	rules 'lan, wan'
}

router_masquerade() {
	nets
	rules 'lan, wan' "$(postnat 'oifname "wan" masquerade')"
}

# To an address that is not the router's own, and to a port that all share.
router_snat() {
	nets
	rules 'lan, wan' "$(postnat 'oifname "wan" meta l4proto { tcp, udp } snat ip to 10.0.2.9:50000')"
}

router_snat_address() {
	nets
	rules 'lan, wan' "$(postnat 'oifname "wan" snat ip to 10.0.2.9')"
}

router_snat_port() {
	nets
	rules 'lan, wan' "$(postnat 'ip saddr 10.0.1.2 meta l4proto { tcp, udp } snat ip to 10.0.1.2:50001')"
}

router_dnat() {
	nets
	rules 'lan, wan' "$(prenat 'ip daddr 10.0.1.100 meta l4proto { tcp, udp } dnat ip to 10.0.2.3:8080')"
}

router_dnat_address() {
	nets
	rules 'lan, wan' "$(prenat 'ip daddr 10.0.1.100 dnat ip to 10.0.2.3')"
}

router_dnat_port() {
	nets
	rules 'lan, wan' "$(prenat 'ip daddr 10.0.2.2 meta l4proto { tcp, udp } dnat ip to 10.0.2.2:8081')"
}

# Both at once, and a redirect: what goes to one server is taken to another.
router_both() {
	nets
	rules 'lan, wan' "$(prenat 'ip daddr 10.0.2.2 dnat ip to 10.0.2.4')
		$(postnat 'oifname "wan" masquerade')"
}

# Client and server both at lan; the client knows the server by an address of the router's.
router_hairpin() {
	nets
	ip_do addr add 10.0.1.100/32 dev lan
	rules 'lan, wan' "$(prenat 'ip daddr 10.0.1.100 dnat ip to 10.0.1.3')
		$(postnat 'ip saddr 10.0.1.0/24 oifname "lan" masquerade')"
}

# flows PROTO DESTINATION: of two clients
flows() {
	echo "$1,from=lan,src=10.0.1.2,dst=$2 $1,from=lan,src=10.0.1.2,dst=$2 $1,from=lan,src=10.0.1.3,dst=$2"
}

for proto in tcp udp udp0; do
	# shellcheck disable=SC2046 # words
	{
		kind "$proto" yes plain $(flows $proto 10.0.2.2) $(flows $proto 10.0.2.3)
		kind "$proto-masquerade" yes masquerade $(flows $proto 10.0.2.2)
		kind "$proto-snat" yes snat $(flows $proto 10.0.2.2)
		kind "$proto-dnat" yes dnat $(flows $proto 10.0.1.100)
		kind "$proto-snat-dnat" yes both $(flows $proto 10.0.2.2)
		kind "$proto-hairpin" yes hairpin $(flows $proto 10.0.1.100)
	}
	[ $proto != udp0 ] || continue
	# shellcheck disable=SC2046
	{
		kind "$proto-snat-address" yes snat_address $(flows $proto 10.0.2.2)
		kind "$proto-snat-port" yes snat_port $(flows $proto 10.0.2.2)
		kind "$proto-dnat-address" yes dnat_address $(flows $proto 10.0.1.100)
		kind "$proto-dnat-port" yes dnat_port $(flows $proto 10.0.2.2)
	}
done
kind gre yes plain gre,from=lan,src=10.0.1.2,dst=10.0.2.2 gre,from=lan,src=10.0.1.3,dst=10.0.2.3
kind gre-masquerade no masquerade gre,from=lan,src=10.0.1.2,dst=10.0.2.2
