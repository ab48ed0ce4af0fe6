#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 180
# The configuration is changed while a stream is forwarded: what can be applied is, what is wrong or needs
# a restart changes nothing, and the stream's flow goes on untouched until its flowtable changes.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
check start lab_start || exit
check ruleset lab_ruleset mark
cp "$LAB_CONFIG" "$LAB_DIR/first.ini"

# changed SED-SCRIPT: the first configuration, but for that.
changed() {
	sed "$1" "$LAB_DIR/first.ini" >"$LAB_CONFIG"
}

# place KEY: FILE:LINE of it.
place() {
	echo "config.ini:$(grep -n "^$1 = " "$LAB_CONFIG" | cut -d: -f1)"
}

refused() { # TEXT: of the error
	local said code
	said=$(ctl reload 2>&1)
	code=$?
	echo "$said" >&2
	[ "$code" = 1 ] && [[ $said == *"$1"* ]]
}

flow_lives() {
	[ "$(lab_count reason=offloaded show flows)" = 1 ] &&
		[ "$(lab_records "'%d %d' % (r[0]['mirror']['installed'], r[0]['mirror']['replaced'])" show stats)" = "$untouched" ]
}

mtu_is() { # TWIN BYTES
	in_gw grep -qx "$2" "/sys/class/net/$1/mtu"
}

promiscuous() { # DEVICE
	[ $(($(in_gw cat "/sys/class/net/$1/flags") & 0x100)) != 0 ]
}

# The flow's limit of what leaves by wan, and whether workers have met longer packets since.
gate_is() { # BYTES
	lab_records "[x['original']['mtu_bytes'] for x in r if x['reason'] == 'offloaded'] == [$1]" show flows
}

too_long() {
	lab_records "r[0]['punts']['mtu'] > 0" show stats
}

stream_start
check offloaded wait_for 20 lab_records 'any(x["reason"] == "offloaded" for x in r)' show flows
untouched=$(lab_records "'%d %d' % (r[0]['mirror']['installed'], r[0]['mirror']['replaced'])" show stats)

check same lab_records 'r == [{"notice": "nothing is different"}]' reload
changed '/^device = .*p-wan/a punt-new-pps = 500'
check applied lab_records 'r == [{"section": "port wan", "key": "punt-new-pps", "from": "200000", "to": "500"}]' reload
check applied-once lab_records 'r == [{"notice": "nothing is different"}]' reload
check logged grep -q 'notice: reload: \[port wan\] punt-new-pps: 200000 -> 500' "$LAB_LOG"
changed '/^socket/a dump-interval-ms = 2000\ntcp-idle-s = 20'
check globals lab_records '{x["key"]: x["to"] for x in r} ==
	{"dump-interval-ms": "2000", "tcp-idle-s": "20", "punt-new-pps": "200000"}' reload
check lives flow_lives

changed 's/^device = .*p-wan/&\nmtu = many/'
check invalid refused "$(place mtu): mtu = 'many', expected"
changed '/^device = .*p-wan/a rx-desc = 1024\npunt-new-pps = 700'
check restart refused "$(place rx-desc): [port wan] rx-desc: 512 -> 1024 needs a restart"
check restart-logged grep -q 'error: reload: .*rx-desc: 512 -> 1024 needs a restart' "$LAB_LOG"
changed '/^\[port wan\]/,/^$/d; s/^devices.*/devices = lan/'
check port-gone refused 'config.ini: [port wan] is gone, which needs a restart'
changed 's/^device = .*p-lan/&\npromiscuous = no/; s/^device = .*p-wan/&\nmtu = 9000/'
check too-large refused "$(place mtu): [port wan] mtu: the port refuses it (Message too long)"
check mtu-stays mtu_is wan 1500
check promiscuous-still promiscuous p-lan
rm "$LAB_CONFIG"
check no-file refused 'No such file'
check lives-still flow_lives

# by a signal: back to the first
changed ''
kill -HUP "$lab_daemon"
check hup wait_for 5 grep -q 'notice: reload: \[global\] dump-interval-ms: 2000 -> 1000' "$LAB_LOG"
check not-700 eval '! grep -q "punt-new-pps: .* 700" "$LAB_LOG"'
check hup-lives flow_lives

# the MTU of twin and port; longer packets are the kernel's, which tells the client, and the stream goes on
check none-too-long eval '! too_long'
changed '/^device = .*p-wan/a mtu = 1400'
check mtu lab_records 'r == [{"section": "port wan", "key": "mtu", "from": "0", "to": "1400"}]' reload
check twin-mtu mtu_is wan 1400
check port-mtu lab_records '[x["mtu_bytes"] for x in r if x["name"] == "wan"] == [1400]' show ports
check gate wait_for 5 gate_is 1400
check too-long wait_for 5 too_long
lab_mark
sleep 1
check fast lab_fast
changed ''
check device-mtu lab_records '[x["to"] for x in r] == ["0"]' reload
check twin-mtu-back mtu_is wan 1500
check gate-back wait_for 5 gate_is 1500

# another mark: its flow leaves, another flowtable takes it again
changed 's/^mark.*/mark = 0x2000\/0x2000/'
check other-mark lab_records 'r == [{"section": "flowtable f", "key": "mark", "from": "0x1000/0x1000", "to": "0x2000/0x2000"}]' reload
check left wait_for 5 lab_records '[x["reason"] for x in r] == ["no-flowtable"]' show flows
changed 's/flowtable f/flowtable g/'
check renamed lab_records '{(x["section"], x["key"], x["from"], x["to"]) for x in r} ==
	{("flowtable g", None, "", "there"), ("flowtable f", None, "there", "")}' reload
check taken-again wait_for 20 lab_records '[x["reason"] for x in r] == ["offloaded"]' show flows
check stream stream_end
check stop lab_stop
