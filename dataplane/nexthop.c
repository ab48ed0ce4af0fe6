// SPDX-License-Identifier: BSD-3-Clause
#include "nexthop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_malloc.h>

enum { CHAINS = 16384 };

struct nexthops *nexthops_create(struct rte_rcu_qsbr *qsbr)
{
	struct nexthops *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->n = NEXTHOP_NONE + 1;
	h->qsbr = qsbr;
	h->hop = rte_zmalloc("nexthops", NEXTHOP_MAX * sizeof(*h->hop), 64);
	h->cold = calloc(NEXTHOP_MAX, sizeof(*h->cold));
	h->chain = calloc(CHAINS, sizeof(*h->chain));
	if (h->hop != NULL && h->cold != NULL && h->chain != NULL)
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
	free(h->cold);
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
// addresses, which the kernel's neighbour table bounds.
static uint32_t fnv(uint32_t hash, const void *data, size_t n)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return hash;
}

// A neighbour's MAC address is no part of what tells it apart, if it has another name.
static size_t l2_start(const struct nfo_via *via)
{
	return via->family != 0 ? NFO_ETH_ALEN : 0;
}

static uint16_t *chain_of(
	const struct nexthops *h, const struct nexthop *hop, const struct nfo_via *via)
{
	const size_t start = l2_start(via);
	uint32_t hash = fnv(2166136261u, hop->l2 + start, NEXTHOP_L2_BYTES - start);

	hash = fnv(hash, &hop->out_port, sizeof(hop->out_port));
	return &h->chain[fnv(hash, via, sizeof(*via)) % CHAINS];
}

static bool same(const struct nexthops *h, uint16_t number, const struct nexthop *hop,
	const struct nfo_via *via)
{
	const struct nexthop *other = &h->hop[number];
	const size_t start = l2_start(via);

	return memcmp(&h->cold[number].via, via, sizeof(*via)) == 0
	       && h->cold[number].l2_bytes == hop->l2_bytes && other->out_port == hop->out_port
	       && memcmp(other->l2 + start, hop->l2 + start, NEXTHOP_L2_BYTES - start) == 0;
}

static uint16_t take(struct nexthops *h)
{
	uint16_t number = h->free_head;

	if (number != NEXTHOP_NONE)
		h->free_head = h->cold[number].next;
	else if (h->n < NEXTHOP_MAX)
		number = (uint16_t)h->n++;
	return number;
}

static uint16_t add(struct nexthops *h, const struct nexthop *hop, const struct nfo_via *via)
{
	uint16_t *chain = chain_of(h, hop, via);
	const uint16_t number = take(h);
	struct nexthop_cold *cold = &h->cold[number];

	if (number == NEXTHOP_NONE)
		return NEXTHOP_NONE;
	h->hop[number] = *hop;
	*cold = (struct nexthop_cold){
		.via = *via,
		.next = *chain,
		.l2_bytes = hop->l2_bytes,
		.known = true,
	};
	memcpy(cold->mac, hop->l2, NFO_ETH_ALEN);
	*chain = number;
	return number;
}

static void drained(struct nexthops *h, struct nexthop_cold *cold)
{
	h->n_draining -= cold->draining;
	cold->draining = false;
}

static void change(struct nexthops *h, uint16_t number, const uint8_t mac[NFO_ETH_ALEN])
{
	struct nexthop_cold *cold = &h->cold[number];

	if (cold->known == (mac != NULL)
		&& (mac == NULL || memcmp(cold->mac, mac, NFO_ETH_ALEN) == 0))
		return;
	__atomic_store_n(&h->hop[number].l2_bytes, 0, __ATOMIC_RELEASE);
	drained(h, cold);
	cold->known = mac != NULL;
	if (mac == NULL)
		return;
	memcpy(cold->mac, mac, NFO_ETH_ALEN);
	cold->draining = true;
	h->n_draining++;
	h->token = rte_rcu_qsbr_start(h->qsbr);
}

uint16_t nexthop_get(struct nexthops *h, const struct nfo_flow *flow)
{
	struct nexthop hop;
	uint16_t number;

	fill(flow, &hop);
	number = *chain_of(h, &hop, &flow->via);
	while (number != NEXTHOP_NONE && !same(h, number, &hop, &flow->via))
		number = h->cold[number].next;
	if (number == NEXTHOP_NONE)
		number = add(h, &hop, &flow->via);
	else
		change(h, number, flow->eth_dst);
	if (number != NEXTHOP_NONE)
		h->cold[number].refs++;
	return number;
}

void nexthop_put(struct nexthops *h, uint16_t number)
{
	struct nexthop_cold *cold = &h->cold[number];
	uint16_t *link;

	if (number == NEXTHOP_NONE || --cold->refs != 0)
		return;
	link = chain_of(h, &h->hop[number], &cold->via);
	while (*link != number)
		link = &h->cold[*link].next;
	*link = cold->next;
	drained(h, cold);
	cold->next = h->free_head;
	h->free_head = number;
}

void nexthops_neigh(struct nexthops *h, const struct nfo_via *via, const uint8_t mac[NFO_ETH_ALEN])
{
	for (uint32_t i = NEXTHOP_NONE + 1; i < h->n; i++)
		if (h->cold[i].refs != 0 && memcmp(&h->cold[i].via, via, sizeof(*via)) == 0)
			change(h, (uint16_t)i, mac);
}

void nexthops_settle(struct nexthops *h)
{
	if (h->n_draining == 0 || rte_rcu_qsbr_check(h->qsbr, h->token, false) != 1)
		return;
	for (uint32_t i = NEXTHOP_NONE + 1; i < h->n && h->n_draining > 0; i++) {
		struct nexthop_cold *cold = &h->cold[i];

		if (!cold->draining)
			continue;
		memcpy(h->hop[i].l2, cold->mac, NFO_ETH_ALEN);
		__atomic_store_n(&h->hop[i].l2_bytes, cold->l2_bytes, __ATOMIC_RELEASE);
		drained(h, cold);
	}
}
