#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# TCP connections of few packets, of none, and dead ones, across many timeouts of the kernel's flowtable:
# each lives, and is the workers', for as long as it would without us. The kernel's timeouts are followed
# when they change.
# LIFE_ROUNDS (3) is how many timeouts of LIFE_TIMEOUT_S (9) the connections are watched; before Linux
# 5.13 the timeout is 30 s and cannot be changed: there are 2.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/traffic.sh"
: "${LIFE_TIMEOUT_S:=9}"
lab_init
need_flowtable
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
tcp_timeout=net.netfilter.nf_flowtable_tcp_timeout
changes=yes # the kernel lets its timeouts be changed
in_gw sysctl -n $tcp_timeout >/dev/null 2>&1 || changes=no LIFE_TIMEOUT_S=30 LIFE_ROUNDS=${LIFE_ROUNDS:-2}
: "${LIFE_ROUNDS:=3}"
[ $changes = no ] || in_gw sysctl -qw $tcp_timeout=300 # the old timeout; nothing is to end by it
check ruleset lab_ruleset plain

# flow NAME EXPRESSION: does it hold of its flow?
flow() {
	lab_records "any(($2) for f in r if f['dport'] == ${talk_port[$1]})" show flows
}

in_workers() {
	flow "$1" "f['state'] == 'offloaded'"
}

# not_in_workers NAME: known as idle, or not any more.
not_in_workers() {
	lab_records "all(f['reason'] == 'idle' for f in r if f['dport'] == ${talk_port[$1]})" show flows
}

# entry NAME: conntrack's. Its lines are [OFFLOAD], or tell the state and what is left of its time.
entry() {
	lab_conntrack -p tcp --orig-port-dst "${talk_port[$1]}"
}

entry_is() { # NAME TEXT
	entry "$1" | grep -qF "$2"
}

gone() {
	[ -z "$(entry "$1")" ]
}

# spoken NAME COUNT PAUSE: says it, and waits for the last answer.
spoken() {
	local so_far
	read -r so_far <"$LAB_DIR/$1.said"
	say "$1" "$2" "$3"
	wait_for 60 said "$1" $((so_far + $2))
}

# samples: how many are asked for while 'few' says five lines, a second apart.
samples() {
	local before
	before=$(lab_records 'r[0]["mirror"]["sampled"] or "0"' show stats)
	spoken few 5 1 || return
	echo $(($(lab_records 'r[0]["mirror"]["sampled"] or "0"' show stats) - before))
}

idled() { # THAN: how many flows were found idle
	[ "$(life_counters | cut -d" " -f4)" -gt "$1" ]
}

check connect-few talk_start few
check talk-few spoken few 3 0.2
check offloaded-few wait_for 20 in_workers few

if [ $changes = yes ]; then
	check connect-old talk_start old
	check talk-old spoken old 3 0.2
	check offloaded-old wait_for 20 in_workers old
	before=$(samples)
	check kept-by-the-old-timeout in_workers old
	in_gw sysctl -qw $tcp_timeout="$LIFE_TIMEOUT_S"
	check idle-by-the-new-timeout wait_for 20 idled 0 # the kernel, whose entry has the old one, may offer it again
	after=$(samples)
	echo "samples of two flows in 5 s or more: $before with 300 s, then $after with $LIFE_TIMEOUT_S s" >&2
	check sampled-more-often eval '[ "$after" -gt "$before" ]'
	talk_end old
fi
check connect-none talk_start none
check talk-none spoken none 3 0.2
check offloaded-none wait_for 20 in_workers none

# --- one says nothing, one something each second ---
life_mark
read -r few_said <"$LAB_DIR/few.said"
say few $((LIFE_TIMEOUT_S * LIFE_ROUNDS)) 1
lost=0 left=0 polls=0
until said few $((few_said + LIFE_TIMEOUT_S * LIFE_ROUNDS)); do
	[ $((polls += 1)) -lt $((20 * LIFE_TIMEOUT_S * LIFE_ROUNDS)) ] || break
	! gone none || lost=$((lost + 1))
	entry_is few '[OFFLOAD]' || left=$((left + 1))
	sleep 0.5
done
echo "looked $polls times: 'none' was not there $lost times, 'few' was not offloaded $left times" >&2
check few-answered said few $((few_said + LIFE_TIMEOUT_S * LIFE_ROUNDS))
check none-lives eval '[ $polls -gt 0 ] && [ $lost = 0 ]'
check none-is-the-kernels entry_is none ESTABLISHED
check none-left-the-workers not_in_workers none
check few-stays-in-the-kernel [ $left = 0 ]
# its age is that of its state
check few-stays-in-the-workers flow few \
	"f['state'] == 'offloaded' and f['age_s'] >= $((LIFE_TIMEOUT_S * (LIFE_ROUNDS - 1)))"

# --- the silent one speaks again ---
check none-talks-again spoken none 10 0.1
check none-offloaded-again wait_for 20 in_workers none
check none-talks-on spoken none 20 0.1
check none-forwarded-again flow none "f['original']['packets'] >= 10 and f['reply']['packets'] >= 10"
talk_end none
talk_end few

# --- both ends vanish without a word ---
silence() { # NAMESPACE PORT
	ip netns exec "$1" nft -f - <<-END
		table inet silence {
			chain out {
				type filter hook output priority 0
				tcp sport $2 drop
				tcp dport $2 drop
			}
		}
	END
}
check connect-dead talk_start dead
check talk-dead spoken dead 10 0.1
check offloaded-dead wait_for 20 in_workers dead
[ $changes = no ] || in_gw sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=$((2 * LIFE_TIMEOUT_S))
check silence-client silence "$CL" "${talk_port[dead]}"
check silence-server silence "$SV" "${talk_port[dead]}"
began=$(date +%s%N)
tell_time() {
	echo "$1 after $((($(date +%s%N) - began) / 1000000)) ms" >&2
}
talk_end dead
check dead-leaves-the-workers wait_for 60 not_in_workers dead
tell_time "left the workers (the flowtable's timeout is $LIFE_TIMEOUT_S s)"
check dead-leaves-the-flowtable wait_for 20 eval "! entry_is dead '[OFFLOAD]'"
tell_time "left the kernel's flowtable"
check dead-was-not-closed eval "! entry dead | grep -E 'WAIT|CLOSE|LAST_ACK'"
if [ $changes = yes ]; then
	check dead-ends-in-the-kernel wait_for 20 gone dead
	tell_time "left conntrack (its timeout is $((2 * LIFE_TIMEOUT_S)) s)"
fi
check nothing-left wait_for 20 lab_records \
	"r[0]['table']['used'] == 0 and not any(v for k, v in r[0]['mirror']['by_reason'].items() if k == 'offloaded')" show stats
check stop lab_stop
