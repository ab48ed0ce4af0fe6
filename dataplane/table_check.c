// SPDX-License-Identifier: BSD-3-Clause
// An audit of the whole table: does every unit have exactly one place, and do the counts add up?
#include <stdlib.h>

#include "table_check.h"
#include "table_read.h"

// What is known so far of units, overflow buckets and next hops.
struct audit {
	const struct table *t;
	uint8_t *unit;   // [n_entries] enum place
	uint8_t *bucket; // [n_overflow]
	uint32_t *refs;  // [NEXTHOP_MAX] entries that name each
	uint32_t used;   // units that lookups reach
	const char *fault;
};

enum place {
	NOWHERE,
	REACHED, // by a lookup
	RETIRED,
	FREE,
};

// The first fault is the one that is told.
static bool expect(struct audit *a, bool right, const char *fault)
{
	if (!right && a->fault == NULL)
		a->fault = fault;
	return right;
}

static unsigned int units(const struct audit *a, uint32_t idx)
{
	return a->t->entries[idx].key.family == NFO_IPV4 ? 1 : 2;
}

// 'n' units from 'idx' on are found in a place, and have not been in another one.
static bool place(struct audit *a, uint32_t idx, unsigned int n, enum place where)
{
	for (uint32_t i = idx; i < idx + n; i++) {
		if (!expect(a, i < a->t->n_entries, "unit-number")
			|| !expect(a, a->unit[i] == NOWHERE, "unit-twice"))
			return false;
		a->unit[i] = (uint8_t)where;
	}
	return true;
}

static void audit_entry(struct audit *a, uint32_t idx, bool retired)
{
	const struct table_cold *c;
	unsigned int n;

	if (!expect(a, idx < a->t->n_entries, "unit-number"))
		return;
	n = units(a, idx);
	c = &a->t->cold[idx];
	if (!expect(a, n == 1 || idx % 2 == 0, "unit-pair")
		|| !place(a, idx, n, retired ? RETIRED : REACHED))
		return;
	expect(a, c->used && c->retired == retired && c->free == TABLE_FREE_NOT, "unit-state");
	a->refs[a->t->entries[idx].nexthop]++;
	a->used += retired ? 0 : n;
}

static void audit_slots(struct audit *a, const struct table_bucket *b, const struct table_bucket *home)
{
	for (unsigned int i = 0; i < TABLE_SLOTS && a->fault == NULL; i++) {
		uint64_t hash;

		if (b->sig[i] == 0 || !expect(a, b->idx[i] < a->t->n_entries, "unit-number"))
			continue;
		hash = table_hash(a->t, &a->t->entries[b->idx[i]].key);
		expect(a, table_bucket(a->t, hash) == home && table_sig(hash) == b->sig[i],
			"slot-key");
		audit_entry(a, b->idx[i], false);
	}
}

static void audit_chain(struct audit *a, const struct table_bucket *home)
{
	const struct table_bucket *b = home;

	for (;;) {
		audit_slots(a, b, home);
		if (b->next == TABLE_NO_BUCKET || !expect(a, b->next < a->t->n_overflow, "bucket-number")
			|| !expect(a, a->bucket[b->next] == NOWHERE, "bucket-twice"))
			return;
		a->bucket[b->next] = REACHED;
		b = &a->t->overflow[b->next];
	}
}

static void audit_bucket(struct audit *a, uint32_t n, enum place where)
{
	if (expect(a, n != TABLE_NO_BUCKET && n < a->t->n_overflow, "bucket-number")
		&& expect(a, a->bucket[n] == NOWHERE, "bucket-twice"))
		a->bucket[n] = (uint8_t)where;
}

static void audit_retired(struct audit *a)
{
	const struct table *t = a->t;

	for (uint32_t i = t->retired_tail; i != t->retired_head && a->fault == NULL; i++) {
		const uint32_t what = t->retired[i & t->retired_mask];

		if (what & TABLE_RETIRED_BUCKET)
			audit_bucket(a, what & ~(uint32_t)TABLE_RETIRED_BUCKET, RETIRED);
		else
			audit_entry(a, what, true);
	}
	for (uint32_t i = 0; i < t->n_free_overflow && a->fault == NULL; i++)
		audit_bucket(a, t->free_overflow[i], FREE);
}

static void audit_free(struct audit *a, uint8_t list)
{
	uint32_t before = DP_FLOW_NONE;

	for (uint32_t i = a->t->free_units[list]; i != DP_FLOW_NONE && a->fault == NULL;) {
		const struct table_cold *c;

		if (!place(a, i, list == TABLE_FREE_PAIR ? 2 : 1, FREE))
			return;
		c = &a->t->cold[i];
		expect(a, c->free == list && !c->used && c->older == before, "free-link");
		expect(a, list == TABLE_FREE_PAIR ? i % 2 == 0
						  : a->t->cold[i ^ 1].free != TABLE_FREE_SINGLE,
			"free-buddy");
		before = i;
		i = c->newer;
	}
}

// The other direction, and what replaced or was replaced.
static void audit_links(struct audit *a, uint32_t idx)
{
	const struct table_cold *c = &a->t->cold[idx];
	const uint32_t n = a->t->n_entries;

	if (c->older != DP_FLOW_NONE)
		expect(a, c->older < n && a->unit[c->older] == RETIRED
				  && a->t->cold[c->older].newer == idx,
			"replaced");
	if (a->unit[idx] == REACHED && c->sibling != DP_FLOW_NONE)
		expect(a, c->sibling < n && a->unit[c->sibling] == REACHED
				  && a->t->cold[c->sibling].sibling == idx,
			"sibling");
}

static void audit_rest(struct audit *a)
{
	const struct table *t = a->t;

	for (uint32_t i = 0; i < t->n_entries && a->fault == NULL; i++) {
		expect(a, a->unit[i] != NOWHERE, "unit-lost");
		if (t->cold[i].used && a->unit[i] != FREE)
			audit_links(a, i);
	}
	for (uint32_t i = TABLE_NO_BUCKET + 1; i < t->n_overflow; i++)
		expect(a, a->bucket[i] != NOWHERE, "bucket-lost");
	expect(a, a->used == t->used, "used");
	for (uint32_t i = NEXTHOP_NONE + 1; i < NEXTHOP_MAX; i++)
		expect(a, a->refs[i] == (i < t->nexthops->n ? t->nexthops->cold[i].refs : 0),
			"next-hop");
}

const char *table_check(const struct table *t)
{
	struct audit a = {
		.t = t,
		.unit = calloc(t->n_entries, sizeof(*a.unit)),
		.bucket = calloc(t->n_overflow, sizeof(*a.bucket)),
		.refs = calloc(NEXTHOP_MAX, sizeof(*a.refs)),
	};

	if (expect(&a, a.unit != NULL && a.bucket != NULL && a.refs != NULL, "no-memory")) {
		for (uint64_t i = 0; i <= t->bucket_mask && a.fault == NULL; i++)
			audit_chain(&a, &t->buckets[i]);
		audit_retired(&a);
		audit_free(&a, TABLE_FREE_SINGLE);
		audit_free(&a, TABLE_FREE_PAIR);
		audit_rest(&a);
	}
	free(a.unit);
	free(a.bucket);
	free(a.refs);
	return a.fault;
}
