#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 180
# Samples of a flow come out of the kernel as the workers send it, of both directions; when the ruleset
# drops them, the flow leaves the workers too, as it would end with the kernel alone.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
# a sample each second
in_gw sysctl -qw net.netfilter.nf_conntrack_udp_timeout=3
lab_config "$LAB_MARK_CONFIG"
check start lab_start || exit
check ruleset lab_ruleset mark masquerade

sampled() { # AT-LEAST
	[ "$(lab_stat mirror.sampled)" -ge "$1" ]
}

reason_is() { # WORD
	[ "$(lab_count reason="$1" show flows)" -ge 1 ]
}

stream_start
check offloaded wait_for 20 reason_is offloaded
check sampled wait_for 30 sampled 5
check all-seen eval '[ "$(lab_stat mirror.unseen) $(lab_stat mirror.differed)" = "0 0" ]'
check samples-punted eval '[ "$(lab_records "r[0][\"punts\"][\"sample\"]" show stats)" -ge 5 ]'
check streams stream_end

# Rules that come later do not touch a flow that the kernel's flowtable has; here there is none, and the
# samples meet them.
hold_tcp
check held-offloaded wait_for 20 reason_is offloaded
check drop in_gw nft insert rule inet filter forward tcp dport "$lab_port" drop
check audited wait_for 30 reason_is audit
check unseen eval '[ "$(lab_stat mirror.unseen)" -ge 2 ]'
check told grep -q "samples of tcp .* port $lab_port and did not send" "$LAB_LOG"
packets() {
	lab_sum offloaded_packets show ports
}
before=$(packets)
sleep 2
check ended [ "$(packets)" = "$before" ]
release_tcp
check stop lab_stop
