#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# Long downloads whose other direction is silent, or says little, for many timeouts of the flowtable: they
# stay with the workers, and what arrives is unchanged.
# LIFE_ROUNDS (4) is how many timeouts of LIFE_TIMEOUT_S (5) they last.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/traffic.sh"
: "${LIFE_TIMEOUT_S:=5}" "${LIFE_ROUNDS:=4}"
lab_init
need_flowtable
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
check ruleset lab_ruleset plain masquerade
seconds=$((LIFE_ROUNDS * LIFE_TIMEOUT_S))
in_gw sysctl -n net.netfilter.nf_flowtable_tcp_timeout >/dev/null 2>&1 ||
	skip_script "this kernel's flowtable has a timeout of 30 s that cannot be changed"
check timeouts in_gw sysctl -qw "net.netfilter.nf_flowtable_tcp_timeout=$LIFE_TIMEOUT_S" \
	"net.netfilter.nf_flowtable_udp_timeout=$LIFE_TIMEOUT_S" \
	"net.netfilter.nf_conntrack_udp_timeout=$((2 * LIFE_TIMEOUT_S))" \
	"net.netfilter.nf_conntrack_udp_timeout_stream=$((2 * LIFE_TIMEOUT_S))" || exit

# udp_download PORT: one datagram asks for it, then only the server sends, 20 a second, until there is
# $LAB_DIR/enough. Each carries its number and what follows from it: a busy machine may lose some.
udp_download() {
	ip netns exec "$SV" "$lab_python" -c '
import hashlib, os, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.2.2", int(sys.argv[1])))
_, peer = s.recvfrom(2048)
n, due = 0, time.monotonic()
while not os.path.exists(sys.argv[2]):
    s.sendto(b"%d " % n + hashlib.sha512(b"%d" % n).digest() * 15, peer)
    n, due = n + 1, due + .05
    time.sleep(max(0, due - time.monotonic()))
for _ in range(10):
    s.sendto(b"end %d" % n, peer)
    time.sleep(.1)' "$1" "$LAB_DIR/enough" &
	download_pids+=" $!"
	wait_for 10 lab_listens -u "$1" || return
	ip netns exec "$CL" "$lab_python" -c '
import hashlib, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[2]))
s.connect(("10.0.2.2", int(sys.argv[1])))
s.send(b"ask")
came, changed = set(), 0
while True:
    number, _, data = s.recv(2048).partition(b" ")
    if number == b"end":
        break
    changed += data != hashlib.sha512(number).digest() * 15
    came.add(number)
sent = int(data)
print(f"{sent} datagrams, {len(came)} came, {changed} were changed", file=sys.stderr)
sys.exit(changed > 0 or len(came) < .9 * sent or sent == 0)' "$1" $((20 * LAB_SLOW)) &
	download_pids+=" $!"
}

# tcp_download PORT: 2,000 bytes some times a second; the client says nothing but ACK.
tcp_download() {
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$SV" bash -c 'until [ -e "$1/enough" ]; do head -c 2000 /dev/urandom; sleep 0.3; done |
		tee "$1/tcp.from" | socat -u - "TCP-LISTEN:$2,reuseaddr"' download "$LAB_DIR" "$1" &
	download_pids+=" $!"
	wait_for 10 lab_listens -t "$1" || return
	ip netns exec "$CL" socat -u "TCP:10.0.2.2:$1" "CREATE:$LAB_DIR/tcp.to" &
	download_pids+=" $!"
}

flow() { # PORT EXPRESSION
	lab_records "any(($2) for f in r if f['dport'] == $1)" show flows
}

in_workers() {
	flow "$1" "f['state'] == 'offloaded'"
}

download_pids=''
check udp-starts udp_download 6001
check tcp-starts tcp_download 6002
check udp-offloaded wait_for 40 in_workers 6001
check tcp-offloaded wait_for 40 in_workers 6002
life_mark
sleep $seconds
for port in 6001 6002; do # the age is that of the state
	check "stays-$port" flow $port "f['state'] == 'offloaded' and f['age_s'] >= $((seconds - 1))"
done
check udp-silent flow 6001 "f['original']['packets'] == 0 and f['reply']['packets'] > 5 * $seconds"
check tcp-forwarded flow 6002 "f['reply']['packets'] > $seconds"
check kernel-has-them eval '[ "$(lab_conntrack | grep -c "\[OFFLOAD\]")" = 2 ]'
check never-idle life_idle_at_most 0
touch "$LAB_DIR/enough"
n=0
for pid in $download_pids; do
	check "ends-well-$((n += 1))" wait "$pid"
done
check tcp-unchanged eval '[ -s "$LAB_DIR/tcp.from" ] && lab_same "$LAB_DIR/tcp.from" "$LAB_DIR/tcp.to"'
check nothing-left wait_for 30 lab_records "r[0]['table']['used'] == 0" show stats
check stop lab_stop
