// SPDX-License-Identifier: BSD-3-Clause
// A port's twin: the kernel network device that users configure, here a multi-queue tap, one queue
// for each worker. It is made persistent where the configuration says so, and then outlives the
// daemon with its addresses, routes and hooks.
//
// Threads: control opens and closes; twin_rx() and twin_tx() of a queue belong to its worker.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "flow.h"

enum { TWIN_MAX_QUEUES = 64 };

struct twin {
	char name[NFO_NAME_LEN];
	unsigned int n_queues;
	int fd[TWIN_MAX_QUEUES];
	struct rte_mbuf *spare[TWIN_MAX_QUEUES]; // the queue's: for its next packet
	struct rte_mempool *pool;
	int lock;     // held while open
	bool created; // the kernel device did not exist before
};

struct twin_conf {
	const char *name;
	const struct rte_ether_addr *mac;
	uint16_t mtu;
	unsigned int queues;
	bool persist;
	struct rte_mempool *pool; // its data room holds the longest frame
};

// Makes or takes over the kernel device. Returns 0, or -1 with words in 'err' and nothing left
// behind: a device of another kind has that name, another process uses it, no permission.
int twin_open(struct twin *twin, const struct twin_conf *conf, char *err, size_t err_size);
// 'keep': the device stays, as it is but for its carrier; else it goes. Closed or zeroed is legal.
void twin_close(struct twin *twin, bool keep);

// Up to 'n' frames that the kernel sends. A system call each, one more to find the end.
unsigned int twin_rx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
// Gives frames to the kernel and frees them. Returns how many it took; the others are lost.
unsigned int twin_tx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
