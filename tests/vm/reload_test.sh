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
	in_gw nft -f - <<-END || return
		table inet filter
		delete table inet filter
		table inet filter {
			flowtable f {
				hook ingress priority 0
				devices = { wan, lan }
			}
			chain forward {
				type filter hook forward priority 0
				policy accept
				$1
				ip protocol { tcp, udp } flow add @f
			}
		}
	END
	lab_guard
}

offloaded() { # NUMBER of flows
	[ "$(lab_count reason=offloaded show flows)" = "$1" ]
}

echoes() { # packets of the server that reached the client
	ip netns exec "$CL" cat /sys/class/net/eth0/statistics/rx_packets
}

more_echoes() {
	[ "$(echoes)" -gt "$1" ]
}

check accept reload '' || exit
hold_tcp
check offloaded wait_for 20 offloaded 1
check accept-again reload ''
check waits wait_for 5 lab_records "any(x['reason'] == 'waiting' for x in r)" show flows
check comes-back wait_for 20 offloaded 1
check goes-on wait_for 10 more_echoes "$(echoes)"
check drop reload 'tcp dport 5000-6000 drop'
check leaves wait_for 10 offloaded 0
before=$(echoes)
sleep 3
check stands-still [ "$(echoes)" -le $((before + 2)) ]
check accept-at-last reload ''
check resumes wait_for 30 more_echoes $(($(echoes) + 10))
check offloaded-at-last wait_for 30 offloaded 1
release_tcp
