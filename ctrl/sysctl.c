// SPDX-License-Identifier: GPL-2.0-or-later
#include "sysctl.h"

#include <stdio.h>

uint32_t sysctl_net(const char *name, uint32_t otherwise)
{
	char path[128];
	unsigned int value;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	f = fopen(path, "re");
	if (f == NULL)
		return otherwise;
	n = fscanf(f, "%u", &value);
	fclose(f);
	return n == 1 ? value : otherwise;
}
