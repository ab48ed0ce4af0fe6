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

stream_start
check offloaded wait_for 20 lab_records 'any(x["reason"] == "offloaded" for x in r)' show flows
untouched=$(lab_records "'%d %d' % (r[0]['mirror']['installed'], r[0]['mirror']['replaced'])" show stats)

check same lab_records 'r == [{"notice": "nothing is different"}]' reload
changed '/^device = .*p-wan/a punt-new-pps = 500'
check applied lab_records 'r == [{"section": "port wan", "key": "punt-new-pps", "from": "200000", "to": "500"}]' reload
check applied-once lab_records 'r == [{"notice": "nothing is different"}]' reload
check logged grep -q 'notice: reload: \[port wan\] punt-new-pps: 200000 -> 500' "$LAB_LOG"
changed '/^socket/a idle-sleep-us = 0\ntcp-idle-s = 20'
check globals lab_records '{x["key"]: x["to"] for x in r} ==
	{"idle-sleep-us": "0", "tcp-idle-s": "20", "punt-new-pps": "200000"}' reload
check lives flow_lives

changed 's/^device = .*p-wan/&\nmtu = many/'
check invalid refused "config.ini:9: mtu = 'many', expected"
changed '/^device = .*p-wan/a rx-desc = 1024\npunt-new-pps = 700'
check restart refused 'config.ini:9: [port wan] rx-desc: 512 -> 1024 needs a restart'
check restart-logged grep -q 'error: reload: .*rx-desc: 512 -> 1024 needs a restart' "$LAB_LOG"
changed '/^\[port wan\]/,/^$/d; s/^devices.*/devices = lan/'
check port-gone refused 'config.ini: [port wan] is gone, which needs a restart'
rm "$LAB_CONFIG"
check no-file refused 'No such file'
check lives-still flow_lives

# by a signal: back to the first
changed ''
kill -HUP "$lab_daemon"
check hup wait_for 5 grep -q 'notice: reload: \[global\] idle-sleep-us: 0 -> 50' "$LAB_LOG"
check not-700 eval '! grep -q "punt-new-pps: .* 700" "$LAB_LOG"'
check hup-lives flow_lives

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
