#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 420
# The mistakes that users make, with the kernel's own flowtables, routes and interfaces: what 'show
# problems' and 'why' say of each, and that neither complains of a set-up without any.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit

problems() { # WORD:SUBJECT...: these and no others
	lab_records "sorted(x['problem'] + ':' + x['subject'] for x in r) == sorted('$*'.split())" show problems
}

# of_held PYTHON: about the answer of 'why' for the connection of hold_tcp, and its steps by name.
of_held() {
	lab_records "[x for x in r for s in [{s['step']: s for s in x['steps']}] if $1]" \
		why tcp 10.0.1.2 "10.0.2.2:$lab_port"
}

# says REASON STEP PATTERN: the connection has the reason, since the step says so, as does the verdict.
says() {
	of_held "x['reason'] == '$1' and s['$2']['answer'] == 'no' and __import__('re').search(
		r'$3', s['$2']['text']) and '($1)' in x['verdict'] and '\n' not in x['verdict']"
}

ruleset() { # DEVICES RULE
	in_gw nft -f - <<-END
		flush ruleset
		table inet filter {
			${1:+flowtable f {
				hook ingress priority 0
				devices = { $1 \}
			\}}
			chain forward {
				type filter hook forward priority 0
				${2:-}
			}
		}
	END
	lab_guard
}
# without a rule that asks for it, the kernel tracks no connections
tracked='ct state new counter'
all='meta l4proto { tcp, udp } flow add @f'

# --- nothing is wrong ---

check ruleset ruleset 'lan, wan' "$all" || exit
check no-problems wait_for 5 problems
check hold hold_tcp
check offloaded wait_for 20 of_held 'x["reason"] == "offloaded" and x["where"] == "dpdk"
	and x["verdict"] == "The workers forward it." and all(y["answer"] != "no" for y in x["steps"])'
client_port=$(lab_records '[x["sport"] for x in r]' show flows | tr -d '[]')
for ends in "10.0.1.2:$client_port 10.0.2.2:$lab_port" "10.0.2.2:$lab_port 10.0.1.2:$client_port" \
	"10.0.2.2 10.0.1.2:$client_port" "10.0.2.2:$lab_port" '10.0.1.2 zone 0'; do
	# shellcheck disable=SC2086 # words
	check "asked-as-${ends// /-}" lab_records \
		"[(x['sport'], x['reason']) for x in r] == [($client_port, 'offloaded')]" why tcp $ends
done
check other-zone lab_records '[x["reason"] for x in r] == ["untracked"]' why tcp 10.0.1.2 zone 1
check untracked lab_records '[(x["reason"], x["where"]) for x in r] == [("untracked", "kernel")]' \
	why tcp 10.0.1.2:1 10.0.2.2:2
check text eval 'ctl why tcp 10.0.1.2 | tee -a /dev/stderr | tail -n 1 | grep -q "^The workers forward it.$"'
sleep 13 # longer than a problem has to last
check quiet-log eval '! grep "problem: " "$LAB_LOG" >&2'

# --- the ruleset ---

check ruleset-untracked ruleset ''
release_tcp
check hold-untracked hold_tcp
check why-untracked lab_records '[x["reason"] for x in r] == ["untracked"]' why tcp 10.0.1.2 "10.0.2.2:$lab_port"
check ruleset-without ruleset '' "$tracked"
check no-flowtable wait_for 10 problems no-flowtable:
release_tcp
check hold-again hold_tcp
check why-no-flowtable wait_for 10 says not-offered offered 'there is no flowtable for IPv4'
check ruleset-unused ruleset 'lan, wan' "$tracked"
check unused wait_for 10 lab_records '[(x["problem"], x["subject"]) for x in r] ==
	[("unused-flowtable", "inet filter f")]' show problems
check why-unused wait_for 10 says not-offered offered 'no rule refers to flowtable inet filter f'
check logged wait_for 30 grep -q 'unused-flowtable: No rule adds' "$LAB_LOG"
check ruleset-beside ruleset 'lan, wan' 'tcp dport 1 flow add @f'
check no-longer wait_for 10 grep -q 'no longer: unused-flowtable inet filter f' "$LAB_LOG"
check why-beside wait_for 10 says not-offered offered 'no rule has added it to flowtable inet filter f'
check ruleset-half ruleset wan "$all"
check missing-device wait_for 10 problems missing-device:lan
check why-missing wait_for 20 says no-flowtable flowtable 'lan is missing in the devices of flowtable inet filter f'
check where-missing of_held 'x["where"] == "kernel-flowtable"'
check reasons lab_records '[x["connections"] for x in r if x["reason"] == "no-flowtable"] == [1]' show reasons
check ruleset-whole ruleset 'lan, wan' "$all"
check solved wait_for 10 problems
check offloaded-again wait_for 20 of_held 'x["reason"] == "offloaded"'

# --- interfaces and sysctls ---

check shaper in_gw tc qdisc add dev lan root tbf rate 1gbit burst 1mb latency 50ms
check why-shaper wait_for 10 says netdev-hook ingress 'lan has a qdisc'
in_gw tc qdisc del dev lan root
check policy ip -n "$GW" xfrm policy add src 198.51.100.1 dst 198.51.100.2 dir out tmpl proto esp mode transport
check ipsec wait_for 10 problems ipsec:
check why-ipsec wait_for 20 says ipsec no-ipsec 'IPsec policies'
ip -n "$GW" xfrm policy flush
check no-forwarding eval 'in_gw sysctl -qw net.ipv4.ip_forward=0 && wait_for 5 problems no-forwarding:IPv4'
check not-by-lan eval 'in_gw sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.lan.forwarding=0 &&
	wait_for 5 problems no-forwarding:lan'
in_gw sysctl -qw net.ipv4.conf.lan.forwarding=1
check no-events eval 'in_gw sysctl -qw net.netfilter.nf_conntrack_events=0 && wait_for 5 problems no-events:'
in_gw sysctl -qw net.netfilter.nf_conntrack_events=1
check bridge ip -n "$GW" link add br0 type bridge
check enslave ip -n "$GW" link set lan master br0
check bridge-port wait_for 5 problems bridge-port:lan
check why-bridge wait_for 10 says bridge ingress 'lan belongs to br0'
ip -n "$GW" link del br0
check vlan ip -n "$GW" link add link wan name wan.7 type vlan id 7
check vlan-up eval 'ip -n "$GW" addr add 10.0.7.1/24 dev wan.7 && ip -n "$GW" link set wan.7 up'
check vlan-covered wait_for 5 problems
check ruleset-lan ruleset lan "$all"
check missing-vlan wait_for 10 problems missing-device:wan missing-vlan:wan.7
check ruleset-last ruleset 'lan, wan' "$all"
ip -n "$GW" link del wan.7
check down ip -n "$GW" link set wan down
check twin-down wait_for 5 problems twin-down:wan
check why-down wait_for 10 of_held "x['reason'] not in ('offloaded', 'untracked')"
check up lab_addresses
check no-address eval 'ip -n "$GW" addr flush dev lan && wait_for 5 problems no-address:lan'
check healed eval 'lab_addresses && wait_for 5 problems'
release_tcp
check stop lab_stop
