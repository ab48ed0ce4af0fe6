#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limit: 300
# VLAN interfaces upon a twin: 802.1Q, and 802.1Q in 802.1ad, forwarded by the workers whether the
# flowtable lists them or the twin; IPv6 likewise; what the workers do not take crosses the twin.
. "$(dirname "$0")/../lab/lib.sh"
LAB_IPV6=1
lab_init
check topology lab_topology tap || exit
lab_config
check start lab_start || exit
modprobe 8021q 2>/dev/null

vlan() { # NAMESPACE LOWER NAME PROTO ID NET: with the addresses NET.HOST and fd00:NET::HOST
	local host=1
	[ "$1" = "$GW" ] || host=2
	ip -n "$1" link add link "$2" name "$3" type vlan proto "$4" id "$5" &&
		ip -n "$1" link set "$3" up || return
	[ -z "${6:-}" ] || { ip -n "$1" addr add "10.0.$6.$host/24" dev "$3" &&
		ip -n "$1" addr add "fd00:0:0:$6::$host/64" dev "$3" nodad; }
}

in_gw sysctl -qw net.ipv6.conf.all.forwarding=1
for pair in "$GW lan" "$CL eth0"; do
	# shellcheck disable=SC2086 # two words
	check "vlans-${pair#* }" eval "vlan $pair q5 802.1Q 5 5 && vlan $pair s9 802.1ad 9 &&
		vlan ${pair% *} s9 q7 802.1Q 7 7" || exit
done
ip -n "$GW" addr add fd00:0:0:2::1/64 dev wan nodad
ip -n "$SV" addr add fd00:0:0:2::2/64 dev eth0 nodad
ip -n "$SV" route add default via fd00:0:0:2::1

ruleset() { # DEVICES
	in_gw nft -f - <<-END
		flush ruleset
		table inet filter {
			flowtable f {
				hook ingress priority 0
				devices = { $1 }
			}
			chain forward {
				type filter hook forward priority 0
				meta l4proto { tcp, udp } flow add @f
			}
		}
	END
	lab_guard
}

# Datagrams of both families to the server and back, from the client's address in net $1.
echo_udp() { # WORD NET
	lab_frames "$@" <<-'END'
		from frame import *
		word, net = sys.argv[1:]
		daemon = Daemon()
		for server, client in ("10.0.2.2", f"10.0.{net}.2"), ("fd00:0:0:2::2", f"fd00:0:0:{net}::2"):
		    family = socket.AF_INET6 if ":" in server else socket.AF_INET
		    name = f"udp{6 if ':' in server else 4}-{word}-{net}"
		    enter(SV)
		    s = socket.socket(family, socket.SOCK_DGRAM)
		    s.bind((server, 0))
		    enter(CL)
		    c = socket.socket(family, socket.SOCK_DGRAM)
		    c.bind((client, 0))
		    for end in s, c:
		        end.settimeout(10 * SLOW)
		    def there_and_back(size):
		        data = os.urandom(size)
		        c.sendto(data, s.getsockname()[:2])
		        got, peer = s.recvfrom(65536)
		        s.sendto(got, peer)
		        return c.recv(65536) == data
		    good = all(there_and_back(10) for _ in range(3))
		    offloaded = until(lambda: any(
		        f["sport"] == c.getsockname()[1] and f["reason"] == "offloaded"
		        for f in daemon.ask("show flows")), 20)
		    result(f"{name}-offloaded", offloaded,
		           str([(f["src"], f["reason"]) for f in daemon.ask("show flows")]))
		    before = daemon.stats()["ports"]["offloaded_packets"]
		    good = good and all(there_and_back(1 + i * 37 % 1400) for i in range(200))
		    result(name, good, "a datagram came back changed")
		    more = daemon.stats()["ports"]["offloaded_packets"] - before
		    result(f"{name}-fast", more >= 390, f"{more} of 400 packets by the workers")
	END
}

offloaded() {
	lab_records "any(f['dport'] == $lab_port and f['reason'] == 'offloaded' and
		f['original']['packets'] > ${1:-0} for f in r)" show flows
}

streams() { # WORD
	stream_start
	check "offloaded-$1" wait_for 20 offloaded
	lab_mark
	check "streams-$1" wait_for 30 offloaded 400
	check "fast-$1" lab_fast
	check "unchanged-$1" stream_end
}

for devices in 'lan, wan' 'q5, q7, wan'; do
	name=${devices%%,*}
	check "ruleset-$name" ruleset "$devices" || exit
	for net in 5 7; do
		ip -n "$CL" route replace default via 10.0.$net.1
		ip -n "$CL" -6 route replace default via fd00:0:0:$net::1
		check "ping-$name-$net" lab_ping
		streams "$name-$net"
		echo_udp "$name" $net
	done
done
check interfaces lab_records 'any(f.get("in") == "q7" and f.get("out") == "wan" for f in r)' show flows

# a VLAN that no flow has come by, beside the twin itself
check vlan-without-flows vlan "$GW" lan q6 802.1Q 6 6
check vlan-client vlan "$CL" eth0 q6 802.1Q 6 6
check ping-vlan lab_ping 2 10.0.6.1
check punted lab_records 'r[0]["punts"]["vlan"] > 0' show stats
check route-untagged ip -n "$CL" route replace default via 10.0.1.1
check ruleset-untagged ruleset 'lan, wan'
streams untagged
check stop lab_stop
