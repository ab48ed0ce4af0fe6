// SPDX-License-Identifier: BSD-3-Clause
// Next hops: the port that a packet leaves by and the Ethernet header, tags included, that it gets.
// All flows to one neighbour share one, which is 32 bytes that stay in a near cache.
//
// Threads: control takes and gives back, workers read what an entry of the flow table names. A next
// hop is complete before an entry with its number is published, does not change while it is
// referenced, and is given back only after the entry's grace period (table.h 3), when no worker can
// see its number any more.
#pragma once

#include <assert.h>
#include <stdint.h>

#include <rte_common.h>

#include "flow.h"

enum {
	NEXTHOP_NONE = 0,
	NEXTHOP_MAX = 65536,
	NEXTHOP_L2_BYTES = 2 * NFO_ETH_ALEN + 4 * NFO_MAX_VLANS,
};

struct nexthop {
	// destination, source, tags; the EtherType that follows is the packet's own
	uint8_t l2[NEXTHOP_L2_BYTES];
	uint8_t l2_bytes; // in use
	uint8_t out_port;
	uint8_t spare[10];
} __rte_aligned(32);

static_assert(sizeof(struct nexthop) == 32, "two next hops are a cache line");

struct nexthops {
	struct nexthop *hop; // [NEXTHOP_MAX], by number; workers read
	// control only
	uint32_t *refs;
	uint16_t *next;  // in a chain, or of free numbers
	uint16_t *chain; // heads by hash
	uint32_t n;      // numbers never used start here
	uint16_t free_head;
};

// NULL with errno ENOMEM.
struct nexthops *nexthops_create(void);
void nexthops_destroy(struct nexthops *hops);

// The number of the next hop that 'flow' leaves by, with one more reference. NEXTHOP_NONE when all
// numbers are taken.
uint16_t nexthop_get(struct nexthops *hops, const struct nfo_flow *flow);
void nexthop_put(struct nexthops *hops, uint16_t number);
