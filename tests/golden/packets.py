# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames from their parts, for make.py. What is not said has a sensible value; checksums are
computed from scratch unless they are given."""
import ipaddress
import struct

LAN, WAN = bytes.fromhex("027063617000"), bytes.fromhex("027063617001")  # the ports
CLIENT, SERVER = bytes.fromhex("020000000011"), bytes.fromhex("020000000022")
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
DF, MF = 0x4000, 0x2000


def packed(address):
    return ipaddress.ip_address(address).packed


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(payload, dst=LAN, src=CLIENT, tags=(), kind=None):
    """'tags' are TCIs, outermost first, or pairs of TPID and TCI. The type is taken from the IP
    version if none is given."""
    if kind is None:
        kind = 0x86DD if payload[0] >> 4 == 6 else 0x0800
    pairs = [tag if isinstance(tag, tuple) else (0x8100, tag) for tag in tags]
    return (dst + src + b"".join(struct.pack("!HH", *pair) for pair in pairs)
            + struct.pack("!H", kind) + payload)


def ipv4(src, dst, payload, proto, ttl=64, tos=0, ident=0x1234, frag=DF, options=b"", length=None,
         ip_check=None, version=4):
    if length is None:
        length = 20 + len(options) + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | 5 + len(options) // 4, tos, length, ident,
                       frag, ttl, proto, 0, packed(src), packed(dst)) + options
    if ip_check is None:
        ip_check = checksum(head)
    return head[:10] + struct.pack("!H", ip_check) + head[12:] + payload


def ipv6(src, dst, payload, proto, ttl=64, tos=0, label=0, length=None, version=6):
    if length is None:
        length = len(payload)
    return struct.pack("!IHBB16s16s", version << 28 | tos << 20 | label, length, proto, ttl,
                       packed(src), packed(dst)) + payload


def ip(src, dst, payload, proto, **more):
    make = ipv6 if ":" in src else ipv4
    return make(src, dst, payload, proto, **more)


def l4_checksum(src, dst, data, proto):
    return checksum(packed(src) + packed(dst) + struct.pack("!II", len(data), proto) + data)


def udp(src, sport, dst, dport, data=b"hello", check=None, udp_length=None, **more):
    """'check': None for the right one, or a number."""
    length = 8 + len(data) if udp_length is None else udp_length
    head = struct.pack("!HHHH", sport, dport, length, 0)
    if check is None:
        check = l4_checksum(src, dst, head + data, 17) or 0xFFFF
    return ip(src, dst, head[:6] + struct.pack("!H", check) + data, 17, **more)


def tcp(src, sport, dst, dport, data=b"", flags=ACK, check=None, options=b"", offset=None, seq=1000,
        window=512, urgent=0, **more):
    words = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, 2000, words << 4, flags, window, 0,
                       urgent) + options
    if check is None:
        check = l4_checksum(src, dst, head + data, 6)
    return ip(src, dst, head[:16] + struct.pack("!H", check) + head[18:] + data, 6, **more)


def gre(src, dst, data=b"inner", flags=0, kind=0x0800, fields=b"", **more):
    """'flags' with the version; 'fields' are those that they announce."""
    return ip(src, dst, struct.pack("!HH", flags, kind) + fields + data, 47, **more)


def filler(make, proto, wanted):
    """Two bytes of data that give the packet of make(TWO BYTES) the L4 checksum 'wanted'."""
    packet = make(b"\0\0")
    start, half = (40, 16) if packet[0] >> 4 == 6 else (20, 4)
    at = start + {6: 16, 17: 6}[proto]
    data = packet[start:at] + b"\0\0" + packet[at + 2:]
    addresses = packet[start - 2 * half:start]
    now = checksum(addresses + struct.pack("!II", len(data), proto) + data)
    value = now + (~wanted & 0xFFFF)
    return struct.pack("!H", (value & 0xFFFF) + (value >> 16))


def ident_for(make, wanted):
    """The identification that gives the IPv4 packet of make(IDENT) the header checksum 'wanted'."""
    now = struct.unpack("!H", make(0)[10:12])[0]
    value = now + (~wanted & 0xFFFF)
    return (value & 0xFFFF) + (value >> 16)


def change(frame, at, new):
    """The frame with 'new' in the place of the bytes at 'at'."""
    return frame[:at] + new + frame[at + len(new):]
