#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tools around golden folders: a folder is made from a pcap, passes, and fails when a byte of what
# is expected, a frame or a counter is another; --flows refuses what is wrong.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
here=$lab_root/tests/golden
export PYTHONDONTWRITEBYTECODE=1

# Its results are none of this script's: indented, they do not count.
run() {
	NFO_ARTIFACTS='' "$lab_python" "$here/run" "$@" | sed 's/^/  /'
}

fails() {
	! "$@"
}

# flip FILE: its last byte is another.
flip() {
	"$lab_python" - "$1" <<-'END2'
		import sys
		with open(sys.argv[1], "rb+") as f:
		    f.seek(-1, 2)
		    last = f.read(1)[0]
		    f.seek(-1, 2)
		    f.write(bytes([last ^ 1]))
	END2
}

# fails_with FILE CHANGE...: the folder fails after the change to FILE, and passes when it is undone.
fails_with() {
	local file=$made/$1 code=0
	cp "$file" "$LAB_DIR/kept"
	shift
	"$@" && fails run "$made" || code=1
	cp "$LAB_DIR/kept" "$file"
	return "$code"
}

# says PATTERN COMMAND...: it prints a line like that, whatever its exit code.
says() {
	local pattern=$1 text
	shift
	text=$("$@" 2>&1)
	grep -q -- "$pattern" <<<"$text"
}

# flows TEXT: what the daemon says to that file of flows, and its exit code.
flows() {
	local code=0
	echo "$1" >"$LAB_DIR/flows"
	"$LAB_BUILD/dpdk-nftoffload" -- --config "$LAB_CONFIG" --flows "$LAB_DIR/flows" --check-config ||
		code=$?
	echo "code $code"
}

# TCP data, FIN, data: two of them are for the kernel
pcap=$here/032-tcp-fin/send.pcap
check new "$lab_python" "$here/new" --into "$LAB_DIR" --new-from 10.0.2.1:1024 --about 'a rule | a test' \
	closing "$pcap"
made=$LAB_DIR/201-closing
check files says '^about expect.pcap flows punt.pcap punts send.pcap $' eval "ls '$made' | tr '\n' ' '"
check passes run "$made"
check byte-differs fails_with expect.pcap flip "$made/expect.pcap"
check punt-differs fails_with punt.pcap flip "$made/punt.pcap"
check counter-differs fails_with punts sed -i 's/closing 1/closing 2/' "$made/punts"
check frame-too-many fails_with expect.pcap cp "$made/punt.pcap" "$made/expect.pcap"
check other-flow fails_with flows sed -i 's/:1024/:1025/' "$made/flows"
cp "$made/punt.pcap" "$made/expect.pcap"
check dumps says '0000  02 00 00 00 00 22' run "$made"
check update run --update "$made"
check passes-again run "$made"
check next-number "$lab_python" "$here/new" --into "$LAB_DIR" --flow "$(head -n 1 "$made/flows")" two "$pcap"
check second run "$LAB_DIR/202-two"
check not-a-pcap says 'expected a classic pcap file' "$lab_python" "$here/new" --into "$LAB_DIR" no "$0"

printf '[port lan]\ndevice = net_null0\n' >"$LAB_CONFIG"
check flows-good says '^code 0' flows '# none'
check flows-bad says "/flows:1: no 'out', expected out=" flows in=lan
check flows-bad-code says '^code 2' flows in=lan
check flows-missing says '^/nowhere: No such file' "$LAB_BUILD/dpdk-nftoffload" -- \
	--config "$LAB_CONFIG" --flows /nowhere --check-config
