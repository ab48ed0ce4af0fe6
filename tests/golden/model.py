# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel would make of the frames of a golden folder: nf_flow_table_ip.c of Linux as a
plain program, written from its behaviour and from the RFCs, sharing nothing with the daemon.

Every checksum is updated as the kernel does, one change after the other, and then compared with one
computed anew; they must agree wherever the frame's own was right."""
import ipaddress
import socket
import struct

import golden

TCP, UDP, GRE = 6, 17, 47
PROTOCOLS = {"tcp": TCP, "udp": UDP, "gre": GRE}
TPIDS = {0x8100: "", 0x88A8: "ad:"}
FIN, SYN, RST, ACK = 1, 2, 4, 16
EXTENSIONS = {0, 43, 51, 60, 135}  # of IPv6, but for the fragment header
FRAGMENT = 44
MAX_TAGS = 2


class Punt(Exception):
    """The kernel has it, for this reason."""


class Flow:
    """A line of a 'flows' file."""

    def __init__(self, line):
        words = [w for w in line.split() if w]
        self.reply = "reply" in words
        self.values = dict(w.split("=", 1) for w in words if w != "reply")
        self.sibling = None
        self.closing = False
        self.proto = PROTOCOLS[self.values["proto"]]
        self.match = self.end("from") + self.end("to")
        self.out = (self.end("new-from") or self.match[:2]) + (self.end("new-to") or self.match[2:])
        self.vlan_in, self.vlan_out = self.tags("vlan-in"), self.tags("vlan-out")
        self.mtu = int(self.values.get("mtu", 1500))
        self.ethernet = self.mac("eth-dst") + self.mac("eth-src")

    def end(self, key):
        """Address as bytes and port."""
        text = self.values.get(key)
        if text is None:
            return ()
        port = 0
        if self.proto != GRE:
            text, port = text.rsplit(":", 1)
        return ipaddress.ip_address(text.strip("[]")).packed, int(port)

    def tags(self, key):
        text = self.values.get(key)
        return tuple((0x88A8 if t.startswith("ad:") else 0x8100, int(t.removeprefix("ad:")))
                     for t in text.split(",")) if text else ()

    def mac(self, key):
        return bytes.fromhex(self.values[key].replace(":", ""))

    def key(self):
        return self.values["in"], self.vlan_in, self.proto, self.match


def parse_flows(text):
    flows = []
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line:
            flow = Flow(line)
            if flow.reply:
                flow.sibling, flows[-1].sibling = flows[-1], flow
            flows.append(flow)
    return flows


# --- checksums ---

def ones_sum(data):
    """Of 16-bit words, folded."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return ~ones_sum(data) & 0xFFFF


def fold(total):
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def replaced(check, old, new):
    """RFC 1624, equation 3, in 32 bits with end-around carry, as csum_replace4() and
    inet_proto_csum_replace16() of the kernel: a sum of all zeros does not come about. Each of 'old'
    and 'new' is one field of 2, 4 or 16 bytes."""
    total = ~check & 0xFFFFFFFF
    for i in range(0, len(old), 4):
        for word in (~int.from_bytes(old[i:i + 4], "big") & 0xFFFFFFFF,
                     int.from_bytes(new[i:i + 4], "big")):
            total += word
            total = (total & 0xFFFFFFFF) + (total >> 32)
    return fold(total)


def less_ttl(check):
    """The checksum for a TTL less one, as ip_decrease_ttl()."""
    check += 0x0100
    return (check + (check >= 0xFFFF)) & 0xFFFF


# --- frames ---

class Frame:
    """Takes a frame apart, or raises Punt. 'known' are the stacks of tags with flows, and how those
    begin; None takes any."""

    def __init__(self, data, mac, known=None):
        if len(data) < 14:
            raise Punt("length")
        self.stack = ()
        kind = self.tags(data, known)
        if data[:6] != mac:
            raise Punt("other-mac")
        if kind not in (0x0800, 0x86DD):
            raise Punt("not-ip")
        self.kind, self.ip = kind, data[self.at:]
        if kind == 0x0800:
            self.ipv4()
        else:
            self.ipv6()

    def tags(self, data, known):
        """The type behind all tags. Those with VLAN 0 are none."""
        self.at = 14  # of what follows the type
        self.priority = False
        kind = struct.unpack("!H", data[12:14])[0]
        while kind in TPIDS:
            if len(data) < self.at + 4:
                raise Punt("length")
            if self.at == 14 + 4 * MAX_TAGS:
                raise Punt("vlan")
            tci, inner = struct.unpack("!HH", data[self.at:self.at + 4])
            self.priority |= tci & 0xF000 != 0 or tci == 0
            if tci & 0xFFF:
                self.stack += ((kind, tci & 0xFFF),)
            if self.stack and known is not None and self.stack not in known:
                raise Punt("vlan")
            kind = inner
            self.at += 4
        return kind

    def ipv4(self):
        ip = self.ip
        if len(ip) < 20 or ip[0] >> 4 != 4:
            raise Punt("length")
        if ip[0] & 15 != 5:
            raise Punt("ip-options")
        if struct.unpack("!H", ip[6:8])[0] & 0x3FFF:
            raise Punt("fragment")
        if ip[9] not in PROTOCOLS.values():
            raise Punt("protocol")
        if not 20 <= struct.unpack("!H", ip[2:4])[0] <= len(ip):
            raise Punt("length")
        if ip[8] <= 1:
            raise Punt("ttl")
        if ones_sum(ip[:20]) != 0xFFFF:
            raise Punt("checksum")
        self.addresses = ip[12:16], ip[16:20]
        self.payload(20, ip[9], struct.unpack("!H", ip[2:4])[0])

    def ipv6(self):
        ip = self.ip
        if len(ip) < 40 or ip[0] >> 4 != 6:
            raise Punt("length")
        if ip[6] == FRAGMENT:
            raise Punt("fragment")
        if ip[6] in EXTENSIONS:
            raise Punt("ip-options")
        if ip[6] not in PROTOCOLS.values():
            raise Punt("protocol")
        end = 40 + struct.unpack("!H", ip[4:6])[0]
        if end > len(ip):
            raise Punt("length")
        if ip[7] <= 1:
            raise Punt("ttl")
        self.addresses = ip[8:24], ip[24:40]
        self.payload(40, ip[6], end)

    def payload(self, start, proto, end):
        self.start, self.proto, self.end = start, proto, end
        if end - start < {TCP: 20, UDP: 8, GRE: 4}[proto]:
            raise Punt("length")
        self.ports = (0, 0)
        if proto == GRE:
            if self.ip[start + 1] & 7:
                raise Punt("protocol")
            return
        # not the kernel's rule but the daemon's: lengths that lie are left to the kernel
        l4 = self.ip[start:]
        length = (l4[12] >> 4) * 4 if proto == TCP else struct.unpack("!H", l4[4:6])[0]
        if not (20 if proto == TCP else 8) <= length <= end - start:
            raise Punt("length")
        self.ports = struct.unpack("!HH", l4[:4])

    def bad_checksum(self):
        """Of the transport, as conntrack sees it. Packets that have a priority go that way in the
        kernel where its flowtable hooks below the VLAN's device."""
        data = self.ip[self.start:self.end]
        at = {TCP: 16, UDP: 6}.get(self.proto)
        if at is None or (self.proto == UDP and data[at:at + 2] == b"\0\0"):
            return False
        pseudo = b"".join(self.addresses)
        return ones_sum(pseudo + struct.pack("!II", len(data), self.proto) + data) != 0xFFFF

    def tcp_flags(self):
        return self.ip[self.start + 13] if self.proto == TCP else 0

    def match(self):
        return tuple(x for pair in zip(self.addresses, self.ports) for x in pair)


# --- the rewrite ---

class Rewrite:
    """An IP packet on its way through nf_flow_nat_ip() or nf_flow_nat_ipv6()."""

    def __init__(self, frame):
        self.f = frame
        self.ip = bytearray(frame.ip)
        v4 = frame.kind == 0x0800
        self.src_at, self.address_size = (12, 4) if v4 else (8, 16)
        self.v4 = v4
        self.check_at = frame.start + {TCP: 16, UDP: 6, GRE: 0}[frame.proto]

    def get(self, at):
        return struct.unpack("!H", self.ip[at:at + 2])[0]

    def put(self, at, value):
        self.ip[at:at + 2] = struct.pack("!H", value)

    def l4_check(self, old, new):
        if self.f.proto == GRE:
            return
        value = self.get(self.check_at)
        if self.f.proto == UDP:
            if value == 0:
                return
            self.put(self.check_at, replaced(value, old, new) or 0xFFFF)  # RFC 768
        else:
            self.put(self.check_at, replaced(value, old, new))

    def port(self, which, new):
        if self.f.proto == GRE:
            return
        at = self.f.start + 2 * which
        old, new = bytes(self.ip[at:at + 2]), struct.pack("!H", new)
        self.l4_check(old, new)
        self.ip[at:at + 2] = new

    def address(self, which, new):
        at = self.src_at + which * self.address_size
        old = bytes(self.ip[at:at + self.address_size])
        self.ip[at:at + self.address_size] = new
        if self.v4:
            self.put(10, replaced(self.get(10), old, new))
        self.l4_check(old, new)

    def nat(self, flow):
        """SNAT first, then DNAT; of a reply these are destination and source."""
        for which in (1, 0) if flow.reply else (0, 1):
            if flow.match[2 * which:2 * which + 2] != flow.out[2 * which:2 * which + 2]:
                self.port(which, flow.out[2 * which + 1])
                self.address(which, flow.out[2 * which])

    def hop(self):
        if self.v4:
            self.ip[8] -= 1
            self.put(10, less_ttl(self.get(10)))
        else:
            self.ip[7] -= 1

    def l4_sum(self, ip):
        """Of the whole packet: 0xffff if its checksum is right."""
        data = bytes(ip[self.f.start:self.f.end])
        pseudo = bytes(ip[self.src_at:self.src_at + 2 * self.address_size])
        return ones_sum(pseudo + struct.pack("!II", len(data), self.f.proto) + data)

    def prove(self):
        """A right checksum is right afterwards; a wrong one is as wrong as it was."""
        if self.v4:
            assert ones_sum(self.ip[:20]) == 0xFFFF, "IP checksum"
        if self.f.proto == GRE or self.f.proto == UDP and self.get(self.check_at) == 0:
            return
        was, now = self.l4_sum(self.f.ip), self.l4_sum(self.ip)
        assert was == now or {was, now} == {0, 0xFFFF}, "checksum of the payload"


def forwarded(frame, flow):
    packet = Rewrite(frame)
    packet.nat(flow)
    packet.hop()
    packet.prove()
    tags = b"".join(struct.pack("!HH", tpid, vid) for tpid, vid in flow.vlan_out)
    return flow.ethernet + tags + struct.pack("!H", frame.kind) + bytes(packet.ip)


class Table:
    """Flows by what they match, and the stacks of tags that they begin with, by port."""

    def __init__(self, flows):
        self.flow = {flow.key(): flow for flow in flows}
        self.known = {}
        for port, stack, _, _ in self.flow:
            self.known.setdefault(port, set()).update(
                stack[:n] for n in range(1, len(stack) + 1))


def decide(data, mac, port, table):
    """The flow that forwards a frame and the frame taken apart; or raises Punt."""
    frame = Frame(data, mac, table.known.get(port, ()))
    flow = table.flow.get((port, frame.stack, frame.proto, frame.match()))
    flags = frame.tcp_flags()
    # without ACK: conntrack's rule, which sees those that have a priority
    if flags & (SYN | FIN | RST) or (frame.priority and frame.proto == TCP and not flags & ACK):
        if flow and flags & (FIN | RST):
            flow.closing = True
            if flow.sibling:
                flow.sibling.closing = True
        raise Punt("tcp-flags")
    if frame.priority and frame.bad_checksum():
        raise Punt("checksum")
    if not flow:
        raise Punt("miss")
    if flow.closing:
        raise Punt("closing")
    if len(frame.ip) > flow.mtu:  # what follows the IP packet counts, as in the kernel
        raise Punt("mtu")
    return flow, frame


def mac_of(index):
    """net_pcap's, by the order of ports."""
    return bytes((2, 0x70, 0x63, 0x61, 0x70, index))


def run(folder, note=None):
    """The Outcome. 'note' is called with port, frame, and what becomes of it in words."""
    table = Table(parse_flows(folder.flows))
    outcome = golden.Outcome(folder.ports)
    note = note or (lambda *_: None)
    queues = [(port, i, frames) for i, port in enumerate(folder.ports)
              for frames in folder.send[port]]
    for port, index, frames in queues:
        for data in frames:
            try:
                flow, frame = decide(data, mac_of(index), port, table)
            except Punt as e:
                reason = str(e)
                outcome.punt[port].append(data)
                outcome.punts[reason] = outcome.punts.get(reason, 0) + 1
                note(port, data, f"to the kernel: {reason}")
                continue
            outcome.wire[flow.values["out"]].append(forwarded(frame, flow))
            note(port, data, f"forwarded to {flow.values['out']}")
    return outcome


def address_text(packed):
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
