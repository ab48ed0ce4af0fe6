# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw frames in the lab's namespaces, and the daemon's socket; for the Python parts of
tests/lab/*_test.sh and tests/vm/*_test.sh, which lab_frames of lib.sh runs."""
import atexit
import ctypes
import json
import os
import socket
import struct
import sys
import time

SLOW = float(os.environ.get("LAB_SLOW", "1"))
CL, GW, SV = (os.environ.get(name, "") for name in ("CL", "GW", "SV"))
EXPERIMENTAL = 0x88B5  # an EtherType that no kernel answers
failed = False
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    """Sockets made from now on belong to the namespace."""
    with open(f"/var/run/netns/{namespace}", encoding="ascii") as f:
        if LIBC.setns(f.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")


def until(condition, seconds=10):
    """Polls; the first value that is true, or the last one."""
    end = time.monotonic() + seconds * SLOW
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(.02)
    return value


class Port:
    """A raw socket on an interface."""

    def __init__(self, namespace, name):
        enter(namespace)
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the tag that the kernel took off
        self.s.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.s.bind((name, 3))  # ETH_P_ALL
        self.mac = self.s.getsockname()[4]

    def send(self, frame):
        self.s.send(frame)

    def receive(self, seconds=5):
        """The next frame as it was on the wire, None after a time without one."""
        self.s.settimeout(seconds * SLOW)
        try:
            frame, control, _, _ = self.s.recvmsg(70000, 256)
        except TimeoutError:
            return None
        for _, _, data in control:
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & 0x10:  # TP_STATUS_VLAN_VALID
                frame = frame[:12] + struct.pack("!HH", tpid or 0x8100, tci) + frame[12:]
        return frame

    def drain(self):
        """Forgets what has come."""
        while self.receive(.05 / SLOW):
            pass

    def expect(self, wanted, seconds=5):
        """The first frame that is 'wanted', bytes or a function; None after a time without."""
        match = wanted if callable(wanted) else wanted.__eq__
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            frame = self.receive(max(.01, (end - time.monotonic()) / SLOW))
            if frame is not None and match(frame):
                return frame
        return None


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(dst, src, payload, kind=0x0800):
    return dst + src + struct.pack("!H", kind) + payload


def ipv4(src, dst, payload, proto=17, ttl=64, flags=0, options=b"", length=None, damage=0, tos=0):
    """A packet with its checksum; 'flags' are the word with the fragment's offset."""
    if length is None:
        length = 20 + len(options) + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, tos, length, 7, flags, ttl, proto,
                       0, socket.inet_aton(src), socket.inet_aton(dst)) + options
    good = checksum(head)
    return head[:10] + struct.pack("!H", good ^ damage) + head[12:] + payload


def pseudo(packet):
    return packet[12:20] + struct.pack("!HH", packet[9], len(packet) - 20)


def udp(src, dst, sport, dport, payload, with_checksum=True, **ip):
    """A UDP packet in an IPv4 packet."""
    data = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    if with_checksum:
        value = checksum(pseudo(ipv4(src, dst, data)) + data) or 0xFFFF
        data = data[:6] + struct.pack("!H", value) + data[8:]
    return ipv4(src, dst, data, **ip)


def tcp(src, dst, sport, dport, flags, payload=b"", **ip):
    """A TCP segment in an IPv4 packet."""
    data = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 1000, 0, 0) + payload
    value = checksum(pseudo(ipv4(src, dst, data, proto=6)) + data)
    return ipv4(src, dst, data[:16] + struct.pack("!H", value) + data[18:], proto=6, **ip)


class Daemon:
    """The daemon's control socket."""

    def __init__(self, path=os.environ.get("LAB_SOCKET", "")):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.lines = self.s.makefile()

    def ask(self, command):
        """The records of the answer."""
        self.s.send(json.dumps({"cmd": command}).encode() + b"\n")
        records = []
        while True:
            record = json.loads(self.lines.readline())
            if "error" in record:
                raise RuntimeError(record["error"])
            if "end" in record:
                return records
            records.append(record)

    def stats(self):
        return self.ask("show stats")[0]


def udp_pair(client_port=40000, server_port=6000):
    """Sockets of client and server that have talked, so that conntrack has both directions."""
    enter(CL)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("10.0.1.2", client_port))
    client.settimeout(10 * SLOW)
    enter(SV)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("10.0.2.2", server_port))
    server.settimeout(10 * SLOW)
    for _ in range(2):
        client.sendto(b"there", ("10.0.2.2", server_port))
        _, peer = server.recvfrom(2048)
        server.sendto(b"back", peer)
        client.recv(2048)
    return client, server, peer


def result(name, good, why=""):
    """A line as ok and not_ok of lib.sh print it."""
    global failed
    print(f"ok {name}" if good else f"not ok {name} # {why}", flush=True)
    failed = failed or not good
    return good


@atexit.register
def exit_code():
    if failed:
        sys.stderr.flush()
        os._exit(9)  # lab_frames knows it
