#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The ruleset is loaded anew in one transaction, with a flowtable like the old one. The new rules hold
# for connections that the old ones had accepted: what they drop stops, what they accept comes back.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit

reload() { # RULE that comes before the flow offload
	lab_rules "$1
		ip protocol { tcp, udp } flow add @f" && lab_guard
}

offloaded() { # NUMBER of flows
	[ "$(lab_count reason=offloaded show flows)" = "$1" ]
}

heard() { # bytes of the client that reached the server
	ip netns exec "$SV" ss -tinH state established sport = ":$lab_port" |
		grep -o 'bytes_received:[0-9]*' | cut -d: -f2
}

more_heard() {
	[ "$(heard)" -gt "$1" ]
}

check accept reload '' || exit
hold_tcp
check offloaded wait_for 20 offloaded 1
check accept-again reload ''
check waits wait_for 5 lab_records "any(x['reason'] == 'waiting' for x in r)" show flows
check comes-back wait_for 20 offloaded 1
check goes-on wait_for 10 more_heard "$(heard)"
check drop reload 'tcp dport 5000-6000 drop'
check leaves wait_for 10 offloaded 0
sleep 1 # what was under way
before=$(heard)
sleep 3
check stands-still [ "$(heard)" = "$before" ]
check accept-at-last reload ''
check resumes wait_for 30 more_heard $((before + 50))
check offloaded-at-last wait_for 30 offloaded 1
release_tcp
