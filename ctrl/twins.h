// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps each port and its twin alike: the port's link state becomes the twin's carrier; MTU and
// MAC address that a user gives the twin become the port's, or are given back if the port refuses.
// Control thread only.
#pragma once

#include "rtnl.h"

struct loop;
struct twins;

// For all ports of the dataplane. NULL with errno.
struct twins *twins_create(struct loop *loop, struct rtnl *rtnl);
void twins_destroy(struct twins *twins);
// A link changed; others than twins are ignored.
void twins_link_changed(struct twins *twins, const struct rtnl_link *link);
