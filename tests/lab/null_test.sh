#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 120
# Two ports of net_null, which receive empty frames without end: all of it is for the kernel or
# counted as lost, the daemon answers meanwhile, keeps its memory and ends when asked to.
. "$(dirname "$0")/lib.sh"
lab_init
lab_flavour=null
ip netns add "$GW" && ip -n "$GW" link set lo up
lab_config
sed -i 's/net_af_packet\([01]\).*/net_null\1/' "$LAB_CONFIG"
check start lab_start || exit

memory() {
	awk '/^VmRSS/ { print $2 }' "/proc/$lab_daemon/status"
}

received() { # MORE-THAN
	[ "$(lab_sum rx_packets show ports)" -gt "$1" ]
}

check flood wait_for 20 received 200000
before=$(memory)
check more wait_for 30 received 1000000
echo "memory: $before KB, then $(memory) KB" >&2
check memory-stays [ "$(memory)" -le $((before + 2048)) ]
check ports lab_records '[x["name"] for x in r] == ["lan", "wan"] and
	all(x["driver"] == "net_null" and x["rx_packets"] > 0 for x in r)' show ports
check not-offloaded eval '[ "$(lab_sum offloaded_packets show ports)" = 0 ]'
# Counters are read one after the other, while packets come: never more punted than received later.
check punted lab_records 'r[0]["punts"]["other-mac"] > 0 and
	sum(n for word, n in r[0]["punts"].items() if word != "other-mac") == 0' show stats
check share lab_records 'r[0]["offloaded_share"] == 0.0 and r[0]["ports"]["rx_nombuf"] == 0' show stats
check lost-is-counted wait_for 20 lab_records 'r[0]["ports"]["twin_dropped"] > 0' show stats
check workers lab_records 'len(r) == 1 and r[0]["busy_polls"] > 0 and r[0]["packets"] > 0' show workers
check flows eval '[ -z "$(ctl -j show flows)" ]'

# What was punted has either been seen by the kernel or is a loss of the twin.
lab_frames <<'END'
from frame import *
daemon = Daemon()
enter(GW)
kernel = lambda: sum(int(open(f"/proc/self/net/dev").read().split(f"{n}:")[1].split()[i])
                     for n in ("lan", "wan") for i in (1, 3))  # received, dropped
ports = daemon.stats()["ports"]
later = kernel()
result("all-accounted", later >= ports["punted_packets"] - ports["twin_dropped"] - 256,
       f"the kernel saw {later}, {ports}")
for _ in range(100):
    assert len(daemon.ask("show ports")) == 2
result("answers", True)
END
check stop lab_stop
check twins-stay ip -n "$GW" link show lan
check again lab_start
check flood-again wait_for 20 received 100000
check stop-again lab_stop
