#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A flood of packets without flows leaves room for what keeps the link alive, and the counters tell
# what became of each packet.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
sed -i '/^device =/a punt-new-pps = 1000' "$LAB_CONFIG"
check start lab_start || exit
check ruleset lab_ruleset mark
check ping lab_ping

# UDP to a port that nobody has, far above the rate, until it is told to end. Not without pauses: what
# the port's own queue loses before a worker has seen it is not what is tested.
CL=$CL PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$lab_root/tests/lab "$lab_python" - \
	"$(in_gw cat /sys/class/net/lan/address)" <<'END' &
from frame import *
wire = Port(CL, "eth0")
gateway = bytes.fromhex(sys.argv[1].replace(":", ""))
frame = ethernet(gateway, wire.mac, udp("10.0.1.2", "10.0.2.2", 40000, 9, b"flood"))
while True:
    for _ in range(100):
        try:
            wire.send(frame)
        except OSError:
            pass  # the queue is full
    time.sleep(.002)
END
flood=$!

limited() {
	[ "$(lab_sum limited_new show ports)" -gt 5000 ]
}

# The client forgets the gateway, and asks again.
resolves() {
	ip -n "$CL" neigh flush dev eth0
	in_cl ping -q -c 1 -W $((5 * LAB_SLOW)) 10.0.1.1
}

check flood wait_for 20 limited
for i in 1 2 3 4 5; do
	check "resolves-$i" wait_for 20 resolves
done
check ping-through wait_for 20 lab_ping 5
check still-flooding kill -0 "$flood"
kill "$flood"
wait "$flood" 2>/dev/null

check control-passed lab_records 'r[0]["punted_control"] >= 5 and r[0]["limited_control"] == 0' show ports
check some-passed lab_records 'r[0]["punted_new"] > 50' show ports
check ping-is-rest lab_records 'r[0]["punted_rest"] >= 10 and r[0]["limited_rest"] == 0' show ports
check other-port lab_records 'r[1]["limited_new"] == 0' show ports
adds_up() {
	lab_records 'all(x["rx_packets"] == x["offloaded_packets"] + sum(x[k] for k in x
		if k.startswith(("punted_", "limited_")) and k != "punted_packets") for x in r)' show ports
}
check adds-up wait_for 5 adds_up
check classes-are-all lab_records 'all(x["punted_packets"] == x["punted_control"] + x["punted_new"]
	+ x["punted_rest"] for x in r)' show ports
check told eval 'ctl show ports | grep -q "CONTROL/NEW/REST" && ctl show ports | grep -qE "^lan .* [0-9]+/[0-9]+-[0-9]+/[0-9]+ "'
check works-after lab_ping
check transfer transfer_tcp 300000 up
check stop lab_stop
