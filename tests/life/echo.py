# SPDX-License-Identifier: GPL-2.0-or-later
"""echo.py FILE PERIOD NAME=ADDRESS:FLOWS...: UDP there and back between the lab's client and server, one
datagram on each flow every PERIOD seconds, until it is ended. Five times a second or less FILE.NAME gets a
line: datagrams sent, came back, the least that came back on any flow, changed on their way, and how often
an ICMP error came. See traffic.sh."""
import errno
import os
import random
import selectors
import socket
import struct
import sys
import time

from frame import CL, SV, enter

IP_RECVERR = 11
SIZE = 200
PATTERN = bytes(range(256)) * 2
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED)
selector = selectors.DefaultSelector()
number = iter(range(1, 1 << 16))


def payload(flow, n):
    head = struct.pack("!IQ", flow, n)
    start = (flow + n) & 0xFF
    return head + PATTERN[start:start + SIZE - len(head)]


class Server:
    """Sends back what comes; as long as it can: addresses and routes come and go."""

    def __init__(self, address):
        enter(SV)
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.bind((address, 0))
        self.s.setblocking(False)
        self.peer = self.s.getsockname()
        selector.register(self.s, selectors.EVENT_READ, self)

    def readable(self):
        try:
            data, peer = self.s.recvfrom(2048)
            self.s.sendto(data, peer)
        except OSError:
            pass


class Flow:
    """A client's socket."""

    def __init__(self, count, peer):
        enter(CL)
        self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.s.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        self.s.setblocking(False)
        self.s.connect(peer)
        self.number, self.sent, self.came, self.count = next(number), 0, 0, count
        selector.register(self.s, selectors.EVENT_READ, self)

    def error(self, e):
        self.count["unreachable"] += e.errno in UNREACHABLE

    def send(self):
        try:
            self.s.send(payload(self.number, self.sent))
            self.sent += 1
        except OSError as e:
            self.error(e)

    def readable(self):
        try:
            data = self.s.recv(2048)
        except OSError as e:
            self.error(e)
            self.forget_errors()
            return
        n = struct.unpack("!IQ", data[:12])[1] if len(data) == SIZE else self.sent
        if n < self.sent and data == payload(self.number, n):
            self.came += 1
        else:
            self.count["changed"] += 1

    def forget_errors(self):
        """What is in the queue of errors would make it readable for ever."""
        try:
            self.s.recvmsg(2048, 256, socket.MSG_ERRQUEUE)
        except OSError:
            pass


def write(path, flows, count):
    line = [sum(f.sent for f in flows), sum(f.came for f in flows), min(f.came for f in flows),
            count["changed"], count["unreachable"]]
    with open(path + ".new", "w", encoding="ascii") as f:
        print(*line, file=f)
    os.rename(path + ".new", path)


def main():
    base, period, classes = sys.argv[1], float(sys.argv[2]), {}
    for text in sys.argv[3:]:
        name, where = text.split("=")
        address, flows = where.split(":")
        server, count = Server(address), {"changed": 0, "unreachable": 0}
        classes[f"{base}.{name}"] = [Flow(count, server.peer) for _ in range(int(flows))], count
    every = [f for flows, _ in classes.values() for f in flows]
    due = written = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            due = max(due + period, now)
            random.shuffle(every)  # so that each gets its share of few ICMP errors
            for f in every:
                f.send()
        if now >= written + .2:
            written = now
            for path, (flows, count) in classes.items():
                write(path, flows, count)
        for key, _ in selector.select(max(0, min(due, written + .2) - now)):
            key.data.readable()


main()
