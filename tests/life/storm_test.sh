#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# Storms of events: more than the receive buffers hold, so that messages are lost. It is counted, everything
# is read anew, forwarding goes on meanwhile, and in the end we have what the kernel has. Then what is
# full: our table, conntrack, the packet pool.
# LIFE_ENTRIES (5000) is how many connections a storm of conntrack adds and deletes; LIFE_ROUNDS (1) is how
# many storms there are, and 20 the long form. LIFE_BUFFER_KB (16) is netlink-buffer-kb; with the daemon's
# own, which is 0, it takes 100000 entries.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/hands.sh"
: "${LIFE_ENTRIES:=5000}" "${LIFE_ROUNDS:=1}" "${LIFE_BUFFER_KB:=16}"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
sed -i "s/^socket.*/&\nmax-connections = 8192\nnetlink-buffer-kb = $LIFE_BUFFER_KB/" "$LAB_CONFIG"
check start lab_start || exit
check ruleset lab_ruleset plain $life_flow
conntrack_max=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
restore() { # it is the whole machine's
	local code=$?
	sysctl -qw "net.netfilter.nf_conntrack_max=$conntrack_max"
	return "$code"
}
trap 'restore; lab_cleanup' EXIT
sysctl -qw "net.netfilter.nf_conntrack_max=$((10000 + 4 * LIFE_ENTRIES))"
# A part of the storm's connections is ours: those with the stand-in's mark.
ours=500 others=1000000
ip -n "$GW" route add 10.64.0.0/16 via 10.0.1.2
ip -n "$GW" route add 10.128.0.0/9 via 10.0.2.2

more() { # OBJECT KEY THAN
	[ "$(lab_stat "$1.$2")" -gt "$3" ]
}

ctfill() {
	in_gw "$LAB_BUILD/tests/nfo-ctfill" "$@"
}

offloaded() { # AT-LEAST
	[ "$(lab_count reason=offloaded show flows)" -ge "$1" ]
}

macs_are() { # MAC of whatever goes to the server
	lab_records "all(x['original']['eth_dst'] == '$1' for x in r if x['out'] == 'wan' and x['state'] == 'offloaded')" show flows
}

mtu_is() {
	lab_records "all(x['original']['mtu_bytes'] == $1 for x in r if x['dst'] == '10.0.2.2' and x['state'] == 'offloaded')" show flows
}

move_server() { # MAC
	ip -n "$SV" link set eth0 address "$1" && ip -n "$SV" route replace default via 10.0.2.1 &&
		ip -n "$GW" neigh replace 10.0.2.2 lladdr "$1" dev wan nud permanent
}

# Lines for 'ip -batch': links, routes and neighbours that come and go again.
batch() { # HOW-MANY
	local i
	for ((i = 0; i < $1; i++)); do
		echo "route add 10.20.$((i / 250 % 250)).$((i % 250))/32 via 10.0.2.2"
		echo "neigh replace 10.0.2.$((3 + i % 250)) lladdr 02:00:00:00:01:$(printf %02x $((i % 250))) dev wan nud permanent"
		echo "neigh del 10.0.2.$((3 + i % 250)) dev wan"
		echo "route del 10.20.$((i / 250 % 250)).$((i % 250))/32 via 10.0.2.2"
		[ $((i % 50)) != 0 ] || echo "link add storm$i type veth peer name mrots$i
link set storm$i up
addr add 10.99.0.1/32 dev storm$i
link del storm$i"
	done
}

# Each of these is lost, but for what fits, and the last one has to be known all the same.
lose_others() { # ROUND
	local nft xfrm hooks
	nft=$(lab_stat mirror.nft_overruns) xfrm=$(lab_stat mirror.xfrm_overruns) hooks=$(lab_stat mirror.hooks_overruns)
	check "hold-others-$1" hold_control
	seq -f 'add table inet storm%g' 500 | in_gw nft -f - && seq -f 'delete table inet storm%g' 500 | in_gw nft -f -
	check "tables-$1" [ $? = 0 ]
	seq -f 'link set p-wan txqueuelen %g' 1000 1300 | ip -n "$GW" -batch -
	check "links-$1" [ $? = 0 ]
	seq -f 'xfrm policy add src 10.9.0.0/16 dst 10.9.%g.0/24 dir fwd action block' 0 250 | ip -n "$GW" -batch -
	check "policies-$1" [ $? = 0 ]
	release_control
	check "overrun-nft-$1" wait_for 30 more mirror nft_overruns "$nft"
	check "overrun-xfrm-$1" wait_for 30 more mirror xfrm_overruns "$xfrm"
	check "overrun-hooks-$1" wait_for 30 more mirror hooks_overruns "$hooks"
	check "ipsec-$1" wait_for 30 lab_records 'r and all(x["reason"] == "ipsec" for x in r)' show flows
	check "no-policy-$1" ip -n "$GW" xfrm policy flush
	check "ipsec-over-$1" wait_for 60 offloaded 5
}

stream_start
udp_start 4
check offloaded wait_for 30 offloaded 5

for ((round = 1; round <= LIFE_ROUNDS; round++)); do
	# --- nobody listens: events are lost for certain ---
	check "ours-$round" ctfill $ours 100 0x1000
	check "ours-here-$round" wait_for 30 offloaded $((ours + 5))
	overruns=$(lab_stat ct.overruns) dumps=$(lab_stat ct.dumps)
	lab_mark
	check "hold-$round" hold_control
	check "fill-$round" ctfill "$LIFE_ENTRIES" 1000 0 $others
	check "empty-$round" ctfill "$LIFE_ENTRIES" 1000 delete $others
	check "end-$round" ctfill $ours 100 delete # nobody hears of that, since there is no more room
	check "again-$round" ctfill $((ours / 2)) 100 0x1000 # the same tuples
	release_control
	check "overrun-$round" wait_for 30 more ct overruns "$overruns"
	check "read-again-$round" wait_for 30 more ct dumps "$dumps"
	check "same-$round" life_same
	check "ends-were-heard-$round" lab_records "sum(x['src'].startswith('10.64.') for x in r) == $((ours / 2))" show flows
	check "fast-$round" lab_fast 80
	check "end-others-$round" ctfill $((ours / 2)) 100 delete
	check "same-without-$round" life_same

	# --- routes and neighbours, likewise ---
	overruns=$(lab_stat mirror.rtnl_overruns)
	mac=02:00:00:00:00:$(printf %02x $((0x70 + round)))
	batch 100 >"$LAB_DIR/batch"
	check "hold-routes-$round" hold_control
	check "batch-$round" ip -n "$GW" -batch "$LAB_DIR/batch"
	check "move-$round" move_server "$mac"
	ip -n "$GW" route replace 10.0.2.2/32 dev wan mtu 1400
	release_control
	check "overrun-routes-$round" wait_for 30 more mirror rtnl_overruns "$overruns"
	check "neighbour-$round" wait_for 30 macs_are "$mac"
	check "route-$round" wait_for 30 mtu_is 1400
	ip -n "$GW" route del 10.0.2.2/32
	check "route-back-$round" wait_for 30 mtu_is 1500

	# --- rulesets, IPsec policies and what hooks into devices, likewise ---
	[ "$LIFE_BUFFER_KB" = 0 ] || lose_others "$round"

	# --- everybody listens; all at once ---
	ip -n "$GW" -batch "$LAB_DIR/batch" >&2 &
	batch=$!
	ctfill "$LIFE_ENTRIES" 1000 0 $others 2>/dev/null &
	fill=$!
	for i in 1 2 3; do
		lab_ruleset plain $life_flow
		in_gw conntrack -F >/dev/null 2>&1
	done
	wait $batch $fill
	check "conntrack-flushed-$round" in_gw conntrack -F
	check "back-$round" wait_for 60 offloaded 5
	check "same-after-all-$round" life_same
	check "alive-$round" kill -0 "$lab_daemon"
done

# --- conntrack is full: what was there goes on, what is new is the kernel's to refuse ---
sysctl -qw net.netfilter.nf_conntrack_max=100
ctfill 200 10 0 $others 2>/dev/null
check conntrack-full eval '! transfer_udp 1 2>/dev/null || [ "$(cat /proc/sys/net/netfilter/nf_conntrack_count)" -le 100 ]'
lab_mark
sleep 2
check fast-while-conntrack-is-full lab_fast 80
ctfill 200 10 delete $others 2>/dev/null
sysctl -qw "net.netfilter.nf_conntrack_max=$conntrack_max"
check udp udp_end 10
check unchanged stream_end
check nothing-stays wait_for 60 lab_records 'r[0]["fault"] is None and r[0]["retired"] == 0' show table
check stop lab_stop

# --- our table is full ---
sed -i "s/^max-connections.*/max-connections = 64/" "$LAB_CONFIG"
check start-small lab_start
check ruleset-small lab_ruleset plain $life_flow
check fill-small ctfill 100 10 0x1000
check full wait_for 20 lab_records "r[0]['mirror']['refused'] > 0 and r[0]['mirror']['connections'] == 64" show stats
check kernel-forwards transfer_tcp 1000000 up
check kernel-forwards-udp transfer_udp 20
check empty-small ctfill 100 10 delete
check room-again wait_for 60 lab_records "r[0]['mirror']['connections'] <= 10" show stats
hold_tcp
check taken wait_for 20 lab_records "any(x['reason'] == 'offloaded' and x['proto'] == 'tcp' for x in r)" show flows
release_tcp
check stop-small lab_stop
