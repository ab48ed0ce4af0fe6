# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The differential tests: the same frames to two routers, compared by nfo-diff. To be sourced by
# tests/diff/*_test.sh.
#
#   router of the kernel $KR    lan wan wan2   veth, far ends k-lan k-wan k-wan2 in $KE
#   gateway              $GW    lan wan wan2   twins, their ports are t-lan t-wan t-wan2
#
# The routers have the same MAC addresses, addresses, neighbours, routes and ruleset: one function
# router_NAME says what they are, and both get it. A script is one diff_start and then a line for each kind:
#
#   kind NAME yes|no ROUTER FLOW...
#
# 'yes': the workers have to forward the flows, at least $DIFF_SHARE percent of the plain packets;
# 'no': they do not yet, and the bytes have to be the same all the same. ROUTER is the function's
# name without router_, FLOW as nfo-diff says.
#
# Options of each script:
#   --seed N           other random frames (default $NFO_SEED or 1)
#   --frames N         how many for each kind
#   --kind NAME        only this one; may be a pattern of the shell's
#   --flavour kernel   a second kernel's router instead of the gateway: tests this harness
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lib.sh"

DIFF_SHARE=90
# Set to 1 for ports of net_pcap on veth pairs, which take jumbo frames; net_tap's end at 1522 bytes.
DIFF_PCAP=''
DIFF_PORTS=(lan wan wan2)
# wan's is shorter, so that packets can be too long for it
declare -A diff_macs DIFF_MTU=([lan]=1500 [wan]=1400 [wan2]=1400)

diff_usage() {
	echo "usage: ${0##*/} [--seed N] [--frames N] [--kind NAME] [--flavour kernel]" >&2
	exit 2
}

# diff_start "$@": both routers without addresses or rules.
diff_start() {
	diff_seed=${NFO_SEED:-1} diff_frames='' diff_only='*' diff_flavour=bare
	diff_current='' diff_undo=''
	while [ $# -gt 0 ]; do
		[ $# -ge 2 ] || diff_usage
		case $1 in
		--seed) diff_seed=$2 ;;
		--frames) diff_frames=$2 ;;
		--kind) diff_only=$2 ;;
		--flavour) diff_flavour=$2 ;;
		*) diff_usage ;;
		esac
		shift 2
	done
	if [ -z "$diff_frames" ]; then
		[[ $(uname -r) == 6.1.* ]] && diff_frames=${DIFF_FRAMES:-1300} || diff_frames=500
	fi
	lab_init
	need_flowtable
	KE=$CL KR=$SV
	# shellcheck disable=SC2034 # tests/lab/lib.sh reads them
	LAB_PORTS=("${DIFF_PORTS[@]}") LAB_IPV6=1
	modprobe -aq nf_conntrack nft_ct nft_nat nft_masq nft_flow_offload nf_flow_table_inet 8021q \
		bonding vrf nf_nat
	check start diff_routers || exit
	diff_say_facts
}

diff_say_facts() {
	cat >&2 <<-END
		# kernel $(uname -r), seed $diff_seed, $diff_frames frames a kind
		# The output of the kernel's router is right as it is. Where its fast path has a flaw (frames
		# with priority bits in their tag miss it, other MAC addresses do not), both its paths give
		# the same bytes or the gateway's kernel takes the same one.
	END
	! is_5_10 || cat >&2 <<-END
		# This kernel's flowtable does not look at VLAN tags, and takes packets of other VLANs for the
		# flows'; the gateway does what the slow path does. So no frames with other tags are sent, and
		# no VLANs pass a flowtable upon the device below. It does not take GRE either.
	END
}

# What a router function returns with when the kernel's own flowtable fails there; says why.
flawed() {
	diff_why="this kernel's flowtable $*"
	return 77
}

is_5_10() {
	[[ $(uname -r) == 5.10.* ]]
}

diff_routers() {
	local port
	lab_topology bare && diff_sysctls "$KR" && diff_sysctls "$GW" || return
	ip netns exec "$KE" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	if [ "$diff_flavour" = kernel ]; then
		diff_veths "$GW" g
	else
		diff_daemon
	fi || return
	for port in "${DIFF_PORTS[@]}"; do
		diff_macs[$port]=$(in_gw cat "/sys/class/net/$port/address")
	done
	diff_veths "$KR" k
}

# Nothing on its own, no limits of rates: what a router sends is to depend on what it got alone.
diff_sysctls() {
	ip netns exec "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv6.conf.default.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_ratemask=0 \
		net.ipv6.icmp.ratelimit=0 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.default.send_redirects=0 net.ipv6.conf.default.accept_ra=0 \
		net.ipv6.conf.default.autoconf=0 net.ipv6.conf.default.dad_transmits=0 \
		net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.addr_gen_mode=1 \
		net.ipv6.auto_flowlabels=0 || return
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$1" sh -c '[ ! -e "$0" ] || echo >"$0"' /proc/sys/net/ipv6/icmp/ratemask
}

# Wires of a kernel's router; the MAC addresses are the gateway's, if that has some already.
diff_veths() { # ROUTER LETTER
	local port
	for port in "${DIFF_PORTS[@]}"; do
		diff_pair "$1" "$2" "$port" "$port" || return
		[ -z "${diff_macs[$port]:-}" ] || ip -n "$1" link set "$port" address "${diff_macs[$port]}" || return
	done
}

diff_pair() { # ROUTER LETTER PORT NAME
	ip -n "$KE" link add "$2-$3" mtu "${DIFF_MTU[$3]}" type veth peer name "$4" netns "$1" || return
	lab_no_offloads "$KE" "$2-$3"
	lab_no_offloads "$1" "$4"
	ip -n "$1" link set "$4" mtu "${DIFF_MTU[$3]}" up && ip -n "$KE" link set "$2-$3" up
}

diff_daemon() {
	local port
	[ -z "${DIFF_PCAP:-}" ] || for port in "${DIFF_PORTS[@]}"; do
		diff_pair "$GW" g "$port" "t-$port" || return
	done
	{
		printf '[global]\nsocket = %s\nidle-sleep-us = 500\n' "$LAB_SOCKET"
		for port in "${DIFF_PORTS[@]}"; do
			printf '[port %s]\ndevice = %s_%s,iface=t-%s\nmtu = %s\n' "$port" \
				"$([ -n "${DIFF_PCAP:-}" ] && echo net_pcap || echo net_tap)" "$port" \
				"$port${DIFF_PCAP:+,phy_mac=1}" "${DIFF_MTU[$port]}"
		done
	} >"$LAB_CONFIG"
	lab_start
}

# --- what routers are made of: text, for both routers alike ---

# ip_do WORD...: a command of ip.
ip_do() {
	diff_ip+="$*"$'\n'
}

# undo WORD...: a command of ip that takes back what a router function did; the last one comes first.
undo() {
	diff_undo="$*"$'\n'$diff_undo
}

# device NAME WORD...: makes a device, 'ip link add name NAME WORD...', and sets it up.
device() {
	ip_do link add name "$@"
	ip_do link set "$1" up
	undo link del "$1"
}

# ip_rule N WORD...: 'ip rule add' of IPv4 with preference N.
ip_rule() {
	ip_do rule add pref "$1" "${@:2}"
	undo rule del pref "$1"
}

# net DEVICE N: the router is 10.0.N.1/24 and 2001:db8:N::1/64 there, and knows neighbours 2 to 5.
net() {
	local i
	ip_do link set "$1" up
	ip_do addr add "10.0.$2.1/24" dev "$1"
	ip_do addr add "2001:db8:$2::1/64" dev "$1" nodad
	for i in 2 3 4 5; do
		ip_do neigh replace "10.0.$2.$i" lladdr "02:00:0a:00:0$2:0$i" dev "$1" nud permanent
		ip_do neigh replace "2001:db8:$2::$i" lladdr "02:00:00:00:00:0$i" dev "$1" nud permanent
	done
}

# rules DEVICES [CHAINS]: a flowtable with the devices, separated by commas, which gets all that it
# can take. $DIFF_FLAGS are the flowtable's.
rules() {
	rules_text "table inet filter {
		flowtable f {
			hook ingress priority 0
			devices = { $1 }
			${DIFF_FLAGS:-}
		}
		counter slow {
		}
		chain forward {
			type filter hook forward priority 0
			counter name slow
			meta l4proto { tcp, udp, gre } flow add @f
		}
		${2:-}
	}"
}

# rules_text TEXT: a ruleset for nft. It has to have a counter 'slow' in a table 'inet filter'.
rules_text() {
	diff_nft=$1
}

prenat() {
	echo "chain prenat {
		type nat hook prerouting priority -100
		$*
	}"
}

postnat() {
	echo "chain postnat {
		type nat hook postrouting priority 100
		$*
	}"
}

# --- kinds ---

# kind NAME yes|no ROUTER FLOW...
kind() {
	local name=$1 expected=$2 router=$3 flow arguments=() said code
	shift 3
	# shellcheck disable=SC2053 # a pattern
	[[ $name == $diff_only ]] || return 0
	! is_5_10 || {
		arguments+=(--no-tags)
		[[ $name != gre* ]] || expected=no
	}
	diff_setup "$router"
	code=$?
	[ "$code" = 0 ] || {
		if [ "$code" = 77 ]; then
			skip "$name" "$diff_why"
		else
			not_ok "$name" "router_$router failed"
		fi
		return
	}
	for flow in "$@"; do
		arguments+=(--flow "$flow")
	done
	if [ "$diff_flavour" != kernel ]; then
		arguments+=(--socket "$LAB_SOCKET")
		[ "$expected" = no ] || arguments+=(--offloaded)
	fi
	echo "# --- $name" >&2
	said=$(diff_run --name "$name" "${arguments[@]}")
	code=$?
	diff_judge "$name" "$expected" "$code" "$said"
}

# Both routers anew, if the last kind had another; without connections in any case.
diff_setup() {
	local ns undo=$diff_undo reset port code
	if [ "$1" != "$diff_current" ]; then
		diff_current='' diff_ip='' diff_undo='' diff_nft=''
		"router_$1"
		code=$?
		[ "$code" = 0 ] || {
			diff_undo=$undo # the last router stands still
			return "$code"
		}
		reset=$undo
		for port in "${DIFF_PORTS[@]}"; do
			reset+="addr flush dev $port"$'\n'"link set $port up"$'\n'
		done
		for ns in "$KR" "$GW"; do
			ip netns exec "$ns" nft flush ruleset # or else links in flowtables cannot go
			ip -n "$ns" -force -batch - <<<"$reset" # of a router that failed not all is there
			ip -n "$ns" -batch - <<<"$diff_ip" && diff_no_requests "$ns" && diff_load "$ns" || return
		done
		diff_current=$1
	fi
	for ns in "$KR" "$GW"; do
		ip netns exec "$ns" conntrack -F 2>/dev/null
	done
	diff_slow >/dev/null
}

# Neighbours that are not there are not asked for: after seconds that leads to an ICMP error, in the
# midst of other frames.
diff_no_requests() {
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$1" sh -c 'for file in /proc/sys/net/ipv[46]/neigh/*/mcast_solicit; do
		echo 0 >"$file"; done'
}

diff_load() {
	local guard=''
	if [ "$1" = "$GW" ] && [ "$diff_flavour" != kernel ]; then
		guard=$(lab_guard_text)
	fi
	ip netns exec "$1" nft -f - <<-END
		flush ruleset
		$guard
		$diff_nft
	END
}

diff_run() {
	local port letter=t ns=$GW arguments=()
	[ "$diff_flavour" != kernel ] && [ -z "${DIFF_PCAP:-}" ] || letter=g ns=$KE
	for port in "${DIFF_PORTS[@]}"; do
		arguments+=(--port "$port=$KE/k-$port,$ns/$letter-$port,${diff_macs[$port]},${DIFF_MTU[$port]}")
	done
	# shellcheck disable=SC2086 # words
	timeout -k 5 $((100 * LAB_SLOW)) "$LAB_BUILD/tests/diff/nfo-diff" "${arguments[@]}" \
		--seed "$diff_seed" --frames "$diff_frames" --pcap "$LAB_DIR" --slow "$LAB_SLOW" \
		${DIFF_OPTIONS:-} "$@"
}

# diff_judge NAME yes|no CODE OUTPUT
diff_judge() {
	local share=${4#*share=} facts
	facts="$4 kernel-slow=$(diff_slow) seed=$diff_seed"
	share=${share%% *}
	if [ "$3" = 0 ] && [ "$diff_flavour" != kernel ] && [ "$2" != no ] && [ "$share" -lt "$DIFF_SHARE" ]; then
		not_ok "$1" "$facts: the workers forwarded less than $DIFF_SHARE %"
	elif [ "$3" = 0 ]; then
		echo "ok $1 # $facts"
	else
		not_ok "$1" "${facts:-code $3}; again: tests/vm/run --" \
			"tests/diff/${0##*/} --seed $diff_seed --frames $diff_frames --kind $1"
	fi
}

# Packets that the kernel's router forwarded the slow way since it was asked last.
diff_slow() {
	ip netns exec "$KR" nft reset counter inet filter slow 2>/dev/null |
		sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}
