#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# nftoffload-ctl against a running daemon: a table and JSON of every command, and the exit codes.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
check start lab_start || exit
check ruleset lab_ruleset mark masquerade
hold_tcp
check offloaded wait_for 10 eval '[ "$(lab_count reason=offloaded show flows)" = 1 ]'

# exits CODE ARGUMENT...: of the tool, whose outputs are then in out and err.
exits() {
	local code=0
	"$LAB_BUILD/nftoffload-ctl" "${@:2}" >"$LAB_DIR/out" 2>"$LAB_DIR/err" || code=$?
	[ "$code" = "$1" ] || {
		echo "exit code $code, expected $1"
		cat "$LAB_DIR/out" "$LAB_DIR/err"
		return 1
	} >&2
}

says() { # PATTERN [FILE]
	grep -qE -- "$1" "$LAB_DIR/${2:-out}" || {
		cat "$LAB_DIR/${2:-out}" >&2
		return 1
	}
}

# NAME PATTERN-OF-THE-TABLE KEYS-OF-EACH-JSON-RECORD
while IFS=';' read -r command pattern keys; do
	name=${command// /-}
	# shellcheck disable=SC2086 # words
	check "$name" exits 0 -s "$LAB_SOCKET" $command </dev/null
	check "$name-table" says "$pattern"
	check "$name-no-error" eval '! [ -s "$LAB_DIR/err" ]'
	# shellcheck disable=SC2086
	check "$name-json" lab_records "len(r) > 0 and all(
		k in x for x in r if 'notice' not in x for k in '$keys'.split())" $command </dev/null
done <<END
help;^show flows +[a-z];cmd help
version;^version +[0-9];name version
show flows;^tcp +10.0.1.2:[0-9]+ -> 10.0.2.2:$lab_port +src=10.0.2.1:[0-9]+ +lan>wan +offloaded ;proto src sport reply_dst nat in out state reason original reply
show reasons;^ +1 +offloaded +forwarded by the workers;connections reason reason_text
show flowtables;^config .* f .*0x1000/0x1000 +(wan|lan);source family table name devices flags rules mark
show ports;^lan +up .* net_af_packet +tap +net_af_packet0;name mac link rx_packets offloaded_packets twin_dropped
show workers;^ +1 +2 +[0-9]+ +[1-9];lcore rx_queues busy_polls packets punts
show stats;^mirror.by_reason.offloaded +1\$;ports punts table mirror ct offloaded_share
show table;^fault +;capacity used retired fault
END
check why exits 0 -s "$LAB_SOCKET" why tcp 10.0.1.2 "10.0.2.2:$lab_port"
check why-verdict says '^The workers forward it\.$'
check why-heading says "^tcp 10.0.1.2:[0-9]+ 10.0.2.2:$lab_port, translated from 10.0.2.1:[0-9]+\$"
check why-step says '^  yes +offered +its mark selects \[flowtable f\]'
check why-counters says ' original +[0-9]+ packets, [0-9]+ bytes by the workers'
check why-json lab_records "[x['where'] for x in r] == ['dpdk']" why tcp "10.0.2.2:$lab_port" 10.0.1.2
check why-nobody eval 'exits 0 -s "$LAB_SOCKET" why udp fd00::1 && says "conntrack has no such connection"'
check no-problems exits 0 -s "$LAB_SOCKET" show problems
check no-problems-table says '^PROBLEM +OF +WHAT TO DO$'
check no-problem eval '[ -z "$(ctl -j show problems | tee -a "$LAB_DIR/err")" ]'
has_flowtable || check notice eval 'exits 0 -s "$LAB_SOCKET" show flowtables && says "^notice: the kernel has"'
check json-lines eval 'exits 0 -s "$LAB_SOCKET" --json show ports && [ "$(wc -l <"$LAB_DIR/out")" = 2 ]'
check tool-help exits 0 --help
check tool-version exits 0 --version
check tool-version-says says '^nftoffload-ctl [0-9]'

check unknown-command exits 1 -s "$LAB_SOCKET" show nothing
check unknown-command-says says "unknown command" err
check unknown-command-expected says "expected one of .*'show flows'" err
check why-address exits 1 -s "$LAB_SOCKET" why tcp nowhere
check why-address-says says "'src' is not an address" err
check why-proto exits 1 -s "$LAB_SOCKET" why icmp 10.0.1.2
check why-proto-says says 'expected "tcp", "udp" or "gre"' err
check why-no-end exits 2 -s "$LAB_SOCKET" why tcp
check why-no-end-says says 'expected a protocol and an end' err
check why-bad-port exits 2 -s "$LAB_SOCKET" why tcp 10.0.1.2:70000
check why-bad-port-says says '10.0.1.2:70000: expected an address, with a port' err
check full-output eval '"$LAB_BUILD/nftoffload-ctl" -s "$LAB_SOCKET" show stats >/dev/full 2>"$LAB_DIR/err"; [ $? = 1 ]'
check no-command exits 2
check no-command-says says 'expected one such as' err
check unknown-option exits 2 --nonsense show flows
check no-daemon exits 3 -s "$LAB_DIR/nobody.sock" show flows
check no-daemon-says says "cannot reach the daemon at $LAB_DIR/nobody.sock: No such file" err
check long-path exits 3 -s "/$(printf 'x%.0s' {1..200})" show flows

# a reader that goes away does the daemon no harm
check closed-pipe eval 'ctl -j show stats | true; ctl show version 2>/dev/null || ctl version'
check reachable-mode eval '[ "$(stat -c %a "$LAB_SOCKET")" = 660 ]'
release_tcp
lab_crash
check left-behind exits 3 -s "$LAB_SOCKET" show flows
check left-behind-says says 'left behind' err
check takes-over lab_start
check answers exits 0 -s "$LAB_SOCKET" version
check stop lab_stop
check socket-gone eval '! [ -e "$LAB_SOCKET" ]'
