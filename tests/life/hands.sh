# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests/life/*_test.sh, after tests/lab/lib.sh: does what we have agree with what the kernel has?

# What lab_ruleset has to be told besides: without flowtables (on a kernel without them) a mark stands in.
life_flow=$(has_flowtable || echo mark)

# life_same: waits until the flows that the workers forward are exactly the connections of TCP and UDP
# that conntrack has and a flowtable (or a stand-in's mark 0x1000) holds, and the table is sound with
# nothing left to free. A stand-in's flows without packets may be idle instead.
life_same() {
	wait_for "${1:-30}" life_same_now || {
		life_same_now >&2
		return 1
	}
}

life_same_now() {
	ctl -j show table >"$LAB_DIR/table" && ctl -j show flows >"$LAB_DIR/flows" &&
		lab_conntrack >"$LAB_DIR/conntrack" && "$lab_python" -IS - "$LAB_DIR" <<-'END'
		import json, sys
		def records(name):
		    return [x for x in map(json.loads, open(f"{sys.argv[1]}/{name}")) if "end" not in x]
		def key(words):
		    first = dict(w.split("=", 1) for w in reversed(words) if "=" in w) # the original's win
		    return words[0], first["src"], first["sport"], first["dst"], first["dport"]
		def holds(line):
		    if not line.startswith(("tcp", "udp")):
		        return False
		    stands_in = " mark=4096" in line and "UNREPLIED" not in line and (
		        line.startswith("udp") or " ESTABLISHED " in line)
		    return "[OFFLOAD]" in line or stands_in
		kernel = {key(line.split()) for line in open(f"{sys.argv[1]}/conntrack") if holds(line)}
		flows = [(f["reason"], (f["proto"], f["src"], str(f["sport"]), f["dst"], str(f["dport"])))
		         for f in records("flows")]
		ours = {k for reason, k in flows if reason in ("offloaded", "idle")}
		forwarded = {k for reason, k in flows if reason == "offloaded"}
		table = records("table")[0]
		print(f"{len(kernel)} in the kernel, {len(ours)} here, {len(kernel - ours)} missing, {len(ours - kernel)} too many")
		for what, some in ("missing", kernel - ours), ("too many", ours - kernel):
		    for k in sorted(some)[:5]:
		        print(what, *k)
		print(table)
		sys.exit(kernel != ours or table["fault"] is not None or table["retired"] != 0
		         or table["used"] != 2 * len(forwarded))
	END
}

# udp_start [SOCKETS]: datagrams there and back on some flows, 20 a second on each, until udp_end
# [LOST], which returns 0 if at most so many percent did not come back, and none changed. One may come
# twice: while a ruleset is loaded nothing keeps the gateway's kernel from taking frames off the wire too.
udp_start() {
	local port=$((lab_port += 1)) limit=$((200 * LAB_SLOW))
	rm -f "$LAB_DIR/udp.stop"
	ip netns exec "$SV" timeout -k 5 "$limit" "$lab_python" -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.0.2.2", int(sys.argv[1])))
while True:
    s.sendto(*s.recvfrom(2048))' "$port" &
	life_udp=$!
	wait_for 20 lab_listens -u "$port" || return
	ip netns exec "$CL" timeout -k 5 "$limit" "$lab_python" -c '
import os, select, socket, sys, time
stop, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
for s in socks:
    s.connect(("10.0.2.2", port))
sent, seen, wrong, due = set(), set(), 0, time.monotonic()
last = None
while last is None or time.monotonic() < last + 5:
    if last is None and os.path.exists(stop):
        last = time.monotonic()
    if last is None and time.monotonic() >= due:
        due += .05
        for s in socks:
            data = os.urandom(200)
            sent.add(data)
            s.send(data)
    for s in select.select(socks, [], [], .01)[0]:
        try:
            data = s.recv(2048)
            wrong += data not in sent
            seen.add(data)
        except ConnectionRefusedError:
            pass
    if last is not None and seen >= sent:
        break
print(len(seen), len(sent - seen), wrong)' "$LAB_DIR/udp.stop" "$port" "${1:-4}" >"$LAB_DIR/udp.result" &
	life_udp+=" $!"
}

udp_end() {
	local came lost wrong
	touch "$LAB_DIR/udp.stop"
	wait "${life_udp#* }"
	kill "${life_udp% *}" 2>/dev/null
	wait "${life_udp% *}" 2>/dev/null
	read -r came lost wrong <"$LAB_DIR/udp.result" || return
	echo "datagrams: $came came back, $lost did not, $wrong were changed" >&2
	[ "$came" -gt 0 ] && [ "$wrong" = 0 ] && [ $((100 * lost)) -le $((${1:-5} * (came + lost))) ]
}

# hold_control: the daemon's control thread stands still, its workers go on, until release_control. So
# events are lost for certain.
hold_control() {
	rm -f "$LAB_DIR/held"
	"$lab_python" -c '
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT = 0x4206, 0x4207
pid = int(sys.argv[1])
if libc.ptrace(SEIZE, pid, None, None) or libc.ptrace(INTERRUPT, pid, None, None):
    sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(pid, 0x40000000) # __WALL
open(sys.argv[2], "w").close()
signal.pause() # that it ends is what lets the thread go' "$lab_daemon" "$LAB_DIR/held" &
	life_holder=$!
	wait_for 10 test -e "$LAB_DIR/held"
}

release_control() {
	kill -KILL "$life_holder"
	wait "$life_holder" 2>/dev/null
	true
}
