// SPDX-License-Identifier: GPL-2.0-or-later
// DPDK for a unit test: no hugepages, no devices, no files.
#pragma once

#include <rte_eal.h>

static inline int eal_for_test(const char *memory_mb)
{
	char *args[] = {(char *)"test", (char *)"--no-huge", (char *)"--no-shconf",
		(char *)"--no-pci", (char *)"--no-telemetry", (char *)"--log-level=error",
		(char *)"-l", (char *)"0", (char *)"-m", (char *)memory_mb, NULL};

	return rte_eal_init(10, args);
}
