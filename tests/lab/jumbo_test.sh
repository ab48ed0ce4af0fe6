#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Packets of 9000 bytes pass between port and twin and are offloaded. The ports are libpcap's: of
# DPDK's virtual devices on a netdev these alone take frames above 1522 bytes.
. "$(dirname "$0")/lib.sh"
lab_init
LAB_EAL=(--no-huge -m 512 --no-pci -l 0-1)

jumbo() {
	lab_topology veth || return
	ip -n "$GW" link set p-lan mtu 9000 && ip -n "$GW" link set p-wan mtu 9000 &&
		ip -n "$CL" link set eth0 mtu 9000 && ip -n "$SV" link set eth0 mtu 9000 || return
	lab_config "$LAB_MARK_CONFIG"
	sed -i -e 's/net_af_packet\(.*\)/net_pcap\1,phy_mac=1/' -e '/^device =/a mtu = 9000' "$LAB_CONFIG"
	lab_start && lab_ruleset mark masquerade
}

check start jumbo || exit
check mtu eval '[ "$(in_gw cat /sys/class/net/lan/mtu)" = 9000 ]'
check ping in_cl ping -q -c 2 -i 0.2 -W 5 -s 8972 -M do 10.0.2.2
lab_frames <<'END'
from frame import *
wire, twin = Port(CL, "eth0"), Port(GW, "lan")
bad = []
for size in 60, 1514, 1515, 1522, 2048, 4000, 9013, 9014:
    for a, b in ((wire, twin), (twin, wire)):
        frame = ethernet(b.mac, a.mac, os.urandom(size - 14), EXPERIMENTAL)
        a.send(frame)
        if b.expect(frame) is None:
            bad.append(size)
result("sizes", not bad, f"lost or changed at {bad} bytes")
END
lab_mark
check up transfer_tcp 10000000 up
check down transfer_tcp 10000000 down
check fast lab_fast
check mtu-of-flows eval '[ "$(lab_count reason=offloaded show flows)" = 0 ] ||
	lab_records "all(x[\"original\"][\"mtu_bytes\"] == 9000 for x in r)" show flows'
