// SPDX-License-Identifier: GPL-2.0-or-later
// The links and neighbours that rtnl.c mirrors. Plain memory, no netlink here. A pointer from a
// _find() is good until the table is changed.
//
// To find out what vanished: _unsee(), _put() each entry that exists, then _take_unseen() until it
// returns false.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "rtnl.h"

// Sorted by ifindex.
struct link_table {
	struct link_entry *list;
	unsigned int n, size;
};

// Open addressing with linear probing; at most half full.
struct neigh_table {
	struct neigh_entry *slots;
	uint32_t n, mask; // mask is 0 as long as there are no slots
	uint32_t seed;
	uint32_t cursor; // of neigh_table_take_unseen()
};

enum table_put { TABLE_SAME, TABLE_NEW, TABLE_CHANGED };

// An enum table_put, or -ENOMEM.
int link_table_put(struct link_table *t, const struct rtnl_link *link);
bool link_table_take(struct link_table *t, int ifindex, struct rtnl_link *was);
const struct rtnl_link *link_table_find(const struct link_table *t, int ifindex);
// The one with the least ifindex above 'after', or NULL.
const struct rtnl_link *link_table_next(const struct link_table *t, int after);
const struct rtnl_link *link_table_find_name(const struct link_table *t, const char *name);
void link_table_unsee(struct link_table *t);
bool link_table_take_unseen(struct link_table *t, struct rtnl_link *was);
void link_table_fini(struct link_table *t);

// Likewise; '*was_valid' tells of the entry before (false for a new one).
int neigh_table_put(struct neigh_table *t, const struct rtnl_neigh *neigh, bool *was_valid);
bool neigh_table_take(struct neigh_table *t, const struct rtnl_neigh *key, struct rtnl_neigh *was);
const struct rtnl_neigh *neigh_table_find(
	const struct neigh_table *t, int ifindex, uint8_t family, const union nfo_addr *addr);
void neigh_table_unsee(struct neigh_table *t);
bool neigh_table_take_unseen(struct neigh_table *t, struct rtnl_neigh *was);
void neigh_table_fini(struct neigh_table *t);
