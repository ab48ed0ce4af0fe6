// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror: connections that the kernel offers (or a [flowtable] of config.ini selects), what
// became of each, and the two directions installed in the dataplane. Invariant: a flow is in the
// dataplane's table only while the kernel accepts it. Control thread only.
//
// Life of a connection here:
//   offered (conntrack event or dump) -> resolved (resolve.h) -> installed, or kept with a reason
//   and tried again when what it lacked may have changed -> removed when conntrack ends it, when a
//   worker sees FIN/RST, when it is idle, or when its flowtable, route, neighbour or link goes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ct.h"
#include "flow.h"
#include "nft.h"
#include "rtnl.h"

struct loop;
struct mirror;

struct mirror_conf {
	uint32_t max_connections;
	uint32_t dump_interval_ms;
	uint32_t tcp_idle_s, udp_idle_s;	 // 0: the kernel's nf_flowtable_*_timeout
	const struct nft_flowtable *stand_in;	 // [flowtable]s of config.ini
	unsigned int n_stand_in;
	unsigned int n_ports;
	char port[NFO_MAX_PORTS][NFO_NAME_LEN];	 // index = the dataplane's port index
};

// A copy of one connection for listings.
struct mirror_flow {
	struct ct_conn conn;
	enum nfo_reason reason; // NFO_R_OFFLOADED: both directions are in the dataplane
	char table[NFT_NAME_LEN], flowtable[NFT_NAME_LEN]; // "" while none applies
	bool has_path; // 'dir' is meaningful
	struct nfo_flow dir[2];
	struct nfo_counters counters[2]; // zero unless installed
	uint64_t age_ns;  // since it is in its present state
	uint64_t idle_ns; // since its last packet here, or since it was installed
};

struct mirror_stats {
	uint64_t offered, installed, replaced, removed, ended, closed, idled, refreshed;
	uint32_t connections;
	uint32_t by_reason[NFO_N_REASONS];
};

struct mirror *mirror_create(struct loop *loop, const struct mirror_conf *conf);
void mirror_destroy(struct mirror *mirror);

// Slots are 0..mirror_slots()-1; mirror_get() returns false for an empty one. A listing walks the
// slots and may be interrupted between any two.
uint32_t mirror_slots(const struct mirror *mirror);
bool mirror_get(const struct mirror *mirror, uint32_t slot, struct mirror_flow *flow);
void mirror_stats(const struct mirror *mirror, struct mirror_stats *stats);

// All flowtables: the kernel's and the stand-ins.
unsigned int mirror_flowtables(const struct mirror *mirror);
const struct nft_flowtable *mirror_flowtable(const struct mirror *mirror, unsigned int i);
const char *mirror_nft_unsupported(const struct mirror *mirror);
void mirror_ct_stats(const struct mirror *mirror, struct ct_stats *stats);
const struct rtnl *mirror_rtnl(const struct mirror *mirror);
