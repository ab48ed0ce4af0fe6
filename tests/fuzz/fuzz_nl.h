// SPDX-License-Identifier: GPL-2.0-or-later
// The input of a fuzz target as the kernel's messages: a buffer walked as nl.c walks a datagram.
// Seeds: tests/unit/nlrecord.py --seeds DIR tests/unit/recorded/NAME.h
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The copy is aligned, and ends where the input ends. A first message that is longer is walked again
// as one that ends there, so that attributes are cut at every place.
static inline void fuzz_messages(const uint8_t *data, size_t size, nl_fn fn)
{
	struct nlmsghdr *copy = malloc(size ? size : 1);

	if (!copy)
		return;
	memcpy(copy, data, size);
	nl_walk(copy, size, fn, NULL);
	if (size >= sizeof(*copy) && copy->nlmsg_len > size) {
		copy->nlmsg_len = (uint32_t)size;
		nl_walk(copy, size, fn, NULL);
	}
	free(copy);
}
