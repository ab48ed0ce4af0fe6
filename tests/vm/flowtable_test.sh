#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 400
# The main job: what the kernel puts into its flowtable is forwarded by the workers. The ruleset is
# the one of the README, in nft's older spelling; then the same with masquerade.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit

ruleset() {
	in_gw nft flush ruleset
	in_gw nft -f - <<-'END' || return
		table inet filter {
		  flowtable f { hook ingress priority 0; devices = { wan, lan }; }
		  chain forward { type filter hook forward priority 0; policy accept; ip protocol { tcp, udp } flow offload @f; }
		}
	END
	lab_guard
	[ "$1" = plain ] || in_gw nft 'add chain inet filter postnat { type nat hook postrouting priority 100; }; add rule inet filter postnat oifname wan masquerade'
}

no_flows() {
	lab_records 'len(r) == 0' show flows
}

listed() {
	lab_records "any(x['dport'] == $lab_port and x['reason'] == 'offloaded'
		and x['original']['packets'] > 0 and x['reply']['packets'] > 0 for x in r)" show flows
}

nat_is() {
	lab_records "any(x['nat'] == '$1' and (x['nat'] == 'none' or x['nat_src'] == '10.0.2.1') for x in r)" show flows
}

not_offloaded() {
	! conntrack_has '[OFFLOAD]' -p tcp && ! conntrack_has ESTABLISHED -p tcp
}

bytes=30000000
case $(uname -r) in 6.1.*) ;; *) bytes=10000000 ;; esac
for rules in plain masquerade; do
	check "ruleset-$rules" ruleset $rules || exit
	check "ping-$rules" lab_ping
	hold_tcp
	check "kernel-accepted-$rules" wait_for 20 conntrack_has '[OFFLOAD]' -p tcp --orig-port-dst "$lab_port"
	check "flow-listed-$rules" wait_for 20 listed
	check "nat-$rules" nat_is "$([ $rules = plain ] && echo none || echo snat)"
	ctl show flows >&2
	release_tcp
	check "fin-ends-it-in-the-kernel-$rules" wait_for 20 not_offloaded
	check "fin-ends-it-here-$rules" wait_for 20 no_flows
	for way in up down; do
		lab_mark
		check "$way-$rules" transfer_tcp $bytes $way
		check "fast-$way-$rules" lab_fast
	done
	lab_mark
	check "udp-$rules" transfer_udp 200 1000
	check "fast-udp-$rules" lab_fast
done
