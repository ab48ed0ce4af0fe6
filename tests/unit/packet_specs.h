// SPDX-License-Identifier: GPL-2.0-or-later
// What parse_test.c and rewrite_test.c start with.
#pragma once

#include "packet.h"

static const struct packet_spec tcp_spec = {
	.src = "10.0.1.2",
	.dst = "10.0.2.2",
	.sport = 40000,
	.dport = 80,
	.proto = IPPROTO_TCP,
	.ttl = 64,
	.tcp_flags = RTE_TCP_ACK_FLAG,
	.payload = 100,
	.fill = 0x5a,
};

static const struct packet_spec udp_spec = {
	.src = "10.0.1.2",
	.dst = "10.0.2.2",
	.sport = 5000,
	.dport = 53,
	.proto = IPPROTO_UDP,
	.ttl = 64,
	.payload = 11,
	.fill = 0xa5,
};

static const struct packet_spec tcp6_spec = {
	.src = "2001:db8:1::2",
	.dst = "2001:db8:2::2",
	.sport = 40000,
	.dport = 80,
	.proto = IPPROTO_TCP,
	.ttl = 64,
	.tcp_flags = RTE_TCP_ACK_FLAG,
	.payload = 77,
	.fill = 0x3c,
};

static const struct packet_spec gre_spec = {
	.src = "10.0.1.2",
	.dst = "10.0.2.2",
	.proto = IPPROTO_GRE,
	.ttl = 64,
	.payload = 40,
	.fill = 0x11,
};
