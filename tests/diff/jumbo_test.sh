#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 400
# Jumbo frames, of which some are too long for the way out. The ports are libpcap's, as in
# tests/lab/jumbo_test.sh.
. "$(dirname "$0")/lib.sh"
DIFF_PCAP=1
DIFF_MTU=([lan]=9000 [wan]=8000 [wan2]=8000)
LAB_EAL=(--no-huge -m 512 --no-pci -l 0-1)
DIFF_FRAMES=800
diff_start "$@"

router_masquerade() {
	net lan 1
	net wan 2
	rules 'lan, wan' "$(postnat 'oifname "wan" masquerade')"
}

kind tcp yes masquerade tcp,from=lan,src=10.0.1.2,dst=10.0.2.2 tcp,from=lan,src=10.0.1.3,dst=10.0.2.2
kind udp yes masquerade udp,from=lan,src=10.0.1.2,dst=10.0.2.2 udp,from=lan,src=10.0.1.3,dst=10.0.2.2
