// SPDX-License-Identifier: GPL-2.0-or-later
// Answers to route queries, kept until a change may concern them, so that a thousand connections to one
// destination cost one query, and a change concerns those only that it is about. Control thread only.
//
// An answer is asked for again (it is *in doubt* until then) when a route to its destination is added,
// changed or removed, its interface changes, rules or next hops change, and now and then without a
// reason, since not every change is told. If it is another one then, its version changes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "rtnl.h"

struct routes;

enum { ROUTES_NONE = 0 }; // the number of no answer

// At most 'max' answers are kept. NULL with errno.
struct routes *routes_create(struct rtnl *rtnl, uint32_t max);
void routes_destroy(struct routes *routes);

// As rtnl_route_get(); 'route->answer' is the answer's number, or ROUTES_NONE if it is not kept: an
// error, or one too many. Source, protocol and ports are looked at only if routes or rules do.
int routes_get(
	struct routes *routes, const struct rtnl_route_key *key, struct rtnl_route *route);
// As rtnl_route_multipath().
int routes_multipath(struct routes *routes, const struct rtnl_route_key *key);

// While it has a reference, an answer keeps its number. ROUTES_NONE is legal everywhere.
void routes_ref(struct routes *routes, uint32_t answer);
void routes_unref(struct routes *routes, uint32_t answer);
uint32_t routes_version(const struct routes *routes, uint32_t answer);
bool routes_in_doubt(const struct routes *routes, uint32_t answer);

// What changed. Answers come into doubt at the next routes_review().
void routes_changed(struct routes *routes, const struct rtnl_prefix *prefix);
void routes_all_changed(struct routes *routes);
// The same answer is no longer the same way: another version.
void routes_link_changed(struct routes *routes, int ifindex);
// Another version for those that lead to this neighbour.
void routes_neigh_changed(struct routes *routes, const struct rtnl_neigh *neigh);
// One answer, for whoever has seen that it is wrong.
void routes_doubt(struct routes *routes, uint32_t answer);

// Asks again for at most 'budget' answers in doubt. Returns how many are left; '*changed' tells whether
// versions have changed since the last call.
uint32_t routes_review(struct routes *routes, unsigned int budget, bool *changed);
// To be called REFRESH_STEP_MS apart: forgets answers that nobody needs, and doubts some old ones.
void routes_age(struct routes *routes);

struct routes_stats {
	uint32_t answers, in_doubt;
	uint64_t asked; // of the kernel
	uint64_t found; // here
};

void routes_stats(const struct routes *routes, struct routes_stats *stats);
