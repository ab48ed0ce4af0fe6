# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv6."""
import struct

from packets import (ACK, FIN, PSH, RST, SERVER, SYN, WAN, ether, filler, gre, ipv6, packed, tcp,
                     udp)
from table import back, flow, rule

C, S = "fd00:1::2", "fd00:2::2"  # client and server
GW = "fd00:2::1"  # the gateway, on the server's side
UDP = flow("udp", f"[{C}]:40000", f"[{S}]:80")
TCP = flow("tcp", f"[{C}]:40000", f"[{S}]:80")
UDP_SNAT = flow("udp", f"[{C}]:40000", f"[{S}]:80", f"new-from=[{GW}]:1024")


def from_client(data=b"hello", **more):
    return udp(C, 40000, S, 80, data, **more)


def segment(data=b"", **more):
    return tcp(C, 40000, S, 80, data, **more)


def from_server(packet):
    return ether(packet, dst=WAN, src=SERVER)


def behind(header, kind, packet=None):
    """The packet with an extension header before its payload."""
    packet = from_client() if packet is None else packet
    return ipv6(C, S, bytes([packet[6]]) + header[1:] + packet[40:], kind)


rule("051-v6-udp", "UDP without NAT: hop limit one less, new MAC addresses, nothing else changes |"
     "nf_flow_offload_ipv6_hook()",
     [UDP, back("udp", f"[{S}]:80", f"[{C}]:40000")],
     {"lan": [ether(from_client(bytes(range(n)))) for n in (0, 1, 2, 17, 200)] +
             [ether(from_client(b"x" * 1452))],
      "wan": [from_server(udp(S, 80, C, 40000, b"answer"))]}, 7)

rule("052-v6-tcp", "TCP without NAT, both directions | nf_flow_offload_ipv6_hook()",
     [TCP, back("tcp", f"[{S}]:80", f"[{C}]:40000")],
     {"lan": [ether(segment()), ether(segment(b"GET /", flags=ACK | PSH)),
              ether(segment(b"x" * 1440))],
      "wan": [from_server(tcp(S, 80, C, 40000, b"200 OK"))]}, 4)

rule("053-v6-snat", "SNAT: source of the original direction, destination of the reply |"
     "nf_flow_snat_ipv6(), inet_proto_csum_replace16()",
     [UDP_SNAT, back("udp", f"[{S}]:80", f"[{GW}]:1024", f"new-to=[{C}]:40000"),
      UDP_SNAT.replace("udp", "tcp"), back("tcp", f"[{S}]:80", f"[{GW}]:1024",
                                           f"new-to=[{C}]:40000")],
     {"lan": [ether(from_client()), ether(segment(b"GET /")), ether(segment(b"odd"))],
      "wan": [from_server(udp(S, 80, GW, 1024)), from_server(tcp(S, 80, GW, 1024, b"200 OK"))]}, 5)

rule("054-v6-dnat", "DNAT: destination of the original direction, source of the reply |"
     " nf_flow_dnat_ipv6()",
     [flow("udp", f"[{C}]:40000", "[2001:db8::1]:53", f"new-to=[{S}]:5353"),
      back("udp", f"[{S}]:5353", f"[{C}]:40000", "new-from=[2001:db8::1]:53"),
      flow("tcp", f"[{C}]:40000", "[2001:db8::1]:80", f"new-to=[{S}]:8080")],
     {"lan": [ether(udp(C, 40000, "2001:db8::1", 53)), ether(tcp(C, 40000, "2001:db8::1", 80,
                                                                 b"GET /"))],
      "wan": [from_server(udp(S, 5353, C, 40000))]}, 3)

rule("055-v6-snat-dnat", "SNAT and DNAT at once | nf_flow_nat_ipv6()",
     [flow("udp", f"[{C}]:40000", "[2001:db8::1]:53", f"new-from=[{GW}]:1024 new-to=[{S}]:5353"),
      back("udp", f"[{S}]:5353", f"[{GW}]:1024", f"new-from=[2001:db8::1]:53 new-to=[{C}]:40000"),
      flow("tcp", f"[{C}]:40000", "[2001:db8::1]:80", f"new-from=[{GW}]:1024 new-to=[{S}]:8080")],
     {"lan": [ether(udp(C, 40000, "2001:db8::1", 53)), ether(tcp(C, 40000, "2001:db8::1", 80,
                                                                 b"GET /"))],
      "wan": [from_server(udp(S, 5353, GW, 1024))]}, 3)

rule("056-v6-port-or-address-only", "Only a port changes, or only an address | nf_flow_nat_ipv6()",
     [flow("udp", f"[{C}]:40000", f"[{S}]:80", f"new-to=[{S}]:8080"),
      flow("tcp", f"[{C}]:40000", f"[{S}]:80", f"new-from=[{GW}]:40000")],
     [ether(from_client()), ether(segment(b"GET /"))], 2)


def to(source, sport, wanted):
    """Data that gives the packet from there the checksum 'wanted'."""
    return filler(lambda two: udp(source, sport, S, 80, two, check=0), 17, wanted)


rule("057-v6-udp-checksum", "A checksum that comes out as 0 is sent as ffff, ffff is a sum as any"
     " other, and 0"
     " (a tunnel's, RFC 6935) stays | nf_flow_nat_ipv6_udp()",
     [UDP_SNAT, flow("udp", f"[{C}]:40000", f"[{S}]:80", way="in=wan out=lan")],
     {"lan": [ether(from_client(to(GW, 1024, n))) for n in (0, 1, 0xFFFE)] +
             [ether(from_client(to(C, 40000, 0))), ether(from_client(check=0))],
      "wan": [ether(from_client(to(C, 40000, 0)), dst=WAN), ether(from_client(check=0), dst=WAN)]},
      7)

IS_0 = filler(lambda two: segment(two, check=0), 6, 0)
TO_0 = filler(lambda two: tcp(GW, 1024, S, 80, two, check=0), 6, 0)

rule("058-v6-tcp-checksum-edges", "TCP's 0 and ffff come and go as numbers; a wrong one stays as"
     " wrong |"
     "nf_flow_nat_ipv6_tcp()",
     [UDP_SNAT.replace("udp", "tcp"), flow("tcp", f"[{C}]:40000", f"[{S}]:80",
                                           way="in=wan out=lan")],
     {"lan": [ether(segment(TO_0)), ether(segment(IS_0)), ether(segment(IS_0, check=0xFFFF)),
              ether(segment(check=0xDEAD))],
      "wan": [ether(segment(IS_0), dst=WAN), ether(segment(IS_0, check=0xFFFF), dst=WAN)]}, 6)

SWAPPED = flow("udp", f"[{C}]:40000", f"[{S}]:80", "new-from=[fd00:2::1]:40000")  # the same sum

rule("059-v6-same-sum", "A new address with the same sum changes no checksum, but ffff to 0 and 0"
     " to ffff |"
     "inet_proto_csum_replace16()",
     [SWAPPED, SWAPPED.replace("udp", "tcp")],
     [ether(from_client()), ether(from_client(to(C, 40000, 0))), ether(from_client(check=0)),
      ether(segment(IS_0)), ether(segment(IS_0, check=0xFFFF))], 5)

rule("060-v6-gre", "GRE version 0 by its addresses; other versions go to the kernel |"
     " nf_flow_tuple_ipv6()",
     [flow("gre", f"[{C}]", f"[{S}]"), back("gre", f"[{S}]", f"[{C}]")],
     {"lan": [ether(gre(C, S)), ether(gre(C, S, flags=0x2000, fields=b"key!")),
              ether(gre(C, S, flags=0x3081, kind=0x880B, fields=bytes(8)))],
      "wan": [from_server(gre(S, C))]}, 3, protocol=1)

rule("061-v6-hop-limit", "Hop limits 0 and 1 are for the kernel, 2 leaves with 1 |"
     " nf_flow_tuple_ipv6()",
     UDP, [ether(from_client(ttl=n)) for n in (0, 1, 2, 255)], 2, ttl=2)

rule("062-v6-hop-by-hop", "A hop-by-hop header: router alert, or padding | nf_flow_tuple_ipv6()"
     " takes TCP, UDP, GRE",
     [UDP, TCP], [ether(behind(b"\0\0\x05\x02\0\0\x01\0", 0)),
                  ether(behind(b"\0\0\x01\x04\0\0\0\0", 0, segment()))],
     0, ip_options=2)

rule("063-v6-fragments", "First, last and atomic fragments | nf_flow_tuple_ipv6() takes TCP, UDP,"
     " GRE",
     UDP, [ether(behind(b"\0\0" + struct.pack("!HI", word, 7), 44)) for word in (1, 185 << 3, 0)],
     0, fragment=3)

rule("064-v6-extensions", "Destination options, routing, authentication, mobility, HIP and shim6"
     " headers |"
     "nf_flow_tuple_ipv6() takes TCP, UDP, GRE",
     UDP, [ether(behind(b"\0\0\x01\x04\0\0\0\0", 60)),
           ether(behind(b"\0\x02\x04\0\0\0\0\0" + packed(C), 43)),
           ether(behind(b"\0\x04\0\0" + bytes(20), 51)), ether(behind(b"\0\0" + bytes(6), 135)),
           ether(behind(b"\0\0" + bytes(6), 139)), ether(behind(b"\0\0" + bytes(6), 140))], 0,
           ip_options=4, protocol=2)

rule("065-v6-protocols", "ICMPv6, SCTP, ESP, IPv6 in IPv6 and the rest between the flow's ends |"
     " nf_flow_tuple_ipv6()",
     [UDP, TCP], [ether(ipv6(C, S, b"\x80\0\x12\x34" + bytes(4), 58))] +
     [ether(ipv6(C, S, from_client()[40:], n)) for n in (1, 4, 41, 50, 132, 136)], 0, protocol=7)

rule("066-v6-mtu", "The path MTU, and a byte more; the IPv6 header counts | nf_flow_exceeds_mtu()",
     [flow("udp", f"[{C}]:40000", f"[{S}]:80", "mtu=1400"), flow("tcp", f"[{C}]:40000",
                                                                 f"[{S}]:80", "mtu=1280")],
     [ether(from_client(b"x" * 1352)), ether(from_client(b"x" * 1353)), ether(segment(b"x" * 1220)),
      ether(segment(b"x" * 1221))], 2, mtu=2)

rule("067-v6-payload-length", "A payload length beyond the frame's end, 0 (a jumbogram's), or"
     " short of the next header |"
     "ip6_rcv_core() drops it, so the kernel has it",
     UDP, [ether(from_client(length=n)) for n in (0, 7, 14, 65535)], 0, length=4)

rule("068-v6-truncated", "A frame that ends within its headers, or before its packet does |"
     " ip6_rcv_core(),"
     " pskb_may_pull() of nf_flow_tuple_ipv6()",
     [UDP, TCP], [ether(from_client(b"x" * 100))[:100], ether(segment(b"x" * 100))[:73],
                  ether(from_client())[:61], ether(from_client())[:54], ether(segment(length=19))],
                  0, length=5)

rule("069-v6-version", "Ethernet says IPv6, the packet's version is another | ip6_rcv_core() drops"
     " it,"
     " so the kernel has it",
     UDP, [ether(from_client(version=n), kind=0x86DD) for n in (0, 4, 15)], 0, length=3)

rule("070-v6-traffic-class-label", "Traffic class and flow label are kept | the fast path does not"
     " touch them",
     UDP_SNAT, [ether(from_client(tos=t, label=n))
                for t, n in ((0xFF, 0xFFFFF), (0xB8, 1), (3, 0x80000))], 3)

rule("071-v6-padding", "What follows the IPv6 packet in its frame is kept | the flowtable runs"
     " before ip6_rcv_core() would trim it", UDP_SNAT, [ether(from_client(b"")) + bytes(3),
                                                 ether(from_client()) + b"\xaa\x55"], 2)

rule("072-v6-tcp-flags", "SYN goes to the kernel, FIN and RST close both directions |"
     " nf_flow_state_check()",
     [TCP, back("tcp", f"[{S}]:80", f"[{C}]:40000"), flow("tcp", f"[{C}]:40001", f"[{S}]:80")],
     {"lan": [ether(segment(flags=SYN)), ether(segment(b"data")), ether(segment(flags=FIN | ACK)),
              ether(segment(b"more")), ether(tcp(C, 40001, S, 80, b"data")),
              ether(tcp(C, 40001, S, 80, flags=RST)), ether(tcp(C, 40001, S, 80, b"data"))],
      "wan": [from_server(tcp(S, 80, C, 40000, b"data"))]}, 2, tcp_flags=3, closing=3)

rule("073-v6-miss", "What is no flow, among it the packet whose addresses differ in one bit each |"
     "flow_offload_lookup()",
     UDP, [ether(from_client())] +
     [ether(udp("fd00:1::2" if i else "fd00:1::3", 40000, a, 80)) for i, a in
      enumerate(("fd00:2::2", "fd00:2::3", "fd00:2:8000::2", "fd00:2:0:1::2"))] +
     [ether(udp(C, 40001, S, 80)), ether(segment()), ether(udp(S, 80, C, 40000))], 1, miss=7)

rule("074-v6-hairpin", "In and out by one port, with SNAT and DNAT | nf_flow_offload_ipv6_hook()"
     " has no rule"
     " against it",
     [flow("tcp", f"[{C}]:40000", "[2001:db8::1]:80", "new-from=[fd00:1::1]:1024"
           " new-to=[fd00:1::99]:8080",
           way="in=lan out=lan")], [ether(tcp(C, 40000, "2001:db8::1", 80, b"GET /"))], 1)
