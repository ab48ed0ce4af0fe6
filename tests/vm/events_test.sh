#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 'show flowtables' follows nf_tables: tables of several families, devices that come and go, flags.
. "$(dirname "$0")/../lab/lib.sh"
lab_init
check topology lab_topology veth || exit
lab_config
check start lab_start || exit
for name in d0 d1; do
	ip -n "$GW" link add "$name" type veth peer name "$name-peer" && ip -n "$GW" link set "$name" up
done

nft() {
	in_gw nft "$@"
}

# are LIST: waits until these are the flowtables, each (family, table, name, devices, flags, rules).
are() {
	wait_for 10 lab_records "sorted((x['family'], x['table'], x['name'], ' '.join(sorted(x['devices'])),
		' '.join(x['flags']), x['rules']) for x in r if 'notice' not in x) == sorted($1)" show flowtables || {
		ctl show flowtables >&2
		return 1
	}
}

a="('inet', 'a', 'f', 'lan wan', '', 0)"
check none are "[]"
nft add table inet a
check table-alone are "[]"
nft 'add flowtable inet a f { hook ingress priority 0; devices = { lan, wan }; }'
check added are "[$a]"
nft 'add table ip b; add flowtable ip b g { hook ingress priority 0; devices = { d0 }; counter; }'
b="('ip', 'b', 'g', 'd0', 'counter', 0)"
check family-and-counter are "[$a, $b]"
nft 'add table ip6 a; add flowtable ip6 a f { hook ingress priority 5; devices = { d1 }; }'
c="('ip6', 'a', 'f', 'd1', '', 0)"
check same-names-elsewhere are "[$a, $b, $c]"
check priority lab_records '[x["priority"] for x in r if x["family"] == "ip6"] == [5]' show flowtables
nft 'add flowtable ip b g { hook ingress priority 0; devices = { d1 }; counter; }'
check device-added are "[$a, ('ip', 'b', 'g', 'd0 d1', 'counter', 0), $c]"
# nft takes a device out of a flowtable of priority 0 only
nft 'delete flowtable ip b g { devices = { d0 }; }'
check device-removed are "[$a, ('ip', 'b', 'g', 'd1', 'counter', 0), $c]"
nft 'add chain inet a forward { type filter hook forward priority 0; }; add rule inet a forward ip protocol tcp flow add @f'
a1="('inet', 'a', 'f', 'lan wan', '', 1)"
check rule are "[$a1, ('ip', 'b', 'g', 'd1', 'counter', 0), $c]"
ip -n "$GW" link del d1 # the kernel takes it out of both
check device-vanished are "[$a1, ('ip', 'b', 'g', '', 'counter', 0), ('ip6', 'a', 'f', '', '', 0)]"
nft delete flowtable ip b g
check deleted are "[$a1, ('ip6', 'a', 'f', '', '', 0)]"
nft delete table ip6 a
check table-deleted are "[$a1]"
nft flush chain inet a forward
check rule-deleted are "[$a]"

# one transaction that replaces all of it
nft -f - <<-END
	flush ruleset
	table inet z { flowtable y { hook ingress priority 0; devices = { d0, lan }; }; }
END
check replaced are "[('inet', 'z', 'y', 'd0 lan', '', 0)]"
nft flush ruleset
check flushed are "[]"
for i in {1..40}; do
	nft "add table inet t$i; add flowtable inet t$i f { hook ingress priority $i; devices = { d0 }; }"
done
check many wait_for 20 lab_records 'len(r) == 40' show flowtables
nft flush ruleset
check none-left are "[]"
check stop lab_stop
