#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# Two gateways with conntrackd and floating addresses, by the files of config/ha: the same two connections
# outlive the death of the one, a hand-over back and the death of a daemon, and are in the fast path of
# whoever has them.
#
#    client 10.0.1.2 --- lan 10.0.1.1 --- gateway a (.11) or b (.12) --- wan 10.0.2.1 --- server 10.0.2.2
#
# The switch between them is a namespace with two bridges; the gateways have a link of their own for
# conntrackd. Where the kernel has no flowtables, a mark takes their place.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
SW=$LAB_PREFIX-sw
LAB_NAMESPACES=("$CL" "$SV" "$SW" "$LAB_PREFIX-a" "$LAB_PREFIX-b")
lab_flavour=veth
ha=$lab_root/config/ha
declare -A daemon=() tracker=() own=([a]=11 [b]=12) sync=([a]=1 [b]=2)
side=''
check installed type -P conntrackd arping || exit
has_flowtable && mark=0 || mark=1
# Two daemons that wake up a thousand times a second each would leave little of an emulated CPU.
lab_idle=${lab_idle:+$'\nidle-sleep-us = 10000'}

# use a|b: from here on the lab's functions are about this gateway.
use() {
	[ -z "$side" ] || daemon[$side]=$lab_daemon
	side=$1
	GW=$LAB_PREFIX-$1 LAB_EAL_PREFIX=--file-prefix=$LAB_PREFIX-$1
	LAB_SOCKET=$LAB_DIR/$1.sock LAB_CONFIG=$LAB_DIR/$1.ini LAB_LOG=$LAB_DIR/$1.log
	lab_daemon=${daemon[$1]:-}
}

# Its own addresses; ha-notify brings the floating ones.
lab_addresses() {
	local name
	for name in lan wan; do
		ip -n "$GW" addr replace "10.0.$([ $name = lan ] && echo 1 || echo 2).${own[$side]}/24" dev $name &&
			ip -n "$GW" link set $name up || return
	done
}

# plug NAMESPACE DEVICE PORT BRIDGE: a link to the switch.
plug() {
	ip -n "$1" link add "$2" type veth peer name "$3" netns "$SW" && ip -n "$SW" link set "$3" master "$4" up
}

topology() {
	local name bridge
	for name in "${LAB_NAMESPACES[@]}"; do
		ip netns add "$name" && ip -n "$name" link set lo up || return
		ip netns exec "$name" sysctl -qw net.ipv4.conf.{all,default}.rp_filter=0
		lab_ipv6_off "$name" default
	done
	for bridge in lan wan; do
		ip -n "$SW" link add $bridge type bridge && ip -n "$SW" link set $bridge up || return
	done
	plug "$CL" eth0 cl lan && plug "$SV" eth0 sv wan && lab_host "$CL" 10.0.1 && lab_host "$SV" 10.0.2
}

gateway() { # a|b
	local name
	use "$1"
	for name in lan wan; do
		plug "$GW" p-$name "$1-$name" $name && lab_no_offloads "$GW" p-$name &&
			ip -n "$GW" link set p-$name up || return
	done
	[ "$1" = a ] || ip -n "$LAB_PREFIX-a" link add sync type veth peer name sync netns "$GW"
	lab_guard && lab_config "$([ "$mark" = 0 ] || echo "$LAB_MARK_CONFIG")" && lab_start
}

sync_link() {
	local one
	for one in a b; do
		ip -n "$LAB_PREFIX-$one" addr add "10.0.9.${sync[$one]}/24" dev sync &&
			ip -n "$LAB_PREFIX-$one" link set sync up || return
		sed "s|IPv4_address 10.0.9.1\$|IPv4_address 10.0.9.${sync[$one]}|
			s|Address 10.0.9.2\$|Address 10.0.9.$((3 - sync[$one]))|
			s|LockFile .*|LockFile $LAB_DIR/$one.lock|; s|Path .*|Path $LAB_DIR/$one.ct|
			s|Syslog yes|Syslog no|; s|LogFile no|LogFile $LAB_DIR/$one.conntrackd.log|" \
			"$ha/conntrackd.conf" >"$LAB_DIR/$one.conntrackd"
	done
}

# ruleset: the recipe's, on both.
ruleset() {
	local one script=''
	[ "$mark" = 0 ] || script='/flowtable f {/,/^\t}/d; s/meta.* flow add @f/ct state established ct mark set 0x1000/'
	for one in a b; do
		ip netns exec "$LAB_PREFIX-$one" nft -f - <<<"$(sed "$script" "$ha/ruleset.nft")" &&
			ip netns exec "$LAB_PREFIX-$one" sysctl -qp "$ha/sysctl.conf" || return
	done
}

tracker_start() {
	rm -f "$LAB_DIR/$side.lock"
	ip netns exec "$GW" conntrackd -C "$LAB_DIR/$side.conntrackd" >>"$LAB_LOG" 2>&1 </dev/null &
	tracker[$side]=$!
	wait_for 10 tracker_says -s
}

tracker_says() {
	in_gw conntrackd -C "$LAB_DIR/$side.conntrackd" "$@"
}

notify() { # STATE
	HA_CONNTRACKD_CONF=$LAB_DIR/$side.conntrackd in_gw "$ha/ha-notify" "$1"
}

# The machine is gone: its processes, its links. Whatever its kernel had it keeps, nobody tidies up.
die() {
	lab_crash
	kill -KILL "${tracker[$side]}" && ! wait "${tracker[$side]}" 2>/dev/null
	ip -n "$SW" link set "$side-lan" down && ip -n "$SW" link set "$side-wan" down &&
		ip -n "$GW" link set sync down
}

# And back, as after a boot: no connections, no floating addresses.
revive() {
	in_gw conntrack -F 2>/dev/null
	ip -n "$GW" addr del 10.0.1.1/32 dev lan && ip -n "$GW" addr del 10.0.2.1/32 dev wan || return
	ip -n "$SW" link set "$side-lan" up && ip -n "$SW" link set "$side-wan" up &&
		ip -n "$GW" link set sync up && lab_start && tracker_start && notify BACKUP
}

no_carrier() { # what keepalived sees of a daemon's death
	! in_gw cat /sys/class/net/lan/carrier | grep -qx 1
}

# --- traffic: a TCP stream up and datagrams down, each block and datagram checked as it comes ---

# One Python at each end, which starts while there is no load yet. A datagram of the client is the first
# alone, the rest are the server's: a gateway that does not know of them drops them.
# shellcheck disable=SC2016
traffic_text='
import hashlib, select, socket, sys, time
def text(n, size):
    return (b"%d " % n + hashlib.sha256(b"%d" % n).digest() * size)
def block(n):
    return text(n, 256)[:8000]
def progress(what):
    print(what, flush=True)
here, port = sys.argv[1], int(sys.argv[2])
there = ("10.0.2.2", port)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent, came, pending, due = 0, 0, b"", 0
if here == "client":
    t = socket.create_connection(there)
    u.connect(there)
    u.send(b"hello")
else:
    listening = socket.create_server(there)
    u.bind(there)
    t = listening.accept()[0]
    u.connect(u.recvfrom(64)[1])
while True:
    if time.monotonic() >= due:
        t.sendall(block(sent)) if here == "client" else u.send(text(sent, 1))
        sent += 1
        due = time.monotonic() + .05
    if not select.select([u if here == "client" else t], [], [], max(0, due - time.monotonic()))[0]:
        continue
    if here == "client":
        datagram = u.recv(2048)
        if datagram != text(int(datagram.split(b" ")[0]), 1):
            sys.exit("a datagram was changed")
        progress("udp")
        continue
    data = t.recv(65536)
    pending += data
    if not data:
        sys.exit("the stream ended")
    while len(pending) >= 8000:
        if pending[:8000] != block(came):
            sys.exit("the stream was changed")
        came, pending = came + 1, pending[8000:]
        progress("tcp")'

traffic_start() {
	local limit=$((250 * LAB_SLOW))
	ip netns exec "$SV" timeout -k 5 "$limit" "$lab_python" -c "$traffic_text" server "$lab_port" >"$LAB_DIR/tcp" &
	traffic=($!)
	wait_for 20 lab_listens -u "$lab_port" || return
	ip netns exec "$CL" timeout -k 5 "$limit" "$lab_python" -c "$traffic_text" client "$lab_port" >"$LAB_DIR/udp" &
	traffic+=($!)
}

traffic_end() { # both are still there: they saw nothing wrong
	kill -0 "${traffic[0]}" && kill -0 "${traffic[1]}" && kill "${traffic[@]}" && ! wait "${traffic[@]}" 2>/dev/null
}

came_more() { # BLOCKS DATAGRAMS: so many have come in all
	[ "$(wc -l <"$LAB_DIR/tcp")" -ge "$1" ] && [ "$(wc -l <"$LAB_DIR/udp")" -ge "$2" ]
}

goes_on() {
	local tcp udp
	tcp=$(wc -l <"$LAB_DIR/tcp") udp=$(wc -l <"$LAB_DIR/udp")
	wait_for 30 came_more $((tcp + 20)) $((udp + 20)) || {
		echo "blocks and datagrams: were $tcp and $udp, are" "$(wc -l <"$LAB_DIR/tcp")" "$(wc -l <"$LAB_DIR/udp")" >&2
		return 1
	}
}

# No lab_records here: each look would start a Python, which takes long on an emulated CPU.
both_offloaded() {
	ctl -j show flows | grep -F '"state":"offloaded"' >"$LAB_DIR/offloaded"
	grep -qF '"proto":"tcp"' "$LAB_DIR/offloaded" && grep -qF '"proto":"udp"' "$LAB_DIR/offloaded"
}

offloaded_packets() {
	ctl -j show ports | sed 's/.*"offloaded_packets":\([0-9]*\).*/\1/' | awk '{ n += $1 } END { print n + 0 }'
}

by_workers() { # PACKETS
	[ "$(offloaded_packets)" -gt "$1" ]
}

forwarded() {
	wait_for 30 by_workers $(($(offloaded_packets) + 200))
}

fast() { # NAME
	check "goes-on-$1" goes_on
	check "offloaded-$1" wait_for 30 both_offloaded
	check "forwarded-$1" forwarded
}

known() { # does conntrackd have both connections of its peer?
	tracker_says -e >"$LAB_DIR/external" &&
		grep -q "^tcp .*ESTABLISHED.*dport=$lab_port " "$LAB_DIR/external" &&
		grep -q "^udp .*dport=$lab_port " "$LAB_DIR/external"
}

check topology topology || exit
check gateway-a gateway a || exit
check gateway-b gateway b || exit
check sync sync_link || exit
check ruleset ruleset || exit
use b
check conntrackd-b tracker_start && check backup-b notify BACKUP
use a
check conntrackd-a tracker_start && check master-a notify MASTER
check traffic traffic_start
fast a
use b
check synchronized-b wait_for 20 known

# --- a whole machine dies and comes back ---
use a
check dies die
use b
check master-b notify MASTER
fast b
use a
check back revive
check synchronized-a wait_for 20 known
use b
check let-go notify BACKUP
use a
check take-back notify MASTER
fast a-again
use b
check synchronized-b-again wait_for 20 known

# --- only the daemon dies; keepalived would see the twin's carrier go ---
use a
check crash lab_crash
check no-carrier wait_for 5 no_carrier
check fault notify FAULT
use b
check master-b-again notify MASTER
fast b-again
check unchanged traffic_end
check stop-b lab_stop
