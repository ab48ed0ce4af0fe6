#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Records real netlink messages as C headers for the unit tests.

nlrecord.py DIR                  as root, on a kernel with flowtables (tests/vm/run): writes
                                 nft.h, ct.h, rtnl.h and hooks.h to DIR (tests/unit/recorded)
nlrecord.py --seeds DIR HEADER   writes each message of a header as a file: seeds for a fuzz target

Everything happens in network namespaces of its own, which end with it.
"""
import ctypes
import os
import platform
import re
import socket
import struct
import subprocess
import sys
import time

ROUTE, NETFILTER = 0, 12
NFT, CT = 10 << 8, 1 << 8
OFFLOAD, DUMP, REQUEST = 0x4000, 0x300, 1
SOL_NETLINK, ADD_MEMBERSHIP, STRICT = 270, 1, 12
SERVER = 'socat TCP-LISTEN:5001,fork,reuseaddr EXEC:cat & socat UDP-LISTEN:5002,fork EXEC:cat & wait'
CLIENT = '''
import socket, time, sys
tcp, udp, nat = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket()
tcp.connect(("10.0.2.2", 5001)); udp.connect(("10.0.2.2", 5002)); nat.connect(("10.0.1.1", 8080))
for i in range(4):
    for s in (tcp, udp, nat):
        s.send(b"x"); s.recv(9)
print("up", flush=True); sys.stdin.read()
'''


class Record:
    """The messages of one header."""

    def __init__(self, name):
        self.name, self.items = name, []

    def add(self, name, how, msg):
        if msg is None:
            sys.exit(f'{self.name}: nothing recorded for {name} ({how})')
        self.items.append((name, how, msg))
        print(f'{self.name}: {name}, {len(msg)} bytes')

    def write(self, folder):
        with open(f'{folder}/{self.name}.h', 'w') as f:
            f.write('// SPDX-License-Identifier: GPL-2.0-or-later\n'
                    f'// Written by tests/unit/nlrecord.py on Linux {platform.release()}.\n'
                    '// clang-format off\n#pragma once\n\n#include "../recorded.h"\n')
            for name, how, msg in self.items:
                f.write(f'\n// {how}\nstatic const uint8_t {name}[] RECORDED_ALIGNED = {{\n')
                for i in range(0, len(msg), 20):
                    f.write('\t' + ' '.join(f'0x{b:02x},' for b in msg[i:i + 20]) + '\n')
                f.write('};\n')
            f.write(f'\nstatic const struct recorded recorded_{self.name}[] = {{\n')
            f.writelines(f'\t{{"{n}", {n}, sizeof({n})}},\n' for n, _, _ in self.items)
            f.write('};\n')


class Tap:
    """A netlink socket that listens to groups or asks."""

    def __init__(self, bus, *groups):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, bus)
        self.sock.bind((0, 0))
        if bus == ROUTE:
            self.sock.setsockopt(SOL_NETLINK, STRICT, 1)
        for group in groups:
            self.sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def read(self, wait=0.3):
        msgs = []
        self.sock.settimeout(wait)
        try:
            while True:
                data = self.sock.recv(65536)
                while len(data) >= 16:
                    size = struct.unpack('=I', data[:4])[0]
                    msgs.append(data[:size])
                    data = data[size + 3 & ~3:]
        except TimeoutError:
            return msgs

    def ask(self, kind, flags, payload):
        head = struct.pack('=IHHII', 16 + len(payload), kind, flags | REQUEST, 1, 0)
        self.sock.send(head + payload)
        return self.read()


def sh(command):
    print('#', command)
    subprocess.run(command, shell=True, check=True)


def kind_of(msg):
    return struct.unpack('=H', msg[4:6])[0]


def attrs(msg, header):
    """Top-level attributes by type; 'header' is the size of the family header."""
    found, data = {}, msg[16 + header:]
    while len(data) >= 4:
        size, kind = struct.unpack('=HH', data[:4])
        found[kind & 0x3fff] = data[4:size]
        data = data[max(size, 4) + 3 & ~3:]
    return found


def attr(kind, data):
    return (struct.pack('=HH', 4 + len(data), kind) + data + bytes(3))[:4 + len(data) + 3 & ~3]


def pick(msgs, kind, test=lambda m: True):
    return next((m for m in msgs if kind_of(m) == kind and test(m)), None)


def ct_pick(msgs, kind, proto=None, port=None, status=0, family=2):
    """The last one, as conntrack tells more as it goes on."""
    def fits(m):
        at = attrs(m, 4)
        proto_attr = attr(1, bytes([proto])) if proto else b''
        return (m[16] == family and proto_attr in at[1]
                and (not port or attr(3, struct.pack('!H', port)) in at[1])
                and struct.unpack('!I', at[3])[0] & status == status)
    return pick(reversed(msgs), kind, fits)


def topology():
    for ns, dev, net in (('nlrec-c', 'c0', 1), ('nlrec-s', 's0', 2)):
        subprocess.run(f'ip netns del {ns}', shell=True, stderr=subprocess.DEVNULL)
        sh(f'''ip netns add {ns} && ip link add {dev} type veth peer eth0 netns {ns} &&
            ip addr add 10.0.{net}.1/24 dev {dev} && ip link set {dev} up &&
            ip -n {ns} addr add 10.0.{net}.2/24 dev eth0 && ip -n {ns} link set eth0 up &&
            ip -n {ns} route add default via 10.0.{net}.1''')
    sh('ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward')


def record_nft():
    rec, tap = Record('nft'), Tap(NETFILTER, 7)

    def step(command):
        sh(command)
        return tap.read()
    create = "nft 'add table inet t; add flowtable inet t f " \
             "{ hook ingress priority 0; devices = { c0, s0 }; counter; }'"
    msgs = step(create)
    rec.add('nft_new_two_devices', 'event of: ' + create, pick(msgs, NFT | 22))
    rec.add('nft_newgen', 'the NEWGEN after it', pick(msgs, NFT | 15))
    remove = "nft delete flowtable inet t f '{ hook ingress priority 0; devices = { s0 }; }'"
    rec.add('nft_del_one_device', 'event of: ' + remove, pick(step(remove), NFT | 24))
    empty = "nft 'add table ip u; add flowtable ip u g { hook ingress priority -10; }'"
    step(empty)
    msgs = Tap(NETFILTER).ask(NFT | 23, DUMP, bytes(4))
    rec.add('nft_dump_one_device', 'dump after that', pick(msgs, NFT | 22))
    rec.add('nft_dump_no_device', 'dump after: ' + empty, pick(msgs, NFT | 22, lambda m: m[16] == 2))
    sh('nft flush ruleset')
    return rec


def ct_rules():
    with open('/proc/sys/net/netfilter/nf_conntrack_events', 'w') as f:
        f.write('1')
    sh('''nft -f - <<X
table inet t {
  flowtable f { hook ingress priority 0; devices = { c0, s0 }; }
  chain forward { type filter hook forward priority 0;
    udp dport 5002 ct mark set 42
    meta l4proto { tcp, udp } flow add @f; }
}
table ip n {
  chain pre { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.0.2.2:5001; }
  chain post { type nat hook postrouting priority 100; ct status dnat masquerade; }
}
X''')


def record_traffic(rec, tap):
    srv = subprocess.Popen(['ip', 'netns', 'exec', 'nlrec-s', 'sh', '-c', SERVER])
    time.sleep(1)
    cli = subprocess.Popen(['ip', 'netns', 'exec', 'nlrec-c', sys.executable, '-c', CLIENT],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    cli.stdout.readline()
    sh('ip netns exec nlrec-c ping -c 1 10.0.2.2')
    msgs = tap.read()
    rec.add('ct_new_tcp', 'NEW event, TCP', pick(msgs, CT, lambda m: m[6:8] != bytes(2) and attr(1, b'\6') in m))
    rec.add('ct_update_tcp_offload', 'UPDATE event of TCP that "flow add" took in the same packet',
            ct_pick(msgs, CT, 6, 5001, OFFLOAD))
    rec.add('ct_update_udp_offload_mark', 'likewise UDP, with "ct mark set 42"',
            ct_pick(msgs, CT, 17, 5002, OFFLOAD))
    rec.add('ct_update_nat', 'TCP to 10.0.1.1:8080, dnat to 10.0.2.2:5001, masqueraded',
            ct_pick(msgs, CT, 6, 8080))
    rec.add('ct_new_icmp', 'ping', ct_pick(msgs, CT, 1))
    msgs = Tap(NETFILTER).ask(CT | 1, DUMP, bytes(4))
    rec.add('ct_dump_tcp_offload', 'dump: no timeout, no protoinfo', ct_pick(msgs, CT, 6, 5001, OFFLOAD))
    rec.add('ct_dump_nat_offload', 'dump: TCP with NAT', ct_pick(msgs, CT, 6, 8080, OFFLOAD))
    sh('conntrack -D -p tcp --orig-port-dst 5001')
    rec.add('ct_destroy_offload', 'DESTROY event of: conntrack -D', ct_pick(tap.read(), CT | 2, 6, 5001))
    cli.kill()
    srv.kill()
    tap.read(1)


def record_made(rec, tap):
    tcp = '-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 300 --sport 1000 --dport 80'
    sctp = '-p sctp --state ESTABLISHED --orig-vtag 1 --reply-vtag 2 -t 99 --sport 1000 --dport 80'
    four, six = '-s 192.0.2.1 -d 198.51.100.9', '-s 2001:db8::1 -d 2001:db8::2'
    for name, args in (('ct_new_zone', f'{four} {tcp} -w 7'), ('ct_new_ipv6', f'{six} {tcp}'),
                       ('ct_new_orig_zone', f'{four} {tcp} --orig-zone 9'),
                       ('ct_new_sctp', f'{four} {sctp}')):
        sh('conntrack -I ' + args)
        msgs = tap.read()
        event = pick(msgs, CT, lambda m: attr(3, struct.pack('!H', 80)) in m)
        rec.add(name, 'event of: conntrack -I ' + args, event)
    msgs = Tap(NETFILTER).ask(CT | 1, DUMP, bytes(4))
    rec.add('ct_dump_tcp_state', 'dump of the first of these: timeout and protoinfo', ct_pick(msgs, CT, 6, 80))
    gone = bytes([2, 0, 0, 0]) + attr(0x8001, attrs(event, 4)[1].replace(attr(1, bytes([132])), attr(1, bytes([6])))) + \
        attr(18, struct.pack('!H', 8)) + attr(7, struct.pack('!I', 60))
    rec.add('ct_error_enoent', 'answer to an update of an entry that is not there, zone 8',
            pick(Tap(NETFILTER).ask(CT, 0, gone), 2))


def record_ct():
    rec, tap = Record('ct'), Tap(NETFILTER, 1, 2, 3)
    ct_rules()
    record_traffic(rec, tap)
    record_made(rec, tap)
    return rec


def record_links(rec):
    tap = Tap(ROUTE, 1, 3)

    def step(command, name, test=lambda m: True, kind=16):
        sh(command)
        rec.add(name, 'event of: ' + command, pick(list(reversed(tap.read())), kind, test))
    step('ip tuntap add dev tap0 mode tap', 'link_tap')
    step('ip link set c0 mtu 1400', 'link_veth_up')
    sh('ip link add br0 type bridge')
    tap.read()
    step('ip link set tap0 master br0', 'link_enslaved', lambda m: m[16] == 0 and 10 in attrs(m, 16))
    step('ip link set c0 master br0', 'link_bridge_family', lambda m: m[16] == 7)
    step('ip link set c0 nomaster', 'link_bridge_del', lambda m: m[16] == 7, 17)
    step('ip link del tap0', 'link_del', lambda m: m[16] == 0, 17)
    step('ip neigh add 10.0.1.77 lladdr 02:00:00:00:00:77 dev c0 nud permanent', 'neigh_permanent', kind=28)
    step('ip neigh add 2001:db8::77 lladdr 02:00:00:00:00:78 dev c0 nud stale', 'neigh_stale_v6', kind=28)
    step('ping -c 1 -W 5 10.0.1.99 || true', 'neigh_failed', lambda m: 2 not in attrs(m, 12), 28)
    step('ip neigh del 10.0.1.77 dev c0', 'neigh_del', kind=29)
    step('bridge fdb add 02:00:00:00:00:79 dev c0 self', 'neigh_fdb', kind=28)


def ask_route(family, dst, src=None, iif=None):
    raw = [socket.inet_pton(family, a) for a in (dst, src) if a]
    bits = [8 * len(a) for a in raw] + [0]
    req = struct.pack('=BBBBBBBBI', family, bits[0], bits[1], 0, 0, 0, 0, 0, 0)
    req += attr(1, raw[0]) + (attr(2, raw[1]) if src else b'')
    req += attr(3, struct.pack('=I', socket.if_nametoindex(iif))) if iif else b''
    return pick(Tap(ROUTE).ask(26, 0, req), 24)


def record_routes(rec):
    sh('''ip route add 10.9.0.0/24 via 10.0.2.2 mtu 1300
        ip route add 10.8.0.0/24 via inet6 fe80::1 dev s0
        ip -6 addr add 2001:db8:1::1/64 dev s0 nodad; ip -6 route add 2001:db8:9::/64 via 2001:db8:1::2''')
    four, six, side = socket.AF_INET, socket.AF_INET6, ('10.0.1.2', 'c0')
    rec.add('route_onlink', 'ip route get 10.0.2.2 from 10.0.1.2 iif c0', ask_route(four, '10.0.2.2', *side))
    rec.add('route_gateway_mtu', 'route: 10.9.0.0/24 via 10.0.2.2 mtu 1300', ask_route(four, '10.9.0.5', *side))
    rec.add('route_via_inet6', 'route: 10.8.0.0/24 via inet6 fe80::1 dev s0', ask_route(four, '10.8.0.5', *side))
    rec.add('route_local', 'ip route get 10.0.2.1 from 10.0.1.2 iif c0', ask_route(four, '10.0.2.1', *side))
    rec.add('route_v6_gateway', '2001:db8:9::/64 via 2001:db8:1::2', ask_route(six, '2001:db8:9::1'))


def record_rules(rec):
    tap = Tap(ROUTE, 8, 19)
    rec.add('rule_plain', 'dump: the rule of table local', pick(Tap(ROUTE).ask(34, DUMP, bytes(12)), 32))
    for name, args in (('rule_fwmark', 'rule add fwmark 1/0xff table 100'), ('rule_tos', 'rule add tos 0x10 table 100'),
                       ('rule_fwmark_v6', '-6 rule add fwmark 2 table 100'),
                       ('rule_mark_zero', 'rule add fwmark 0/0xf table 100'),
                       ('rule_from_v6', '-6 rule add from 2001:db8::/32 table 100')):
        sh('ip ' + args)
        rec.add(name, 'event of: ip ' + args, pick(tap.read(), 32))


def record_rtnl():
    rec = Record('rtnl')
    record_links(rec)
    record_routes(rec)
    record_rules(rec)
    return rec


def xdp_attach(dev):
    """An XDP program that passes everything."""
    code = ctypes.create_string_buffer(struct.pack('=BBhiBBhi', 0xb7, 0, 0, 2, 0x95, 0, 0, 0))
    text = ctypes.create_string_buffer(b'GPL')
    load = ctypes.create_string_buffer(struct.pack('=IIQQ', 6, 2, ctypes.addressof(code), ctypes.addressof(text)), 120)
    prog = ctypes.CDLL(None).syscall(321, 5, load, 120)
    xdp = attr(0x8000 | 43, attr(1, struct.pack('=i', prog)) + attr(3, struct.pack('=I', 2)))
    Tap(ROUTE).ask(19, 0, struct.pack('=BxHiII', 0, 0, socket.if_nametoindex(dev), 0, 0) + xdp)


def record_chains(rec):
    tap = Tap(NETFILTER, 7)
    for name, args in (
            ('hooks_chain_ingress', 'netdev t i { type filter hook ingress device c0 priority -5; }'),
            ('hooks_chain_egress', 'netdev t e { type filter hook egress devices = { c0, s0 } priority 0; }'),
            ('hooks_chain_inet', 'inet t i { type filter hook ingress device s0 priority 0; }'),
            ('hooks_chain_forward', 'inet t f { type filter hook forward priority 0; }'),
            ('hooks_chain_regular', 'inet t r')):
        command = f"nft 'add table {' '.join(args.split()[:2])}; add chain {args}'"
        sh(command)
        rec.add(name, 'event of: ' + command, pick(tap.read(), NFT | 3))
    msgs = Tap(NETFILTER).ask(NFT | 4, DUMP, bytes(4))
    rec.add('hooks_chain_dump', 'dump of the second', pick(msgs, NFT | 3, lambda m: b's0' in m and m[16] == 5))
    sh('nft flush ruleset')


def record_qdiscs(rec):
    tap = Tap(ROUTE, 1, 4)
    for name, args in (('hooks_qdisc_clsact', 'add dev c0 clsact'), ('hooks_qdisc_ingress', 'add dev s0 ingress'),
                       ('hooks_qdisc_tbf', 'replace dev c0 root tbf rate 1gbit burst 1mb latency 10ms'),
                       ('hooks_qdisc_htb', 'replace dev c0 root htb'),
                       ('hooks_qdisc_pfifo', 'replace dev c0 root pfifo')):
        sh('tc qdisc ' + args)
        rec.add(name, 'event of: tc qdisc ' + args, pick(tap.read(), 36))
    sh('ip link add name q0 numtxqueues 2 type veth peer name q1; ip link set q0 up; tc qdisc replace dev q0 root mq')
    msgs = Tap(ROUTE).ask(38, DUMP, struct.pack('=BxHiIII', 0, 0, 0, 0, 0, 0))
    rec.add('hooks_qdisc_default', 'dump: what the kernel put below mq',
            pick(msgs, 36, lambda m: m[24:28] == bytes(4) and m[28:32] != bytes([255] * 4)))
    tap.read()
    xdp_attach('s0')
    rec.add('hooks_link_xdp', 'event of a program attached', pick(tap.read(), 16))
    msgs = Tap(ROUTE).ask(18, DUMP, bytes(16))
    rec.add('hooks_link_plain', 'dump: a device without one', pick(msgs, 16, lambda m: b'c0\0' in m))


def record_hooks():
    rec = Record('hooks')
    record_chains(rec)
    record_qdiscs(rec)
    return rec


def write_seeds(folder, header):
    os.makedirs(folder, exist_ok=True)
    with open(header) as f:
        for name, body in re.findall(r'uint8_t (\w+)\[\].*?{(.*?)}', f.read(), re.S):
            with open(f'{folder}/{name}', 'wb') as out:
                out.write(bytes(int(b, 16) for b in re.findall('0x([0-9a-f]+)', body)))


def main():
    if len(sys.argv) == 4 and sys.argv[1] == '--seeds':
        return write_seeds(sys.argv[2], sys.argv[3])
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
        sys.exit('unshare: ' + os.strerror(ctypes.get_errno()))
    topology()
    for record in (record_nft, record_ct, record_rtnl, record_hooks):
        record().write(sys.argv[1])
    sh('ip netns del nlrec-c; ip netns del nlrec-s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
