#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# UDP in one direction, never answered or answered once: the same entry of conntrack lives while packets
# flow, for many timeouts, and they are the workers'; it ends after they have stopped.
# LIFE_ROUNDS (4) is how many timeouts of LIFE_TIMEOUT_S (5) it is watched.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/traffic.sh"
: "${LIFE_TIMEOUT_S:=5}" "${LIFE_ROUNDS:=4}"
lab_init
need_flowtable
check topology lab_topology veth || exit
in_gw sysctl -n net.netfilter.nf_flowtable_udp_timeout >/dev/null 2>&1 ||
	skip_script "this kernel's flowtable has a timeout of 30 s that cannot be changed"
lab_config
check start lab_start || exit
check ruleset lab_ruleset plain
# Twice the flowtable's, so that the entry is there for a while after it has left.
in_gw sysctl -qw "net.netfilter.nf_flowtable_udp_timeout=$LIFE_TIMEOUT_S" \
	"net.netfilter.nf_conntrack_udp_timeout=$((2 * LIFE_TIMEOUT_S))" \
	"net.netfilter.nf_conntrack_udp_timeout_stream=$((2 * LIFE_TIMEOUT_S))"

# oneway PORT ANSWERS: the server answers the first ones and counts; the client sends ten a second.
oneway() {
	ip netns exec "$SV" "$lab_python" -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.2.2", int(sys.argv[1])))
answers = int(sys.argv[2])
while True:
    data, peer = s.recvfrom(2048)
    if answers > 0:
        s.sendto(data, peer)
    answers -= 1' "$1" "$2" &
	oneway_pids+=" $!"
	wait_for 10 lab_listens -u "$1" || return
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$CL" bash -c 'exec 3<>"/dev/udp/10.0.2.2/$1" 4<> <(:)
		while echo packet >&3; do read -r -t 0.1 -u 4; done' oneway "$1" &
	oneway_pids+=" $!"
}

flow() { # PORT EXPRESSION
	lab_records "any(($2) for f in r if f['dport'] == $1)" show flows
}

in_workers() {
	flow "$1" "f['state'] == 'offloaded'"
}

packets() {
	lab_records "next((f['original']['packets'] for f in r if f['dport'] == $1), 0) or '0'" show flows
}

entry_id() { # PORT: of conntrack; nothing without an entry
	lab_conntrack -p udp --orig-port-dst "$1" -o id | sed -n 's/.* id=\([0-9]*\).*/\1/p'
}

gone() {
	[ -z "$(entry_id "$1")" ]
}

entry_is() { # PORT TEXT
	lab_conntrack -p udp --orig-port-dst "$1" | grep -qF "$2"
}

never=6001 once=6002 oneway_pids=''
check send-never oneway $never 0
check send-once oneway $once 1
check offloaded-never wait_for 20 in_workers $never
check offloaded-once wait_for 20 in_workers $once
check unreplied entry_is $never '[UNREPLIED]'
check replied eval "! entry_is $once '[UNREPLIED]'"

declare -A id was
other=0 polls=0
for port in $never $once; do
	id[$port]=$(entry_id "$port") was[$port]=$(packets "$port")
done
life_mark
end=$((SECONDS + LIFE_ROUNDS * LIFE_TIMEOUT_S))
while [ $SECONDS -lt $end ]; do
	polls=$((polls + 1))
	for port in $never $once; do
		[ "$(entry_id "$port")" = "${id[$port]}" ] || other=$((other + 1))
	done
	sleep 0.5
done
echo "looked $polls times: another entry or none $other times" >&2
check same-entry eval '[ $polls -gt 0 ] && [ $other = 0 ] && [ -n "${id[$never]}" ] && [ -n "${id[$once]}" ]'
for port in $never $once; do
	check "stays-$port" flow "$port" \
		"f['state'] == 'offloaded' and f['age_s'] >= $(((LIFE_ROUNDS - 1) * LIFE_TIMEOUT_S))"
	check "forwarded-$port" eval '[ "$(packets $port)" -gt $((${was[$port]} + LIFE_ROUNDS * LIFE_TIMEOUT_S)) ]'
	check "not-answered-$port" flow "$port" "f['reply']['packets'] <= 1"
done
check never-idle life_idle_at_most 0

# shellcheck disable=SC2086 # numbers
kill $oneway_pids
# shellcheck disable=SC2086
wait $oneway_pids 2>/dev/null
began=$(date +%s%N)
for port in $never $once; do
	check "ends-$port" wait_for 30 gone $port
	echo "the entry of $port ended $((($(date +%s%N) - began) / 1000000)) ms after its last packet or before that" >&2
done
check nothing-left wait_for 20 lab_records "r[0]['table']['used'] == 0" show stats
check stop lab_stop
