// SPDX-License-Identifier: GPL-2.0-or-later
// The connections that the mirror knows: slots that never move, found by zone and original tuple.
// Control thread only. O(1) add, find, delete; memory for 'max' is reserved, touched as used.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ct.h"
#include "flow.h"

enum { CONN_NONE = UINT32_MAX };

struct conn {
	struct ct_conn ct;
	struct nfo_flow dir[2];      // while 'has_path'
	int dev[2];                  // likewise: ifindex where originals come in and leave
	uint32_t idx[2];             // in the dataplane, while 'reason' is NFO_R_OFFLOADED
	struct nfo_counters done[2]; // of earlier times in the dataplane
	uint64_t since_ns;           // in its present state
	uint64_t hold_ns;            // when it left the dataplane; 0: nothing is to be waited for
	uint64_t refreshed_ns;       // refresh.c
	uint64_t packets_seen;       // at that time
	uint64_t listed_ns;          // when a dump held it last, or conntrack was asked for it
	uint32_t answer[2];          // routes.h, of each direction; a reference to each
	uint32_t versions;           // of both, added up, when it was resolved last
	uint32_t generation;         // of the mirror, likewise
	uint32_t upheaval;           // likewise
	uint32_t round;              // of dumps, when conntrack last offered it
	uint32_t next;               // in its chain, or of free slots
	uint8_t reason;              // enum nfo_reason
	uint8_t unseen[2];           // samples of each direction that did not leave, in a row
	uint8_t doubts;              // audits in a row that it failed, at most DOUBTS_MAX (audit.c)
	bool used;
	bool has_path;
	bool held;    // both directions are held in the dataplane
	bool liberal; // IP_CT_TCP_FLAG_BE_LIBERAL was asked for
};

struct conns {
	struct conn *slot;
	uint32_t *chain; // heads by hash
	uint32_t max;
	uint32_t chain_mask;
	uint32_t free_head;
	uint32_t top; // slots never used start here
	uint32_t n;
	uint64_t secret;
};

// 0 or -ENOMEM.
int conns_init(struct conns *conns, uint32_t max);
void conns_fini(struct conns *conns);

// CONN_NONE if absent.
uint32_t conns_find(const struct conns *conns, const struct nfo_tuple *orig, uint16_t zone);
// The connection is not in it yet. CONN_NONE when full.
uint32_t conns_add(struct conns *conns, const struct ct_conn *ct);
void conns_del(struct conns *conns, uint32_t slot);
