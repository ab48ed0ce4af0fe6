// SPDX-License-Identifier: GPL-2.0-or-later
// Wrong set-ups (diag.h), looked for every few seconds: much of what they depend on (sysctls,
// addresses, counts) sends no event, and a set-up under change is wrong for moments. One that lasts
// is logged once, with what to do, and once more when it is gone. Control thread only.
#pragma once

#include "diag.h"

struct loop;
struct mirror;
struct problems;
struct rtnl;

// A problem that lasts so long is logged; at start that leaves time to configure the twins.
enum { PROBLEMS_PERIOD_MS = 2000, PROBLEMS_SETTLE_MS = 10000 };

// NULL with errno.
struct problems *problems_create(
	struct loop *loop, const struct rtnl *rtnl, const struct mirror *mirror);
void problems_destroy(struct problems *problems); // NULL is legal
// Those of this moment, logged or not; none for NULL.
void problems_find(const struct problems *problems, struct diag *diag);
