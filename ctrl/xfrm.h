// SPDX-License-Identifier: GPL-2.0-or-later
// Does the kernel have IPsec policies for what it sends or forwards? A route query does not tell
// that one applies, and a packet forwarded past it would leave in clear. Control thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct nlmsghdr;
struct xfrm;

// Reads the policies and follows them; 'changed' is called from the loop when xfrm_policies() has
// changed. A kernel without XFRM has none. NULL with errno set.
struct xfrm *xfrm_create(struct loop *loop, void (*changed)(void *arg), void *arg);
void xfrm_destroy(struct xfrm *xfrm);
bool xfrm_policies(const struct xfrm *xfrm);
uint64_t xfrm_overruns(const struct xfrm *xfrm); // times that the kernel lost events

// True if one XFRM_MSG_NEWPOLICY concerns packets that are sent or forwarded.
bool xfrm_decode_policy(const struct nlmsghdr *nlh);
