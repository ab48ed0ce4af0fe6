// SPDX-License-Identifier: BSD-3-Clause
// Between twin.c, which has the device, and the files of its kinds, which move frames. Contracts as
// in twin.h.
#pragma once

#include "twin.h"

unsigned int twin_tap_rx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
unsigned int twin_tap_tx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);

// False, with errno and nothing left behind, when vhost-net cannot be had.
bool twin_virtio_possible(void);
// Puts rings to vhost-net on the device's queue. Returns 0, or -1 with errno and nothing changed.
int twin_virtio_open(struct twin *twin, unsigned int queue);
void twin_virtio_close(struct twin *twin, unsigned int queue);
unsigned int twin_virtio_rx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
unsigned int twin_virtio_room(struct twin *twin, unsigned int queue);
unsigned int twin_virtio_tx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
