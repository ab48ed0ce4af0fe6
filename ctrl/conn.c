// SPDX-License-Identifier: GPL-2.0-or-later
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "slots.h"

static size_t slots_size(const struct conns *c)
{
	return c->max * sizeof(struct conn);
}

int conns_init(struct conns *c, uint32_t max)
{
	uint32_t chains = 16;

	while (chains < max)
		chains *= 2;
	*c = (struct conns){.max = max, .chain_mask = chains - 1, .free_head = CONN_NONE};
	c->slot = slots_map(slots_size(c));
	c->chain = malloc(chains * sizeof(*c->chain));
	if (c->slot == NULL || c->chain == NULL
		|| getrandom(&c->secret, sizeof(c->secret), 0) != sizeof(c->secret)) {
		conns_fini(c);
		return -ENOMEM;
	}
	memset(c->chain, 0xff, chains * sizeof(*c->chain)); // CONN_NONE
	return 0;
}

void conns_fini(struct conns *c)
{
	slots_unmap(c->slot, slots_size(c));
	free(c->chain);
	c->slot = NULL;
	c->chain = NULL;
}

static uint32_t *chain_of(const struct conns *c, const struct nfo_tuple *t, uint16_t zone)
{
	uint64_t half[4], h = c->secret;

	memcpy(half, &t->src, 16);
	memcpy(half + 2, &t->dst, 16);
	for (unsigned int i = 0; i < 4; i++)
		h = slots_hash(h, half[i], c->secret);
	h = slots_hash(h,
		(uint64_t)t->sport_be << 48 | (uint64_t)t->dport_be << 32 | (uint64_t)zone << 16
			| (uint64_t)t->proto << 8 | t->family,
		c->secret);
	return &c->chain[h & c->chain_mask];
}

static bool tuple_equal(const struct nfo_tuple *a, const struct nfo_tuple *b)
{
	return memcmp(&a->src, &b->src, sizeof(a->src)) == 0
	       && memcmp(&a->dst, &b->dst, sizeof(a->dst)) == 0 && a->sport_be == b->sport_be
	       && a->dport_be == b->dport_be && a->family == b->family && a->proto == b->proto;
}

uint32_t conns_find(const struct conns *c, const struct nfo_tuple *orig, uint16_t zone)
{
	uint32_t i = *chain_of(c, orig, zone);

	while (i != CONN_NONE
		&& !(c->slot[i].ct.zone == zone && tuple_equal(&c->slot[i].ct.orig, orig)))
		i = c->slot[i].next;
	return i;
}

uint32_t conns_add(struct conns *c, const struct ct_conn *ct)
{
	uint32_t *chain = chain_of(c, &ct->orig, ct->zone);
	uint32_t i = c->free_head;

	if (i != CONN_NONE)
		c->free_head = c->slot[i].next;
	else if (c->top < c->max)
		i = c->top++;
	else
		return CONN_NONE;
	c->slot[i] = (struct conn){.ct = *ct, .next = *chain, .reason = NFO_R_NEW, .used = true};
	*chain = i;
	c->n++;
	return i;
}

void conns_del(struct conns *c, uint32_t slot)
{
	struct conn *conn = &c->slot[slot];
	uint32_t *link = chain_of(c, &conn->ct.orig, conn->ct.zone);

	while (*link != slot)
		link = &c->slot[*link].next;
	*link = conn->next;
	conn->used = false;
	conn->next = c->free_head;
	c->free_head = slot;
	c->n--;
}
