// SPDX-License-Identifier: BSD-3-Clause
// The readers' side of the table, inline: hash, candidates, verification. Workers only (and the
// control thread, as the writer). table.h has the argument why this is safe.
#pragma once

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
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

// Folded multiplications with a secret: unlike a CRC, whose collisions do not depend on a seed, an
// outsider can not construct tuples that share a bucket.
static inline uint64_t table_hash(const struct table *t, const struct table_key *key)
{
	uint64_t h = table_mix(key->word[0] ^ t->secret[0], key->word[1] ^ t->secret[1]);

	if (key->family != NFO_IPV4)
		h ^= table_mix(key->word[2] ^ t->secret[3], key->word[3] ^ h)
		     ^ table_mix(key->word[4] ^ t->secret[4], h);
	return table_mix(h, t->secret[2]);
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
	const uint64_t *x = a->word, *y = b->word;

	if (((x[0] ^ y[0]) | (x[1] ^ y[1])) != 0)
		return false;
	return a->family == NFO_IPV4
	       || ((x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

static inline const struct table_second *table_second(const struct table_entry *e)
{
	return (const struct table_second *)(e + 1);
}

// The first word of a key, put together in a register: the hash reads it as a whole at once, which
// would wait for stores of its parts. 'ports_be' are both ports as they lie in a packet.
static inline uint64_t table_key_head(
	uint32_t ports_be, uint16_t iface, uint8_t proto, uint8_t family)
{
#if RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN
	return ports_be | (uint64_t)iface << 32 | (uint64_t)proto << 48 | (uint64_t)family << 56;
#else
	return (uint64_t)ports_be << 32 | (uint64_t)iface << 16 | (uint64_t)proto << 8 | family;
#endif
}

// Everybody's way to change 'state' but for FLOW_CLOSING. False if it is not 'from' any more.
static inline bool table_state(struct table_entry *e, uint8_t from, uint8_t to)
{
	return __atomic_compare_exchange_n(
		&e->state, &from, to, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
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
