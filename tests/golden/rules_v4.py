# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv4: the kinds of flows, checksums, and what is not forwarded."""
from packets import (ACK, CWR, DF, ECE, FIN, MF, PSH, RST, SERVER, SYN, URG, WAN, change, ether,
                     filler,
                     gre, ident_for, ipv4, tcp, udp)
from table import back, flow, rule

C, S = "10.0.1.2", "10.0.2.2"  # client and server
GW = "10.0.2.1"  # the gateway, on the server's side
OTHER = "10.0.1.99"
UDP = flow("udp", f"{C}:40000", f"{S}:80")
TCP = flow("tcp", f"{C}:40000", f"{S}:80")
SNAT = f"new-from={GW}:1024"


def from_client(data=b"hello", **more):
    return udp(C, 40000, S, 80, data, **more)


def segment(data=b"", **more):
    return tcp(C, 40000, S, 80, data, **more)


def from_server(packet):
    return ether(packet, dst=WAN, src=SERVER)


# --- kinds of flows ---

rule("001-v4-udp", "UDP without NAT: TTL one less, new MAC addresses, nothing else changes, any"
     " length |"
     "nf_flow_offload_ip_hook()",
     [UDP, back("udp", f"{S}:80", f"{C}:40000")],
     {"lan": [ether(from_client(bytes(range(n)))) for n in (0, 1, 2, 17, 200)] +
             [ether(from_client(b"x" * 1472))],
      "wan": [from_server(udp(S, 80, C, 40000, b"answer"))]}, 7)

rule("002-v4-tcp", "TCP without NAT, data and bare acknowledgements, both directions |"
     "nf_flow_offload_ip_hook()",
     [TCP, back("tcp", f"{S}:80", f"{C}:40000")],
     {"lan": [ether(segment()), ether(segment(b"GET /", flags=ACK | PSH)),
              ether(segment(b"x" * 1460))],
      "wan": [from_server(tcp(S, 80, C, 40000, b"200 OK"))]}, 4)

rule("003-v4-snat", "SNAT: source address and port of the original direction, destination of the"
     " reply |"
     "nf_flow_snat_ip(), nf_flow_snat_port()",
     [flow("udp", f"{C}:40000", f"{S}:80", SNAT), back("udp", f"{S}:80", f"{GW}:1024",
                                                       f"new-to={C}:40000"),
      flow("tcp", f"{C}:40000", f"{S}:80", SNAT), back("tcp", f"{S}:80", f"{GW}:1024",
                                                       f"new-to={C}:40000")],
     {"lan": [ether(from_client()), ether(segment(b"GET /")), ether(segment(b"odd"))],
      "wan": [from_server(udp(S, 80, GW, 1024)), from_server(tcp(S, 80, GW, 1024, b"200 OK"))]}, 5)

rule("004-v4-dnat", "DNAT: destination of the original direction, source of the reply |"
     "nf_flow_dnat_ip(), nf_flow_dnat_port()",
     [flow("udp", f"{C}:40000", "192.0.2.1:53", f"new-to={S}:5353"),
      back("udp", f"{S}:5353", f"{C}:40000", "new-from=192.0.2.1:53"),
      flow("tcp", f"{C}:40000", "192.0.2.1:80", f"new-to={S}:8080"),
      back("tcp", f"{S}:8080", f"{C}:40000", "new-from=192.0.2.1:80")],
     {"lan": [ether(udp(C, 40000, "192.0.2.1", 53)), ether(tcp(C, 40000, "192.0.2.1", 80,
                                                               b"GET /"))],
      "wan": [from_server(udp(S, 5353, C, 40000)), from_server(tcp(S, 8080, C, 40000, b"200"))]}, 4)

rule("005-v4-snat-dnat", "SNAT and DNAT at once | nf_flow_nat_ip(): SNAT first, checksums change"
     " twice",
     [flow("udp", f"{C}:40000", "192.0.2.1:53", f"{SNAT} new-to={S}:5353"),
      back("udp", f"{S}:5353", f"{GW}:1024", f"new-from=192.0.2.1:53 new-to={C}:40000"),
      flow("tcp", f"{C}:40000", "192.0.2.1:80", f"{SNAT} new-to={S}:8080"),
      back("tcp", f"{S}:8080", f"{GW}:1024", f"new-from=192.0.2.1:80 new-to={C}:40000")],
     {"lan": [ether(udp(C, 40000, "192.0.2.1", 53)), ether(tcp(C, 40000, "192.0.2.1", 80,
                                                               b"GET /"))],
      "wan": [from_server(udp(S, 5353, GW, 1024)), from_server(tcp(S, 8080, GW, 1024, b"200"))]}, 4)

rule("006-v4-masquerade", "Masquerade: two clients with the same port get two ports |"
     " nf_nat_masquerade.c",
     [flow("udp", f"{C}:40000", f"{S}:80", f"new-from={GW}:40000"),
      flow("udp", f"{OTHER}:40000", f"{S}:80", f"new-from={GW}:1024")],
     [ether(from_client()), ether(udp(OTHER, 40000, S, 80)), ether(from_client(b"again"))], 3)

rule("007-v4-port-only", "Only a port changes, either one: the IP header's checksum is that of the"
     " TTL |"
     "nf_flow_nat_port(); a redirect to another port of the same host",
     [flow("udp", f"{C}:40000", f"{S}:80", f"new-to={S}:8080"),
      flow("tcp", f"{C}:40000", f"{S}:80", f"new-from={C}:1")],
     [ether(from_client()), ether(segment(b"GET /"))], 2)

rule("008-v4-address-only", "Only an address changes, either one | nf_flow_nat_ip()",
     [flow("udp", f"{C}:40000", f"{S}:80", f"new-from={GW}:40000"),
      flow("tcp", f"{C}:40000", f"{S}:80", "new-to=10.0.2.3:80")],
     [ether(from_client()), ether(segment(b"GET /"))], 2)

rule("009-v4-hairpin", "A packet leaves by the port that it came in by, with SNAT and DNAT |"
     "the NAT loopback of home routers; nf_flow_offload_ip_hook() has no rule against it",
     [flow("tcp", f"{C}:40000", "192.0.2.1:80", f"new-from=10.0.1.1:1024 new-to={OTHER}:8080",
           way="in=lan out=lan")],
     [ether(tcp(C, 40000, "192.0.2.1", 80, b"GET /"))], 1)

# --- checksums ---

rule("010-v4-udp-checksum-0", "A UDP checksum of 0 says 'none' and stays 0, with NAT too |"
     "RFC 768; nf_flow_nat_ip_udp()",
     [flow("udp", f"{C}:40000", f"{S}:80", SNAT), flow("udp", f"{C}:40001", f"{S}:80")],
     [ether(from_client(check=0)), ether(udp(C, 40001, S, 80, check=0))], 2)


def to_zero(value):
    """A packet whose checksum behind the source NAT is 'value'."""
    data = filler(lambda two: udp(GW, 1024, S, 80, two, check=0), 17, value)
    return ether(from_client(data))


rule("011-v4-udp-checksum-becomes-0", "A UDP checksum that comes out as 0 is sent as ffff |"
     "RFC 768; CSUM_MANGLED_0 of nf_flow_nat_ip_udp()",
     flow("udp", f"{C}:40000", f"{S}:80", SNAT), [to_zero(0), to_zero(1), to_zero(0xFFFE)], 3)

ALL_ONES = ether(from_client(filler(lambda two: from_client(two, check=0), 17, 0)))

rule("012-v4-udp-checksum-ffff", "A UDP checksum of ffff is a sum of 0: NAT changes it as any"
     " other one,"
     " without NAT it stays | nf_flow_nat_ip_udp()",
     [flow("udp", f"{C}:40000", f"{S}:80", SNAT), flow("udp", f"{C}:40000", f"{S}:80",
                                                       way="in=wan out=lan")],
     {"lan": [ALL_ONES], "wan": [WAN + ALL_ONES[6:]]}, 2)

TO_0 = filler(lambda two: tcp(GW, 1024, S, 80, two, check=0), 6, 0)
IS_0 = filler(lambda two: segment(two, check=0), 6, 0)

rule("013-v4-tcp-checksum-edges", "TCP knows no special checksum: 0 and ffff come and go as"
     " numbers |"
     "nf_flow_nat_ip_tcp(), inet_proto_csum_replace4()",
     [flow("tcp", f"{C}:40000", f"{S}:80", SNAT), flow("tcp", f"{C}:40000", f"{S}:80",
                                                       way="in=wan out=lan")],
     {"lan": [ether(segment(TO_0)), ether(segment(IS_0)), ether(segment(IS_0, check=0xFFFF))],
      "wan": [ether(segment(IS_0), dst=WAN), ether(segment(IS_0, check=0xFFFF), dst=WAN)]}, 5)


def with_ip_checksum(value):
    return from_client(ident=ident_for(lambda n: from_client(ident=n, check=0), value))


CARRIES = [with_ip_checksum(n) for n in (0, 1, 0xFEFE, 0xFEFF, 0xFF00, 0xFFFE)] + [
    change(with_ip_checksum(0), 10, b"\xff\xff")]

rule("014-v4-ip-checksum-edges", "IP header checksums around the carry of the TTL, 0 and its other"
     " form ffff |"
     "ip_decrease_ttl(), RFC 1624",
     [UDP, flow("udp", f"{C}:40000", f"{S}:80", SNAT, way="in=wan out=lan")],
     {"lan": [ether(p) for p in CARRIES], "wan": [ether(p, dst=WAN) for p in CARRIES]}, 14)

rule("041-v4-port-only-checksum-edges", "Only a port changes, and the checksums are 0 or ffff: the"
     " IP header's, UDP's, TCP's"
     " | nf_flow_nat_ip() replaces the address by itself then, which makes 0 of ffff",
     [flow("udp", f"{C}:40000", f"{S}:80", f"new-from={C}:1024"),
      flow("tcp", f"{C}:40000", f"{S}:80", f"new-to={S}:8080")],
     [ether(p) for p in CARRIES] + [ALL_ONES, ether(from_client(check=0)), ether(segment(IS_0)),
                                    ether(segment(IS_0, check=0xFFFF))], 11)

SWAPPED = flow("udp", "10.0.1.2:40000", f"{S}:80", "new-from=1.2.10.0:40000")

rule("015-v4-swapped-halves", "A new address with the same sum changes no checksum, but ffff to 0"
     " and 0 to ffff"
     " | csum_replace4(): the sum is never all zeros",
     [SWAPPED, SWAPPED.replace("udp", "tcp")],
     [ether(from_client()), ALL_ONES, ether(from_client(check=0)), ether(segment(IS_0)),
      ether(segment(IS_0, check=0xFFFF))], 5)

rule("016-v4-wrong-l4-checksum", "The fast path does not look at a payload's checksum: a wrong one"
     " stays as wrong"
     " | nf_flow_nat_ip_l4proto() updates only; where the NIC checks, such packets are punted",
     [flow("udp", f"{C}:40000", f"{S}:80", SNAT), flow("tcp", f"{C}:40000", f"{S}:80", SNAT)],
     [ether(from_client(check=0xDEAD)), ether(segment(b"GET", check=0xBEEF))], 2)

rule("017-v4-bad-ip-checksum", "A wrong checksum of the IP header | ip_rcv_core() drops it, so the"
     " kernel has it",
     [UDP, TCP], [ether(change(from_client(), 10, b"\x12\x34")), ether(change(segment(), 10,
                                                                              b"\0\0")),
                  ether(from_client())], 1, checksum=2)

# --- GRE ---

rule("018-v4-gre", "GRE version 0 by its addresses, with any of its fields |"
     "nf_flow_tuple_ip(); with NAT it is nothing for a flowtable: nft_flow_offload_eval()",
     [flow("gre", C, S), back("gre", S, C)],
     {"lan": [ether(gre(C, S)), ether(gre(C, S, b"")), ether(gre(C, S, flags=0x2000,
                                                                 fields=b"key!")),
              ether(gre(C, S, flags=0xB000, fields=b"\x12\x34\0\0key!seq!", kind=0x6558))],
      "wan": [from_server(gre(S, C))]}, 5)

rule("019-v4-gre-version-1", "GRE version 1 (PPTP) and other versions | nf_flow_tuple_ip() takes"
     " version 0",
     flow("gre", C, S), [ether(gre(C, S, flags=0x3081, kind=0x880B, fields=bytes(8))),
                         ether(gre(C, S, flags=0x0007))], 0, protocol=2)

# --- what is not forwarded ---

rule("020-v4-ttl", "TTL 0 and 1 are for the kernel, 2 leaves with 1 | nf_flow_tuple_ip(): ttl <= 1",
     UDP, [ether(from_client(ttl=n)) for n in (0, 1, 2, 255)], 2, ttl=2)

rule("021-v4-options", "IP options | ip_has_options()",
     [UDP, TCP], [ether(from_client(options=b"\x01" * 4)), ether(ipv4(C, S, segment()[20:], 6,
                                                                      options=b"\x94\x04\0\0")),
                  ether(ipv4(C, S, from_client()[20:], 17, options=bytes(40)))], 0, ip_options=3)

rule("022-v4-fragments", "The first, a middle and the last fragment; DF alone is none |"
     "ip_is_fragment()",
     UDP, [ether(from_client(b"x" * 16, frag=MF)), ether(from_client(b"x" * 16, frag=MF | 185)),
           ether(from_client(b"x" * 16, frag=185)), ether(from_client(frag=0)),
           ether(from_client(frag=DF))],
     2, fragment=3)

rule("023-v4-mtu", "The path MTU, and a byte more | nf_flow_exceeds_mtu()",
     [flow("udp", f"{C}:40000", f"{S}:80", "mtu=1400"), flow("tcp", f"{C}:40000", f"{S}:80",
                                                             "mtu=68")],
     [ether(from_client(b"x" * 1372)), ether(from_client(b"x" * 1373)), ether(segment(b"x" * 28)),
      ether(segment(b"x" * 29))], 2, mtu=2)

rule("024-v4-truncated", "A frame shorter than its IP packet, or than its headers | ip_rcv_core()"
     " drops it,"
     " so the kernel has it",
     [UDP, TCP], [ether(from_client(b"x" * 100))[:100], ether(segment(b"x" * 100))[:54],
                  ether(from_client())[:41], ether(from_client())[:34], ether(segment())[:53]], 0,
                  length=5)

rule("025-v4-total-length", "A total length below the header's, or beyond the frame's end |"
     " ip_rcv_core()",
     UDP, [ether(from_client(length=n)) for n in (0, 19, 20, 27, 34, 65535)], 0, length=6)

rule("026-v4-no-room-for-l4", "An IP packet that ends within the UDP, TCP or GRE header |"
     "pskb_may_pull() of nf_flow_tuple_ip(), and the IP length",
     [UDP, TCP, flow("gre", C, S)],
     [ether(ipv4(C, S, from_client()[20:27], 17)), ether(ipv4(C, S, segment()[20:39], 6)),
      ether(ipv4(C, S, b"\0\0\x08", 47)), ether(ipv4(C, S, segment(b"x" * 60)[20:], 6, length=39)),
      ether(ipv4(C, S, b"", 17))], 0, length=5)

rule("027-v4-version", "Ethernet says IPv4, the packet's version is another; a header length below"
     " 5 |"
     "ip_rcv_core() drops it, so the kernel has it; ip_has_options()",
     UDP, [ether(from_client(version=6), kind=0x0800), ether(from_client(version=0), kind=0x0800),
           ether(b"\x44" + from_client()[1:], kind=0x0800)], 0, length=2, ip_options=1)

rule("028-v4-l4-length-fields", "UDP's length or TCP's header length beyond the IP packet, or below"
     " the header's |"
     "nf_flow_tuple_ip() does not look; the daemon leaves lengths that lie to the kernel",
     [UDP, TCP], [ether(from_client(udp_length=7)), ether(from_client(udp_length=1000)),
                  ether(segment(b"data", offset=15)), ether(segment(offset=0)),
                  ether(from_client(b"xyz", udp_length=9))], 1, length=4)

rule("029-v4-protocols", "ICMP, IGMP, SCTP, ESP and the rest between the flow's ends |"
     " nf_flow_tuple_ip()",
     [UDP, TCP], [ether(ipv4(C, S, b"\x08\0\xf7\xff" + bytes(4), 1))] +
     [ether(ipv4(C, S, from_client()[20:], n)) for n in (2, 4, 41, 50, 132, 136, 255)], 0,
     protocol=8)

rule("030-miss", "What is no flow: another address, port, protocol or port of entry |"
     "flow_offload_lookup()",
     [UDP, flow("tcp", f"{C}:40000", f"{S}:81")],
     {"lan": [ether(from_client()), ether(udp(C, 40001, S, 80)), ether(udp(C, 40000, S, 81)),
              ether(udp(OTHER, 40000, S, 80)), ether(udp(C, 40000, OTHER, 80)), ether(segment()),
              ether(udp(S, 80, C, 40000))],
      "wan": [from_server(from_client())]}, 1, miss=7)

# --- TCP ---

rule("031-tcp-syn", "SYN goes to the kernel and closes nothing | a new connection on the old tuple"
     " is conntrack's",
     [TCP, back("tcp", f"{S}:80", f"{C}:40000")],
     {"lan": [ether(segment(flags=SYN)), ether(segment(flags=SYN | ACK)), ether(segment(b"data"))],
      "wan": [from_server(tcp(S, 80, C, 40000, b"data"))]}, 2, tcp_flags=2)

rule("032-tcp-fin", "FIN closes both directions: what follows goes to the kernel |"
     "nf_flow_state_check(), flow_offload_teardown()",
     [TCP, back("tcp", f"{S}:80", f"{C}:40000")],
     {"lan": [ether(segment(b"last")), ether(segment(flags=FIN | ACK)), ether(segment(b"more"))],
      "wan": [from_server(tcp(S, 80, C, 40000, b"data")), from_server(tcp(S, 80, C, 40000,
                                                                          flags=FIN | ACK))]},
     1, tcp_flags=2, closing=2)

rule("033-tcp-rst", "RST closes both directions, and no other flow | nf_flow_state_check()",
     [TCP, back("tcp", f"{S}:80", f"{C}:40000"), flow("tcp", f"{C}:40001", f"{S}:80"),
      back("tcp", f"{S}:80", f"{C}:40001")],
     {"lan": [ether(segment(b"data")), ether(segment(flags=RST)), ether(segment(b"more")),
              ether(tcp(C, 40001, S, 80, b"mine"))],
      "wan": [from_server(tcp(S, 80, C, 40000, b"data")), from_server(tcp(S, 80, C, 40001,
                                                                          b"data"))]},
     3, tcp_flags=1, closing=2)

rule("034-tcp-fin-of-the-reply", "FIN of the reply closes the original direction as well |"
     "flow_offload_teardown() takes the whole flow",
     [flow("tcp", f"{S}:80", f"{C}:40000", way="in=lan out=wan"),
      back("tcp", f"{C}:40000", f"{S}:80", way="in=lan out=wan", eth="eth-src=02:00:00:00:00:03 "
           "eth-dst=02:00:00:00:00:33")],
     [ether(tcp(S, 80, C, 40000, b"one")), ether(segment(flags=FIN | ACK | PSH)), ether(segment()),
      ether(tcp(S, 80, C, 40000, b"two"))], 1, tcp_flags=1, closing=2)

rule("035-tcp-other-flags", "PSH, URG, ECE, CWR, none at all: forwarded unchanged |"
     " nf_flow_state_check()",
     TCP, [ether(segment(b"x", flags=f, urgent=1)) for f in (ACK | PSH, ACK | URG, ACK | ECE,
                                                             ACK | CWR, 0)], 5)

rule("036-tcp-fin-without-flow", "FIN and SYN of a connection that is no flow change none |"
     "the kernel looks up before it looks at flags",
     TCP, [ether(tcp(C, 41000, S, 80, flags=FIN | ACK)), ether(tcp(C, 41000, S, 80, flags=SYN)),
           ether(segment(b"data"))], 1, tcp_flags=2)

OPTIONS = b"\x01\x01\x08\x0a\0\0\0\x01\0\0\0\x02"

rule("037-tcp-options", "TCP options are kept: timestamps, SACK, 40 bytes of them | they are"
     " payload to the fast path",
     flow("tcp", f"{C}:40000", f"{S}:80", SNAT),
     [ether(segment(b"data", options=OPTIONS)),
      ether(segment(options=OPTIONS + b"\x01\x01\x05\x0a" + bytes(8))),
      ether(segment(options=b"\x01" * 40))], 3)

# --- what is kept ---

rule("038-v4-dscp-ecn", "DSCP and ECN are kept | the fast path does not touch the TOS",
     flow("udp", f"{C}:40000", f"{S}:80", SNAT), [ether(from_client(tos=n)) for n in (0x01, 0x02,
                                                                                      0x03, 0xB8,
                                                                                      0xFF)], 5)

rule("039-v4-ident-df", "Identification and DF are kept | they do not change in forwarding",
     UDP, [ether(from_client(ident=i, frag=f)) for i in (0, 1, 0xFFFF) for f in (0, DF)], 6)

rule("040-padding", "What follows the IP packet in its frame is kept | the flowtable runs before"
     " ip_rcv_core()"
     " would trim it",
     [flow("udp", f"{C}:40000", f"{S}:80", SNAT), TCP],
     [ether(from_client(b"")) + bytes(18), ether(from_client()) + b"\xaa\x55\xaa",
      ether(segment()) + bytes(6)], 3)

rule("042-v4-reserved-bit", "The reserved bit beside DF and MF is no fragment's, and is kept |"
     "ip_is_fragment() looks at MF and the offset; RFC 3514",
     UDP, [ether(from_client(frag=0x8000)), ether(from_client(frag=0x8000 | DF))], 2)
