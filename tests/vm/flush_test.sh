#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kernels: core
# limit: 400
# A transfer goes on while the ruleset is flushed and loaded again, and while the daemon is killed
# and started again; its flow leaves the workers and comes back. Without NAT: the kernel too forgets
# how to translate when the last nat chain goes.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset plain
check ping lab_ping

offloaded() {
	lab_records "any(x['reason'] == 'offloaded' for x in r)" show flows
}

none_offloaded() {
	lab_records "not any(x['reason'] == 'offloaded' for x in r)" show flows
}

gone_fast() { # more was offloaded since the argument
	[ "$(lab_sum offloaded_packets show ports)" -gt "$1" ]
}

flush() {
	in_gw nft flush ruleset
	lab_guard
}

transfer_tcp 40000000 down &
transfer=$!
check offloaded wait_for 20 offloaded
check flush flush
check flow-left wait_for 10 none_offloaded
check still-transferring kill -0 $transfer
check ruleset-again lab_ruleset plain
check flow-returned wait_for 20 offloaded
check forwarded-again wait_for 20 gone_fast "$(lab_sum offloaded_packets show ports)"
twin=$(in_gw cat /sys/class/net/lan/ifindex)
check still-transferring-2 kill -0 $transfer
check killed lab_crash
check start-again lab_start
check same-twin test "$twin" = "$(in_gw cat /sys/class/net/lan/ifindex)"
check offloaded-after-restart wait_for 30 offloaded
check transfer-intact wait $transfer
check flows-end wait_for 20 none_offloaded
