# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests/life/*_test.sh, after tests/lab/lib.sh: traffic that goes on while a test changes things, and
# counters of what crosses a wire.

# --- TCP connections that say something when they are told to ---

declare -A talk_port talk_ends

# talk_start NAME: a connection from client to server, which echoes. It is silent until say().
talk_start() {
	local port=$((lab_port += 1)) limit=$((200 * LAB_SLOW)) server
	talk_port[$1]=$port
	mkfifo "$LAB_DIR/$1.say" && echo 0 >"$LAB_DIR/$1.said"
	ip netns exec "$SV" timeout -k 5 "$limit" socat "TCP-LISTEN:$port,reuseaddr" PIPE &
	server=$!
	wait_for 5 lab_listens -t "$port" || return
	# shellcheck disable=SC2016 # the inner shell expands it
	ip netns exec "$CL" timeout -k 5 "$limit" bash -c '
		exec 3<>"/dev/tcp/$2/$3" 4<>"$1.say" || exit
		n=0
		while read -r -u 4 count pause; do
			for (( ; count > 0; count--)); do
				echo "ping $n" >&3 && read -r -t 60 -u 3 line && [ "$line" = "ping $n" ] || exit
				echo $((n += 1)) >"$1.said"
				sleep "$pause"
			done
		done' talk "$LAB_DIR/$1" "$lab_server" "$port" &
	talk_ends[$1]="$server $!"
}

# say NAME COUNT PAUSE: so many lines there and back, each with a pause of seconds behind it.
say() {
	echo "$2 $3" >"$LAB_DIR/$1.say"
}

# said NAME COUNT: have so many come back since its start?
said() {
	local n
	read -r n <"$LAB_DIR/$1.said" && [ "${n:-0}" -ge "$2" ]
}

# talk_end NAME: both of its ends close it.
talk_end() {
	# shellcheck disable=SC2086 # two numbers
	kill ${talk_ends[$1]} 2>/dev/null
	# shellcheck disable=SC2086
	wait ${talk_ends[$1]} 2>/dev/null
	unset "talk_ends[$1]"
}

# --- UDP on many flows: echo.py ---

# echo_start PERIOD NAME=ADDRESS:FLOWS...: each flow sends a datagram every PERIOD seconds to the server's
# ADDRESS, which has to be there, until echo_end. A NAME is a class of flows that echo_of() tells about.
echo_start() {
	local name
	rm -f "$LAB_DIR"/echo.*
	CL=$CL SV=$SV PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$lab_root/tests/lab timeout -k 5 $((200 * LAB_SLOW)) \
		"$lab_python" "$lab_root/tests/life/echo.py" "$LAB_DIR/echo" "$@" &
	life_echo=$!
	shift
	for name in "${@%%=*}"; do
		wait_for 40 test -s "$LAB_DIR/echo.$name" || return
	done
}

# echo_of NAME WORD: 'sent', 'came' (back), 'least' (of any flow came back), 'changed' on the way,
# 'unreachable' by ICMP.
echo_of() {
	local sent came least changed unreachable
	# shellcheck disable=SC2034 # one of them is wanted
	read -r sent came least changed unreachable <"$LAB_DIR/echo.$1" && echo "${!2}"
}

# echo_more NAME WORD THAN
echo_more() {
	[ "$(echo_of "$1" "$2")" -gt "$3" ]
}

# echo_alive NAME: from now on, something comes back on each of its flows.
echo_alive() {
	wait_for "${2:-20}" echo_more "$1" least $(($(echo_of "$1" least) + 1))
}

# echo_end NAME...: nothing of these was changed on the way.
echo_end() {
	local name code=0
	kill "$life_echo" && wait "$life_echo" 2>/dev/null
	for name in "$@"; do
		echo "$name: sent, came, least of a flow, changed, unreachable: $(cat "$LAB_DIR/echo.$name")" >&2
		[ "$(echo_of "$name" changed)" = 0 ] && [ "$(echo_of "$name" came)" -gt 0 ] || code=1
	done
	return "$code"
}

# --- what comes to the server ---

# wire_watch DEVICE NAME MATCH...: of what enters the server's DEVICE, whoever it is for, the packets that the
# nft expression MATCH selects are counted as NAME. May be called once for each device.
wire_watch() {
	local device=$1 counters='' rules=''
	shift
	while [ $# -gt 1 ]; do
		counters+="counter $1 { }
			"
		rules+="$2 counter name $1
			"
		shift 2
	done
	in_sv nft -f - <<-END
		table netdev wire_$device {
			$counters
			chain in {
				type filter hook ingress device $device priority 0
				$rules
			}
		}
	END
}

# wire DEVICE NAME: packets so far.
wire() {
	in_sv nft list counter netdev "wire_$1" "$2" | sed -n 's/.*packets \([0-9]*\) .*/\1/p'
}

# wire_more DEVICE NAME THAN
wire_more() {
	[ "$(wire "$1" "$2")" -gt "$3" ]
}

# wire_still DEVICE NAME CLASS: while the echo of CLASS sends on, nothing more is counted.
wire_still() {
	local before sent
	before=$(wire "$1" "$2") sent=$(echo_of "$3" sent)
	wait_for 20 echo_more "$3" sent $((sent + ${LIFE_STILL:-40})) || return
	echo "$1 $2: $(($(wire "$1" "$2") - before)) more of $(($(echo_of "$3" sent) - sent)) sent" >&2
	[ -n "$before" ] && [ "$(wire "$1" "$2")" = "$before" ]
}

# --- the daemon's counters ---

# life_mark: keeps the mirror's counters that tell whether flows were touched.
life_mark() {
	read -r life_replaced life_held life_withdrawn life_idled < <(life_counters)
}

life_counters() {
	lab_records '"{replaced} {held} {withdrawn} {idled}".format(**r[0]["mirror"])' show stats
}

# life_touched REPLACED HELD-AT-MOST [WITHDRAWN]: so many since life_mark, no more and no fewer.
life_touched() {
	local replaced held withdrawn
	read -r replaced held withdrawn _ < <(life_counters)
	echo "replaced $((replaced -= life_replaced)), held $((held -= life_held))," \
		"withdrawn $((withdrawn -= life_withdrawn))" >&2
	[ "$replaced" = "$1" ] && [ "$held" -le "$2" ] && [ "$withdrawn" = "${3:-0}" ]
}

# life_idle_at_most COUNT: so many flows were found idle since life_mark.
life_idle_at_most() {
	local idled
	read -r _ _ _ idled < <(life_counters)
	echo "idle $((idled -= life_idled))" >&2
	[ "$idled" -le "$1" ] || {
		ctl show flows >&2
		return 1
	}
}

# flows EXPRESSION: waits until it holds of 'f', the flows that the workers forward.
flows() {
	wait_for "${2:-30}" lab_records "(lambda f: $1)([x for x in r if x['state'] == 'offloaded'])" show flows || {
		ctl show flows >&2
		return 1
	}
}
