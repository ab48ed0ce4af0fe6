#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# Links of different MTUs between client and server: what has to be fragmented or asked to be smaller
# goes through the kernel, the rest past it, and every file arrives as it was sent; without and with
# path MTU discovery, and with NAT.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
. "$(dirname "$0")/../lab/routers.sh"
bytes=2000000

# mixed NAME COMMAND...: some of its packets were too long for the workers, some were not.
mixed() {
	local name=$1 long offloaded
	long=$(routers_punted mtu) offloaded=$(lab_sum offloaded_packets show ports)
	"${@:2}"
	check "$name-slow" eval '[ "$(routers_punted mtu)" -gt $((long + 100)) ]'
	check "$name-fast" eval '[ "$(lab_sum offloaded_packets show ports)" -gt $((offloaded + 100)) ]'
}

check start routers_start || exit
check rules routers_rules '' || exit
lab_server=10.0.3.2
check ping in_cl ping -q -c 2 -i 0.2 -W 15 10.0.3.2
check ping-fragments in_cl ping -q -c 2 -i 0.2 -W 15 -s 5000 -M dont 10.0.3.2

# The sender's MTU is above the middle's, and nobody tells.
check pmtu-off routers_pmtu off
mixed blind routers_both blind $((bytes / 2))
check rules-masquerade routers_rules '' "$routers_masquerade"
mixed blind-nat routers_both blind-nat $((bytes / 2))
mixed blind-dnat routers_both_dnat blind $((bytes / 2))

check pmtu-on routers_pmtu on
check rules-plain routers_rules ''
lab_mark
routers_both aware "$bytes"
check aware-fast lab_fast 85 # with the start of each connection
check aware-learnt eval 'ip -n "$CL" route get 10.0.3.2 | grep -q "mtu $mtu_middle"'
check rules-masquerade-again routers_rules '' "$routers_masquerade"
lab_mark
routers_both aware-nat "$bytes"
check aware-nat-fast lab_fast 85 # with the start of each connection
lab_mark
routers_both_dnat aware "$bytes"
check aware-dnat-fast lab_fast 85 # with the start of each connection

check stop lab_stop
