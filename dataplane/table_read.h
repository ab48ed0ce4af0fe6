// SPDX-License-Identifier: BSD-3-Clause
// The readers' side of the table, inline: hash, candidates, verification. Workers only (and the
// control thread, as the writer). table.h has the argument why this is safe.
#pragma once

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>

#include "table.h"

#if defined(__SSE2__)
#include "sigcmp_x86.h"
#else
#include "sigcmp_generic.h"
#endif

static inline uint64_t table_mix(uint64_t a, uint64_t b)
{
	const __uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Two folded multiplications with a secret: unlike a CRC, whose collisions do not depend on a seed,
// an outsider can not construct tuples that share a bucket.
static inline uint64_t table_hash(const struct table *t, const struct table_key *key)
{
	const uint64_t *half = (const void *)key;

	return table_mix(table_mix(half[0] ^ t->secret[0], half[1] ^ t->secret[1]), t->secret[2]);
}

static inline uint16_t table_sig(uint64_t hash)
{
	const uint16_t sig = (uint16_t)(hash >> 48);

	return sig ? sig : 1;
}

static inline const struct table_bucket *table_bucket(const struct table *t, uint64_t hash)
{
	return &t->buckets[hash & t->bucket_mask];
}

static inline bool table_key_equal(const struct table_key *a, const struct table_key *b)
{
	const uint64_t *x = (const void *)a, *y = (const void *)b;

	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

// A bit for each slot of 'bucket' whose signature is 'sig'.
static inline uint32_t table_candidates(const struct table_bucket *bucket, uint16_t sig)
{
	const uint32_t hits = sigcmp(bucket->sig, sig);

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return hits;
}

static inline uint32_t table_slot_idx(const struct table_bucket *bucket, unsigned int slot)
{
	return __atomic_load_n(&bucket->idx[slot], __ATOMIC_ACQUIRE);
}

static inline uint32_t table_match(const struct table *t, const struct table_bucket *bucket,
	uint32_t hits, const struct table_key *key)
{
	while (hits != 0) {
		const uint32_t idx = table_slot_idx(bucket, (unsigned int)__builtin_ctz(hits));

		if (likely(table_key_equal(&t->entries[idx].key, key)))
			return idx;
		hits &= hits - 1;
	}
	return DP_FLOW_NONE;
}

// The rest of a lookup: the candidates of the first bucket, then its overflow chain.
static inline uint32_t table_verify(const struct table *t, const struct table_bucket *bucket,
	uint32_t hits, uint16_t sig, const struct table_key *key)
{
	uint32_t idx = table_match(t, bucket, hits, key);

	while (unlikely(idx == DP_FLOW_NONE)) {
		const uint32_t next = __atomic_load_n(&bucket->next, __ATOMIC_ACQUIRE);

		if (likely(next == TABLE_NO_BUCKET))
			break;
		bucket = &t->overflow[next];
		idx = table_match(t, bucket, table_candidates(bucket, sig), key);
	}
	return idx;
}
