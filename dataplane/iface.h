// SPDX-License-Identifier: BSD-3-Clause
// Logical ingress interfaces: a port, or a group of ports that receive as one, and the VLAN tags
// that a frame came in behind, as one number. It is to a flow's key what the ifindex is to the
// kernel's: the number of a VLAN interface, or of a device and its tags.
//
// A node has, for each of the two TPIDs, a table from VLAN number to the node behind the tag; there
// is one as soon as a flow needs it.
//
// Threads: control makes nodes, workers walk them. A table and a node are complete before they are
// published by one store (release), and stay as long as the daemon runs, so that readers need
// nothing. A number is never used again for another meaning.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

#include "flow.h"

enum {
	IFACE_NONE = 0, // nothing is known behind these tags
	IFACE_VIDS = 4096,
	IFACE_MAX = 65536,
};

struct iface {
	uint16_t *behind[2]; // by TPID (iface_tpid()): IFACE_VIDS numbers, or NULL
};

struct ifaces {
	struct iface *node; // IFACE_MAX, untouched pages beyond 'n'
	uint32_t n;
};

// NULL with errno ENOMEM.
struct ifaces *ifaces_create(void);
void ifaces_destroy(struct ifaces *ifaces);

// The number for untagged frames of a group.
static inline uint16_t iface_of_group(uint16_t group)
{
	return (uint16_t)(group + 1);
}

// The number behind 'group' and the tags, outermost first, made if need be. IFACE_NONE without
// memory, or when all numbers are taken. Control only.
uint16_t iface_get(
	struct ifaces *ifaces, uint16_t group, const struct nfo_vlan vlan[NFO_MAX_VLANS]);

// 0 for 802.1Q, 1 for 802.1ad, -1 for an EtherType that is no tag.
static inline int iface_tpid(uint16_t type_be)
{
	if (type_be == RTE_BE16(RTE_ETHER_TYPE_VLAN))
		return 0;
	return type_be == RTE_BE16(RTE_ETHER_TYPE_QINQ) ? 1 : -1;
}

// From 'iface' behind a tag of that TPID and a VLAN of 1 to 4095.
static inline uint16_t iface_behind(
	const struct ifaces *ifaces, uint16_t iface, int tpid, uint16_t vid)
{
	const uint16_t *table = __atomic_load_n(&ifaces->node[iface].behind[tpid], __ATOMIC_ACQUIRE);

	return table != NULL ? __atomic_load_n(&table[vid], __ATOMIC_RELAXED) : IFACE_NONE;
}
