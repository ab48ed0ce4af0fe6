// SPDX-License-Identifier: BSD-3-Clause
// A port's twin: the kernel network device that users configure, and the DPDK device through which
// workers reach it. Kind 'tap' is DPDK's net_tap on a tap that is made here, so that it can outlive
// the daemon with its addresses, routes and hooks. Control thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>

enum { TWIN_MAX_QUEUES = 16 }; // of net_tap

struct twin {
	uint16_t ethdev;
	bool created; // the kernel device did not exist before
	bool was_up;
};

// Makes or takes over the kernel device 'name'. Returns 0 or -1 with words in 'err': a device of
// another kind has that name, another process uses it, no permission.
int twin_open(const char *name, unsigned int index, const struct rte_ether_addr *mac,
	struct twin *twin, char *err, size_t err_size);
// After rte_eth_dev_start(), which sets the device up: as the user had it.
void twin_restore_flags(const char *name, const struct twin *twin);
// Makes a persistent device go when its last user closes it.
void twin_unpersist(const char *name);
