#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 240
# What the daemon refuses: one line that names file and line, exit code 2, and nothing left behind.
. "$(dirname "$0")/lib.sh"
lab_init
check topology lab_topology veth || exit
OWN=(--no-huge -m 64 --no-pci -l 0-1)

# daemon CODE ARGUMENT...: runs it to its end in the gateway; outputs in out and err.
daemon() {
	local code=0
	in_gw timeout -k 5 $((30 * LAB_SLOW)) "$LAB_BUILD/dpdk-nftoffload" "${@:2}" \
		>"$LAB_DIR/out" 2>"$LAB_DIR/err" </dev/null || code=$?
	[ "$code" = "$1" ] || {
		echo "exit code $code, expected $1"
		cat "$LAB_DIR/out" "$LAB_DIR/err"
		return 1
	} >&2
}

# Interfaces, sockets and files of DPDK before and after are the same.
traces() {
	ip -n "$GW" -br link | sort
	ls "$LAB_DIR"
	ls -A "/var/run/dpdk/$LAB_PREFIX" 2>/dev/null
	find /dev/hugepages -name "$LAB_PREFIX*"
}

# refuses NAME LINE TEXT [after-dpdk]: the configuration of standard input. What is wrong with a
# device shows once DPDK runs, which has a log of its own.
refuses() {
	local before lines line place="$LAB_CONFIG:${2:+$2:} " pattern=$3
	cat >"$LAB_CONFIG"
	touch "$LAB_DIR/out" "$LAB_DIR/err"
	before=$(traces)
	check "$1" daemon 2 "${OWN[@]}" --no-shconf --file-prefix="$LAB_PREFIX" -- --config "$LAB_CONFIG"
	line=$(tail -n 1 "$LAB_DIR/err" | tr -d '\0')
	check "$1-place" eval '[[ $line == "$place"* ]]'
	check "$1-says" eval '[[ $line =~ $pattern && $line == *expected* ]]' || cat -v "$LAB_DIR/err" >&2
	lines=$(grep -cF "$LAB_CONFIG" "$LAB_DIR/err")
	[ "${4:-}" = after-dpdk ] || lines=$(wc -l <"$LAB_DIR/err")
	check "$1-one-line" [ "$lines" = 1 ]
	check "$1-nothing-left" [ "$before" = "$(traces)" ]
}

good=$(printf '[global]\nsocket = %s\n[port lan]\ndevice = net_af_packet0,iface=p-lan' "$LAB_SOCKET")
refuses section 5 "unknown section" <<<"$good"$'\n[prot wan]'
refuses key 5 "unknown key 'rx-decs'" <<<"$good"$'\nrx-decs = 64'
refuses number 5 "number from 64 to 32768" <<<"$good"$'\nrx-desc = 1e3'
refuses range 5 "0 or a number from 68 to 9710" <<<"$good"$'\nmtu = 67'
refuses word 5 "no or yes" <<<"$good"$'\npersist = maybe'
refuses value 5 "without a value" <<<"$good"$'\nmtu ='
refuses repeated-key 5 "again after line 4" <<<"$good"$'\ndevice = net_null0'
refuses repeated-port 5 "again after line 3" <<<"$good"$'\n[port lan]\ndevice = net_null0'
refuses repeated-device 6 "device" <<<"$good"$'\n[port wan]\ndevice = net_af_packet0,iface=p-wan'
refuses no-device 5 "without 'device'" <<<"$good"$'\n[port wan]'
refuses no-port 1 "without a \\[port NAME\\]" <<<'[global]'
refuses name 1 "interface name" <<<'[port with-a-long-name]'
refuses unknown-port 6 "name of a \\[port\\]" <<<"$good"$'\n[flowtable f]\ndevices = lan wam\nmark = 1/1'
refuses mark 7 "VALUE/MASK" <<<"$good"$'\n[flowtable f]\ndevices = lan\nmark = 2/1'

refuses no-netdev 4 "not usable" after-dpdk <<<"${good/p-lan/nosuch}"
refuses no-pci 2 "not usable" after-dpdk <<<$'[port lan]\ndevice = 0000:99:00.0'
refuses no-driver 2 "not usable" after-dpdk <<<$'[port lan]\ndevice = net_nonsense0'
refuses second-unusable 6 "not usable" after-dpdk <<<"$good"$'\n[port wan]\ndevice = net_af_packet1,iface=nosuch'
refuses same-device 6 'port "lan" already' after-dpdk <<<"$good"$'\n[port wan]\ndevice = vdev:net_af_packet0'
refuses memory "" "hugepages" after-dpdk <<<$'[global]\nmbufs = 16777215\n[port lan]\ndevice = net_null0'

# a twin's name that is taken, by no tap and by a tap of one queue
ip -n "$GW" link add lan type dummy 2>/dev/null || ip -n "$GW" link add lan type veth peer name other
refuses name-taken 3 "free name" after-dpdk <<<"$good"
ip -n "$GW" link del lan
in_gw ip tuntap add dev lan mode tap
refuses tap-taken 3 "free name" after-dpdk <<<"$good"
ip -n "$GW" link del lan

has_vhost() { # opening a device node that has no driver fails
	[ -c /dev/vhost-net ] && (: </dev/vhost-net) 2>/dev/null
}

# a kind of twin that the kernel does not have
refuses twin 5 "auto, tap or virtio-user" <<<"$good"$'\ntwin = veth'
if has_vhost; then
	skip no-vhost 'the kernel has vhost-net'
else
	refuses no-vhost 6 "virtio-user is not possible \\(no /dev/vhost-net\\)" after-dpdk \
		<<<"$good"$'\nmtu = 1500\ntwin = virtio-user'
fi

# options
echo "$good" >"$LAB_CONFIG"
for option in --help --version; do
	check "option$option" daemon 0 "$option"
	check "option-after-dashes$option" daemon 0 -l 0 -- "$option"
	check "option-says$option" grep -q dpdk-nftoffload "$LAB_DIR/out"
done
check option-check-config daemon 0 -- --check-config --config "$LAB_CONFIG"
check option-check-config-says grep -q "valid" "$LAB_DIR/out"
check option-check-config-quiet eval '! [ -s "$LAB_DIR/err" ]'
check option-unknown daemon 2 -- --config "$LAB_CONFIG" --nonsense
check option-no-config daemon 2 "${OWN[@]}" --
check option-level daemon 2 -- --config "$LAB_CONFIG" --log-level loud
check option-no-file daemon 2 -- --config "$LAB_DIR/nosuch.ini"
check option-no-file-says grep -q "$LAB_DIR/nosuch.ini: No such file" "$LAB_DIR/err"
echo '[nonsense]' >"$LAB_DIR/bad.ini"
check option-check-config-bad daemon 2 -- --check-config --config "$LAB_DIR/bad.ini"

# a second daemon for the same twins
lab_config
check first lab_start || exit
if has_vhost; then
	check first-twin grep -q '; twin virtio-user, stays' "$LAB_LOG"
else
	check first-twin grep -q '; twin tap (no /dev/vhost-net), stays' "$LAB_LOG"
fi
sed "s/ctl.sock/second.sock/" "$LAB_CONFIG" >"$LAB_DIR/second.ini"
index=$(in_gw cat /sys/class/net/lan/ifindex)
check second daemon 2 "${OWN[@]}" --no-shconf --file-prefix="$LAB_PREFIX-2" -- --config "$LAB_DIR/second.ini"
check second-says eval 'tail -n 1 "$LAB_DIR/err" | grep -q "second.ini:4: .*another dpdk-nftoffload.*expected"'
check first-undisturbed lab_ping 3
check first-same-twin [ "$index" = "$(in_gw cat /sys/class/net/lan/ifindex)" ]
check first-answers ctl version
check first-link eval '[ "$(lab_count link=up show ports)" = 2 ]'
check first-stop lab_stop
rm -rf "/var/run/dpdk/$LAB_PREFIX-2"
