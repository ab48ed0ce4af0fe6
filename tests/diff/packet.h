// SPDX-License-Identifier: GPL-2.0-or-later
// Frames made from a description, and read back into one. Everything here is computed from scratch;
// nothing is shared with the code under test.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PACKET_MAX = 9600,
	PACKET_L2_MAX = 14 + 4 * 4, // four tags
	TCP_FIN = 1,
	TCP_SYN = 2,
	TCP_RST = 4,
	TCP_PSH = 8,
	TCP_ACK = 16,
};

// How the packets of one direction of a flow enter a router.
struct side {
	uint8_t port; // index of the wire
	uint8_t l2_len;
	uint8_t l2[PACKET_L2_MAX]; // addresses, tags and the EtherType
	uint8_t family;            // 4 or 6
	uint8_t proto;
	uint8_t src[16], dst[16]; // the first 4 bytes with IPv4
	uint16_t sport, dport;    // 0 with GRE
};

// What may vary in a packet, all else being its side's.
struct spec {
	uint8_t ttl, tos;
	uint16_t id;
	uint16_t fragment;   // flags and offset of IPv4
	uint32_t flow_label; // of IPv6
	uint8_t ext_proto;   // first next header, if there are extension headers
	uint8_t ext_len;     // IPv4 options, or IPv6 extension headers whose last is right
	uint8_t ext[64];
	uint8_t tcp_flags;
	uint32_t seq, ack;
	uint16_t window, urgent;
	uint8_t l4_options_len;
	uint8_t l4_options[40];
	bool no_checksum; // UDP over IPv4: 0
	uint16_t payload_len;
	uint8_t payload[PACKET_MAX];
};

struct packet {
	size_t len, l3, l4; // offsets of the headers
	uint8_t b[PACKET_MAX + 200];
};

uint16_t packet_get16(const uint8_t *at);
void packet_put16(uint8_t *at, uint16_t value);

void packet_build(struct packet *p, const struct side *side, const struct spec *spec);

// The same without an L4 header: spec's payload is all that follows the IP header.
void packet_build_raw(struct packet *p, const struct side *side, const struct spec *spec);

// Puts the checksum of ICMP or ICMPv6 into spec's payload.
void packet_icmp_checksum(const struct side *side, struct spec *spec);

// Of the packet at l3, after its bytes were changed.
void packet_fix_ip(struct packet *p);

// Length of the IP packet as its bytes in the frame say, without what is before l3.
size_t packet_ip_len(const struct packet *p);

// Bytes of the headers that packet_build() puts between l3 and the payload.
size_t packet_overhead(const struct side *side, const struct spec *spec);

// Offset of the L4 checksum in the frame, 0 if the protocol has none.
size_t packet_checksum_at(const struct packet *p, const struct side *side);

// Makes spec's payload (of at least 2 bytes) such that the L4 checksum computed for 'out' is 0.
void packet_zero_checksum(const struct side *out, struct spec *spec);

// The side of the packets that answer a frame which left on 'port'. False if it is no TCP, UDP or
// GRE packet.
bool packet_answer(struct side *side, uint8_t port, const uint8_t *frame, size_t len);

// The same flow seen the other way round: addresses, MAC addresses and ports swapped.
struct side side_swapped(const struct side *side);

// Reads an address of either family; false if it is none.
bool side_address(uint8_t *family, uint8_t address[16], const char *text);
