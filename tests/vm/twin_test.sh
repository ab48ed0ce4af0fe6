#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 1200
# Twins of both kinds carry the same: what leaves by the wire is complete and no longer than the MTU,
# whatever the kernel leaves to a device; both kinds take over what the other has left.
. "$(dirname "$0")/../lab/lib.sh"
LAB_IPV6=1
lab_init
modprobe -a vhost_net 8021q 2>/dev/null
[ -e /dev/vhost-net ] || skip_script 'no /dev/vhost-net'
LAB_EAL=(--no-huge -m 384 --no-pci --lcores '0@0,1@0,2@1')

# Whether the ends leave checksums and segments to their devices. They merge nothing: what comes is looked at.
offloads() { # on|off
	local name
	for name in "$CL" "$SV"; do
		ip netns exec "$name" ethtool -K eth0 tx "$1" tso "$1" gso "$1" >/dev/null 2>&1
	done
}

# config KIND [LINE]: net_tap would have other MAC addresses at each start
config() {
	lab_config
	sed -i -e 's/iface=t-lan/&,mac=02:00:00:00:01:01/' -e 's/iface=t-wan/&,mac=02:00:00:00:02:01/' "$LAB_CONFIG"
	sed -i -e "/^device =/a twin = $1${2:+\n$2}" "$LAB_CONFIG"
}

kind() { # KIND: of both twins
	[ "$(lab_count twin_driver="$1" show ports)" = 2 ]
}

twin_feature() { # FEATURE on|off
	in_gw ethtool -k lan | grep -q "^$1: $2"
}

v6() {
	ip -n "$GW" addr replace fd00:1::1/64 dev lan nodad && ip -n "$GW" addr replace fd00:2::1/64 dev wan nodad &&
		ip -n "$CL" addr replace fd00:1::2/64 dev eth0 nodad && ip -n "$SV" addr replace fd00:2::2/64 dev eth0 nodad &&
		ip -n "$CL" -6 route replace default via fd00:1::1 && ip -n "$SV" -6 route replace default via fd00:2::1 &&
		in_gw sysctl -qw net.ipv6.conf.all.forwarding=1
}

# from_gateway BYTES ADDRESS: the gateway's own kernel sends and receives.
from_gateway() {
	local port=$((lab_port += 1)) server code=0
	local listen=TCP-LISTEN:$port,reuseaddr
	[[ $2 != \[* ]] || listen=TCP6-LISTEN:$port,reuseaddr
	head -c "$1" /dev/urandom >"$LAB_DIR/payload.from"
	rm -f "$LAB_DIR/payload.to"
	in_sv timeout -k 5 $((60 * LAB_SLOW)) socat -u "$listen" "CREATE:$LAB_DIR/payload.to" &
	server=$!
	wait_for 5 lab_listens -t "$port" || return
	in_gw timeout -k 5 $((60 * LAB_SLOW)) socat -u "OPEN:$LAB_DIR/payload.from" "TCP:$2:$port" || code=1
	wait "$server" || code=1
	[ "$code" = 0 ] && lab_same "$LAB_DIR"/payload.{from,to}
}

# wire_is_whole NAME COMMAND...: what comes to client and server meanwhile has good checksums and fits
# into the MTU; and long packets did leave the kernel, if the twins take them.
wire_is_whole() {
	local name=$1
	shift
	lab_frames "$name" "$@" <<'END'
import subprocess, threading
from frame import *
name, command = sys.argv[1], sys.argv[2:]
ports = [Port(CL, "eth0"), Port(SV, "eth0")]
twins = [Port(GW, "lan"), Port(GW, "wan")]
for p in twins:
    p.s.setsockopt(263, 23, 0)
done, bad, seen, long = threading.Event(), [], {4: 0, 6: 0, "tcp": 0, "udp": 0}, [0]

def strip(frame):
    at = 12
    while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return frame[at:at + 2], frame[at + 2:]

def judge(frame):
    kind, ip = strip(frame)
    if kind == b"\x08\x00":
        length, proto, head = struct.unpack("!H", ip[2:4])[0], ip[9], (ip[0] & 15) * 4
        ip = ip[:length]
        pseudo_header = ip[12:20] + struct.pack("!HH", proto, length - head)
        if checksum(ip[:head]):
            return "IPv4 checksum"
    elif kind == b"\x86\xdd":
        length, proto, head = struct.unpack("!H", ip[4:6])[0] + 40, ip[6], 40
        ip = ip[:length]
        pseudo_header = ip[8:40] + struct.pack("!II", length - head, proto)
    else:
        return None
    fragment = kind == b"\x08\x00" and struct.unpack("!H", ip[6:8])[0] & 0x3FFF
    if length > 1500:
        return f"{length} bytes long"
    seen[4 if head != 40 or kind == b"\x08\x00" else 6] += 1
    if proto in (6, 17) and not fragment:
        seen["tcp" if proto == 6 else "udp"] += 1
        if checksum(pseudo_header + ip[head:]):
            return f"checksum of protocol {proto}"
    return None

def watch(port, twin):
    while not done.is_set():
        frame = port.receive(.2 / SLOW)
        if frame is None:
            continue
        if twin:
            long[0] += len(frame) > 1600
        elif why := judge(frame):
            bad.append((why, frame[:80].hex()))

threads = [threading.Thread(target=watch, args=(p, p in twins)) for p in ports + twins]
for t in threads:
    t.start()
code = subprocess.run(command).returncode
time.sleep(.3 * SLOW)
done.set()
for t in threads:
    t.join()
print(f"{name}: saw {seen}, {long[0]} long ones at the twins", file=sys.stderr)
result(name, code == 0, f"code {code}")
result(name + "-whole", not bad and sum(seen.values()), f"{len(bad)} of {seen}: {bad[:3]}")
if os.environ.get("WANT_LONG"):
    result(name + "-long", long[0], "the kernel sent no packet longer than the MTU")
END
}

udp_v6() {
	in_gw "$lab_python" - <<-'END'
		import os, socket
		s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
		for n in 0, 1, 2, 100, 1451, 1452, 1453, 4000:
		    s.sendto(os.urandom(n), ("fd00:2::2", 9))
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		for n in 0, 1, 2, 100, 1471, 1472, 1473, 4000:
		    s.sendto(os.urandom(n), ("10.0.2.2", 9))
	END
}

# The functions above, for the Python parts.
export -f from_gateway transfer_tcp transfer_udp udp_v6 wait_for lab_listens lab_same in_gw in_sv in_cl
run() { # FUNCTION ARGUMENT...
	bash -c 'lab_port=$RANDOM; lab_port=$((20000 + lab_port / 2)); "$@"' run "$@"
}
export -f run
export CL GW SV LAB_DIR LAB_SLOW lab_python lab_server

# Of the gateway's own kernel, and of what it forwards.
own_traffic() { # NAME BYTES
	wire_is_whole "$1-own-v4" bash -c "run from_gateway $2 10.0.2.2"
	wire_is_whole "$1-own-v6" bash -c "run from_gateway $2 '[fd00:2::2]'"
	WANT_LONG='' wire_is_whole "$1-own-udp" bash -c 'run udp_v6'
}

traffic() { # NAME BYTES
	wire_is_whole "$1-up" bash -c "run transfer_tcp $2 up"
	wire_is_whole "$1-down" bash -c "run transfer_tcp $2 down"
}

addresses() {
	ip -n "$GW" -o addr show dev lan scope global
	in_gw cat /sys/class/net/lan/{ifindex,address}
	ip -n "$GW" route show 10.9.0.0/16 | sed 's/ linkdown//'
	ip -n "$GW" neigh show 10.0.1.77
}

# Two kinds one after the other on the same devices: each takes over what the other has left.
check topology lab_topology tap || exit
for word in virtio-user tap; do
	config "$word"
	check "$word-start" lab_start || exit
	check "$word-kind" kind "$word"
	[ "$word" = tap ] && state=off || state=on
	check "$word-features" twin_feature tcp-segmentation-offload "$state"
	[ "$word" != tap ] || check taken-over [ "$before" = "$(addresses)" ]
	check "$word-ping" lab_ping
	check "$word-v6" v6
	check "$word-ping-v6" in_cl ping -q -c 2 -i 0.2 -W 15 fd00:2::2
	[ "$word" = tap ] || export WANT_LONG=1
	own_traffic "$word" 80000
	offloads on
	WANT_LONG='' wire_is_whole "$word-udp" bash -c 'run transfer_udp 10 1472'
	[ "$word" = tap ] || export WANT_LONG=1
	traffic "$word-forwarded" 100000
	unset WANT_LONG
	ip -n "$GW" route replace 10.9.0.0/16 via 10.0.1.2
	ip -n "$GW" neigh replace 10.0.1.77 lladdr 02:00:00:00:00:77 dev lan nud permanent
	before=$(addresses)
	check "$word-crash" lab_crash
	check "$word-crash-kept" [ "$before" = "$(addresses)" ]
	check "$word-start-again" lab_start
	check "$word-same" [ "$before" = "$(addresses)" ]
	check "$word-works-again" lab_ping
	check "$word-stop" lab_stop
done

# auto: the best there is, upon a device that was a tap's; a VLAN upon the twin
config auto
check auto-start lab_start
check auto-kind kind virtio-user
check auto-told grep -q '; twin virtio-user, stays' "$LAB_LOG"
check auto-taken-over [ "$before" = "$(addresses)" ]
vlan() { # NAMESPACE DEVICE ADDRESS
	ip -n "$1" link add link "$2" name "$2.5" type vlan id 5 && ip -n "$1" addr add "$3/24" dev "$2.5" &&
		ip -n "$1" link set "$2.5" up
}
check vlan-gateway vlan "$GW" lan 10.0.5.1
check vlan-client vlan "$CL" eth0 10.0.5.2
ip -n "$CL" route replace default via 10.0.5.1
check vlan-ping lab_ping 2 10.0.5.1
export WANT_LONG=1
wire_is_whole vlan-up bash -c 'run transfer_tcp 100000 up'
wire_is_whole vlan-down bash -c 'run transfer_tcp 100000 down'
unset WANT_LONG
ip -n "$CL" route replace default via 10.0.1.1
ip -n "$GW" link set lan mtu 1300
check mtu-follows wait_for 5 eval '[ "$(lab_get lan mtu_bytes show ports)" = 1300 ]'
check stop lab_stop

# twins that go
config virtio-user 'persist = no'
check start-impermanent lab_start
check impermanent-works lab_ping 1 10.0.1.1
check impermanent-crash lab_crash
check crash-took-them wait_for 5 eval '! ip -n "$GW" link show lan 2>/dev/null'
check start-after-crash lab_start
check stop-impermanent lab_stop
check stop-took-them eval '! ip -n "$GW" link show lan 2>/dev/null && ! ip -n "$GW" link show wan 2>/dev/null'

# what it refuses, and what is left then
in_gw ip tuntap add dev lan mode tap vnet_hdr
refused() { # TEXT
	! lab_start && tail -n 1 "$LAB_LOG" | grep -q "$1"
}
check one-queue refused 'interface "lan" exists and is no multi-queue tap, expected a free name'
lab_daemon=''
check one-queue-stays ip -n "$GW" link show lan
check nothing-left eval '! ip -n "$GW" link show wan 2>/dev/null'
ip -n "$GW" link del lan
in_gw ip tuntap add dev lan mode tap multi_queue # of somebody else: idle, of more queues, a tap's flags
index=$(in_gw cat /sys/class/net/lan/ifindex)
config virtio-user
check adopt lab_start
check adopted [ "$index" = "$(in_gw cat /sys/class/net/lan/ifindex)" ]
check adopted-works lab_ping
check stop-adopted lab_stop
mv /dev/vhost-net /dev/vhost-net.away
check no-vhost refused 'config.ini:[0-9]*: twin = virtio-user is not possible (no /dev/vhost-net), expected'
lab_daemon=''
config auto
check auto-without lab_start
check auto-without-kind kind tap
check auto-without-told grep -q '; twin tap (no /dev/vhost-net), stays' "$LAB_LOG"
check auto-without-works lab_ping
mv /dev/vhost-net.away /dev/vhost-net
check clear lab_clear

# jumbo frames; as in tests/lab/jumbo_test.sh the ports are libpcap's
jumbo() {
	lab_topology veth || return
	ip -n "$GW" link set p-lan mtu 9000 && ip -n "$GW" link set p-wan mtu 9000 &&
		ip -n "$CL" link set eth0 mtu 9000 && ip -n "$SV" link set eth0 mtu 9000 || return
	lab_config
	sed -i -e 's/net_af_packet\(.*\)/net_pcap\1,phy_mac=1/' -e '/^device =/a mtu = 9000\ntwin = virtio-user' \
		"$LAB_CONFIG"
	LAB_EAL=(--no-huge -m 512 --no-pci -l 0-1)
	lab_start
}
check jumbo jumbo || exit
check jumbo-ping in_cl ping -q -c 2 -i 0.2 -W 15 -s 8972 -M do 10.0.2.2
lab_frames <<'END'
from frame import *
wire, twin = Port(CL, "eth0"), Port(GW, "lan")
bad = []
for size in 60, 1514, 2048, 4000, 9013, 9014:
    for a, b in ((wire, twin), (twin, wire)):
        frame = ethernet(b.mac, a.mac, os.urandom(size - 14), EXPERIMENTAL)
        a.send(frame)
        if b.expect(frame) is None:
            bad.append(size)
result("jumbo-sizes", not bad, f"lost or changed at {bad} bytes")
END
check jumbo-up transfer_tcp 1000000 up
check jumbo-down transfer_tcp 1000000 down
check jumbo-stop lab_stop
