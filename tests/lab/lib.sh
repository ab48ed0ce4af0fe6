# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The lab: client, gateway and server in network namespaces, for tests/lab/*_test.sh,
# tests/vm/*_test.sh and tools/demo. To be sourced by a bash script that runs as root.
#
#    client $CL               gateway $GW                  server $SV
#    eth0 10.0.1.2/24  <->  lan 10.0.1.1  wan 10.0.2.1  <->  eth0 10.0.2.2/24
#
# Flavours of lab_topology:
#   veth    the daemon's ports are af_packet on p-lan and p-wan, the gateway's ends of two veth
#           pairs; 'lan' and 'wan' are the twins it makes
#   tap     its ports are net_tap devices t-lan and t-wan, patched through to p-lan and p-wan
#   kernel  no daemon: 'lan' and 'wan' are veth ends themselves. What the kernel alone does
#   bare    as tap, but the test itself talks on t-NAME, one for each name in LAB_PORTS; no client
#           and no server
#
# A test, in full:
#   . "$(dirname "$0")/lib.sh"
#   lab_init
#   lab_topology veth
#   lab_config
#   lab_start
#   lab_ruleset masquerade
#   check upload transfer_tcp 1000000 up
#
# Output: the lines of ok(), not_ok(), skip() and check() on standard output, the rest on standard
# error. After a failure the lab's folder is copied to $NFO_ARTIFACTS, if that is set.
#
# Environment: LAB_BUILD the folder of the programs; LAB_SLOW factor for all time limits (3 under a
# virtual machine's emulated CPU); LAB_IPV6=1 leaves IPv6 on.
set -uo pipefail

lab_root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
: "${LAB_BUILD:=$lab_root/build}"
: "${LAB_SLOW:=$([ -e /run/vm/busybox ] && echo 3 || echo 1)}"
# On an emulated CPU workers that wake up for nothing take it from those that have something to do.
lab_idle=''
[ "$LAB_SLOW" = 1 ] || lab_idle=$'\nidle-sleep-us = 1000'
# A version manager's python3 of a developer's machine is slow to start; the system's will do.
lab_python=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
# Flavours tap (before lab_start) and bare may have others.
LAB_PORTS=(lan wan)
# EAL arguments of the daemon; a test may change them before lab_start.
LAB_EAL=(--no-huge -m 256 --no-pci -l 0-1)
# For config.ini, where the kernel has no flowtables; see the word 'mark' of lab_ruleset.
# shellcheck disable=SC2034
LAB_MARK_CONFIG='[flowtable f]
devices = wan lan
mark = 0x1000/0x1000'

# --- results ---

lab_failed=0

ok() {
	echo "ok $1"
}

not_ok() {
	lab_failed=1
	echo "not ok $1${2:+ # ${*:2}}"
	lab_log_tail
}

skip() {
	echo "skip $1${2:+ # ${*:2}}"
}

# check NAME COMMAND...: ok if the command succeeds. What it prints goes to the log.
check() {
	local name=$1 code
	shift
	"$@" >&2
	code=$?
	if [ "$code" = 0 ]; then
		ok "$name"
	else
		not_ok "$name" "$* failed ($code)"
	fi
	return "$code"
}

# skip_script WHY: ends the script as skipped.
skip_script() {
	echo "$*" >&2
	exit 77
}

# wait_for SECONDS COMMAND...: tries it until it succeeds or the time is over.
wait_for() {
	local end=$((SECONDS + $1 * LAB_SLOW + 1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "in vain waited for: $*" >&2
			return 1
		fi
		sleep "0.$LAB_SLOW" # each look takes from what is waited for
	done
}

# --- life ---

# lab_init: namespaces' names, a folder, and the clean-up at the end, however the script ends.
lab_init() {
	[ "$(id -u)" = 0 ] || skip_script 'the lab needs root'
	LAB_PREFIX=nfo$$
	CL=$LAB_PREFIX-cl
	GW=$LAB_PREFIX-gw
	SV=$LAB_PREFIX-sv
	LAB_NAMESPACES=("$CL" "$GW" "$SV") # those to clean up
	LAB_DIR=$(mktemp -d /tmp/nfo-lab.XXXXXX) || exit 1
	LAB_SOCKET=$LAB_DIR/ctl.sock
	LAB_CONFIG=$LAB_DIR/config.ini
	LAB_LOG=$LAB_DIR/daemon.log
	lab_flavour=''
	lab_daemon=''
	lab_port=5000
	lab_server=10.0.2.2 # whom transfer_tcp, hold_tcp and stream_start call; may be IPv6 for the first two
	lab_call_port=''    # transfer_tcp: at which port, if not at the server's own
	trap lab_cleanup EXIT
	trap 'trap "" INT TERM HUP; exit 130' INT TERM HUP
}

lab_cleanup() {
	local code=$? name
	trap '' INT TERM HUP
	[ "$code" = 0 ] || [ "$code" = 77 ] || lab_failed=1
	lab_stop || code=1
	lab_kill_all
	for name in "${LAB_NAMESPACES[@]}"; do
		ip netns del "$name" 2>/dev/null
	done
	if [ "$lab_failed" = 1 ] && [ -n "${NFO_ARTIFACTS:-}" ]; then
		mkdir -p "$NFO_ARTIFACTS" && rm -f "$LAB_DIR"/payload.* &&
			cp -r "$LAB_DIR"/. "$NFO_ARTIFACTS"
	fi
	rm -rf "$LAB_DIR" "/var/run/dpdk/$LAB_PREFIX" "/var/run/dpdk/$LAB_PREFIX"-*
	[ "$code" != 0 ] || [ "$lab_failed" = 0 ] || code=1
	exit "$code"
}

# lab_clear: ends everything and forgets the topology, for another lab_topology. Returns the daemon's
# exit code.
lab_clear() {
	local code name
	lab_stop
	code=$?
	lab_kill_all
	for name in "${LAB_NAMESPACES[@]}"; do
		ip netns del "$name" 2>/dev/null
	done
	return "$code"
}

# Our children, and what they left in our namespaces: first asked, then made to end.
lab_kill_all() {
	local name pids signal
	for signal in TERM KILL; do
		pids=$(jobs -pr; for name in "${LAB_NAMESPACES[@]}"; do ip netns pids "$name" 2>/dev/null; done)
		[ -n "$pids" ] || return 0
		# shellcheck disable=SC2086 # a list
		kill -s $signal $pids 2>/dev/null
		sleep 0.3
	done
}

lab_log_tail() {
	[ ! -s "${LAB_LOG:-}" ] || {
		echo "--- the end of the daemon's log"
		tail -n 20 "$LAB_LOG"
	} >&2
}

# Not for a process in the background that is to be killed: $! would be a shell's.
in_cl() { ip netns exec "$CL" "$@"; }
in_gw() { ip netns exec "$GW" "$@"; }
in_sv() { ip netns exec "$SV" "$@"; }

# --- topology ---

# lab_topology [veth|tap|kernel]
lab_topology() {
	lab_flavour=${1:-veth}
	local name
	for name in "$CL" "$GW" "$SV"; do
		ip netns add "$name" || return
		ip -n "$name" link set lo up
		ip netns exec "$name" sysctl -qw net.ipv4.conf.all.rp_filter=0 \
			net.ipv4.conf.default.rp_filter=0
		lab_ipv6_off "$name" default
	done
	in_gw sysctl -qw net.ipv4.ip_forward=1
	case $lab_flavour in
	bare)
		return
		;;
	veth | tap)
		lab_pair "$CL" p-lan && lab_pair "$SV" p-wan && lab_guard
		;;
	kernel)
		lab_pair "$CL" lan && lab_pair "$SV" wan && lab_addresses
		;;
	*)
		echo "lab_topology: no flavour is called '$lab_flavour'" >&2
		return 1
		;;
	esac
	lab_host "$CL" 10.0.1 && lab_host "$SV" 10.0.2
}

lab_ipv6_off() {
	[ "${LAB_IPV6:-0}" = 1 ] || [ ! -e /proc/sys/net/ipv6 ] ||
		ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
}

# lab_pair NAMESPACE NAME: its eth0, and the other end called NAME in the gateway.
lab_pair() {
	ip -n "$1" link add eth0 type veth peer name "$2" netns "$GW" || return
	[ "$lab_flavour" = kernel ] || LAB_IPV6=0 lab_ipv6_off "$GW" "$2"
	lab_no_offloads "$GW" "$2"
	ip -n "$GW" link set "$2" up
}

# lab_host NAMESPACE NET: address and route of an end that has its eth0.
lab_host() {
	lab_no_offloads "$1" eth0
	ip -n "$1" addr replace "$2.2/24" dev eth0 &&
		ip -n "$1" link set eth0 up &&
		ip -n "$1" route replace default via "$2.1"
}

# Frames as they would be on a wire: whole checksums, no super-packets. A device that cannot have
# an offload refuses to switch it.
lab_no_offloads() {
	local feature
	ip netns exec "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1 && return
	for feature in tx tso gso gro; do
		ip netns exec "$1" ethtool -K "$2" $feature off >/dev/null 2>&1
	done
	return 0
}

# What enters p-lan and p-wan is the daemon's alone: the kernel of the gateway would answer and
# forward it too. For af_packet the hook is late enough, the sockets are before it. net_tap's devices
# t-lan and t-wan are patched through to p-lan and p-wan; they stay in the gateway, since DPDK looks
# after them by name, and the ends keep MAC addresses of their own.
lab_guard() {
	[ "$lab_flavour" = kernel ] || in_gw nft -f - <<<"$(lab_guard_text)"
}

lab_guard_text() {
	local name chains='chain in {
		type filter hook ingress devices = { p-lan, p-wan } priority -500
		policy drop
	}'
	if [ "$lab_flavour" = bare ]; then
		chains=${chains/p-lan, p-wan/$(IFS=, && echo "${LAB_PORTS[*]/#/t-}")}
	elif [ "$lab_flavour" = tap ] && ip -n "$GW" link show t-wan >/dev/null 2>&1; then
		chains=$(for name in "${LAB_PORTS[@]}"; do
			lab_patch_chain "p-$name" "t-$name"
			lab_patch_chain "t-$name" "p-$name"
		done)
	fi
	cat <<-END
		table netdev lab_guard
		delete table netdev lab_guard
		table netdev lab_guard {
			$chains
		}
	END
}

lab_patch_chain() {
	echo "chain $1 {
		type filter hook ingress device $1 priority -500
		fwd to $2
	}"
}

# lab_addresses: the gateway's, on 'lan' and 'wan', whoever made them.
lab_addresses() {
	ip -n "$GW" addr replace 10.0.1.1/24 dev lan &&
		ip -n "$GW" addr replace 10.0.2.1/24 dev wan &&
		ip -n "$GW" link set lan up &&
		ip -n "$GW" link set wan up
}

# Flavours tap and bare: connects the devices that the daemon has made.
lab_plug() {
	local name
	for name in "${LAB_PORTS[@]/#/t-}"; do
		wait_for 5 ip -n "$GW" link show "$name" || return
		lab_no_offloads "$GW" "$name"
		LAB_IPV6=0 lab_ipv6_off "$GW" "$name"
		ip -n "$GW" link set "$name" up
	done
	lab_guard
}

# has_flowtable: can this kernel load a flowtable?
has_flowtable() {
	local scratch=nfo$$-try code
	ip netns add "$scratch" || return
	ip -n "$scratch" link add name try0 type veth peer name try1
	ip netns exec "$scratch" nft -f - 2>/dev/null <<-'END'
		table inet filter {
			flowtable f {
				hook ingress priority 0
				devices = { try0, try1 }
			}
			chain forward {
				type filter hook forward priority 0
				ip protocol tcp flow add @f
			}
		}
	END
	code=$?
	ip netns del "$scratch"
	return "$code"
}

# need_flowtable: ends the script as skipped if it cannot.
need_flowtable() {
	has_flowtable || skip_script 'this kernel has no flowtables: tests/vm/run has others'
}

# lab_rules FORWARD [CHAINS [DEVICES]]: loads table inet filter anew in one transaction, and nothing else:
# rules of the forward chain, further chains, and the devices of flowtable f (wan, lan).
lab_rules() {
	in_gw nft -f - <<-END
		table inet filter
		delete table inet filter
		table inet filter {
			flowtable f {
				hook ingress priority 0
				devices = { ${3:-wan, lan} }
			}
			chain forward {
				type filter hook forward priority 0
				policy accept
				$1
			}
			${2:-}
		}
	END
}

# lab_ruleset WORD...: replaces the gateway's ruleset.
#   plain        forward, and offload TCP and UDP to flowtable f
#   masquerade   the same, and masquerade what leaves by wan
#   mark         no flowtable: established connections carry mark 0x1000 ($LAB_MARK_CONFIG)
#   classic      neither: connection tracking alone
lab_ruleset() {
	local words=" $* " flowtable='' offload='ip protocol { tcp, udp } flow add @f' nat=''
	case $words in
	*' mark '*) offload='ct state established ct mark set ct mark or 0x1000' ;;
	*' classic '*) offload='ct state established accept' ;;
	*) flowtable='flowtable f {
			hook ingress priority 0
			devices = { wan, lan }
		}' ;;
	esac
	case $words in
	*' masquerade '*) nat='chain postnat {
			type nat hook postrouting priority 100
			oifname "wan" masquerade
		}' ;;
	esac
	in_gw nft -f - <<-END || return
		flush ruleset
		table inet filter {
			$flowtable
			counter forwarded {
			}
			chain forward {
				type filter hook forward priority 0
				policy accept
				counter name forwarded
				$offload
			}
			$nat
		}
	END
	lab_guard # the flush took it
}

# lab_forwarded: how many packets the gateway's kernel has forwarded the slow way since lab_ruleset.
lab_forwarded() {
	in_gw nft list counter inet filter forwarded | sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}

# --- the daemon ---

# lab_config [TEXT]: writes $LAB_CONFIG; TEXT is appended.
lab_config() {
	local lan=net_af_packet0,iface=p-lan wan=net_af_packet1,iface=p-wan
	if [ "$lab_flavour" = tap ]; then
		lan=net_tap0,iface=t-lan wan=net_tap1,iface=t-wan
	fi
	cat >"$LAB_CONFIG" <<-END
		[global]
		socket = $LAB_SOCKET$lab_idle

		[port lan]
		device = $lan

		[port wan]
		device = $wan

		${1:-}
	END
}

# ctl ARGUMENT...: asks the daemon.
ctl() {
	"$LAB_BUILD/nftoffload-ctl" -s "$LAB_SOCKET" "$@"
}

# lab_start [ARGUMENT...]: starts the daemon (arguments are its own, not EAL's), waits until it
# answers and gives the twins their addresses.
lab_start() {
	local end=$((SECONDS + 30 * LAB_SLOW))
	# $! has to be the daemon itself: 'ip netns exec' becomes it.
	# shellcheck disable=SC2086 # empty: without a prefix
	ip netns exec "$GW" "$LAB_BUILD/dpdk-nftoffload" "${LAB_EAL[@]}" \
		${LAB_EAL_PREFIX---file-prefix=$LAB_PREFIX} -- --config "$LAB_CONFIG" "$@" \
		>>"$LAB_LOG" 2>&1 </dev/null &
	lab_daemon=$!
	until timeout 10 "$LAB_BUILD/nftoffload-ctl" -s "$LAB_SOCKET" show ports >/dev/null 2>&1; do
		if ! kill -0 "$lab_daemon" 2>/dev/null; then
			wait "$lab_daemon"
			echo "the daemon ended at its start with code $?" >&2
		elif [ "$SECONDS" -ge "$end" ]; then
			echo "the daemon does not answer" >&2
		else
			sleep 0.1
			continue
		fi
		lab_log_tail
		return 1
	done
	[[ $lab_flavour != tap && $lab_flavour != bare ]] || lab_plug || return
	[ "$lab_flavour" = bare ] || lab_addresses
}

# lab_stop: SIGTERM. Returns the daemon's exit code, or 1 when it had to be killed.
lab_stop() {
	[ -n "${lab_daemon:-}" ] || return 0
	local pid=$lab_daemon end=$((SECONDS + 10 * LAB_SLOW))
	lab_daemon=''
	kill -TERM "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "the daemon does not end; killed" >&2
			kill -KILL "$pid"
			wait "$pid" 2>/dev/null
			return 1
		fi
		sleep 0.1
	done
	wait "$pid"
}

# lab_crash: SIGKILL, as a crash would.
lab_crash() {
	local pid=$lab_daemon
	lab_daemon=''
	kill -KILL "$pid" && ! wait "$pid" 2>/dev/null
}

# --- what the daemon says: records of 'ctl -j', one JSON object a line ---

# lab_records PYTHON ARGUMENT...: evaluates the expression over 'r', the list of records of
# 'ctl -j ARGUMENT...', and prints its value; an exit code of 1 for False, None and 0.
lab_records() {
	local expression=$1
	shift
	ctl -j "$@" | "$lab_python" -ISc '
import json, sys
r = []
for line in sys.stdin:
    value = json.loads(line)
    r += value if isinstance(value, list) else [value]
r = [x for x in r if "end" not in x]
value = eval(f"({sys.argv[1]})") # may be of several lines
print(value)
sys.exit(not value)' "$expression"
}

# lab_sum KEY ARGUMENT...: the sum of a number over the records, a.b for b within a.
lab_sum() {
	lab_records "sum((__import__('functools').reduce(
		lambda o, k: o.get(k, {}) if isinstance(o, dict) else o, '$1'.split('.'), x)) or 0
		for x in r)" "${@:2}" || true
}

# lab_stat KEY: a value of 'show stats', a.b for b within a, which has to be there.
lab_stat() {
	lab_records "str(__import__('functools').reduce(lambda o, k: o[k], '$1'.split('.'), r[0]))" show stats
}

# lab_get NAME KEY ARGUMENT...: the value of KEY in the record whose "name" is NAME.
lab_get() {
	lab_records "next(x['$2'] for x in r if x.get('name') == '$1')" "${@:3}" || true
}

# lab_count KEY=VALUE ARGUMENT...: how many records have it.
lab_count() {
	lab_records "sum(str(x.get('${1%%=*}')) == '${1#*=}' for x in r)" "${@:2}" || true
}

# lab_twins WORD: a counter (rx_packets, tx_bytes...) of the kernel's, summed over both twins.
lab_twins() {
	in_gw cat "/sys/class/net/lan/statistics/$1" "/sys/class/net/wan/statistics/$1" |
		awk '{ sum += $1 } END { print sum }'
}

# lab_mark and lab_fast: of the packets that came to the ports since lab_mark, did the workers forward
# at least 95 % (or the percentage given), by their own counters and by the kernel's of the twins?
lab_mark() {
	local ports
	# both of one answer: packets go on meanwhile
	ports=$(lab_records '"%d %d" % tuple(sum(x[k] for x in r)
		for k in ("rx_packets", "offloaded_packets"))' show ports)
	lab_marked=("${ports% *}" "${ports#* }" "$(lab_twins rx_packets)" "$(lab_twins tx_packets)")
}

lab_fast() {
	local was=("${lab_marked[@]}") share=${1:-95} rx offloaded in out
	lab_mark
	rx=$((lab_marked[0] - was[0])) offloaded=$((lab_marked[1] - was[1]))
	in=$((lab_marked[2] - was[2])) out=$((lab_marked[3] - was[3]))
	echo "$rx packets came, $offloaded offloaded, the twins had $in in and $out out" >&2
	[ "$rx" -gt 0 ] && [ $((100 * offloaded)) -ge $((share * rx)) ] &&
		[ $((100 * in)) -le $(((100 - share) * rx)) ] && [ $((100 * out)) -le $(((100 - share) * rx)) ]
}

# lab_frames ARGUMENT... <SCRIPT: a Python script with frame.py; its 'ok' and 'not ok' lines count.
lab_frames() {
	local code=0
	CL=$CL GW=$GW SV=$SV LAB_SOCKET=$LAB_SOCKET LAB_SLOW=$LAB_SLOW PYTHONDONTWRITEBYTECODE=1 \
		PYTHONPATH=$lab_root/tests/lab timeout -k 5 $((100 * LAB_SLOW)) \
		"$lab_python" - "$@" || code=$?
	case $code in
	0) ;;
	9) lab_failed=1 && lab_log_tail ;; # it has said what
	*) not_ok lab_frames "code $code" ;;
	esac
	return "$code"
}

# --- traffic ---

lab_conntrack() {
	in_gw conntrack -L "$@" 2>/dev/null
}

# conntrack_has STATUS [ARGUMENT...]: an entry such as [OFFLOAD] or [ASSURED].
conntrack_has() {
	lab_conntrack "${@:2}" | grep -qF "$1"
}

lab_listens() {
	[ -n "$(in_sv ss -Hln "$1" "sport = :$2")" ]
}

# transfer_tcp BYTES up|down: random bytes from client to server or back, compared at the end.
transfer_tcp() {
	local bytes=$1 limit=$((60 * LAB_SLOW)) from=$LAB_DIR/payload.from to=$LAB_DIR/payload.to
	local port=$((lab_port += 1)) server serve call code=0
	local listen=TCP-LISTEN:$port,reuseaddr connect=TCP:$lab_server:${lab_call_port:-$port}
	[[ $lab_server != *:* ]] || {
		listen=TCP6-LISTEN:$port,reuseaddr
		connect=TCP6:[$lab_server]:${lab_call_port:-$port}
	}
	case $2 in
	up) serve=(-u "$listen" "CREATE:$to") call=(-u "OPEN:$from" "$connect") ;;
	down) serve=(-u "OPEN:$from" "$listen") call=(-u "$connect" "CREATE:$to") ;;
	*) return 1 ;;
	esac
	head -c "$bytes" /dev/urandom >"$from"
	rm -f "$to"
	in_sv timeout -k 5 "$limit" socat "${serve[@]}" &
	server=$!
	wait_for 5 lab_listens -t "$port" || return
	in_cl timeout -k 5 "$limit" socat "${call[@]}" || code=$?
	wait "$server" || code=$?
	if [ "$code" != 0 ] || ! lab_same "$from" "$to"; then
		echo "transfer of $bytes bytes $2: code $code, $(stat -c %s "$to" 2>/dev/null) arrived" >&2
		return 1
	fi
	rm -f "$from" "$to"
}

# hold_tcp: a connection to port $lab_port that lives, with some bytes there and back five times a
# second, until release_tcp (or two minutes).
hold_tcp() {
	local port=$((lab_port += 1)) limit=$((120 * LAB_SLOW))
	ip netns exec "$SV" timeout -k 5 "$limit" socat "TCP-LISTEN:$port,reuseaddr" PIPE &
	lab_held=$!
	wait_for 5 lab_listens -t "$port" || return
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$CL" timeout -k 5 "$limit" bash -c 'exec 3<>"/dev/tcp/$2/$1" || exit
		while echo ping >&3 && read -r -t "$3" <&3; do sleep 0.2; done' hold "$port" "$lab_server" $((20 * LAB_SLOW)) &
	lab_held+=" $!"
}

# release_tcp: both of its ends close it.
release_tcp() {
	# shellcheck disable=SC2086 # two numbers
	kill $lab_held 2>/dev/null
	# shellcheck disable=SC2086
	wait $lab_held 2>/dev/null
	lab_held=''
}

# stream_start: bytes from client to server, some MB a second (less on an emulated CPU), until stream_end,
# which returns 0 if they arrived unchanged.
stream_start() {
	local port=$((lab_port += 1)) limit=$((150 * LAB_SLOW)) pause=0.03
	[ "$LAB_SLOW" = 1 ] || pause=0.3
	rm -f "$LAB_DIR"/payload.{stop,from,to}
	ip netns exec "$SV" timeout -k 5 "$limit" socat -u "TCP-LISTEN:$port,reuseaddr" \
		"CREATE:$LAB_DIR/payload.to" &
	lab_stream=$!
	wait_for 5 lab_listens -t "$port" || return
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$CL" timeout -k 5 "$limit" bash -c 'until [ -e "$1.stop" ]; do
		head -c 50000 /dev/urandom; sleep "$4"; done | tee "$1.from" | socat -u - "TCP:$3:$2"' \
		stream "$LAB_DIR/payload" "$port" "$lab_server" "$pause" &
	lab_stream+=" $!"
}

stream_end() {
	touch "$LAB_DIR/payload.stop"
	# shellcheck disable=SC2086 # two numbers
	wait $lab_stream && [ -s "$LAB_DIR/payload.from" ] && lab_same "$LAB_DIR"/payload.{from,to}
}

lab_same() {
	[ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ]
}

# transfer_udp COUNT [BYTES]: one socket of the client sends datagrams, the server echoes them; each
# has to come back unchanged before the next is sent.
transfer_udp() {
	local port=$((lab_port += 1)) server code limit=$((60 * LAB_SLOW))
	ip netns exec "$SV" timeout -k 5 "$limit" socat -b 65536 "UDP-LISTEN:$port,reuseaddr" PIPE &
	server=$!
	wait_for 5 lab_listens -u "$port" || return
	in_cl timeout -k 5 "$limit" "$lab_python" - "$port" "$1" "${2:-100}" <<-'END'
		import os, socket, sys
		port, count, size = map(int, sys.argv[1:])
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(10)
		s.connect(("10.0.2.2", port))
		for i in range(count):
		    data = os.urandom(size)
		    s.send(data)
		    if s.recv(65536) != data:
		        sys.exit(f"datagram {i} came back changed")
	END
	code=$?
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	return "$code"
}

lab_ping() {
	in_cl ping -q -c "${1:-2}" -i 0.2 -W $((5 * LAB_SLOW)) "${2:-10.0.2.2}"
}
