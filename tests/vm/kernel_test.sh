#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 240
# The virtual machine and the lab themselves: the kernel alone offloads to its flowtable.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check has-flowtable has_flowtable || exit
check topology lab_topology kernel || exit

# 8 MB are more than 5000 packets each way; the slow path has the first and the last ones.
went_fast() {
	local seen
	seen=$(lab_forwarded)
	echo "$seen packets were forwarded the slow way" >&2
	[ "$seen" -gt 0 ] && [ "$seen" -lt 500 ]
}

no_offload() {
	! conntrack_has '[OFFLOAD]' -p tcp
}

for rules in plain masquerade; do
	check "ruleset-$rules" lab_ruleset $rules
	hold_tcp
	check "offload-$rules" wait_for 20 conntrack_has '[OFFLOAD]' -p tcp --orig-port-dst "$lab_port"
	lab_conntrack -p tcp >&2
	release_tcp
	check "released-$rules" wait_for 20 no_offload
	lab_ruleset $rules
	check "up-$rules" transfer_tcp 8000000 up
	check "down-$rules" transfer_tcp 8000000 down
	check "fast-$rules" went_fast
	check "udp-$rules" transfer_udp 20 1000
done
