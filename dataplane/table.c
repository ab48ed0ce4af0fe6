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

struct slot {
	struct table_bucket *bucket;
	unsigned int n;
};

static bool table_alloc_index(struct table *t, uint32_t max_units)
{
	// 8 slots a bucket, half used: four flows a bucket
	const uint32_t n_buckets = rte_align32pow2(RTE_MAX(max_units / 4, 16u));

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

// --- free units: doubly linked lists, so that a buddy is taken out from anywhere ---

static void units_link(struct table *t, uint32_t idx, uint8_t list)
{
	const uint32_t head = t->free_units[list];

	t->cold[idx].free = list;
	t->cold[idx].newer = head;
	t->cold[idx].older = DP_FLOW_NONE;
	if (head != DP_FLOW_NONE)
		t->cold[head].older = idx;
	t->free_units[list] = idx;
}

static void units_unlink(struct table *t, uint32_t idx)
{
	const struct table_cold *c = &t->cold[idx];

	if (c->older != DP_FLOW_NONE)
		t->cold[c->older].newer = c->newer;
	else
		t->free_units[c->free] = c->newer;
	if (c->newer != DP_FLOW_NONE)
		t->cold[c->newer].older = c->older;
	t->cold[idx].free = TABLE_FREE_NOT;
}

// A single unit, of a pair if there is no other; or a pair. DP_FLOW_NONE without one.
static uint32_t units_take(struct table *t, uint8_t list)
{
	uint32_t idx = t->free_units[list];

	if (idx == DP_FLOW_NONE && list == TABLE_FREE_SINGLE) {
		idx = t->free_units[TABLE_FREE_PAIR];
		if (idx == DP_FLOW_NONE)
			return idx;
		units_unlink(t, idx);
		units_link(t, idx + 1, TABLE_FREE_SINGLE);
		return idx;
	}
	if (idx != DP_FLOW_NONE)
		units_unlink(t, idx);
	return idx;
}

static void units_give(struct table *t, uint32_t idx, uint8_t list)
{
	const uint32_t buddy = idx ^ 1;

	if (list == TABLE_FREE_SINGLE && t->cold[buddy].free == TABLE_FREE_SINGLE) {
		units_unlink(t, buddy);
		units_link(t, idx & ~1u, TABLE_FREE_PAIR);
		return;
	}
	units_link(t, idx, list);
}

// The list that a direction of that family takes its units from.
static uint8_t units_of(const struct table_entry *e)
{
	return e->key.family == NFO_IPV4 ? TABLE_FREE_SINGLE : TABLE_FREE_PAIR;
}

static bool table_alloc_entries(struct table *t, uint32_t max_units)
{
	t->n_entries = max_units;
	t->entries = rte_zmalloc("table_entries", max_units * sizeof(*t->entries), 64);
	t->cold = calloc(max_units, sizeof(*t->cold));
	t->retired_mask = rte_align32pow2(max_units + t->n_overflow) - 1;
	t->retired = calloc(t->retired_mask + 1ul, sizeof(uint32_t));
	if (t->entries == NULL || t->cold == NULL || t->retired == NULL)
		return false;
	t->free_units[TABLE_FREE_SINGLE] = t->free_units[TABLE_FREE_PAIR] = DP_FLOW_NONE;
	for (uint32_t i = max_units; i > 0; i -= 2) {
		t->cold[i - 1].free = TABLE_FREE_NOT;
		units_link(t, i - 2, TABLE_FREE_PAIR);
	}
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

struct table *table_create(uint32_t max_units, uint32_t workers)
{
	struct table *t;

	if (max_units < 2 || max_units % 2 != 0 || max_units >= TABLE_RETIRED_BUCKET || workers == 0) {
		errno = EINVAL;
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->n_workers = workers;
	if (!table_alloc_index(t, max_units) || !table_alloc_entries(t, max_units)
		|| !table_alloc_foreign(t) || !table_alloc_qsbr(t)
		|| (t->nexthops = nexthops_create(t->qsbr)) == NULL
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
	free(t->free_overflow);
	nexthops_destroy(t->nexthops);
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

static void foreign_clear(struct table *t, uint32_t idx)
{
	for (uint32_t w = 0; w < t->n_workers; w++) {
		struct table_foreign *f = &t->foreign[w][idx];

		if (f->packets != 0) // do not touch a page without need
			*f = (struct table_foreign){0, 0};
	}
}

// A fresh entry with 'content', its counters at zero on all sides; DP_FLOW_NONE when full.
static uint32_t entry_take(struct table *t, const struct table_content *content)
{
	const uint8_t list = units_of(&content->entry);
	uint32_t idx = units_take(t, list);
	struct table_entry *e;

	if (idx == DP_FLOW_NONE) {
		table_reclaim(t);
		idx = units_take(t, list);
	}
	if (idx == DP_FLOW_NONE)
		return idx;
	e = &t->entries[idx];
	*e = content->entry;
	if (list == TABLE_FREE_PAIR)
		memcpy(e + 1, &content->v6, sizeof(content->v6));
	e->state = FLOW_FORWARD;
	e->owner = 0;
	e->packets = 0;
	e->bytes = 0;
	t->cold[idx] = (struct table_cold){
		.sibling = DP_FLOW_NONE,
		.older = DP_FLOW_NONE,
		.newer = DP_FLOW_NONE,
		.used = true,
		.free = TABLE_FREE_NOT,
	};
	foreign_clear(t, idx);
	return idx;
}

static void set_sibling(struct table *t, uint32_t idx, uint32_t sibling)
{
	t->cold[idx].sibling = sibling;
	if (sibling != DP_FLOW_NONE)
		__atomic_store_n(&t->cold[sibling].sibling, idx, __ATOMIC_RELEASE);
}

int table_add(struct table *t, const struct table_content *content, uint32_t sibling,
	uint32_t cookie, uint32_t *idx)
{
	const uint64_t hash = table_hash(t, &content->entry.key);
	struct slot slot;

	if (table_find(t, &content->entry.key) != DP_FLOW_NONE)
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
	t->used += units_of(&content->entry) == TABLE_FREE_PAIR ? 2 : 1;
	return 0;
}

static void retire(struct table *t, uint32_t what)
{
	t->retired[t->retired_head++ & t->retired_mask] = what;
}

int table_replace(struct table *t, const struct table_content *content, uint32_t *idx)
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

static bool bucket_empty(const struct table_bucket *b)
{
	for (unsigned int i = 0; i < TABLE_SLOTS; i++)
		if (b->sig[i] != 0)
			return false;
	return true;
}

// Unlinks the empty overflow buckets at the chain's end. A reader that is in one goes on to its end.
static void chain_shrink(struct table *t, uint64_t hash)
{
	struct table_bucket *keep = &t->buckets[hash & t->bucket_mask];
	uint32_t n;

	for (struct table_bucket *b = bucket_next(t, keep); b != NULL; b = bucket_next(t, b))
		if (!bucket_empty(b))
			keep = b;
	n = keep->next;
	if (n == TABLE_NO_BUCKET)
		return;
	__atomic_store_n(&keep->next, TABLE_NO_BUCKET, __ATOMIC_RELEASE);
	for (; n != TABLE_NO_BUCKET; n = t->overflow[n].next)
		retire(t, n | TABLE_RETIRED_BUCKET);
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
	t->used -= units_of(&t->entries[idx]) == TABLE_FREE_PAIR ? 2 : 1;
}

enum dp_sample table_sample(struct table *t, uint32_t idx)
{
	// a worker may see it leave in between
	if (table_state(&t->entries[idx], FLOW_SAMPLED, FLOW_SAMPLE))
		return DP_SAMPLE_UNSEEN;
	return table_state(&t->entries[idx], FLOW_FORWARD, FLOW_SAMPLE) ? DP_SAMPLE_DONE : DP_SAMPLE_WAITS;
}

void table_hold(struct table *t, uint32_t idx)
{
	// in the order in which a worker may change it meanwhile
	static const uint8_t from[] = {FLOW_SAMPLE, FLOW_SAMPLED, FLOW_FORWARD};

	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
		if (table_state(&t->entries[idx], from[i], FLOW_HELD))
			return;
}

void table_release(struct table *t, uint32_t idx)
{
	table_state(&t->entries[idx], FLOW_HELD, FLOW_FORWARD);
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
	nexthop_put(t->nexthops, t->entries[idx].nexthop);
	units_give(t, idx, units_of(&t->entries[idx]));
}

static void release_waiting(struct table *t)
{
	while (t->retired_tail != t->retired_waiting) {
		const uint32_t what = t->retired[t->retired_tail++ & t->retired_mask];

		if (what & TABLE_RETIRED_BUCKET)
			t->free_overflow[t->n_free_overflow++] = what & ~(uint32_t)TABLE_RETIRED_BUCKET;
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
