#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# IPv6, plain and with NAT.
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

router_snat() {
	nets
	rules 'lan, wan' "$(postnat 'oifname "wan" meta l4proto { tcp, udp } snat ip6 to [2001:db8:2::9]:50000')"
}

router_dnat() {
	nets
	rules 'lan, wan' "$(prenat 'ip6 daddr 2001:db8:1::100 meta l4proto { tcp, udp } dnat ip6 to [2001:db8:2::3]:8080')"
}

router_both() {
	nets
	rules 'lan, wan' "$(prenat 'ip6 daddr 2001:db8:2::2 dnat ip6 to 2001:db8:2::4')
		$(postnat 'oifname "wan" masquerade')"
}

# flows PROTO DESTINATION
flows() {
	echo "$1,from=lan,src=2001:db8:1::2,dst=$2 $1,from=lan,src=2001:db8:1::2,dst=$2" \
		"$1,from=lan,src=2001:db8:1::3,dst=$2"
}

for proto in tcp udp; do
	# shellcheck disable=SC2046 # words
	{
		kind "$proto" yes plain $(flows $proto 2001:db8:2::2)
		kind "$proto-masquerade" yes masquerade $(flows $proto 2001:db8:2::2)
		kind "$proto-snat" yes snat $(flows $proto 2001:db8:2::2)
		kind "$proto-dnat" yes dnat $(flows $proto 2001:db8:1::100)
		kind "$proto-snat-dnat" yes both $(flows $proto 2001:db8:2::2)
	}
done
kind gre yes plain gre,from=lan,src=2001:db8:1::2,dst=2001:db8:2::2
