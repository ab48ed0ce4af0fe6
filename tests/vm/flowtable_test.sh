#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 420
# Flows of the kernel's own flowtable are forwarded by the workers, and end with their connection.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
bytes=10000000
[[ $(uname -r) != 6.1.* ]] || bytes=30000000

# The spelling of the first versions of nft, and all in one line.
older() { # [MASQUERADE]
	in_gw nft -f - <<-END && lab_guard
		flush ruleset
		table inet x { flowtable f { hook ingress priority 0; devices = { wan, lan }; }
			chain forward { type filter hook forward priority 0; ip protocol { tcp, udp } flow offload @f; }
			${1:+chain nat { type nat hook postrouting priority 100; oifname "wan" masquerade; \}}
		}
	END
}

no_offload() {
	! conntrack_has '[OFFLOAD]' -p tcp && [ "$(lab_count reason=offloaded show flows)" = 0 ]
}

closed() {
	! lab_conntrack -p tcp | grep -E 'ESTABLISHED|OFFLOAD'
}

for rules in plain masquerade; do
	nat=none flowtable='inet x f'
	[ "$rules" = plain ] || nat=snat
	check "ruleset-$rules" older "$([ "$rules" = plain ] || echo yes)" || exit
	check "known-$rules" wait_for 10 lab_records \
		'[sorted(x["devices"]) for x in r if x["source"] == "kernel"] == [["lan", "wan"]]' show flowtables
	check "ping-$rules" lab_ping
	hold_tcp
	check "held-$rules" wait_for 20 conntrack_has '[OFFLOAD]' -p tcp --orig-port-dst "$lab_port"
	check "offloaded-$rules" wait_for 20 lab_records "any(x['state'] == 'offloaded' and x['dport'] == $lab_port and
		x['nat'] == '$nat' and x['in'] == 'lan' and x['out'] == 'wan' and x['flowtable'] == '$flowtable'
		for x in r)" show flows
	check "counted-$rules" wait_for 20 lab_records "any(x['original']['packets'] > 5 and x['reply']['packets'] > 5
		for x in r)" show flows
	release_tcp
	check "left-$rules" wait_for 20 no_offload
	lab_mark
	check "up-$rules" transfer_tcp "$bytes" up
	check "down-$rules" transfer_tcp "$bytes" down
	check "fast-$rules" lab_fast
	# FIN of both ends
	check "fin-$rules" wait_for 20 no_offload
	check "conntrack-closed-$rules" wait_for 20 closed
	check "list-empty-$rules" wait_for 20 eval '[ "$(lab_count proto=tcp show flows)" = 0 ]'
	lab_mark
	check "udp-$rules" transfer_udp 300 1000
	check "udp-fast-$rules" lab_fast
	in_gw conntrack -F
	check "flushed-$rules" wait_for 20 eval '[ -z "$(ctl -j show flows)" ]'
done
check stop lab_stop
