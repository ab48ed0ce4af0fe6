#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# The server's address moves to another MAC address and back, under a TCP stream and UDP on many flows, by
# gratuitous ARP of either form: all flows follow at once, none is touched. An ARP reply that the kernel does
# not believe (its locktime is not over) changes nothing. Times are printed only.
# LIFE_FLOWS (20) is how many flows of UDP there are.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/traffic.sh"
: "${LIFE_FLOWS:=20}"
lab_init
need_flowtable
check topology lab_topology veth || exit
modprobe macvlan 2>/dev/null

# Two network cards on one wire, as those of two servers; 10.0.2.2 is with one of them.
declare -A mac=([card1]=02:00:00:00:02:01 [card2]=02:00:00:00:02:02)
cards() {
	local card
	in_sv sysctl -qw net.ipv4.conf.all.arp_ignore=1
	ip -n "$SV" addr flush dev eth0
	for card in card1 card2; do
		ip -n "$SV" link add link eth0 name "$card" address "${mac[$card]}" type macvlan mode bridge &&
			ip -n "$SV" link set "$card" up || return
		lab_no_offloads "$SV" "$card"
	done
	ip -n "$SV" addr add 10.0.2.2/24 dev card1 && ip -n "$SV" route add default via 10.0.2.1
}
check cards cards || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset plain

all_to() { # CARD
	flows "len(f) == $((LIFE_FLOWS + 1)) and all(x['original']['eth_dst'] == '${mac[$1]}' for x in f)"
}

# move NAME FROM TO OP: the card FROM is gone, TO has the address and says so by ARP of operation OP.
move() {
	lab_frames "$@" "${mac[$2]}" "${mac[$3]}" <<-'END'
		from frame import *
		import subprocess, threading
		name, old, new, op, old_mac, new_mac = sys.argv[1:]
		op = int(op)
		old_mac, new_mac = (bytes.fromhex(m.replace(":", "")) for m in (old_mac, new_mac))
		address = socket.inet_aton("10.0.2.2")

		# packets to the old address, with the kernel's times
		enter(SV)
		tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		program = b"".join(struct.pack("HBBI", *line) for line in (
		    (0x20, 0, 0, 2), (0x15, 0, 5, int.from_bytes(old_mac[2:], "big")), # of the destination
		    (0x28, 0, 0, 0), (0x15, 0, 3, int.from_bytes(old_mac[:2], "big")),
		    (0x28, 0, 0, 12), (0x15, 0, 1, 0x0800), # IPv4
		    (0x06, 0, 0, 64), (0x06, 0, 0, 0)))
		buffer = ctypes.create_string_buffer(program)
		tap.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 8, ctypes.addressof(buffer))) # SO_ATTACH_FILTER
		tap.setsockopt(socket.SOL_SOCKET, 35, 1) # SO_TIMESTAMPNS
		tap.setsockopt(socket.SOL_SOCKET, 33, 32 << 20) # SO_RCVBUFFORCE
		tap.bind(("eth0", 3))
		tap.setblocking(False)

		def times():
		    """Of what has come, in ns."""
		    seen = []
		    while True:
		        try:
		            _, control, _, _ = tap.recvmsg(64, 256)
		        except BlockingIOError:
		            return seen
		        seen += [s * 10**9 + ns for level, kind, data in control if (level, kind) == (1, 35)
		                 for s, ns in [struct.unpack("qq", data)]]

		# when the kernel tells of the new one
		enter(GW)
		neighbours = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
		neighbours.bind((0, 4)) # RTMGRP_NEIGH
		told = []

		def listen():
		    while True:
		        message = neighbours.recv(65536)
		        if address in message and new_mac in message:
		            told.append(time.time_ns())
		threading.Thread(target=listen, daemon=True).start()

		daemon, card = Daemon(), Port(SV, new)

		def addresses():
		    return {x["original"]["eth_dst"] for x in daemon.ask("show flows") if x["state"] == "offloaded"}

		def text(mac):
		    return mac.hex(":")

		arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op) + new_mac + address + \
		    (new_mac if op == 2 else bytes(6)) + address
		result(f"{name}-from", addresses() == {text(old_mac)}, str(addresses()))
		seen = until(times)
		result(f"{name}-in-use", seen)
		subprocess.run(["ip", "-n", SV, "-batch", "-"], check=True, text=True, input=f"""
		    link set {old} down
		    addr del 10.0.2.2/24 dev {old}
		    addr add 10.0.2.2/24 dev {new}
		    route replace default via 10.0.2.1 dev {new}
		""")
		seen += times()
		card.send(ethernet(b"\xff" * 6, new_mac, arp, 0x0806))
		result(f"{name}-told", until(lambda: told))
		result(f"{name}-all-flows", until(lambda: addresses() == {text(new_mac)}), str(addresses()))
		time.sleep(.3 * SLOW) # for what is on its way
		seen += times()
		if told and seen:
		    print(f"{name}: the last packet to the old address came {(max(seen) - told[0]) / 1e6:.1f} ms after the kernel told "
		          "of the new one (negative: before that)", file=sys.stderr)
		time.sleep(SLOW)
		late = len(times())
		result(f"{name}-none-to-the-old", not late, f"{late} packets")
	END
	ip -n "$SV" link set "$2" up
}

# A reply of the card that has not got the address, to the gateway alone.
wrong_reply() { # CARD
	lab_frames "${mac[$1]}" "$1" <<-'END'
		from frame import *
		mac, card, twin = bytes.fromhex(sys.argv[1].replace(":", "")), Port(SV, sys.argv[2]), Port(GW, "wan")
		arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac + socket.inet_aton("10.0.2.2") + \
		    twin.mac + socket.inet_aton("10.0.2.1")
		card.send(ethernet(twin.mac, mac, arp, 0x0806))
		result("reply-reached-the-kernel", twin.expect(lambda f: f[12:14] == b"\x08\x06" and mac in f) is not None)
	END
}

in_kernel() { # CARD
	ip -n "$GW" neigh show 10.0.2.2 | grep -q "${mac[$1]}"
}

stream_start
check echo echo_start 0.4 "all=10.0.2.2:$LIFE_FLOWS"
check offloaded all_to card1
life_mark
move request card1 card2 1
check request-by-the-kernel in_kernel card2
check request-touches-none life_touched 0 0
check request-goes-on echo_alive all
check locktime in_gw sysctl -qw net.ipv4.neigh.wan.locktime=100000
wrong_reply card1
check reply-not-believed in_kernel card2
check reply-changes-nothing all_to card2
move reply card2 card1 2
check reply-by-the-kernel in_kernel card1
check reply-touches-none life_touched 0 0
check reply-goes-on echo_alive all
check all-there all_to card1
check stream stream_end
check datagrams echo_end all
check stop lab_stop
