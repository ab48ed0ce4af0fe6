#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# IPv4 by an IPv6 next hop. The kernel's flowtable loses such packets (it asks for the neighbour by
# ARP, whatever the next hop's family), its slow path does not: workers do as the slow path, once the
# flow is theirs.
. "$(dirname "$0")/../lab/lib.sh"
LAB_IPV6=1
lab_init
check topology lab_topology tap || exit
lab_config
check start lab_start || exit
check address ip -n "$GW" addr add fd00::1/64 dev wan nodad
check neighbour ip -n "$GW" neigh replace fd00::2 dev wan nud permanent \
	lladdr "$(in_sv cat /sys/class/net/eth0/address)"
check address-behind ip -n "$SV" addr add 10.0.9.9/32 dev lo
check route ip -n "$GW" route add 10.0.9.0/24 via inet6 fd00::2 dev wan

lab_frames <<'END'
from frame import *
import subprocess
daemon = Daemon()
enter(SV)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.9.9", 6000))
enter(CL)
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.bind(("10.0.1.2", 40000))
for end in s, c:
    end.settimeout(5 * SLOW)

def round_trip(data):
    c.sendto(data, ("10.0.9.9", 6000))
    got, peer = s.recvfrom(2048)
    s.sendto(got, peer)
    return c.recv(2048) == data

# by the slow path first, with no flowtable
result("slow", round_trip(b"slow"))
subprocess.run(["ip", "netns", "exec", GW, "nft", """table inet filter {
    flowtable f {
        hook ingress priority 0
        devices = { lan, wan }
    }
    chain forward {
        type filter hook forward priority 0
        meta l4proto udp flow add @f
    }
}"""], check=True)
result("offered", round_trip(b"this one enters the flowtable"))
offloaded = lambda: any(f["reason"] == "offloaded" for f in daemon.ask("show flows"))
result("offloaded", until(offloaded, 20), str(daemon.ask("show flows")))
before = daemon.stats()["ports"]["offloaded_packets"]
arrived = sum(round_trip(os.urandom(100)) for _ in range(100))
more = daemon.stats()["ports"]["offloaded_packets"] - before
result("all-arrive", arrived == 100, str(arrived))
result("by-the-workers", more >= 195, str(more))
END
check stop lab_stop
