#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# Rulesets loaded anew again and again, in one transaction or flushed first, conntrack emptied, rules taken
# away: under a TCP stream and UDP, which go on unchanged, and the flows come back.
# LIFE_LOOPS (6) is how often the ruleset is loaded.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/hands.sh"
. "$(dirname "$0")/traffic.sh"
: "${LIFE_LOOPS:=6}"
lab_init
need_flowtable
check topology lab_topology veth || exit
lab_config
check start lab_start || exit

# The same names as before. lab_guard's table stays.
rules() {
	lab_rules 'ip protocol { tcp, udp } flow add @f'
}

again() { # LOOP
	if [ $(($1 % 2)) = 0 ]; then
		rules
	else
		in_gw nft delete table inet filter && sleep "0.$((RANDOM % 5))" && rules
	fi
}

# All are the workers', and something comes back on each.
back() {
	flows "len(f) == 5" && echo_alive all
}

packets() {
	lab_sum original.packets show flows
}

# While conntrack's hooks come and go the kernel patches its code, and an emulated CPU may never see that the
# breakpoint in it is gone. Hooks of another namespace stay.
in_cl nft -f - <<-'END'
	table inet stays {
		chain in {
			type filter hook input priority 0
			ct state established accept
		}
		chain forward {
			type filter hook forward priority 0
		}
	}
END
check rules rules || exit
stream_start
stream_port=$lab_port
check echo echo_start 0.2 all=10.0.2.2:4
check offloaded back
for ((loop = 1; loop <= LIFE_LOOPS; loop++)); do
	check "reload-$loop" again $loop
	if [ $((loop % 3)) = 0 ]; then
		check "back-$loop" back
	else
		sleep "0.$((RANDOM % 10))"
	fi
done
check back back
check same-after-reloads life_same

# Without its rule the flowtable keeps what it has, and takes no more.
life_mark
check rule-gone in_gw nft flush chain inet filter forward
before=$(packets)
talk_start late
say late 20 0.1
check late-talks wait_for 30 said late 20
check late-not-offloaded lab_records "not any(x['dport'] == ${talk_port[late]} and x['state'] == 'offloaded' for x in r)" \
	show flows
check others-stay flows 'len(f) == 5'
check others-untouched life_touched 0 100
check others-forwarded [ "$(packets)" -gt $((before + 50)) ]
check rule-again in_gw nft add rule inet filter forward ip protocol '{ tcp, udp }' flow add @f
say late 20 0.1
check late-offloaded wait_for 20 lab_records "any(x['dport'] == ${talk_port[late]} and x['state'] == 'offloaded' for x in r)" \
	show flows
talk_end late

# --- conntrack's entries go ---
check delete-tcp in_gw conntrack -D -p tcp --orig-port-dst "$stream_port"
check delete-udp in_gw conntrack -D -p udp
check back-after-delete back
for loop in 1 2 3; do
	check "flush-$loop" in_gw conntrack -F
	sleep "0.$((RANDOM % 10))"
done
check back-after-flush back
check same life_same
check stream stream_end
check datagrams echo_end all
check stop lab_stop
