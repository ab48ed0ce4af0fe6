// SPDX-License-Identifier: BSD-3-Clause
#include "nexthop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_malloc.h>

enum { CHAINS = 16384 };

struct nexthops *nexthops_create(void)
{
	struct nexthops *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->n = NEXTHOP_NONE + 1;
	h->hop = rte_zmalloc("nexthops", NEXTHOP_MAX * sizeof(*h->hop), 64);
	h->refs = calloc(NEXTHOP_MAX, sizeof(*h->refs));
	h->next = calloc(NEXTHOP_MAX, sizeof(*h->next));
	h->chain = calloc(CHAINS, sizeof(*h->chain));
	if (h->hop != NULL && h->refs != NULL && h->next != NULL && h->chain != NULL)
		return h;
	nexthops_destroy(h);
	errno = ENOMEM;
	return NULL;
}

void nexthops_destroy(struct nexthops *h)
{
	if (h == NULL)
		return;
	rte_free(h->hop);
	free(h->refs);
	free(h->next);
	free(h->chain);
	free(h);
}

static void fill(const struct nfo_flow *flow, struct nexthop *hop)
{
	*hop = (struct nexthop){
		.l2_bytes = 2 * NFO_ETH_ALEN,
		.out_port = (uint8_t)flow->out_port,
	};
	memcpy(hop->l2, flow->eth_dst, NFO_ETH_ALEN);
	memcpy(hop->l2 + NFO_ETH_ALEN, flow->eth_src, NFO_ETH_ALEN);
	for (unsigned int i = 0; i < NFO_MAX_VLANS && flow->out_vlan[i].tpid_be != 0; i++) {
		const uint16_t tci_be = rte_cpu_to_be_16(flow->out_vlan[i].vid);

		memcpy(hop->l2 + hop->l2_bytes, &flow->out_vlan[i].tpid_be, 2);
		memcpy(hop->l2 + hop->l2_bytes + 2, &tci_be, 2);
		hop->l2_bytes = (uint8_t)(hop->l2_bytes + 4);
	}
}

// FNV-1a: next hops are the administrator's, nobody aims at a chain from outside but by taking many
// MAC addresses, which the kernel's neighbour table bounds.
static uint16_t *chain_of(const struct nexthops *h, const struct nexthop *hop)
{
	const uint8_t *bytes = (const void *)hop;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(*hop); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return &h->chain[hash % CHAINS];
}

static uint16_t take(struct nexthops *h)
{
	uint16_t number = h->free_head;

	if (number != NEXTHOP_NONE)
		h->free_head = h->next[number];
	else if (h->n < NEXTHOP_MAX)
		number = (uint16_t)h->n++;
	return number;
}

uint16_t nexthop_get(struct nexthops *h, const struct nfo_flow *flow)
{
	struct nexthop hop;
	uint16_t *chain, number;

	fill(flow, &hop);
	chain = chain_of(h, &hop);
	for (number = *chain; number != NEXTHOP_NONE; number = h->next[number])
		if (memcmp(&h->hop[number], &hop, sizeof(hop)) == 0)
			break;
	if (number == NEXTHOP_NONE) {
		number = take(h);
		if (number == NEXTHOP_NONE)
			return NEXTHOP_NONE;
		h->hop[number] = hop;
		h->next[number] = *chain;
		*chain = number;
	}
	h->refs[number]++;
	return number;
}

void nexthop_put(struct nexthops *h, uint16_t number)
{
	uint16_t *link;

	if (number == NEXTHOP_NONE || --h->refs[number] != 0)
		return;
	link = chain_of(h, &h->hop[number]);
	while (*link != number)
		link = &h->next[*link];
	*link = h->next[number];
	h->next[number] = h->free_head;
	h->free_head = number;
}
