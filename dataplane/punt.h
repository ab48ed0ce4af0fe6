// SPDX-License-Identifier: BSD-3-Clause
// Which packets the kernel must have even while a flood goes to it: three classes, told by a
// frame's bytes, each with a token bucket.
//
//   control  what keeps neighbours, links and routes alive: ARP, ND, MLD, IGMP, DHCP, LACP, LLDP,
//   STP,
//            EAPOL, PPPoE's discovery and sessions' control, and routing protocols
//   new      what may begin or end a connection: SYN, FIN, RST, and what has no flow but is no TCP
//   rest     everything else, such as TCP connections and ICMP that the kernel forwards
//
// Nobody proves that a packet is what it looks like, so that each class has a limit of its own.
//
// Threads: punt_classify() is pure. A bucket belongs to one worker: a port's rate is divided by the
// number of workers, and no two of them write to the same place. Control writes 'cost' and 'depth' of a
// bucket in use, each in one store: a packet between the two is judged by a mixture of both rates.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "dp_api.h"

// By what lies in the first segment; a truncated frame is of the class that its visible part has.
enum dp_punt_class punt_classify(const struct rte_mbuf *m, enum nfo_punt reason);

// Times are cycles of the TSC. Zeroed: no limit.
struct punt_bucket {
	uint64_t cost;  // between packets at the full rate; 0: no limit
	uint64_t depth; // how far 'due' may be ahead of now
	uint64_t due;   // when all that was let through is paid for
};

// 'pps' packets a second shared by 'workers' buckets, 0 for no limit. A bucket takes a tenth of a
// second's packets at once, and no fewer than PUNT_MIN_BURST.
enum { PUNT_MIN_BURST = 64 };
// Another rate for a bucket that may be in use.
void punt_bucket_set(struct punt_bucket *bucket, uint32_t pps, unsigned int workers, uint64_t hz);
void punt_bucket_init(struct punt_bucket *bucket, uint32_t pps, unsigned int workers, uint64_t hz);

// May a packet pass now? Time that went by is worth at most a full bucket. Differences are what
// counts, so that the TSC may wrap.
static inline bool punt_bucket_take(struct punt_bucket *b, uint64_t now)
{
	const uint64_t cost = __atomic_load_n(&b->cost, __ATOMIC_RELAXED);
	const uint64_t depth = __atomic_load_n(&b->depth, __ATOMIC_RELAXED);
	const int64_t ahead = (int64_t)(b->due - now);

	if (likely(cost == 0))
		return true;
	if (unlikely(ahead > (int64_t)depth)) {
		if (ahead > (int64_t)(depth + cost)) // by an earlier, lower rate
			b->due = now + depth + cost;
		return false;
	}
	b->due = (ahead > 0 ? b->due : now) + cost;
	return true;
}
