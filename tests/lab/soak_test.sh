#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 180
# Short connections, TCP and UDP, by the thousand: each has its bytes, and nothing of them stays, neither
# flows nor memory nor descriptors nor units of the table.
# LIFE_CONNECTIONS (20000) is how many; a million is the long form.
. "$(dirname "$0")/lib.sh"
: "${LIFE_CONNECTIONS:=20000}"
PARALLEL=200
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
sed -i "s/^socket.*/&\nmax-connections = 32768/; /^device =/a punt-new-pps = 0" "$LAB_CONFIG"
check start lab_start || exit
# What has ended leaves conntrack soon.
in_gw sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_{time_wait,close,last_ack,close_wait,fin_wait}=1 \
	net.netfilter.nf_conntrack_udp_timeout{,_stream}=3
for name in "$CL" "$SV"; do
	ip netns exec "$name" sysctl -qw net.ipv4.tcp_max_tw_buckets=1000 \
		net.ipv4.ip_local_port_range='1024 65535' net.core.somaxconn=4096
done
check ruleset lab_ruleset mark masquerade
ip netns exec "$SV" "$LAB_BUILD/tests/nfo-churn" serve &
check serves wait_for 5 lab_listens -t 7063

churn() { # COUNT
	in_cl "$LAB_BUILD/tests/nfo-churn" call 10.0.2.2 "$1" "$PARALLEL" >&2
}

# Nothing is left of any connection: not in the mirror, not in the table, not on its way out.
empty() {
	lab_records "r[0]['mirror']['connections'] == 0 and not any(r[0]['mirror']['by_reason'].values())
		and all(r[0]['table'][k] == 0 for k in ('used', 'retired', 'overflow_buckets'))" show stats
}

sound() {
	lab_records 'r[0]["fault"] is None' show table
}

rss_kb() {
	awk '/^VmRSS/ { print $2 }' "/proc/$lab_daemon/status"
}

descriptors() {
	find "/proc/$lab_daemon/fd" -mindepth 1 | wc -l
}

# Memory that is kept for the most connections at a time is touched first.
check warm-up churn $((50 * PARALLEL))
check warm-up-gone wait_for 60 empty
check warm-up-sound sound
installed=$(lab_stat mirror.installed) began=$(date +%s%N)
rss=$(rss_kb) fds=$(descriptors)
check churn churn "$LIFE_CONNECTIONS"
echo "$LIFE_CONNECTIONS connections in $((($(date +%s%N) - began) / 1000000)) ms" >&2
installed=$(($(lab_stat mirror.installed) - installed))
echo "$installed of them were given to the workers" >&2
check sound-at-once sound
check gone wait_for 60 empty
check sound sound
check most-were-here [ "$installed" -ge $((LIFE_CONNECTIONS / 2)) ]
check no-error lab_records 'r[0]["mirror"]["refused"] == 0 and r[0]["ct"]["undecodable"] == 0' show stats
echo "memory: $rss kB before, $(rss_kb) kB after; descriptors: $fds, $(descriptors)" >&2
check memory [ "$(rss_kb)" -le $((rss + 4096)) ]
check descriptors [ "$(descriptors)" = "$fds" ]
check works-still transfer_tcp 1000000 up
check stop lab_stop
