#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the workers leave to the kernel although the flow is theirs: each kind of packet counts at its
# own reason and is not forwarded by a worker. What they do forward has the right bytes.
. "$(dirname "$0")/lib.sh"
lab_init
# not af_packet: its sockets reassemble fragments
check topology lab_topology tap || exit
lab_config "$LAB_MARK_CONFIG"
check start lab_start || exit
check ruleset lab_ruleset mark masquerade
check ping lab_ping
# the server does not answer what is none of its flow: that would count too
in_sv nft 'table ip silent { chain in { type filter hook input priority 0; ip protocol != udp drop; }; }'

lab_frames <<'END'
import subprocess
from frame import *
daemon = Daemon()
client, server, peer = udp_pair()
wire, far, gateway = Port(CL, "eth0"), Port(SV, "eth0"), Port(GW, "lan")
wan = Port(GW, "wan")

def flow():
    return next((f for f in daemon.ask("show flows") if f["reason"] == "offloaded"), None)

def counts():
    stats = daemon.stats()
    return {**stats["punts"], "offloaded": stats["ports"]["offloaded_packets"]}

def counted(frame, word):
    """Sends it from the client; what it added to 'word' and to 'offloaded', once it was counted."""
    before = counts()
    wire.send(frame)
    until(lambda: counts()[word] > before[word], 5)
    after = counts()
    return after[word] - before[word], after["offloaded"] - before["offloaded"]

def packet(payload=b"hello", dport=6000, **more):
    return udp("10.0.1.2", "10.0.2.2", 40000, dport, payload, **more)

def frame(ip, dst=gateway.mac, **more):
    return ethernet(dst, wire.mac, ip, **more)

def punted(name, word, data):
    got = counted(data, word)
    result(name, got == (1, 0), f"{word} and offloaded went up by {got}")

def arrives(name, data, wanted):
    """It leaves by the worker, and at the server it is 'wanted' after its Ethernet header."""
    before = counts()["offloaded"]
    far.drain()
    wire.send(data)
    seen = []
    good = ethernet(far.mac, wan.mac, wanted)
    got = far.expect(lambda f: seen.append(f) or f == good)
    result(name, got and until(lambda: counts()["offloaded"] == before + 1, 5),
           f"got {[f.hex() for f in seen]}, expected {good.hex()}")

def behind(payload=b"hello", **more):
    return udp(*peer[:1], "10.0.2.2", peer[1], 6000, payload, **{"ttl": 63, **more})

result("offloaded", until(flow) is not None, "no flow")

# forwarded: TTL one less, source of the masquerade, checksums as if computed anew
arrives("nat-ttl-checksums", frame(packet()), behind())
arrives("empty", frame(packet(b"")), behind(b""))
arrives("odd", frame(packet(b"odd")), behind(b"odd"))
arrives("longest", frame(packet(bytes(range(256)) * 5 + bytes(192))),
        behind(bytes(range(256)) * 5 + bytes(192)))
arrives("padded", frame(packet() + bytes(27)), behind() + bytes(27))
arrives("dont-fragment", frame(packet(flags=0x4000)), behind(flags=0x4000))
arrives("tos", frame(packet(tos=0xB8)), behind(tos=0xB8))
arrives("ttl-2", frame(packet(ttl=2)), behind(ttl=1))
arrives("udp-checksum-0", frame(packet(with_checksum=False)), behind(with_checksum=False))
# two bytes that make the checksum behind the NAT come out as 0: it is sent as all ones
plain = behind(b"\0\0")
value = struct.unpack("!H", plain[26:28])[0]
arrives("udp-checksum-ffff", frame(packet(struct.pack("!H", value))), behind(struct.pack("!H", value)))

# to the kernel
punted("ip-options", "ip-options", frame(packet(options=b"\x01" * 4)))
punted("more-fragments", "fragment", frame(packet(b"x" * 16, flags=0x2000)))
punted("last-fragment", "fragment", frame(packet(b"x" * 16, flags=0x0002)))
punted("ttl-1", "ttl", frame(packet(ttl=1)))
punted("ttl-0", "ttl", frame(packet(ttl=0)))
punted("checksum", "checksum", frame(packet(damage=0x0101)))
punted("udp-checksum", "checksum", frame(packet()[:-1] + b"!"))  # the device has looked at it
punted("other-mac", "other-mac", frame(packet(), dst=b"\x02\0\0\0\0\x77"))
punted("truncated", "length", frame(packet(b"x" * 100))[:100])
punted("shorter-than-its-header", "length", frame(packet(length=19)))
punted("no-room-for-udp", "length", frame(packet(with_checksum=False, length=27)))
punted("version-5", "length", frame(b"\x55" + packet()[1:]))
punted("icmp", "protocol", frame(ipv4("10.0.1.2", "10.0.2.2", b"\0\0\xff\xff" + bytes(4), proto=1)))
punted("sctp", "protocol", frame(packet(proto=132)))
punted("vlan", "vlan", frame(b"\x00\x05\x08\x00" + packet(), kind=0x8100))
punted("ipv6-ethertype", "length", frame(packet(), kind=0x86DD))
punted("other-port", "miss", frame(packet(dport=6001)))
for flag, name in (2, "syn"), (1, "fin"), (4, "rst"):
    punted(f"tcp-{name}", "tcp-flags", frame(tcp("10.0.1.2", "10.0.2.2", 40000, 6000, flag)))

# the flow itself lives on, in both directions
server.sendto(b"answer", peer)
result("reply", client.recv(100) == b"answer")
reply = flow()["reply"]["packets"]
result("reply-counted", reply >= 1, f"{reply} packets")

# a smaller MTU of the way out
subprocess.run(["ip", "-n", GW, "link", "set", "wan", "mtu", "1400"], check=True)
result("mtu-known", until(lambda: flow() and flow()["original"]["mtu_bytes"] == 1400), "not in show flows")
arrives("mtu-fits", frame(packet(b"x" * 1372)), behind(b"x" * 1372))
punted("mtu", "mtu", frame(packet(b"x" * 1373)))
END
