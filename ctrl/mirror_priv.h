// SPDX-License-Identifier: GPL-2.0-or-later
// What mirror.c (the state of connections), offer.c (which connections conntrack offers), follow.c (what
// changes below them) and refresh.c (use: timeouts, idleness) share.
#pragma once

#include "conn.h"
#include "dp_api.h"
#include "hooks.h"
#include "loop.h"
#include "mirror.h"
#include "nft.h"
#include "resolve.h"
#include "routes.h"
#include "xfrm.h"

enum {
	FIRST_ROUND = 1,
	MIRROR_TICK_MS = 10,         // events of workers, retries
	MIRROR_TICKS_HOUSEKEEP = 10, // ticks between dp_housekeep()
	MIRROR_LOOK = 65536,         // connections looked at in a tick, after a change
	MIRROR_RESOLVE = 4096,       // of these, resolved again
	MIRROR_AUDITS = 64,          // differences looked into at a time
	MIRROR_REVIEW = 2048,        // routes asked for again in a tick
	MIRROR_FILTERS = 1 + 16,     // dumps of a round: the OFFLOAD bit, each stand-in's mark
};

// A difference that a worker saw, and what was expected then: an Ethernet header as in the event, by 'port'.
struct audit {
	struct dp_event event;
	struct nfo_tuple match; // of the direction: the slot may be another connection's by now
	uint64_t due_ns;
	uint8_t l2[sizeof(((struct dp_event *)NULL)->l2)];
	uint8_t l2_bytes;
	uint8_t port;
	uint8_t direction; // the entry may be replaced by now
};

struct mirror {
	struct mirror_conf conf;
	struct loop *loop;
	struct rtnl *rtnl;
	struct nft *nft;
	struct xfrm *xfrm;
	struct hooks *hooks;
	struct ct *ct; // NULL: no conntrack
	uint32_t nft_epoch;
	struct resolve_view view;
	struct routes *routes;
	struct conns conns;
	struct mirror_stats stats;
	struct loop_timer *tick, *dump, *scan;
	uint32_t generation; // changes of anything that resolve() looks at
	uint32_t upheaval;   // of these, those that may concern any connection
	uint32_t sweep;      // next slot to look at
	uint32_t swept;      // slots looked at since the last change
	bool sweep_again;    // some of them wait for routes
	uint64_t change_ns;  // when the change began that is not everywhere yet; 0: none
	unsigned int ticks;
	// dumps of conntrack
	uint32_t round; // counts completed rounds of dumps + 1
	struct ct_filter filter[MIRROR_FILTERS];
	unsigned int n_filters, next_filter;
	uint64_t round_start_ns, round_end_ns;
	bool dump_again; // messages were lost, or the one under way does not ask for all
	uint64_t lost_ns; // when that was last: an end may be among them
	// refresh.c
	uint32_t scan_next;
	uint32_t flow_tcp_s, flow_udp_s; // idle after so long
	uint64_t sample_ns;              // period of sampled packets
	bool ipv4_l4_hash; // net.ipv4.fib_multipath_hash_policy: next hops are chosen by more
			   // than addresses
	// audit.c, the oldest first
	struct audit audit[MIRROR_AUDITS];
	unsigned int n_audits;
	// mirror_view.c
	unsigned int group[NFO_MAX_PORTS]; // that each port receives for
	int bond[NFO_MAX_PORTS]; // ifindex of the bond with group NFO_MAX_PORTS + i; 0: free
};

// mirror.c
// Tries to put it into the dataplane, or to bring what is there up to date.
void mirror_resolve(struct mirror *m, uint32_t slot);
// Out of the dataplane, for 'reason'; it stays known.
void mirror_withdraw(struct mirror *m, uint32_t slot, enum nfo_reason reason);
// Out of the dataplane and forgotten.
void mirror_forget(struct mirror *m, uint32_t slot);
// Connections with these reasons look themselves for what changes; others wait to be offered again.
bool mirror_follows(enum nfo_reason reason);
// Of the answers that it depends on: another sum when one of them changed.
uint32_t mirror_versions(const struct mirror *m, const struct conn *c);
// Its packets are the workers' again, if they were held.
void mirror_release(struct conn *c);
// Of each direction, over all its times in the dataplane. 'counters' may be c->done.
void mirror_counters(const struct conn *c, struct nfo_counters counters[2]);
// When it was used last: its last packet here, or the start of its present state.
uint64_t mirror_used_ns(const struct conn *c, const struct nfo_counters counters[2]);

// follow.c
// Something changed that resolve() looks at, for any connection.
void follow_upheaval(struct mirror *m);
// nft's list changed.
void follow_flowtables(void *arg);
// The configuration's changed.
void follow_stand_ins(struct mirror *m);
void follow_tick(struct mirror *m);

// audit.c
// 'c' is in the dataplane from now on.
void audit_begin(struct mirror *m, struct conn *c);
// The next packet of each direction is the kernel's. Looks at what became of those before.
void audit_sample(struct mirror *m, uint32_t slot);
void audit_event(struct mirror *m, const struct dp_event *event);
void audit_tick(struct mirror *m);

// mirror_list.c: the neighbour's MAC address of today.
void mirror_set_mac(const struct mirror *m, struct nfo_flow *flow);

// mirror_view.c: what resolve() asks.
void mirror_view_init(struct mirror *m);
// The flowtable that may hold 'conn' between interfaces 'a' and 'b' (ifindexes). Conntrack does not
// tell which one does, so any that lists both, or what they stand upon, is taken for it. NULL if
// none does.
const struct nft_flowtable *mirror_flowtable_of(
	const struct mirror *m, const struct ct_conn *conn, int a, int b);
// Links changed: ports whose twins are active slaves of a bond receive as one. True if any port's
// group is another one than before.
bool mirror_sync_groups(struct mirror *m);
// 'link' may be NULL.
bool mirror_is_bond(const struct rtnl_link *link);

// offer.c
void offer_event(void *arg, enum ct_event event, const struct ct_conn *conn);
void offer_gone(void *arg, const struct nfo_tuple *orig, uint16_t zone);
// Starts a round of dumps if none is under way.
void offer_dump(void *arg);
// Likewise, if the last one was not too long ago for its length: listing millions takes its time.
void offer_dump_timed(void *arg);
// The stand-in whose mark selects 'conn', or NULL.
const struct nft_flowtable *offer_stand_in(const struct mirror *m, const struct ct_conn *conn);

// refresh.c: a timer of REFRESH_STEP_MS that walks all slots in REFRESH_PERIOD_MS.
enum { REFRESH_STEP_MS = 250, REFRESH_PERIOD_MS = 2500 };
void refresh_scan(void *arg);
// Asks conntrack whether it still has 'c'; if not, offer_gone() is called.
void refresh_check(struct mirror *m, struct conn *c);
void refresh_read_sysctls(struct mirror *m);
