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
#include "routes.h"
#include "rtnl.h"

struct loop;
struct mirror;
struct why;

struct mirror_conf {
	uint32_t max_connections;
	uint32_t dump_interval_ms;
	uint32_t tcp_idle_s, udp_idle_s;      // 0: the kernel's nf_flowtable_*_timeout
	const struct nft_flowtable *stand_in; // [flowtable]s of config.ini
	unsigned int n_stand_in;
	unsigned int n_ports;
	bool no_sources; // nothing is offered: the dataplane's flows are somebody else's
	char port[NFO_MAX_PORTS][NFO_NAME_LEN]; // index = the dataplane's port index
};

// A copy of one connection for listings.
struct mirror_flow {
	struct ct_conn conn;
	enum nfo_reason reason; // NFO_R_OFFLOADED: both directions are in the dataplane
	const struct nft_flowtable *flowtable; // NULL while none applies; good for this turn only
	bool has_path;                         // 'dir', 'in' and 'out' are meaningful
	struct nfo_flow dir[2];
	char in[NFO_NAME_LEN]; // interfaces by which originals come in and leave; "" if gone
	char out[NFO_NAME_LEN];
	struct nfo_counters counters[2]; // zero unless installed
	uint64_t age_ns;                 // since it is in its present state
	uint64_t idle_ns;                // since its last packet here, or since it was installed
};

struct mirror_stats {
	uint64_t offered;   // connections taken up
	uint64_t installed; // into the dataplane, and what took them out again:
	uint64_t replaced;  // path changed, still forwarded
	uint64_t ended;     // conntrack ended it
	uint64_t closed;    // FIN or RST
	uint64_t idled;     // no packets for the flowtable's timeout
	uint64_t held;      // times that one was given to the kernel while its route was looked up
	uint64_t withdrawn; // its flowtable, route, neighbour or link went
	uint64_t sampled;   // times that a flow's next packets were asked to take the kernel's way
	uint64_t differed;  // times that the kernel sent one otherwise than the workers
	uint64_t corrected; // of these, those that the workers then sent as the kernel does
	uint64_t unseen;    // samples that the kernel got and did not send
	uint64_t refused;   // no room to even note it
	uint64_t rtnl_overruns, nft_overruns, xfrm_overruns, hooks_overruns;
	uint32_t connections;
	uint32_t settle_ms; // from the last change until every flow had followed it
	uint32_t by_reason[NFO_N_REASONS];
};

// 'rtnl' stays the caller's; it reports changes by mirror_rtnl_changed(). Conntrack or nf_tables
// missing is no error: there is nothing to mirror then, and the log says so. NULL with errno else.
struct mirror *mirror_create(struct loop *loop, struct rtnl *rtnl, const struct mirror_conf *conf);
// Takes all its flows out of the dataplane.
void mirror_destroy(struct mirror *mirror);
// What of 'conf' may change while it runs: intervals, idle times and stand-ins, whose memory may have been
// written anew. If they are others, flows whose stand-in no longer lists their interfaces leave.
void mirror_configure(struct mirror *mirror, const struct mirror_conf *conf, bool other_stand_ins);
void mirror_rtnl_changed(struct mirror *mirror, const struct rtnl_event *event);

// Slots are 0..mirror_slots()-1; mirror_get() returns false for an empty one. A listing walks the
// slots and may be interrupted between any two.
uint32_t mirror_slots(const struct mirror *mirror);
bool mirror_get(const struct mirror *mirror, uint32_t slot, struct mirror_flow *flow);
void mirror_stats(const struct mirror *mirror, struct mirror_stats *stats);

// Why 'conn', as conntrack has it now, is forwarded by the workers or not (why.h). 'flow' is as by
// mirror_get(); if the mirror does not know the connection: it has no path and no counters, and false
// is returned.
bool mirror_why(const struct mirror *mirror, const struct ct_conn *conn, struct mirror_flow *flow,
	struct why *why);

const char *mirror_twin(const struct mirror *mirror, unsigned int port); // its name, or NULL
// Does the flowtable list the interface, or one that it stands upon?
bool mirror_lists(const struct mirror *mirror, const struct nft_flowtable *ft, int ifindex);
// True if IPsec policies keep everything with the kernel.
bool mirror_ipsec(const struct mirror *mirror);

// All flowtables: the kernel's and the stand-ins.
unsigned int mirror_flowtables(const struct mirror *mirror);
const struct nft_flowtable *mirror_flowtable(const struct mirror *mirror, unsigned int i);
const char *mirror_nft_unsupported(const struct mirror *mirror);
void mirror_routes_stats(const struct mirror *mirror, struct routes_stats *stats);
// False when conntrack is not there.
bool mirror_ct_stats(const struct mirror *mirror, struct ct_stats *stats);
