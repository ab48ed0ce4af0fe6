// SPDX-License-Identifier: GPL-2.0-or-later
// Looks for connections in conntrack by what a user knows of their ends. Control thread only.
#pragma once

#include <stdbool.h>

#include "ct.h"
#include "flow.h"

struct ct_find;

// One or both ends of a packet of the connection, in either direction, before or after NAT.
struct ct_match {
	struct nfo_tuple tuple; // unknown members are zero
	bool has_sport, has_dst, has_dport; // GRE has no ports
	uint16_t zone;
};

// Is 'conn' such a connection? Pure.
bool ct_match(const struct ct_match *match, const struct ct_conn *conn);

// Asks the kernel for the entry if both ends are whole, for all entries otherwise. NULL with errno:
// EPROTONOSUPPORT without conntrack.
struct ct_find *ct_find_create(const struct ct_match *match);
void ct_find_destroy(struct ct_find *find); // NULL is legal
// 1 with the next connection, 0 if there was none so far (of a part of a long list: call again, in
// another turn), -ENOENT at the end, or another negative errno.
int ct_find_next(struct ct_find *find, struct ct_conn *conn);
