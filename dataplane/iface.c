// SPDX-License-Identifier: BSD-3-Clause
#include "iface.h"

#include <stdlib.h>

struct ifaces *ifaces_create(void)
{
	struct ifaces *ifaces = calloc(1, sizeof(*ifaces));

	if (ifaces == NULL)
		return NULL;
	ifaces->n = 1 + NFO_MAX_GROUPS;
	ifaces->node = calloc(IFACE_MAX, sizeof(*ifaces->node));
	if (ifaces->node != NULL)
		return ifaces;
	free(ifaces);
	return NULL;
}

void ifaces_destroy(struct ifaces *ifaces)
{
	if (ifaces == NULL)
		return;
	for (uint32_t i = 0; i < ifaces->n; i++)
		for (int tpid = 0; tpid < 2; tpid++)
			free(ifaces->node[i].behind[tpid]);
	free(ifaces->node);
	free(ifaces);
}

static uint16_t step(struct ifaces *ifaces, uint16_t iface, int tpid, uint16_t vid)
{
	uint16_t *table = ifaces->node[iface].behind[tpid];

	if (table == NULL) {
		table = calloc(IFACE_VIDS, sizeof(*table));
		if (table == NULL)
			return IFACE_NONE;
		__atomic_store_n(&ifaces->node[iface].behind[tpid], table, __ATOMIC_RELEASE);
	}
	if (table[vid] == IFACE_NONE && ifaces->n < IFACE_MAX)
		__atomic_store_n(&table[vid], (uint16_t)ifaces->n++, __ATOMIC_RELEASE);
	return table[vid];
}

uint16_t iface_get(
	struct ifaces *ifaces, uint16_t group, const struct nfo_vlan vlan[NFO_MAX_VLANS])
{
	uint16_t iface = iface_of_group(group);

	for (unsigned int i = 0; i < NFO_MAX_VLANS && vlan[i].tpid_be != 0; i++) {
		if (iface != IFACE_NONE)
			iface = step(ifaces, iface, iface_tpid(vlan[i].tpid_be), vlan[i].vid);
	}
	return iface;
}
