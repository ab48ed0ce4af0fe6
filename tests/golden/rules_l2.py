# SPDX-License-Identifier: GPL-2.0-or-later
"""Ethernet: VLAN tags, addresses, types; and the order, the segments and the workers of it all."""
import struct

from packets import CLIENT, FIN, SERVER, WAN, change, ether, tcp, udp
from table import back, flow, rule

C, S = "10.0.1.2", "10.0.2.2"
C6, S6 = "fd00:1::2", "fd00:2::2"
AD = 0x88A8


def line(more="", proto="udp", way="in=lan out=wan"):
    return flow(proto, f"{C}:40000", f"{S}:80", more, way)


def line6(more=""):
    return flow("udp", f"[{C6}]:40000", f"[{S6}]:80", more)


def from_client(data=b"hello", **more):
    return udp(C, 40000, S, 80, data, **more)


def from_client6(data=b"hello"):
    return udp(C6, 40000, S6, 80, data)


BOTH = from_client(), from_client6()


def tagged(*tags):
    return [ether(packet, tags=tags) for packet in BOTH]


# --- VLAN tags ---

rule("101-vlan-in", "A tag comes off: the flow entered by a VLAN device of the port |"
     "nf_flow_tuple_encap(), nf_flow_encap_pop()",
     [line("vlan-in=100"), line6("vlan-in=100")], tagged(100) + [ether(from_client(b"x" * 1472),
                                                                       tags=[100])], 3)

rule("102-vlan-out", "A tag goes on, with priority 0: the flow leaves by a VLAN device |"
     "vlan_dev_hard_header(), vlan_dev_hard_start_xmit()",
     [line("vlan-out=200"), line6("vlan-out=4094")], tagged() + [ether(from_client(b"x" * 1472))],
     3)

rule("103-vlan-in-out", "From one VLAN to another, and with NAT, both directions |"
     " nf_flow_encap_pop(), then the"
     " VLAN device's transmission",
     [line("vlan-in=100 vlan-out=200 new-from=10.0.2.1:1024"),
      back("udp", f"{S}:80", "10.0.2.1:1024", f"vlan-in=200 vlan-out=100 new-to={C}:40000"),
      line6("vlan-in=100 vlan-out=200 new-from=[fd00:2::1]:1024")],
     {"lan": tagged(100), "wan": [ether(udp(S, 80, "10.0.2.1", 1024), dst=WAN, src=SERVER,
                                        tags=[200])]}, 3)

rule("104-vlan-hairpin", "A router on a stick: in by VLAN 100, out of the same port by VLAN 200 |"
     "two VLAN devices of one port in a flowtable",
     [line("vlan-in=100 vlan-out=200", way="in=lan out=lan"),
      back("udp", f"{S}:80", f"{C}:40000", "vlan-in=200 vlan-out=100", way="in=lan out=lan")],
     [ether(from_client(), tags=[100]), ether(udp(S, 80, C, 40000), tags=[200])], 2)

rule("105-qinq-in", "Two tags come off, 802.1ad outside or 802.1Q | nf_flow_tuple_encap() takes"
     " two",
     [line("vlan-in=ad:200,100"), line6("vlan-in=200,100")],
     [ether(from_client(), tags=[(AD, 200), 100]), ether(from_client6(), tags=[200, 100])], 2)

rule("106-qinq-out", "Two tags go on | a VLAN device on a VLAN device",
     [line("vlan-out=ad:200,100"), line6("vlan-out=ad:200,ad:100")], tagged(), 2)

rule("107-qinq-in-out", "Two tags for two others, and for one | nf_flow_encap_pop()",
     [line("vlan-in=ad:200,100 vlan-out=ad:300,101"), line6("vlan-in=ad:200,100 vlan-out=102")],
     tagged((AD, 200), 100), 2)

rule("108-vlan-priority-tag", "A tag with VLAN 0 is none, its priority is not kept |"
     "802.1Q; __netif_receive_skb_core(). The kernel's fast path misses it, its slow path makes"
     " the same of it",
     [line(), line6()], tagged(0) + tagged(0xE000) + [ether(from_client(), tags=[(AD, 0x1000)])], 5)

rule("109-vlan-priority-bits", "Priority and DEI bits do not choose the flow and are not kept |"
     "skb_vlan_tag_get_id(); the VLAN device's egress map has none",
     [line("vlan-in=100"), line6("vlan-in=100 vlan-out=100")],
     tagged(0xE000 | 100) + tagged(0x1000 | 100)
     # conntrack sees these in the kernel, and takes none whose checksum is wrong
     + [ether(from_client(check=0x1234), tags=[0x2000 | 100]),
        ether(from_client(check=0x1234), tags=[100]), ether(from_client(check=0), tags=[0x2000 | 100])],
     6, checksum=1)

rule("110-vlan-unknown", "A stack of tags that no flow of the port has, however good the rest |"
     "flow_offload_lookup(): the tags belong to the key. The outer tag of a flow's two alone is a"
     " miss",
     [line("vlan-in=100"), line6("vlan-in=ad:200,100")],
     [ether(from_client(), tags=t) for t in ([101], [(AD, 100)], [100, 100], [100, 101], [(AD,
                                                                                           200),
                                                                                           101])] +
     [ether(from_client6(), tags=t) for t in ([200], [(AD, 200)], [200, 100], [100, (AD, 200)])],
     0, vlan=8, miss=1)

rule("111-vlan-miss", "The tuple is a flow's, but on another VLAN of the port or without a tag |"
     "flow_offload_lookup(): the tags belong to the key",
     [line("vlan-in=100"), flow("udp", f"{C}:40001", f"{S}:80", "vlan-in=101"),
      flow("udp", f"{C}:40002", f"{S}:80")],
     [ether(from_client(), tags=[101]), ether(from_client()), ether(udp(C, 40001, S, 80),
                                                                    tags=[100]),
      ether(udp(C, 40002, S, 80), tags=[100]), ether(udp(C, 40002, S, 80))], 1, miss=4)

rule("112-vlan-three-tags", "More than two tags | NF_FLOW_TABLE_ENCAP_MAX is 2",
     [line("vlan-in=200,100"), line()],
     [ether(from_client(), tags=[300, 200, 100]), ether(from_client(), tags=[(AD, 300), 200, 100,
                                                                             50])], 0, vlan=2)

rule("113-vlan-mtu", "Tags do not count for the path MTU, on either side | nf_flow_exceeds_mtu():"
     " mtu + offset",
     [line("vlan-in=100 mtu=1400"), line6("vlan-in=ad:200,100 vlan-out=300 mtu=1400"),
      line("vlan-out=ad:200,100 mtu=1400", "tcp")],
     [ether(from_client(b"x" * n), tags=[100]) for n in (1372, 1373)] +
     [ether(from_client6(b"x" * n), tags=[(AD, 200), 100]) for n in (1352, 1353)] +
     [ether(tcp(C, 40000, S, 80, b"x" * n)) for n in (1360, 1361)], 3, mtu=3)

rule("114-vlan-checks", "Behind a tag the same rules: TTL, options, fragments, lengths, checksum,"
     " FIN |"
     "nf_flow_tuple_ip() with an offset",
     [line("vlan-in=100"), line("vlan-in=100", "tcp")],
     [ether(packet, tags=[100]) for packet in (
         from_client(ttl=1), from_client(options=b"\x01" * 4), from_client(frag=0x2000),
         from_client(length=19), change(from_client(), 10, b"\x12\x34"), tcp(C, 40000, S, 80,
                                                                             flags=FIN),
         tcp(C, 40000, S, 80), from_client())] + [ether(from_client(), tags=[100])[:45]], 1,
     ttl=1, ip_options=1, fragment=1, length=2, checksum=1, tcp_flags=1, closing=1)

rule("115-vlan-padding", "What follows the IP packet is kept when a tag comes off or goes on |"
     "nobody trims or pads on the way",
     [line("vlan-in=100"), line6("vlan-out=100")], [ether(from_client(b""), tags=[100]) + bytes(14),
                                                   ether(from_client6(b"")) + b"\xaa\x55"], 2)

rule("116-vlan-segment-of-flows", "One tuple on three VLANs and untagged is four flows |"
     "flow_offload_lookup(): the tags belong to the key",
     [line(f"new-from=10.0.2.1:{n} {more}") for n, more in
      ((1, ""), (2, "vlan-in=100"), (3, "vlan-in=101"), (4, "vlan-in=ad:100,101"))],
     [ether(from_client(), tags=t) for t in ((), [100], [101], [(AD, 100), 101], [0], [100])], 6)

# --- addresses and types ---

BROADCAST = b"\xff" * 6

rule("121-other-mac", "Not addressed to the port: another host's, the other port's, the next hop's"
     " |"
     "PACKET_OTHERHOST, which ip_rcv() drops; the port may be promiscuous",
     [line(), line6()],
     [ether(packet, dst=dst) for packet in BOTH
      for dst in (b"\x02\x70\x63\x61\x71\0", WAN, SERVER, b"\x02\x70\x63\x61\x70\x80")], 0,
      other_mac=8)

rule("122-broadcast-multicast", "Broadcast and multicast frames, whatever they carry | the fast"
     " path is for what is"
     " sent to the router",
     [line(), line6()],
     [ether(packet, dst=dst) for packet in BOTH for dst in (BROADCAST,
                                                            bytes.fromhex("01005e0000fb"),
                                                            bytes.fromhex("333300000001"))], 0,
                                                            other_mac=6)

ARP = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, CLIENT, b"\n\0\1\2", bytes(6), b"\n\0\1\1")

rule("123-arp", "ARP requests and answers | no IP",
     line(), [ether(ARP, dst=BROADCAST, kind=0x0806), ether(change(ARP, 7, b"\2"), kind=0x0806)], 0,
     not_ip=1, other_mac=1)

rule("124-lldp", "LLDP, spanning tree, LACP, 802.1X: frames of link-local groups | no IP, and not"
     " for the port alone",
     line(),
     [ether(b"\x02\x07\x04" + CLIENT + bytes(40), dst=bytes.fromhex("0180c200000e"), kind=0x88CC),
      ether(b"\x42\x42\x03" + bytes(35), dst=bytes.fromhex("0180c2000000"), kind=38),
      ether(b"\x01\x01" + bytes(108), dst=bytes.fromhex("0180c2000002"), kind=0x8809),
      ether(bytes(46), dst=bytes.fromhex("0180c2000003"), kind=0x888E)], 0, other_mac=4)

rule("125-not-ip", "MPLS, PPPoE, an unknown type, a length instead of a type, the type cut off its"
     " data |"
     "skb->protocol is neither ETH_P_IP nor ETH_P_IPV6",
     [line(), line6()],
     [ether(from_client(), kind=kind) for kind in (0x8847, 0x8863, 0x8864, 0x88B5, 46, 0x0801,
                                                   0x86DE)], 0, not_ip=7)

# --- order, size, workers ---


def numbered(n, data=b""):
    return ether(udp(C, 40000 + n % 5, S, 80, struct.pack("!H", n) + data,
                     ttl=1 if n % 7 == 6 else 64))


rule("131-order", "A hundred packets of five flows leave in their order, and so do those for the"
     " kernel |"
     "a queue is one: RFC 4737, and TCP's happiness",
     [flow("udp", f"{C}:{40000 + n}", f"{S}:80", f"new-from=10.0.2.1:{n + 1}") for n in range(5)],
     [numbered(n, b"x" * (n * 37 % 1400)) for n in range(100)], 86, ttl=14)

JUMBO = """\
[global]
socket = @socket@
mbufs = 4096
[port lan]
device = @lan@
mtu = 9000
[port wan]
device = @wan@
mtu = 9000
"""
JUMBOS = [line("mtu=9000 new-from=10.0.2.1:1024"), line6("mtu=9000")]
LONG = [ether(from_client(b"x" * n)) for n in (1473, 8972, 8973)] + [
    ether(from_client6(b"x" * n)) for n in (1453, 8952, 8953)]

rule("132-jumbo", "Jumbo frames, a path MTU of 9000 and a byte more | nf_flow_exceeds_mtu()",
     JUMBOS, LONG, 4, JUMBO, mtu=2)

rule("133-segments", "Frames longer than a packet buffer come in several: forwarded and given to"
     " the kernel whole |"
     "the ports' MTU is 1500, the wire brings more",
     JUMBOS, LONG, 4, mtu=2)

TWO_WORKERS = """\
# workers: 2
[global]
socket = @socket@
mbufs = 4096
[port lan]
device = @lan@
[port wan]
device = @wan@
"""

rule("134-two-workers", "Two workers: one has lan's first queue, the other wan's and lan's second |"
     "every flow is every worker's",
     [line("new-from=10.0.2.1:1024"), back("udp", f"{S}:80", "10.0.2.1:1024", f"new-to={C}:40000")],
     {"lan": [[ether(from_client(bytes([n]))) for n in range(20)],
              [ether(from_client(bytes([n, n]))) for n in range(20)]],
      "wan": [ether(udp(S, 80, "10.0.2.1", 1024, bytes([n])), dst=WAN,
                    src=SERVER) for n in range(20)]},
     60, TWO_WORKERS)

rule("135-one-lcore", "Control and worker share an lcore, and take turns | one core is enough",
     [line("new-from=10.0.2.1:1024"), back("udp", f"{S}:80", "10.0.2.1:1024", f"new-to={C}:40000")],
     {"lan": [ether(from_client(bytes([n]), ttl=1 if n % 3 == 2 else 64)) for n in range(60)],
      "wan": [ether(udp(S, 80, "10.0.2.1", 1024, bytes([n])), dst=WAN, src=SERVER)
              for n in range(60)]}, 100, TWO_WORKERS.replace("2", "0", 1), ttl=20)
