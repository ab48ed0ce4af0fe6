#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# Without any flowtable the daemon is a wire between each port and its twin: frames of any kind and
# size pass unchanged, and MAC address, MTU and link state are the same at both.
. "$(dirname "$0")/lib.sh"
LAB_IPV6=1
lab_init

start() { # FLAVOUR
	lab_topology "$1" && lab_config && lab_start && lab_ruleset classic &&
		in_gw sysctl -qw net.ipv6.conf.all.forwarding=1
}

# Experimental EtherTypes, which no kernel answers, there and back.
frames() { # NAME
	lab_frames "$@" <<'END'
from frame import *
name = sys.argv[1]
wire, twin = Port(CL, "eth0"), Port(GW, "lan")

def passes(make):
    for a, b in ((wire, twin), (twin, wire)):
        frame = make(a, b)
        a.send(frame)
        if b.expect(frame) is None:
            return False
    return True

def plain(size, dst=None):
    return lambda a, b: ethernet(dst or b.mac, a.mac, os.urandom(size - 14), EXPERIMENTAL)

def tagged(size, tag=b"\x81\x00\x60\x05"):
    return lambda a, b: b.mac + a.mac + tag + b"\x88\xb5" + os.urandom(size - 18)

sizes = [60, 61, 63, 64, 65, 127, 255, 511, 1001, 1513, 1514]
bad = [size for size in sizes if not passes(plain(size))]
result(f"sizes-{name}", not bad, f"lost or changed at {bad} bytes")
result(f"broadcast-{name}", passes(plain(100, b"\xff" * 6)))
result(f"multicast-{name}", passes(plain(100, b"\x01\x00\x5e\x01\x02\x03")))
result(f"other-mac-{name}", passes(plain(100, b"\x02\x00\x00\x00\x00\x99")))
result(f"vlan-{name}", passes(tagged(64)) and passes(tagged(1518)), "tag or frame lost")
if name != "veth":  # af_packet makes it a tag of 802.1Q
    result(f"qinq-{name}", passes(tagged(100, b"\x88\xa8\x00\x07\x81\x00\x00\x05")), "changed")
END
}

ipv6() {
	ip -n "$CL" addr add fd00:1::2/64 dev eth0 nodad && ip -n "$SV" addr add fd00:2::2/64 dev eth0 nodad &&
		ip -n "$GW" addr add fd00:1::1/64 dev lan nodad && ip -n "$GW" addr add fd00:2::1/64 dev wan nodad &&
		ip -n "$CL" route add default via fd00:1::1 && ip -n "$SV" route add default via fd00:2::1 &&
		wait_for 10 in_cl ping -6 -q -c 1 -W 1 fd00:2::2 && lab_ping 2 fd00:2::2
}

same() { # WORD: of the twin and of DPDK's port
	[ "$(in_gw cat "/sys/class/net/lan/$1")" = "$(lab_get lan "$2" show ports)" ]
}

carrier() { # 0|1
	[ "$(in_gw cat /sys/class/net/lan/carrier)" = "$1" ]
}

mtu_is() { # DEVICE MTU
	[ "$(in_gw cat "/sys/class/net/$1/mtu")" = "$2" ]
}

for flavour in veth tap; do
	check "start-$flavour" start "$flavour" || exit
	check "ping-$flavour" lab_ping
	check "neighbour-$flavour" eval "ip -n '$CL' neigh show 10.0.1.1 | grep -i '$(in_gw cat /sys/class/net/lan/address)'"
	check "ipv6-$flavour" ipv6
	frames "$flavour"
	check "up-$flavour" transfer_tcp 2000000 up
	check "down-$flavour" transfer_tcp 2000000 down
	check "udp-$flavour" transfer_udp 20 1472
	# af_packet's fanout reassembles fragments into what its frames do not hold
	[ "$flavour" = veth ] || check "udp-fragments-$flavour" transfer_udp 5 9000
	check "nothing-offloaded-$flavour" eval '[ "$(lab_sum offloaded_packets show ports)" = 0 ]'
	check "mac-$flavour" same address mac
	check "mtu-$flavour" same mtu mtu_bytes
	# more than the packet buffers hold: refused, and the twin is set back
	in_gw ip link set lan mtu 5000
	check "mtu-refused-$flavour" wait_for 5 grep -q 'refuses MTU 5000' "$LAB_LOG"
	check "mtu-set-back-$flavour" wait_for 5 mtu_is lan 1500
	in_gw ip link set lan mtu 1400
	check "mtu-follows-$flavour" wait_for 5 eval '[ "$(lab_get lan mtu_bytes show ports)" = 1400 ]'
	check "mtu-port-$flavour" mtu_is "$([ "$flavour" = tap ] && echo t || echo p)-lan" 1400
	check "end-$flavour" lab_clear
done

# Of af_packet DPDK 22.11 always says that the link is up.
check start-link start tap || exit
check carrier-on wait_for 5 carrier 1
ip -n "$GW" link set t-lan down
check carrier-lost wait_for 5 carrier 0
check link-down wait_for 5 eval '[ "$(lab_get lan link show ports)" = down ]'
ip -n "$GW" link set t-lan up
check carrier-back wait_for 5 carrier 1
check ping-back wait_for 10 lab_ping 1
check end-link lab_clear
