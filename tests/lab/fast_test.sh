#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# Connections that a stand-in flowtable selects are forwarded by the workers, with and without NAT,
# and leave them when they close or when conntrack forgets them.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
check start lab_start || exit

offloaded() { # NUMBER of flows
	[ "$(lab_count reason=offloaded show flows)" = "$1" ]
}

table_used() { # DIRECTIONS
	[ "$(lab_records 'r[0]["table"]["used"]' show stats)" = "$1" ]
}

mirror_is() { # COUNTER AT-LEAST
	[ "$(lab_records "r[0]['mirror']['$1']" show stats)" -ge "$2" ]
}

# The one flow that is offloaded, as Python sees it; 'f' is its record.
flow_is() {
	lab_records "any(eval('''($1)''', {}, {'f': f}) for f in r if f['reason'] == 'offloaded')" show flows
}

for rules in plain masquerade; do
	nat=none reply_dst=10.0.1.2
	[ "$rules" = plain ] || nat=snat reply_dst=10.0.2.1
	in_gw conntrack -F 2>/dev/null
	check "ruleset-$rules" eval "lab_ruleset mark $([ "$rules" = plain ] || echo masquerade)"
	check "ping-$rules" lab_ping
	check "up-$rules" transfer_tcp 2000000 up
	check "down-$rules" transfer_tcp 2000000 down

	closed=$(lab_records 'r[0]["mirror"]["closed"]' show stats)
	stream_start
	check "offloaded-$rules" wait_for 20 flow_is "f['dport'] == $lab_port"
	lab_mark
	check "streams-$rules" wait_for 30 flow_is "f['original']['packets'] > 3000"
	check "fast-$rules" lab_fast
	check "record-$rules" flow_is "f['proto'] == 'tcp' and f['nat'] == '$nat' and f['in'] == 'lan' and
		f['out'] == 'wan' and f['src'] == '10.0.1.2' and f['dst'] == '10.0.2.2' and
		f['reply_src'] == '10.0.2.2' and f['reply_dst'] == '$reply_dst' and f['state'] == 'offloaded' and
		f['reply']['packets'] > 100 and f['original']['bytes'] > 1000 * f['original']['packets'] and
		f['mark'] == 0x1000 and f['flowtable'] == 'f' and
		f.get('nat_src') == (None if '$nat' == 'none' else '10.0.2.1')"
	check "macs-$rules" flow_is "f['original']['eth_dst'] == '$(in_sv cat /sys/class/net/eth0/address)' and
		f['original']['eth_src'] == '$(in_gw cat /sys/class/net/wan/address)' and
		f['reply']['eth_dst'] == '$(in_cl cat /sys/class/net/eth0/address)'"
	check "unchanged-$rules" stream_end
	# both ends have sent FIN: the workers have forgotten, conntrack waits
	check "fin-$rules" wait_for 10 mirror_is closed $((closed + 1))
	check "closed-$rules" wait_for 10 table_used 0
	check "time-wait-$rules" conntrack_has TIME_WAIT -p tcp

	# exactly those packets that are sent, and none by the twins
	lab_frames "$rules" <<'END'
from frame import *
rules, daemon = sys.argv[1], Daemon()
client, server, peer = udp_pair()
flow = lambda: next((f for f in daemon.ask("show flows") if f["state"] == "offloaded"), None)
result(f"udp-offloaded-{rules}", until(flow, 20))
punted, before = daemon.stats()["punts"]["miss"], flow()
for _ in range(500):
    data = os.urandom(1000)
    client.sendto(data, ("10.0.2.2", 6000))
    assert server.recv(2048) == data
    server.sendto(data, peer)
    assert client.recv(2048) == data
after = flow()
for direction in "original", "reply":
    more = [after[direction][k] - before[direction][k] for k in ("packets", "bytes")]
    result(f"udp-{direction}-{rules}", more == [500, 500 * 1028], str(more))
result(f"udp-punted-{rules}", daemon.stats()["punts"]["miss"] == punted)
END
	# by then its conntrack timeout is set: nothing but the event tells that the entry is deleted
	check "idle-$rules" wait_for 20 flow_is "f['idle_s'] >= 7"
	check "delete-one-$rules" in_gw conntrack -D -p udp --orig-dst 10.0.2.2
	check "deleted-$rules" wait_for 5 offloaded 0
	check "udp-again-$rules" transfer_udp 20
	check "flush-$rules" in_gw conntrack -F
	check "flushed-$rules" wait_for 5 table_used 0
	check "no-flow-$rules" wait_for 5 eval '[ "$(ctl -j show flows | wc -l)" = 0 ]'
done

# over before much is known of them: their FIN is still one that conntrack accepts
for i in {1..25}; do
	transfer_tcp 300000 up || break
done
check short [ "$i" = 25 ]

# a connection under way survives that conntrack forgets it, and comes back
hold_tcp
check held wait_for 10 offloaded 1
ended=$(lab_records 'r[0]["mirror"]["ended"]' show stats)
check delete-held in_gw conntrack -D -p tcp --orig-port-dst "$lab_port"
check held-left wait_for 5 mirror_is ended $((ended + 1))
check held-back wait_for 10 offloaded 1
check alive kill -0 "${lab_held#* }"
# RST of one end
kill -KILL "${lab_held#* }"
release_tcp
check held-closed wait_for 10 table_used 0
