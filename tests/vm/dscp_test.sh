#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 900
# DSCP set on the way. What hooks into a twin sees every packet in the kernel's own flowtable, so the
# flows of that twin are left to the kernel and every packet is marked; what the forward chain sets,
# packets past the kernel do not have, as in the kernel's own flowtable.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
. "$(dirname "$0")/../lab/routers.sh"

bytes=1000000
lab_server=10.0.3.2
set='ip dscp set cs3'

# What arrives at the server, with the mark and without.
count() {
	in_sv nft -f - <<-'END'
		table inet count
		delete table inet count
		table inet count {
			counter marked {
			}
			counter plain {
			}
			chain input {
				type filter hook input priority 0
				tcp dport 5000-6000 ip dscp cs3 counter name marked
				tcp dport 5000-6000 ip dscp != cs3 counter name plain
			}
		}
	END
}

counted() { # NAME
	in_sv nft list counter inet count "$1" | sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}

all_marked() {
	echo "marked: $(counted marked), plain: $(counted plain)" >&2
	[ "$(counted marked)" -gt 500 ] && [ "$(counted plain)" = 0 ]
}

some_marked() {
	echo "marked: $(counted marked), plain: $(counted plain)" >&2
	[ "$(counted marked)" -gt 2 ] && [ "$(counted plain)" -gt 500 ]
}

none_marked() {
	[ "$(counted marked)" = 0 ] && [ "$(counted plain)" -gt 500 ]
}

hook() { # ingress|egress DEVICE
	in_gw nft -f - <<-END
		table netdev dscp {
			chain dscp {
				type filter hook $1 device $2 priority -10
				$set
			}
		}
	END
}

unhook() {
	in_gw nft delete table netdev dscp
}

# carry NAME: new connections both ways.
carry() {
	count && lab_mark && routers_both "$1" "$bytes"
}

# hooked NAME: every packet is marked and none was offloaded, for that reason.
hooked() {
	carry "$1"
	check "$1-all-marked" all_marked
	routers_stays "$1" netdev-hook
}

check start routers_start || exit
check rules routers_rules '' || exit
check ingress-chain hook ingress lan
hooked ingress
check ingress-unhook unhook

if [[ $(uname -r) = 5.10.* ]]; then
	skip egress 'this kernel has no egress hook'
else
	check egress-chain hook egress wan
	hooked egress
	check egress-unhook unhook
fi

check forward-rules routers_rules "oifname wan $set"
carry forward
check forward-some-marked some_marked
check forward-fast lab_fast 85 # with the start of each connection
check forward-over routers_rules ''
carry none
check none-marked none_marked

# A live connection leaves the workers when a hook comes, and may come back when it goes.
flow_has() { # REASON
	lab_records "[x['reason'] for x in r if x['dport'] == $lab_port] == ['$1']" show flows
}

hold_tcp
check held wait_for 20 flow_has offloaded
check held-tbf in_gw tc qdisc replace dev wan root tbf rate 100mbit burst 1mb latency 50ms
check held-shaped wait_for 10 flow_has netdev-hook
check held-default in_gw tc qdisc del dev wan root
check held-again wait_for 30 flow_has offloaded
check held-clsact in_gw tc qdisc add dev lan clsact
check held-filtered wait_for 10 flow_has netdev-hook
release_tcp
check stop lab_stop
