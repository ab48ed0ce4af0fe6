// SPDX-License-Identifier: BSD-3-Clause
// The flow table: an index of 64-byte buckets over an array of 64-byte units. A direction of an IPv4
// connection is one unit, of an IPv6 connection an even one and the next.
//
//   bucket  | 8 x 16-bit signature | 8 x 32-bit index of unit | overflow bucket |
//   IPv4    | key 16 | rewrite 32 | state and count 16 |
//   IPv6    | key 40 | rewrite 8 | state and count 16 |   | rewrite 34 |
//
// One choice of bucket at most half full on average, so nothing is ever moved. A hit touches two
// cache lines, three with IPv6, a miss one.
//
// Concurrency:
//  1. One writer, the control thread. Readers are the workers; they take no lock and need no
//     version, since an entry or a slot never changes place.
//  2. Publication: the entry is written, then its index into a free slot (release), then the
//     signature (release). A reader compares signatures, then (acquire) reads index and entry.
//  3. Removal: the signature becomes 0. A reader that had seen it may go on with the entry until
//     it next reports a quiescent state (rte_rcu_qsbr); only then is the entry used again.
//  4. A slot is used again at once: a reader with the old signature then reads the new index,
//     whose entry is complete (2) and whose key differs, which is a miss.
//  5. Replacement stores the index of a new complete entry with the same key over the old one.
//  6. Workers write two things only: the count line's fields of entries they own ('owner', won by
//     one compare-and-swap for a flow's life), and 'state', a byte: to FLOW_CLOSING, which is
//     final, or by compare-and-swap, as all that control does with it: from FLOW_SAMPLE (set by
//     control) to FLOW_SAMPLED, and what audit.h says.
//  7. Overflow buckets are unlinked when they and all behind them are empty, and used again after
//     (3)'s wait.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_rcu_qsbr.h>

#include "dp_api.h"
#include "flow.h"
#include "nexthop.h"

enum {
	TABLE_SLOTS = 8,
	TABLE_NO_BUCKET = 0, // overflow bucket 0 is never used
};

// Lists of free units, and what table_cold.free says of a unit.
enum { TABLE_FREE_SINGLE, TABLE_FREE_PAIR, TABLE_FREE_NOT };

enum { TABLE_RETIRED_BUCKET = 1u << 31 }; // in 'retired': an overflow bucket

// What a packet is looked up by: the first two words for IPv4, all five for IPv6. The first word
// tells the families apart. No padding.
struct table_key {
	union {
		uint64_t word[5];
		struct {
			uint16_t sport_be;
			uint16_t dport_be;
			uint16_t iface; // iface.h
			uint8_t proto;
			uint8_t family; // NFO_IPV4 or NFO_IPV6
			union {
				struct {
					uint32_t src_be;
					uint32_t dst_be;
				} v4;
				struct {
					uint8_t src[16];
					uint8_t dst[16];
				} v6;
			};
		};
	};
};

enum flow_state {
	FLOW_FORWARD,
	FLOW_SAMPLED, // the same; what the kernel got of it was not seen to leave yet
	FLOW_SAMPLE,  // the next packet goes to the kernel, then it is FLOW_SAMPLED
	FLOW_HELD,    // everything goes to the kernel until control has found its route
	FLOW_CLOSING, // FIN or RST seen: everything goes to the kernel
};

struct table_entry {
	// control writes before publication, workers read
	union {
		struct table_key key; // of IPv4, the first 16 bytes
		struct {
			uint64_t key[2];
			uint32_t src_be; // from here on: after the rewrite
			uint32_t dst_be;
			uint16_t l3_delta;
			uint16_t l4_delta;
			uint32_t spare[3];
		} v4;
	};
	uint16_t sport_be;
	uint16_t dport_be;
	uint16_t mtu;
	uint16_t nexthop; // nexthop.h
	// workers write
	uint8_t state;      // enum flow_state
	uint8_t owner;      // worker + 1; 0: nobody yet
	uint16_t used_tick; // seconds, wraps
	uint32_t packets;   // wraps; dp_housekeep() folds it
	uint64_t bytes;
} __rte_aligned(64);

// The second unit of an IPv6 direction.
struct table_second {
	uint8_t src[16];
	uint8_t dst[16];
	uint16_t l4_delta;
	uint16_t spare[15];
} __rte_aligned(64);

// What table_add() copies.
struct table_content {
	struct table_entry entry;
	struct table_second v6;
};

static_assert(sizeof(struct table_key) == 40, "the key is compared as words");
static_assert(sizeof(struct table_entry) == 64, "an IPv4 direction is one cache line");
static_assert(sizeof(struct table_second) == 64, "an IPv6 direction is two cache lines");
static_assert(offsetof(struct table_entry, v4.src_be) == 16, "behind the key of IPv4");
static_assert(offsetof(struct table_entry, sport_be) == sizeof(struct table_key),
	"what both families have follows the longer key");
static_assert(offsetof(struct table_entry, state) == 48, "what workers write closes the line");

struct table_bucket {
	uint16_t sig[TABLE_SLOTS]; // 0: empty
	uint32_t idx[TABLE_SLOTS];
	uint32_t next; // in 'overflow', or TABLE_NO_BUCKET
	uint32_t pad[3];
} __rte_aligned(64);

static_assert(sizeof(struct table_bucket) == 64, "a bucket is one cache line");

// What control alone knows of a unit, but for 'sibling' and 'cookie', which a worker reads when
// a connection closes; both are written before publication, 'sibling' also when the second
// direction is added (a 32-bit store: the reader sees the old or the new).
struct table_cold {
	uint64_t packets; // folded so far
	uint64_t bytes;
	uint64_t bytes_seen; // of entry.bytes, at the last fold
	uint32_t packets_seen;
	uint32_t sibling;
	uint32_t cookie;
	uint32_t older; // the entry that this one replaced, until it is free; of free units: links
	uint32_t newer; // the entry that replaced this one
	bool used;      // false for the second unit of an IPv6 direction
	bool retired;
	uint8_t free; // TABLE_FREE_SINGLE and so on; of a pair, its first unit
};

// Packets of a flow that came to a worker other than its owner.
struct table_foreign {
	uint64_t packets;
	uint64_t bytes;
};

struct table {
	// workers read
	struct table_bucket *buckets;
	struct table_bucket *overflow;
	struct table_entry *entries;
	struct table_cold *cold;
	struct nexthops *nexthops;
	uint64_t bucket_mask;
	uint64_t secret[5]; // of the hash, so that nobody outside can aim at a bucket
	struct rte_rcu_qsbr *qsbr;
	// control only
	struct table_foreign **foreign; // [worker][entry]
	uint32_t n_workers;
	uint32_t n_entries;
	uint32_t n_overflow;
	uint32_t free_units[2]; // heads of the lists of single units and of pairs
	uint32_t *free_overflow; // a stack
	uint32_t n_free_overflow;
	uint32_t used; // units
	// retired entries and overflow buckets (with bit 31), oldest first: [tail, waiting) wait
	// for 'token', [waiting, head) have none yet
	uint32_t *retired;
	uint32_t retired_mask, retired_tail, retired_waiting, retired_head;
	uint64_t token;
};

// Room for 'max_units', an even number, and 'workers' readers. NULL with errno: ENOMEM, EINVAL.
struct table *table_create(uint32_t max_units, uint32_t workers);
void table_destroy(struct table *table);

// Returns 0, -EEXIST or -ENOSPC; '*idx' is the entry. 'content' is copied, its count fields zeroed;
// with 0 the reference to its next hop is the table's, which gives it back in the end.
int table_add(struct table *table, const struct table_content *content, uint32_t sibling,
	uint32_t cookie, uint32_t *idx);
// The key of 'content' must be that of '*idx'. -ENOSPC leaves the old one in place. The next hop as
// with table_add().
int table_replace(struct table *table, const struct table_content *content, uint32_t *idx);
void table_del(struct table *table, uint32_t idx);
// FLOW_FORWARD and FLOW_SAMPLED become FLOW_SAMPLE; another state stays.
enum dp_sample table_sample(struct table *table, uint32_t idx);
// To FLOW_HELD, and from there to FLOW_FORWARD; FLOW_CLOSING stays.
void table_hold(struct table *table, uint32_t idx);
void table_release(struct table *table, uint32_t idx);

// Control's own lookup; DP_FLOW_NONE if absent.
uint32_t table_find(const struct table *table, const struct table_key *key);

// Frees what all workers have passed; never waits.
void table_reclaim(struct table *table);
// Takes in the counters of entries [from, to) before a 32-bit one may wrap. 'closing' is called
// for each entry that a worker has set to FLOW_CLOSING.
void table_fold(struct table *table, uint32_t from, uint32_t to, void (*closing)(uint32_t cookie));
// Totals since table_add(), including what it replaced. 'seconds' is the tick of the last packet.
void table_counters(
	struct table *table, uint32_t idx, uint64_t *packets, uint64_t *bytes, uint16_t *tick);
void table_stats(const struct table *table, struct dp_table_stats *stats);
