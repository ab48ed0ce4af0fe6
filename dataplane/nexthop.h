// SPDX-License-Identifier: BSD-3-Clause
// Next hops: the port that a packet leaves by and the Ethernet header, tags included, that it gets.
// All flows to one neighbour share one, which is 32 bytes that stay in a near cache, and get its new
// MAC address at once.
//
// Threads: control takes, changes and gives back, workers read what an entry of the flow table names.
//  1. A next hop is complete before an entry with its number is published, and is given back only
//     after the entry's grace period (table.h 3), when no worker can see its number any more.
//  2. It changes in two steps: 'l2_bytes' becomes 0, upon which workers give its packets to the kernel;
//     when all of them have passed a quiescent state nobody reads the header, which is written, and
//     'l2_bytes' is set again (release). So a packet has the old header or the new one, never both.
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_rcu_qsbr.h>

#include "flow.h"

enum {
	NEXTHOP_NONE = 0,
	NEXTHOP_MAX = 65536,
	NEXTHOP_L2_BYTES = 2 * NFO_ETH_ALEN + 4 * NFO_MAX_VLANS,
};

struct nexthop {
	// destination, source, tags; the EtherType that follows is the packet's own
	uint8_t l2[NEXTHOP_L2_BYTES];
	uint8_t l2_bytes; // in use; 0: not usable now (nexthop_l2_bytes())
	uint8_t out_port;
	uint8_t spare[10];
} __rte_aligned(32);

static_assert(sizeof(struct nexthop) == 32, "two next hops are a cache line");

// What control alone knows of one.
struct nexthop_cold {
	struct nfo_via via;
	uint32_t refs;
	uint16_t next;             // in a chain, or of free numbers
	uint8_t l2_bytes;          // when it is usable
	uint8_t mac[NFO_ETH_ALEN]; // of the neighbour
	bool known;                // it has one
	bool draining;             // 'mac' waits for the workers
};

struct nexthops {
	struct nexthop *hop; // [NEXTHOP_MAX], by number; workers read
	// control only
	struct nexthop_cold *cold;
	uint16_t *chain; // heads by hash
	uint32_t n;      // numbers never used start here
	uint16_t free_head;
	struct rte_rcu_qsbr *qsbr;
	uint64_t token; // of the youngest change
	uint32_t n_draining;
};

// 'qsbr' knows the workers. NULL with errno ENOMEM.
struct nexthops *nexthops_create(struct rte_rcu_qsbr *qsbr);
void nexthops_destroy(struct nexthops *hops);

// The number of the next hop that 'flow' leaves by, with one more reference. NEXTHOP_NONE when all
// numbers are taken.
uint16_t nexthop_get(struct nexthops *hops, const struct nfo_flow *flow);
void nexthop_put(struct nexthops *hops, uint16_t number);

// dp_neigh_set() and dp_settle() of dp_api.h.
void nexthops_neigh(
	struct nexthops *hops, const struct nfo_via *via, const uint8_t mac[NFO_ETH_ALEN]);
void nexthops_settle(struct nexthops *hops);

// Workers' view: 0 while packets have to go to the kernel.
static inline uint8_t nexthop_l2_bytes(const struct nexthop *hop)
{
	return __atomic_load_n(&hop->l2_bytes, __ATOMIC_ACQUIRE);
}
