# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The differential tests: the same frames to two routers, compared by nfo-diff. To be sourced by
# tests/diff/*_test.sh.
#
#   router of the kernel $KR    lan wan wan2   veth, far ends k-lan k-wan k-wan2 in $KE
#   gateway              $GW    lan wan wan2   twins, their ports are t-lan t-wan t-wan2
#
# The routers have the same MAC addresses, addresses, neighbours, routes and ruleset: one function
# router_NAME NAMESPACE sets up either. A script is one diff_start and then a line for each kind:
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
DIFF_PORTS=(lan wan wan2)
# wan's is shorter, so that packets can be too long for it
declare -A DIFF_MTU=([lan]=1500 [wan]=1400 [wan2]=1400)

diff_usage() {
	echo "usage: ${0##*/} [--seed N] [--frames N] [--kind NAME] [--flavour kernel]" >&2
	exit 2
}

# diff_start "$@": both routers without addresses or rules.
diff_start() {
	diff_seed=${NFO_SEED:-1} diff_frames='' diff_only='*' diff_flavour=bare diff_current=''
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
		[[ $(uname -r) == 6.1.* ]] && diff_frames=${DIFF_FRAMES:-1600} || diff_frames=500
	fi
	lab_init
	has_flowtable || skip_script 'this kernel has no flowtables'
	KE=$CL KR=$SV
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
}

diff_routers() {
	lab_topology bare && diff_sysctls "$KR" && diff_sysctls "$GW" || return
	ip netns exec "$KE" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	if [ "$diff_flavour" = kernel ]; then
		diff_veths "$GW" g
	else
		diff_daemon
	fi && diff_veths "$KR" k
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
	local port mac
	for port in "${DIFF_PORTS[@]}"; do
		ip -n "$KE" link add "$2-$port" mtu "${DIFF_MTU[$port]}" type veth \
			peer name "$port" netns "$1" || return
		mac=02:00:00:00:00:0$((${#port} + ${DIFF_MAC_SHIFT:-0}))
		[ "$1" = "$GW" ] || [ -n "${DIFF_MAC_SHIFT:-}" ] || mac=$(diff_mac "$port")
		ip -n "$1" link set "$port" mtu "${DIFF_MTU[$port]}" address "$mac" up || return
		lab_no_offloads "$KE" "$2-$port"
		lab_no_offloads "$1" "$port"
		ip -n "$KE" link set "$2-$port" up || return
	done
}

diff_mac() {
	in_gw cat "/sys/class/net/$1/address"
}

diff_daemon() {
	local port
	{
		printf '[global]\nsocket = %s\n' "$LAB_SOCKET"
		for port in "${DIFF_PORTS[@]}"; do
			printf '[port %s]\ndevice = net_tap_%s,iface=t-%s\nmtu = %s\n' "$port" "$port" "$port" \
				"${DIFF_MTU[$port]}"
		done
	} >"$LAB_CONFIG"
	lab_start
}

# --- what routers are made of ---

# diff_reset NAMESPACE: takes away what a router function made.
diff_reset() {
	local name port
	ip netns exec "$1" nft flush ruleset
	[ "$1" != "$GW" ] || [ "$diff_flavour" = kernel ] || lab_guard
	ip -n "$1" -br link | sed 's/[ @].*//' | while read -r name; do
		[[ " lo ${DIFF_PORTS[*]} ${DIFF_PORTS[*]/#/t-} " == *" $name "* ]] ||
			ip -n "$1" link del "$name" 2>/dev/null # a device upon another goes with it
	done
	for port in "${DIFF_PORTS[@]}"; do
		printf '%s\n' "addr flush dev $port" "neigh flush nud permanent dev $port" \
			"link set $port up"
	done | ip -n "$1" -batch -
	for name in 100 101 102 103 1000; do
		ip -n "$1" rule del pref "$name" 2>/dev/null
		ip -n "$1" -6 rule del pref "$name" 2>/dev/null
	done
	ip netns exec "$1" conntrack -F 2>/dev/null
	return 0
}

# net NAMESPACE DEVICE N: the router is 10.0.N.1/24 and 2001:db8:N::1/64 there, and knows
# neighbours 2 to 5.
net() {
	local i
	{
		echo "link set $2 up"
		echo "addr add 10.0.$3.1/24 dev $2"
		echo "addr add 2001:db8:$3::1/64 dev $2 nodad"
		for i in 2 3 4 5; do
			echo "neigh replace 10.0.$3.$i lladdr 02:00:0a:00:0$3:0$i dev $2 nud permanent"
			echo "neigh replace 2001:db8:$3::$i lladdr 02:00:00:00:00:0$i dev $2 nud permanent"
		done
	} | ip -n "$1" -batch -
}

# rules NAMESPACE DEVICES [CHAINS]: a flowtable with the devices, separated by commas, which gets all
# that it can take. $DIFF_FLAGS are the flowtable's.
rules() {
	ip netns exec "$1" nft -f - <<-END || return
		flush ruleset
		table inet filter {
			flowtable f {
				hook ingress priority 0
				devices = { $2 }
				${DIFF_FLAGS:-}
			}
			counter slow {
			}
			chain forward {
				type filter hook forward priority 0
				counter name slow
				meta l4proto { tcp, udp, gre } flow add @f
			}
			${3:-}
		}
	END
	diff_guard "$1"
}

# A flush takes lab_guard's table with it.
diff_guard() {
	[ "$1" != "$GW" ] || [ "$diff_flavour" = kernel ] || lab_guard
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
	diff_setup "$router" || {
		code=$?
		[ "$code" = 77 ] && skip "$name" "this kernel cannot do it" ||
			not_ok "$name" "router_$router failed"
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
	local ns
	for ns in "$KR" "$GW"; do
		if [ "$1" != "$diff_current" ]; then
			diff_reset "$ns"
			"router_$1" "$ns" || return
		else
			ip netns exec "$ns" conntrack -F 2>/dev/null
			ip netns exec "$ns" nft reset counter inet filter slow >/dev/null 2>&1
		fi
	done
	diff_current=$1
}

diff_run() {
	local port letter=t ns=$GW arguments=()
	[ "$diff_flavour" != kernel ] || letter=g ns=$KE
	for port in "${DIFF_PORTS[@]}"; do
		arguments+=(--port "$port=$KE/k-$port,$ns/$letter-$port,$(diff_mac "$port"),${DIFF_MTU[$port]}")
	done
	for port in 1 2 3; do
		arguments+=(--own "10.0.$port.1")
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

# Packets that the kernel's router forwarded the slow way.
diff_slow() {
	ip netns exec "$KR" nft list counter inet filter slow 2>/dev/null |
		sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}
