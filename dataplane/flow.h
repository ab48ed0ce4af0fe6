// SPDX-License-Identifier: BSD-3-Clause
// The one value type that crosses the project's borders, and the lists that name what happens to
// a flow or a packet. No DPDK here, so that every folder may include it. Copies of these values
// cross a border, never pointers into another part's memory.
#pragma once

#include <stdint.h>

enum {
	NFO_MAX_PORTS = 32,
	NFO_MAX_GROUPS = 2 * NFO_MAX_PORTS, // a port is the group of its number, bonds come behind
	NFO_NAME_LEN = 16, // a kernel interface name with its NUL (IFNAMSIZ)
	NFO_ETH_ALEN = 6,
	NFO_MAX_VLANS = 2, // NF_FLOW_TABLE_ENCAP_MAX of the kernel
};

// Address families and protocols have their socket and IANA numbers.
enum {
	NFO_IPV4 = 2,  // AF_INET
	NFO_IPV6 = 10, // AF_INET6
	NFO_TCP = 6,   // IPPROTO_TCP
	NFO_UDP = 17,  // IPPROTO_UDP
	NFO_GRE = 47,  // IPPROTO_GRE
};

// An address in network byte order; IPv4 uses the first four bytes, the rest is zero.
union nfo_addr {
	uint32_t v4_be;
	uint8_t bytes[16];
};

// GRE has no ports: both are 0, as in conntrack's tuples of version 0.
struct nfo_tuple {
	union nfo_addr src;
	union nfo_addr dst;
	uint16_t sport_be;
	uint16_t dport_be;
	uint8_t family;
	uint8_t proto;
};

// A VLAN tag: 802.1Q (0x8100) or 802.1ad (0x88a8), and the VLAN's number, 1 to 4094.
struct nfo_vlan {
	uint16_t tpid_be; // 0: no tag
	uint16_t vid;
};

// The neighbour that packets leave to, so that all flows to it can be changed at once. 'family' 0: it
// has no name, its MAC address never changes.
struct nfo_via {
	union nfo_addr addr;
	uint32_t dev; // control's number of the interface
	uint8_t family;
	uint8_t spare[3];
};

// One direction of a connection: packets that enter 'in_port' behind the tags 'in_vlan' with tuple
// 'match' leave 'out_port' behind the tags 'out_vlan' with tuple 'out', TTL one less, and the two
// MAC addresses given. Tags are the outermost first. 'mtu' bounds the IP length. 'in_port' may be a
// group of ports that receive as one (dp_port_group()). Flows are compared as bytes: zero them first.
struct nfo_flow {
	struct nfo_tuple match;
	struct nfo_tuple out;
	struct nfo_vlan in_vlan[NFO_MAX_VLANS];
	struct nfo_vlan out_vlan[NFO_MAX_VLANS];
	uint16_t in_port;
	uint16_t out_port;
	uint16_t mtu;
	uint8_t eth_dst[NFO_ETH_ALEN];
	uint8_t eth_src[NFO_ETH_ALEN];
	struct nfo_via via;
};

struct nfo_counters {
	uint64_t packets;
	uint64_t bytes;   // from the IP header on, as conntrack counts
	uint64_t used_ns; // CLOCK_MONOTONIC of the last packet, 0 for never; 1 s resolution
};

// Why a connection is not forwarded by the workers; but for 'untracked' and 'not-offered', of those
// that the kernel (or a [flowtable] of config.ini) offers. The word is the same in the log, the tool
// and the metrics.
#define NFO_REASONS(X)                                                                           \
	X(OFFLOADED, "offloaded", "forwarded by the workers")                                    \
	X(NEW, "new", "not resolved yet")                                                        \
	X(UNTRACKED, "untracked", "conntrack does not know it")                                  \
	X(NOT_OFFERED, "not-offered", "no flowtable has taken it")                               \
	X(PROTOCOL, "protocol", "only TCP, UDP and GRE without NAT are forwarded by the workers") \
	X(NOT_ESTABLISHED, "not-established", "conntrack has not seen it established")           \
	X(HELPER, "helper", "a conntrack helper must see every packet")                          \
	X(SEQ_ADJUST, "seq-adjust", "the kernel adjusts its TCP sequence numbers")               \
	X(NAT_CLASH, "nat-clash", "lost a NAT clash")                                            \
	X(NO_FLOWTABLE, "no-flowtable", "its two interfaces are not in one flowtable")           \
	X(NO_ROUTE, "no-route", "the kernel has no unicast route for it")                        \
	X(ROUTE_ENCAP, "route-encap", "its route adds an encapsulation")                         \
	X(POLICY_RULE, "policy-rule", "an ip rule looks at what conntrack does not tell of it")  \
	X(IPSEC, "ipsec", "an IPsec policy of the kernel may apply to it")                       \
	X(ASYMMETRIC, "asymmetric-route", "its directions use different interfaces")             \
	X(AMBIGUOUS, "ambiguous-path", "its routes fit more than one pair of interfaces")        \
	X(NOT_PORT, "not-a-port", "it enters or leaves by an interface that is no twin")         \
	X(BRIDGE, "bridge", "its path crosses a bridge")                                         \
	X(PPPOE, "pppoe", "its path crosses a PPPoE session")                                    \
	X(BOND_MODE, "bond-mode", "the mode of a bond on its path spreads packets")              \
	X(ENSLAVED, "enslaved", "a twin of its path belongs to another interface")               \
	X(VLAN_DEPTH, "vlan-depth", "its path has more than two VLAN tags")                      \
	X(VLAN_QOS, "vlan-qos", "a VLAN of its path maps priorities on egress")                  \
	X(NETDEV_HOOK, "netdev-hook", "a tc filter, shaper or netdev chain of its path sees packets") \
	X(LINK_DOWN, "link-down", "an interface of its path is down")                            \
	X(NO_NEIGHBOUR, "no-neighbour", "the kernel does not know the next hop's MAC address")   \
	X(TABLE_FULL, "table-full", "max-connections of config.ini is reached")                  \
	X(DUPLICATE, "duplicate", "another connection has the same tuple on that interface")     \
	X(WAITING, "waiting", "its rules or route changed; the kernel has to take it again")     \
	X(CLOSING, "closing", "a FIN or RST passed; the kernel ends it")                         \
	X(AUDIT, "audit", "the kernel forwards its samples otherwise, or not at all")            \
	X(IDLE, "idle", "no packets for the flowtable's timeout; the kernel has it")

enum nfo_reason {
#define X(name, word, text) NFO_R_##name,
	NFO_REASONS(X)
#undef X
		NFO_N_REASONS
};

// Why a worker gave a packet to the kernel instead of forwarding it.
#define NFO_PUNTS(X)                                                                      \
	X(MISS, "miss", "no flow")                                                        \
	X(NOT_IP, "not-ip", "neither IPv4 nor IPv6")                                      \
	X(VLAN, "vlan", "VLAN tags without flows")                                        \
	X(OTHER_MAC, "other-mac", "not addressed to the port")                            \
	X(PROTOCOL, "protocol", "neither TCP nor UDP nor GRE version 0")                  \
	X(LENGTH, "length", "truncated or inconsistent lengths")                          \
	X(OPTIONS, "ip-options", "IPv4 options or IPv6 extension headers")                \
	X(FRAGMENT, "fragment", "an IP fragment")                                         \
	X(TTL, "ttl", "TTL or hop limit of 0 or 1")                                       \
	X(CHECKSUM, "checksum", "bad checksum")                                           \
	X(TCP_FLAGS, "tcp-flags", "SYN, FIN or RST; of prioritized frames, no ACK")       \
	X(SAMPLE, "sample", "one packet of a flow, so that the kernel sees it is in use") \
	X(CLOSING, "closing", "its connection is closing")                                \
	X(MTU, "mtu", "longer than the path MTU")                                         \
	X(HEADROOM, "headroom", "no room before the packet for its VLAN tags")            \
	X(HELD, "held", "its route changed and is being looked up")                       \
	X(NEIGHBOUR, "neighbour", "its next hop has no MAC address, or is getting another")

enum nfo_punt {
#define X(name, word, text) NFO_P_##name,
	NFO_PUNTS(X)
#undef X
		NFO_N_PUNTS
};

// The protocol called "tcp", "udp" or "gre", and 0 for other words; and its name.
uint8_t nfo_proto_parse(const char *word);
const char *nfo_proto_word(uint8_t proto);

// The tuple of packets that come back, where nothing is translated.
struct nfo_tuple nfo_tuple_swapped(const struct nfo_tuple *tuple);

const char *nfo_reason_word(enum nfo_reason r);
const char *nfo_reason_text(enum nfo_reason r);
const char *nfo_punt_word(enum nfo_punt p);
