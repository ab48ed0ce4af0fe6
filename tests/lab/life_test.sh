#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# Starts and ends: signals, a crash, twins that stay and twins that go, cores, hugepages, telemetry.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config "$LAB_MARK_CONFIG"
check ruleset lab_ruleset mark masquerade

twin() { # what is to stay
	ip -n "$GW" -o addr show dev lan scope global
	in_gw cat /sys/class/net/lan/{ifindex,address}
	ip -n "$GW" route show 10.9.0.0/16 | sed 's/ linkdown//'
	ip -n "$GW" neigh show 10.0.1.77
}

no_carrier() {
	! in_gw cat /sys/class/net/lan/carrier | grep -qx 1
}

works() {
	wait_for 10 lab_ping 1 && transfer_tcp 300000 up && transfer_udp 5
}

# --- signals; the twins stay ---
check start lab_start
check works works
ip -n "$GW" route add 10.9.0.0/16 via 10.0.1.2
ip -n "$GW" neigh add 10.0.1.77 lladdr 02:00:00:00:00:77 dev lan nud permanent
before=$(twin)
check sigterm lab_stop # its exit code
check socket-gone eval '! [ -e "$LAB_SOCKET" ]'
check twin-without-carrier wait_for 5 no_carrier
check twin-kept [ "$before" = "$(twin)" ]
check restart lab_start
check twin-taken-over [ "$before" = "$(twin)" ]
check works-again works
pid=$lab_daemon lab_daemon=''
kill -INT "$pid"
check sigint wait "$pid"
check start-after-sigint lab_start

# --- a crash in the middle of a connection ---
hold_tcp
check held wait_for 10 lab_records 'sum(x["proto"] == "tcp" and x["reason"] == "offloaded" for x in r) == 1' show flows
check crash lab_crash
check crash-twin-kept [ "$before" = "$(twin)" ]
check start-after-crash lab_start
check crash-twin-taken-over [ "$before" = "$(twin)" ]
check held-again wait_for 20 lab_records 'sum(x["proto"] == "tcp" and x["reason"] == "offloaded" for x in r) == 1' show flows
check held-alive kill -0 "${lab_held#* }"
check works-after-crash works
release_tcp
check stop lab_stop

# --- twins that go ---
sed -i '/^device = net/a persist = no' "$LAB_CONFIG"
check start-impermanent lab_start
check works-impermanent works
check stop-impermanent lab_stop
check twins-gone eval '! ip -n "$GW" link show lan 2>/dev/null && ! ip -n "$GW" link show wan 2>/dev/null'
check start-to-crash lab_start
check crash-impermanent lab_crash
check start-after-that lab_start # whatever the crash has left
check works-after-that works
check stop-after-that lab_stop
check twins-gone-again eval '! ip -n "$GW" link show lan 2>/dev/null'

# --- cores ---
LAB_EAL=(--no-huge -m 256 --no-pci -l 0)
check start-one-core lab_start
check one-core works
check one-core-answers lab_records 'len(r) == 1 and r[0]["lcore"] == 0 and r[0]["offloaded_packets"] > 0' show workers
check stop-one-core lab_stop

LAB_EAL=(--no-huge -m 512 --no-pci --lcores '0@0,1@0,2@1')
sed -i 's/iface=.*/&,qpairs=2/' "$LAB_CONFIG"
check start-two-workers lab_start
for i in 1 2 3 4 5 6; do # the kernel deals flows by their hash
	check "two-workers-$i" works
done
check two-workers-share lab_records 'len(r) == 2 and all(x["offloaded_packets"] > 0 for x in r)' show workers
check two-queues lab_records 'all(x["rx_queues"] == 2 and x["tx_queues"] == 2 for x in r)' show ports
# nothing comes any more: workers' counters and those of ports and totals are the same
check two-workers-add-up wait_for 5 eval '[ "$(lab_sum offloaded_packets show workers)" = \
	"$(lab_sum offloaded_packets show ports)" ] && lab_records "
	r[0][\"ports\"][\"rx_packets\"] == r[0][\"ports\"][\"offloaded_packets\"] + r[0][\"ports\"][\"punted_packets\"] and
	sum(r[0][\"punts\"].values()) == r[0][\"ports\"][\"punted_packets\"]" show stats'

# --- DPDK's telemetry ---
lab_frames "/var/run/dpdk/$LAB_PREFIX/dpdk_telemetry.v2" <<'END'
from frame import *
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10 * SLOW)
s.connect(sys.argv[1])
hello = json.loads(s.recv(4096))

def ask(command):
    s.send(command.encode())
    return json.loads(s.recv(hello["max_output_len"]))[command.split(",")[0]]

ports = {p["name"]: p for p in Daemon().ask("show ports")}
for i, name in enumerate(ask("/nftoffload/port")):
    port = ask(f"/nftoffload/port,{i}")
    result(f"telemetry-port-{i}", all(port[k] == ports[port["name"]][k] for k in port), f"{port} {ports}")
workers = Daemon().ask("show workers")
result("telemetry-worker", [ask(f"/nftoffload/worker,{i}")["offloaded"] for i in ask("/nftoffload/worker")]
       == [w["offloaded_packets"] for w in workers])
table = ask("/nftoffload/table")
result("telemetry-table", table == Daemon().stats()["table"], str(table))
result("telemetry-unknown", ask("/nftoffload/port,99") == [0, 1])
END
if command -v dpdk-telemetry.py >/dev/null; then
	check dpdk-telemetry eval 'echo /nftoffload/port,1 | timeout 30 "$lab_python" "$(command -v dpdk-telemetry.py)" \
		-f "$LAB_PREFIX" | grep -q "\"name\": \"wan\""'
else
	skip dpdk-telemetry "it is not installed"
fi
check stop-two-workers lab_stop

# --- hugepages ---
pages=$(cat /proc/sys/vm/nr_hugepages)
[ "$pages" -ge 400 ] || echo 400 2>/dev/null >/proc/sys/vm/nr_hugepages
mount_point=$LAB_DIR/huge
mkdir "$mount_point"
if [ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" -lt 256 ] ||
	! mount -t hugetlbfs none "$mount_point"; then
	skip hugepages "the machine has none to spare"
else
	free=$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)
	LAB_EAL=(-m 256 --no-pci --lcores '0@0,1@0,2@1' --huge-dir "$mount_point")
	LAB_EAL_PREFIX='' # then the daemon chooses memory without files
	check start-hugepages lab_start
	check works-hugepages works
	check hugepages-used eval '[ "$(awk "/HugePages_Free/ { print \$2 }" /proc/meminfo)" -lt "$free" ]'
	check stop-hugepages lab_stop
	check hugepages-no-file eval '[ -z "$(ls -A "$mount_point")" ]'
	umount "$mount_point"
fi
echo "$pages" >/proc/sys/vm/nr_hugepages
