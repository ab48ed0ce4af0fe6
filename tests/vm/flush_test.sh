#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 420
# A stream from client to server goes on, unchanged, while its flowtable goes and comes and while the
# daemon dies and starts again. Without NAT: that ends in the kernel with the last rule that needs it.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset plain

offloaded() { # NUMBER of flows
	[ "$(lab_count reason=offloaded show flows)" = "$1" ]
}

counted() { # MORE-THAN: packets by the workers
	[ "$(lab_sum offloaded_packets show ports)" -gt "$1" ]
}

# The flows are gone, their packets are the kernel's.
flush() {
	in_gw nft flush ruleset && lab_guard
}

stands_still() {
	local before
	before=$(lab_sum offloaded_packets show ports)
	sleep 1
	[ "$(lab_sum offloaded_packets show ports)" = "$before" ]
}

forwarded() {
	local before
	before=$(lab_sum offloaded_packets show ports)
	wait_for 20 counted $((before + 200))
}

stream_start
check offloaded wait_for 20 offloaded 1
check forwarded forwarded
for round in 1 2; do
	check "flush-$round" flush
	check "left-$round" wait_for 20 offloaded 0
	check "kernel-alone-$round" stands_still
	check "table-empty-$round" eval '[ "$(lab_stat table.used)" = 0 ]'
	check "ruleset-again-$round" lab_ruleset plain
	check "offloaded-again-$round" wait_for 30 offloaded 1
	check "forwarded-again-$round" forwarded
done
case $(uname -r) in
5.10.*)
	# a connection that this kernel's flowtable had let go of before may stall for half a minute
	# after a restart, for a reason not found yet: another one is taken
	check stream-ends stream_end
	check list-empty wait_for 20 offloaded 0
	stream_start
	check offloaded-anew wait_for 30 offloaded 1
	;;
esac
check crash lab_crash
check restart lab_start
check offloaded-after-crash wait_for 30 offloaded 1
check forwarded-after-crash forwarded
check stop lab_stop
check start-again lab_start
check forwarded-after-stop forwarded
check unchanged stream_end
check closed wait_for 20 offloaded 0
check end lab_stop
