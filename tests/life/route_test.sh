#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 600
# Routes, next hops, rules and addresses that change below flows in use. The flows that a change is about follow
# it and send nothing the old way any more, or are the kernel's until it takes them again; the others are not
# touched.
. "$(dirname "$0")/../lab/lib.sh"
. "$(dirname "$0")/wires.sh"
lab_init
need_flowtable
wires_start

# --- another gateway on the same wire ---
life_mark
check route gw route replace 10.9.1.0/24 via 10.0.2.3
check route-followed moved_are "$via_other"
check route-not-the-old-way wire_still eth0 main moved
follow route 5 5
gw route replace 10.9.1.0/24 via 10.0.2.2
check route-back moved_are "$via_main"

# --- a next hop object ---
gw nexthop add id 7 via 10.0.2.2 dev wan
gw route replace 10.9.1.0/24 nhid 7
sleep 1
check nexthop-same moved_are "$via_main"
life_mark
check nexthop gw nexthop replace id 7 via 10.0.2.3 dev wan
check nexthop-followed moved_are "$via_other"
check nexthop-not-the-old-way wire_still eth0 main moved
follow nexthop 5 10
gw route replace 10.9.1.0/24 via 10.0.2.2
gw nexthop del id 7
check nexthop-back moved_are "$via_main"

# --- rules; they may be about any flow, so that each is held for a moment ---
gw route add 10.9.1.0/24 via 10.0.2.3 table 200
for rule in 'from 10.0.1.2' 'fwmark 9'; do
	name=rule-${rule%% *}
	life_mark
	# shellcheck disable=SC2086 # two words
	check "$name" gw rule add $rule lookup 200
	check "$name-followed" moved_are "$via_other"
	check "$name-not-the-old-way" wire_still eth0 main moved
	follow "$name" 5 100
	# shellcheck disable=SC2086
	gw rule del $rule lookup 200
	check "$name-back" moved_are "$via_main"
done

# --- an address goes, and with it a route that prefers it, of which no event tells ---
gw route replace 10.9.1.0/24 via 10.0.2.2 src 10.0.5.1
sleep 1
check address-same moved_are "$via_main"
life_mark
check address gw addr del 10.0.5.1/24 dev wan
without address 3 moved near
check address-not-the-old-way wire_still eth0 main moved
check address-not-the-old-way-near wire_still eth0 near near
check address-touches-its-own life_touched 0 7 7
check address-again gateway
check address-back moved_are "$via_main"
check address-goes-on echo_alive moved

# --- no route ---
life_mark
check no-route gw route del 10.9.1.0/24
without no-route 5 moved
check no-route-not-the-old-way wire_still eth0 main moved
check no-route-touches-its-own life_touched 0 5 5
check no-route-again gateway
check no-route-back moved_are "$via_main"
check no-route-goes-on echo_alive moved
wires_end
