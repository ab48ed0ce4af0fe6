// SPDX-License-Identifier: GPL-2.0-or-later
// Recorded netlink messages (recorded/*.h) and what tests do with them.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#define RECORDED_ALIGNED __attribute__((aligned(4)))

struct recorded {
	const char *name;
	const uint8_t *data;
	size_t bytes;
};

// The first 'bytes' of a message as one of that length, in memory that ends there, so that the
// address sanitizer sees what reads beyond. To be freed.
static inline struct nlmsghdr *recorded_cut(const struct recorded *r, size_t bytes)
{
	struct nlmsghdr *nlh = malloc(bytes);

	if (!nlh)
		abort();
	memcpy(nlh, r->data, bytes);
	nlh->nlmsg_len = (uint32_t)bytes;
	return nlh;
}

#define recorded_msg(array) ((const struct nlmsghdr *)(array))
