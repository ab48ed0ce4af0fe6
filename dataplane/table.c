// SPDX-License-Identifier: BSD-3-Clause
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "table_read.h"

enum { RETIRED_BUCKET = 1u << 31 };

struct slot {
	struct table_bucket *bucket;
	unsigned int n;
};

static bool table_alloc_index(struct table *t, uint32_t max_flows)
{
	// 8 slots a bucket, half used: four flows a bucket
	const uint32_t n_buckets = rte_align32pow2(RTE_MAX(max_flows / 4, 16u));

	t->bucket_mask = n_buckets - 1;
	t->n_overflow = n_buckets / 4 + 16;
	t->buckets = rte_zmalloc("table_buckets", n_buckets * sizeof(*t->buckets), 64);
	t->overflow = rte_zmalloc("table_overflow", t->n_overflow * sizeof(*t->overflow), 64);
	t->free_overflow = calloc(t->n_overflow, sizeof(uint32_t));
	if (t->buckets == NULL || t->overflow == NULL || t->free_overflow == NULL)
		return false;
	for (uint32_t i = t->n_overflow - 1; i > TABLE_NO_BUCKET; i--)
		t->free_overflow[t->n_free_overflow++] = i;
	return true;
}

static bool table_alloc_entries(struct table *t, uint32_t max_flows)
{
	t->n_entries = max_flows;
	t->entries = rte_zmalloc("table_entries", max_flows * sizeof(*t->entries), 64);
	t->cold = calloc(max_flows, sizeof(*t->cold));
	t->free_entries = calloc(max_flows, sizeof(uint32_t));
	t->retired_mask = rte_align32pow2(max_flows + t->n_overflow) - 1;
	t->retired = calloc(t->retired_mask + 1ul, sizeof(uint32_t));
	if (t->entries == NULL || t->cold == NULL || t->free_entries == NULL || t->retired == NULL)
		return false;
	for (uint32_t i = max_flows; i > 0; i--)
		t->free_entries[t->n_free_entries++] = i - 1;
	return true;
}

// The foreign counters are pages that nobody touches while RSS keeps a flow on one worker.
static bool table_alloc_foreign(struct table *t)
{
	const size_t size = t->n_entries * sizeof(struct table_foreign);

	t->foreign = calloc(t->n_workers, sizeof(*t->foreign));
	if (t->foreign == NULL)
		return false;
	for (uint32_t w = 0; w < t->n_workers; w++) {
		void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (pages == MAP_FAILED)
			return false;
		t->foreign[w] = pages;
	}
	return true;
}

static bool table_alloc_qsbr(struct table *t)
{
	const size_t size = rte_rcu_qsbr_get_memsize(t->n_workers);

	t->qsbr = rte_zmalloc("table_qsbr", size, 64);
	return t->qsbr != NULL && rte_rcu_qsbr_init(t->qsbr, t->n_workers) == 0;
}

struct table *table_create(uint32_t max_flows, uint32_t workers)
{
	struct table *t;

	if (max_flows < 2 || max_flows >= RETIRED_BUCKET || workers == 0) {
		errno = EINVAL;
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->n_workers = workers;
	if (!table_alloc_index(t, max_flows) || !table_alloc_entries(t, max_flows)
		|| !table_alloc_foreign(t) || !table_alloc_qsbr(t)
		|| getrandom(t->secret, sizeof(t->secret), 0) != sizeof(t->secret)) {
		table_destroy(t);
		errno = ENOMEM;
		return NULL;
	}
	t->secret[2] |= 1; // a factor of zero would map everything to one bucket
	return t;
}

void table_destroy(struct table *t)
{
	if (t == NULL)
		return;
	for (uint32_t w = 0; t->foreign != NULL && w < t->n_workers; w++)
		if (t->foreign[w] != NULL)
			munmap(t->foreign[w], t->n_entries * sizeof(struct table_foreign));
	free(t->foreign);
	rte_free(t->buckets);
	rte_free(t->overflow);
	rte_free(t->entries);
	rte_free(t->qsbr);
	free(t->cold);
	free(t->free_entries);
	free(t->free_overflow);
	free(t->retired);
	free(t);
}

static struct table_bucket *bucket_next(const struct table *t, const struct table_bucket *b)
{
	return b->next == TABLE_NO_BUCKET ? NULL : &t->overflow[b->next];
}

uint32_t table_find(const struct table *t, const struct table_key *key)
{
	const uint64_t hash = table_hash(t, key);
	const uint16_t sig = table_sig(hash);
	const struct table_bucket *bucket = table_bucket(t, hash);

	return table_verify(t, bucket, table_candidates(bucket, sig), sig, key);
}

// The slot that holds entry 'idx'; it is there.
static struct slot slot_of(const struct table *t, uint32_t idx)
{
	const uint64_t hash = table_hash(t, &t->entries[idx].key);
	struct table_bucket *b = &t->buckets[hash & t->bucket_mask];

	for (; b != NULL; b = bucket_next(t, b))
		for (unsigned int i = 0; i < TABLE_SLOTS; i++)
			if (b->sig[i] != 0 && b->idx[i] == idx)
				return (struct slot){b, i};
	return (struct slot){NULL, 0};
}

static struct table_bucket *bucket_extend(struct table *t, struct table_bucket *last)
{
	uint32_t n;

	if (t->n_free_overflow == 0)
		return NULL;
	n = t->free_overflow[--t->n_free_overflow];
	memset(&t->overflow[n], 0, sizeof(t->overflow[n]));
	__atomic_store_n(&last->next, n, __ATOMIC_RELEASE);
	return &t->overflow[n];
}

static struct slot slot_free(struct table *t, uint64_t hash)
{
	struct table_bucket *b = &t->buckets[hash & t->bucket_mask], *last = NULL;

	for (; b != NULL; last = b, b = bucket_next(t, b))
		for (unsigned int i = 0; i < TABLE_SLOTS; i++)
			if (b->sig[i] == 0)
				return (struct slot){b, i};
	return (struct slot){bucket_extend(t, last), 0};
}

// A fresh entry with 'content', its counters at zero on all sides; DP_FLOW_NONE when full.
static uint32_t entry_take(struct table *t, const struct table_entry *content)
{
	struct table_entry *e;
	uint32_t idx;

	if (t->n_free_entries == 0)
		table_reclaim(t);
	if (t->n_free_entries == 0)
		return DP_FLOW_NONE;
	idx = t->free_entries[--t->n_free_entries];
	e = &t->entries[idx];
	*e = *content;
	e->state = FLOW_FORWARD;
	e->owner = 0;
	e->packets = 0;
	e->bytes = 0;
	t->cold[idx] = (struct table_cold){
		.sibling = DP_FLOW_NONE,
		.older = DP_FLOW_NONE,
		.newer = DP_FLOW_NONE,
		.used = true,
	};
	for (uint32_t w = 0; w < t->n_workers; w++) {
		struct table_foreign *f = &t->foreign[w][idx];

		if (f->packets != 0) // do not touch a page without need
			*f = (struct table_foreign){0, 0};
	}
	return idx;
}

static void set_sibling(struct table *t, uint32_t idx, uint32_t sibling)
{
	t->cold[idx].sibling = sibling;
	if (sibling != DP_FLOW_NONE)
		__atomic_store_n(&t->cold[sibling].sibling, idx, __ATOMIC_RELEASE);
}

int table_add(struct table *t, const struct table_entry *content, uint32_t sibling, uint32_t cookie,
	uint32_t *idx)
{
	const uint64_t hash = table_hash(t, &content->key);
	struct slot slot;

	if (table_find(t, &content->key) != DP_FLOW_NONE)
		return -EEXIST;
	slot = slot_free(t, hash);
	if (slot.bucket == NULL)
		return -ENOSPC;
	*idx = entry_take(t, content);
	if (*idx == DP_FLOW_NONE)
		return -ENOSPC;
	t->cold[*idx].cookie = cookie;
	set_sibling(t, *idx, sibling);
	__atomic_store_n(&slot.bucket->idx[slot.n], *idx, __ATOMIC_RELEASE);
	__atomic_store_n(&slot.bucket->sig[slot.n], table_sig(hash), __ATOMIC_RELEASE);
	t->used++;
	return 0;
}

static void retire(struct table *t, uint32_t what)
{
	t->retired[t->retired_head++ & t->retired_mask] = what;
}

int table_replace(struct table *t, const struct table_entry *content, uint32_t *idx)
{
	const uint32_t old = *idx;
	const struct slot slot = slot_of(t, old);
	const uint32_t new = entry_take(t, content);

	if (new == DP_FLOW_NONE)
		return -ENOSPC;
	t->entries[new].used_tick = t->entries[old].used_tick;
	t->cold[new].cookie = t->cold[old].cookie;
	t->cold[new].older = old;
	t->cold[old].newer = new;
	t->cold[old].retired = true;
	set_sibling(t, new, t->cold[old].sibling);
	__atomic_store_n(&slot.bucket->idx[slot.n], new, __ATOMIC_RELEASE);
	// a worker may have closed the old one meanwhile; later ones are seen when it is freed
	if (__atomic_load_n(&t->entries[old].state, __ATOMIC_ACQUIRE) == FLOW_CLOSING)
		t->entries[new].state = FLOW_CLOSING;
	retire(t, old);
	*idx = new;
	return 0;
}

// Unlinks the last bucket of the chain if it is an empty overflow bucket.
static void chain_shrink(struct table *t, uint64_t hash)
{
	struct table_bucket *b = &t->buckets[hash & t->bucket_mask], *before = NULL;

	while (b->next != TABLE_NO_BUCKET) {
		before = b;
		b = bucket_next(t, b);
	}
	if (before == NULL)
		return;
	for (unsigned int i = 0; i < TABLE_SLOTS; i++)
		if (b->sig[i] != 0)
			return;
	retire(t, before->next | RETIRED_BUCKET);
	__atomic_store_n(&before->next, TABLE_NO_BUCKET, __ATOMIC_RELEASE);
}

void table_del(struct table *t, uint32_t idx)
{
	const struct slot slot = slot_of(t, idx);
	const uint32_t sibling = t->cold[idx].sibling;

	__atomic_store_n(&slot.bucket->sig[slot.n], 0, __ATOMIC_RELEASE);
	if (sibling != DP_FLOW_NONE)
		__atomic_store_n(&t->cold[sibling].sibling, DP_FLOW_NONE, __ATOMIC_RELEASE);
	t->cold[idx].retired = true;
	retire(t, idx);
	chain_shrink(t, table_hash(t, &t->entries[idx].key));
	t->used--;
}

void table_sample(struct table *t, uint32_t idx)
{
	uint8_t forward = FLOW_FORWARD;

	__atomic_compare_exchange_n(&t->entries[idx].state, &forward, FLOW_SAMPLE, false,
		__ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static void fold_entry(struct table *t, uint32_t idx)
{
	const struct table_entry *e = &t->entries[idx];
	struct table_cold *c = &t->cold[idx];
	const uint32_t packets = __atomic_load_n(&e->packets, __ATOMIC_RELAXED);
	const uint64_t bytes = __atomic_load_n(&e->bytes, __ATOMIC_RELAXED);

	c->packets += (uint32_t)(packets - c->packets_seen);
	c->bytes += bytes - c->bytes_seen;
	c->packets_seen = packets;
	c->bytes_seen = bytes;
}

static void foreign_sum(const struct table *t, uint32_t idx, uint64_t *packets, uint64_t *bytes)
{
	for (uint32_t w = 0; w < t->n_workers; w++) {
		const struct table_foreign *f = &t->foreign[w][idx];

		*packets += __atomic_load_n(&f->packets, __ATOMIC_RELAXED);
		*bytes += __atomic_load_n(&f->bytes, __ATOMIC_RELAXED);
	}
}

void table_counters(
	struct table *t, uint32_t idx, uint64_t *packets, uint64_t *bytes, uint16_t *tick)
{
	*packets = 0;
	*bytes = 0;
	*tick = t->entries[idx].used_tick;
	for (; idx != DP_FLOW_NONE; idx = t->cold[idx].older) {
		fold_entry(t, idx);
		*packets += t->cold[idx].packets;
		*bytes += t->cold[idx].bytes;
		foreign_sum(t, idx, packets, bytes);
	}
}

// No worker sees entry 'idx' any more: what it counted goes to its successor.
static void entry_release(struct table *t, uint32_t idx)
{
	struct table_cold *c = &t->cold[idx];

	if (c->newer != DP_FLOW_NONE) {
		struct table_cold *newer = &t->cold[c->newer];

		fold_entry(t, idx);
		newer->packets += c->packets;
		newer->bytes += c->bytes;
		foreign_sum(t, idx, &newer->packets, &newer->bytes);
		newer->older = DP_FLOW_NONE;
		if (t->entries[idx].state == FLOW_CLOSING)
			__atomic_store_n(
				&t->entries[c->newer].state, FLOW_CLOSING, __ATOMIC_RELEASE);
	}
	c->used = false;
	t->free_entries[t->n_free_entries++] = idx;
}

static void release_waiting(struct table *t)
{
	while (t->retired_tail != t->retired_waiting) {
		const uint32_t what = t->retired[t->retired_tail++ & t->retired_mask];

		if (what & RETIRED_BUCKET)
			t->free_overflow[t->n_free_overflow++] = what & ~(uint32_t)RETIRED_BUCKET;
		else
			entry_release(t, what);
	}
}

void table_reclaim(struct table *t)
{
	if (t->retired_tail != t->retired_waiting) {
		if (rte_rcu_qsbr_check(t->qsbr, t->token, false) != 1)
			return;
		release_waiting(t);
	}
	if (t->retired_waiting != t->retired_head) {
		t->retired_waiting = t->retired_head;
		t->token = rte_rcu_qsbr_start(t->qsbr);
	}
}

void table_fold(struct table *t, uint32_t from, uint32_t to, void (*closing)(uint32_t cookie))
{
	for (uint32_t idx = from; idx < to && idx < t->n_entries; idx++) {
		if (!t->cold[idx].used)
			continue;
		fold_entry(t, idx);
		if (!t->cold[idx].retired
			&& __atomic_load_n(&t->entries[idx].state, __ATOMIC_ACQUIRE)
				   == FLOW_CLOSING)
			closing(t->cold[idx].cookie);
	}
}

void table_stats(const struct table *t, struct dp_table_stats *stats)
{
	*stats = (struct dp_table_stats){
		.capacity = t->n_entries,
		.used = t->used,
		.retired = t->retired_head - t->retired_tail,
		.overflow_buckets = t->n_overflow - 1 - t->n_free_overflow,
	};
}
