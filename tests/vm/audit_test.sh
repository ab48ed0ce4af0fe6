#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# A flow leaves the kernel's flowtable without a word, and the ruleset drops it now: its samples die, and it
# leaves the workers, as it would end with the kernel alone.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset masquerade # conntrack is loaded from here on
# a sample every two seconds
check period in_gw sysctl -qw net.netfilter.nf_conntrack_udp_timeout=6

mirror() { # COUNTER
	lab_stat "mirror.$1"
}

at_least() { # COUNTER NUMBER
	[ "$(mirror "$1")" -ge "$2" ]
}

reason_is() { # WORD
	[ "$(lab_count reason="$1" show flows)" -ge 1 ]
}

# Four periods, of which no two in a row are without a sample that left.
samples_leave() {
	wait_for 60 at_least sampled $(($(mirror sampled) + 4)) || return
	echo "sampled $(mirror sampled), unseen $(mirror unseen)" >&2
	[ "$(mirror differed) $(mirror withdrawn)" = '0 0' ] && reason_is offloaded
}

hold_tcp
check offloaded wait_for 20 reason_is offloaded
check seen samples_leave

# Rules that come later do not touch what the flowtable has. Of both directions: a reply would be let in again.
check drop in_gw nft insert rule inet filter forward ip protocol tcp drop
check still-seen samples_leave

# Any new route makes the kernel's flowtable let go of its flows, at their next packet. No event tells it,
# and the way of this one is as before.
check route ip -n "$GW" route add 192.0.2.0/24 via 10.0.2.2
check audited wait_for 30 at_least withdrawn 1
check told grep -q "samples of tcp .* port $lab_port and did not send" "$LAB_LOG"
before=$(lab_sum offloaded_packets show ports)
sleep 6
check ended [ "$(lab_sum offloaded_packets show ports)" = "$before" ]
check stays eval '! reason_is offloaded'
release_tcp
check stop lab_stop
