# SPDX-License-Identifier: GPL-2.0-or-later
"""A golden folder: its files, and a run of the daemon on it. See README.md."""
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
HERE = os.path.join(ROOT, "tests/golden")
BUILD = os.environ.get("LAB_BUILD", os.path.join(ROOT, "build"))
SLOW = float(os.environ.get("LAB_SLOW", "1"))
LIBC = ctypes.CDLL(None, use_errno=True)

# '@NAME@' in a config.ini stands for the device of port NAME, '@socket@' for the control socket.
DEFAULT_CONFIG = """\
[global]
socket = @socket@
mbufs = 4096
[port lan]
device = @lan@
[port wan]
device = @wan@
"""


# --- pcap files ---

def read_pcap(path):
    """The frames of a classic pcap file."""
    with open(path, "rb") as f:
        data = f.read()
    orders = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<",
              b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
    if len(data) < 24 or data[:4] not in orders:
        raise ValueError(f"{path}: expected a classic pcap file (tcpdump -w, or editcap -F pcap)")
    order = orders[data[:4]]
    if struct.unpack(order + "I", data[20:24])[0] & 0xFFFF != 1:
        raise ValueError(f"{path}: expected Ethernet frames (link type 1)")
    frames, at = [], 24
    while at < len(data):
        if at + 16 > len(data):
            raise ValueError(f"{path}: ends within a record, expected a whole one")
        _, _, captured, length = struct.unpack(order + "IIII", data[at:at + 16])
        at += 16
        if captured != length:
            raise ValueError(f"{path}: frame {len(frames) + 1} was cut from {length} to {captured} "
                             "bytes, expected whole frames (tcpdump -s 0)")
        if at + captured > len(data):
            raise ValueError(f"{path}: ends within a frame, expected a whole one")
        frames.append(data[at:at + captured])
        at += captured
    return frames


def pcap_bytes(frames):
    """A pcap file of the frames, without times: the same frames are the same bytes."""
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(
        struct.pack("<IIII", 0, 0, len(f), len(f)) + f for f in frames)


def write_pcap(path, frames):
    with open(path, "wb") as f:
        f.write(pcap_bytes(frames))


def hex_dump(frame):
    return "\n".join(f"      {at:04x}  {frame[at:at + 16].hex(' ')}"
                     for at in range(0, len(frame), 16)) or "      (empty)"


# --- what a folder says ---

class Outcome:
    """What left each port, what each twin got, how often for which reason."""

    def __init__(self, ports):
        self.wire = {port: [] for port in ports}
        self.punt = {port: [] for port in ports}
        self.punts = {}

    def reasons(self):
        return "".join(f"{word} {n}\n" for word, n in sorted(self.punts.items()) if n)


class Folder:
    """The files of a golden folder. 'send' has, by port, a list of frames for each queue."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(os.path.normpath(path))
        self.config = self.text("config.ini") or DEFAULT_CONFIG
        self.ports = re.findall(r"^\[port\s+(\S+)\]", self.config, re.M)
        workers = re.search(r"^# workers: (\d+)$", self.config, re.M)
        self.workers = int(workers[1]) if workers else 1  # 0: control and worker share an lcore
        self.tx_queues = max(1, self.workers)
        self.flows = self.text("flows")
        self.about = self.text("about")
        self.send = {port: self.queues(port) for port in self.ports}
        self.expected = Outcome(self.ports)
        for port in self.ports:
            self.expected.wire[port] = self.frames("expect", "wan", port)
            self.expected.punt[port] = self.frames("punt", "lan", port)
        self.expected.punts = {word: int(n) for word, n in
                               (line.split() for line in self.text("punts").splitlines())}

    def text(self, name):
        try:
            with open(os.path.join(self.path, name), encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def frames(self, kind, default, port):
        path = os.path.join(self.path, pcap_name(kind, default, port))
        return read_pcap(path) if os.path.exists(path) else []

    def queues(self, port):
        queues = [self.frames("send", "lan", port)]
        while os.path.exists(os.path.join(self.path, f"send-{port}.{len(queues)}.pcap")):
            queues.append(read_pcap(os.path.join(self.path, f"send-{port}.{len(queues)}.pcap")))
        return queues

    def sent(self):
        return sum(len(frames) for queues in self.send.values() for frames in queues)


def pcap_name(kind, default, port):
    """The file of port 'default' needs no name of the port."""
    return f"{kind}.pcap" if port == default else f"{kind}-{port}.pcap"


def outcome_files(outcome):
    """Name and content of the files that say what is expected."""
    files = {"punts": outcome.reasons().encode()} if outcome.reasons() else {}
    for kind, default, frames in ("expect", "wan", outcome.wire), ("punt", "lan", outcome.punt):
        files.update({pcap_name(kind, default, port): pcap_bytes(f)
                      for port, f in frames.items() if f})
    return files


def write_outcome(path, outcome):
    for name in os.listdir(path):
        if name == "punts" or name.startswith(("expect", "punt")) and name.endswith(".pcap"):
            os.unlink(os.path.join(path, name))
    for name, data in outcome_files(outcome).items():
        with open(os.path.join(path, name), "wb") as f:
            f.write(data)


def first_difference(wanted, got):
    """Where two lists of frames part, with hex dumps; None when they are equal."""
    if wanted == got:
        return None
    text = f"{len(wanted)} frames expected, {len(got)} came"
    for i in range(max(len(wanted), len(got))):
        a, b = wanted[i:i + 1], got[i:i + 1]
        if a != b:
            return (f"{text}; frame {i + 1}:\n    expected\n{hex_dump(a[0]) if a else '      none'}"
                    f"\n    got\n{hex_dump(b[0]) if b else '      none'}")
    return text


def differences(wanted, got):
    """One text for each thing that is not as expected."""
    found = []
    for port in wanted.wire:
        for where, a, b in (("wire", wanted.wire, got.wire), ("twin", wanted.punt, got.punt)):
            text = first_difference(a[port], b[port])
            if text:
                found.append(f"{where} of {port}: {text}")
    if wanted.reasons() != got.reasons():
        found.append(f"punts: expected '{wanted.reasons()}', got '{got.reasons()}'".replace(
            "\n'", "'").replace("\n", ", "))
    return found


# --- a run ---

class Twin:
    """A tap that waits for the daemon, and a socket that sees what the kernel gets from it."""

    def __init__(self, name):
        self.name = name
        with open("/dev/net/tun", "rb+", buffering=0) as tun:
            tap = struct.pack("16sH22x", name.encode(), 0x2 | 0x1000 | 0x100)
            fcntl.ioctl(tun, 0x400454CA, tap)  # TUNSETIFF: tap, no information, multi-queue
            fcntl.ioctl(tun, 0x400454CB, 1)  # TUNSETPERSIST
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        up = struct.pack("16sH22x", name.encode(), 0x1)
        fcntl.ioctl(self.s, 0x8914, up)  # SIOCSIFFLAGS
        self.s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the tag that the kernel took off
        self.s.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.s.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
        self.s.setblocking(False)
        self.s.bind((name, 3))  # ETH_P_ALL

    def frames(self):
        """What has come, as it came."""
        frames = []
        while True:
            try:
                frame, control, _, _ = self.s.recvmsg(70000, 256)
            except BlockingIOError:
                return frames
            for _, _, data in control:
                status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
                if status & 0x10:  # TP_STATUS_VLAN_VALID
                    frame = frame[:12] + struct.pack("!HH", tpid or 0x8100, tci) + frame[12:]
            frames.append(frame)


class Daemon:
    """The daemon in folder 'work', and its control socket."""

    def __init__(self, build, work, workers):
        self.work = work
        cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        lcores = ",".join(f"{i}@({cpus})" for i in range(workers + 1))
        self.log = os.path.join(work, "daemon.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [os.path.join(build, "dpdk-nftoffload"), "--no-huge", "-m", "128", "--no-pci",
                 "--no-shconf", "--no-telemetry", "--lcores", lcores, "--",
                 "--config", "config.ini", "--flows", "flows"],
                cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=lambda: LIBC.prctl(1, signal.SIGKILL))  # PR_SET_PDEATHSIG
        self.s = None

    def fail(self, why):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            lines = [line for line in f.read().splitlines() if line]
        raise RuntimeError(f"{why}: {lines[-1] if lines else 'no word of it'}")

    def ask(self, command):
        """The only record of the answer."""
        if self.s is None:
            s = socket.socket(socket.AF_UNIX)
            s.connect(os.path.join(self.work, "ctl.sock"))
            self.s = s.makefile("rw")
        self.s.write(json.dumps({"cmd": command}) + "\n")
        self.s.flush()
        record = json.loads(self.s.readline())
        self.s.readline()
        return record

    def finish(self, sent):
        """Waits until it has handled all frames, ends it, and returns its last counters."""
        end = time.monotonic() + 20 * SLOW
        handled, stats = -1, None
        while time.monotonic() < end and handled < sent:
            if self.process.poll() is not None:
                self.fail(f"the daemon ended with code {self.process.returncode}")
            try:
                stats = self.ask("show stats")
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(.02)
                continue
            handled = sum(stats["ports"][key] for key in ("offloaded_packets", "punted_packets"))
        if handled < sent:
            self.fail(f"{handled} of {sent} frames were handled")
        self.stop()
        return stats

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(10 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.fail("the daemon did not end")
        if code:
            self.fail(f"the daemon ended with code {code}")


def prepare(folder, work):
    """Its files as the daemon gets them."""
    config = folder.config.replace("@socket@", os.path.join(work, "ctl.sock"))
    for i, port in enumerate(folder.ports):
        queues = folder.send[port]
        for q, frames in enumerate(queues):
            write_pcap(os.path.join(work, f"{port}.{q}.in"), frames)
        device = [f"net_pcap{i}"] + [f"rx_pcap={port}.{q}.in" for q in range(len(queues))]
        device += [f"tx_pcap={port}.{q}.out" for q in range(folder.tx_queues)]
        config = config.replace(f"@{port}@", ",".join(device))
    for name, text in ("config.ini", config), ("flows", folder.flows):
        with open(os.path.join(work, name), "w", encoding="utf-8") as f:
            f.write(text)


def run(folder, build, work):
    """The outcome of the daemon in a network namespace of its own. The process must be one that may
    leave its namespace for good, and root. Raises RuntimeError when there is none."""
    if LIBC.unshare(0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "unshare")
    for name in "all", "default":
        path = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"  # it would talk by itself
        if os.path.exists(path):
            with open(path, "w", encoding="ascii") as f:
                f.write("1")
    prepare(folder, work)
    twins = {port: Twin(port) for port in folder.ports}
    daemon = Daemon(build, work, folder.workers)
    try:
        stats = daemon.finish(folder.sent())
    finally:
        daemon.process.kill()
        daemon.process.wait()
    outcome = Outcome(folder.ports)
    outcome.punts = stats["punts"]
    for port in folder.ports:
        for q in range(folder.tx_queues):
            outcome.wire[port] += read_pcap(os.path.join(work, f"{port}.{q}.out"))
        outcome.punt[port] = twins[port].frames()
    return outcome


def keep_artifacts(folder, work, outcome):
    """Copies a failed run to $NFO_ARTIFACTS."""
    where = os.environ.get("NFO_ARTIFACTS")
    if where:
        if outcome:
            write_outcome(work, outcome)
        shutil.copytree(work, os.path.join(where, folder.name), dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("ctl.sock"))
