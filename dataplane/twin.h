// SPDX-License-Identifier: BSD-3-Clause
// A port's twin: the kernel network device that users configure, a multi-queue tap with one queue
// for each worker. It is made persistent where the configuration says so, and then outlives the
// daemon with its addresses, routes and hooks. The kind is how frames go there and back:
//
//   tap          a system call for each frame
//   virtio-user  rings shared with the kernel's vhost-net, a pair for each queue. The kernel leaves
//                checksums and the cutting of long TCP packets to us (gso.h) and merges what it
//                gets; what comes out of twin_rx() is complete in any case.
//
// The device is the same for both kinds, so either takes over what the other has left.
//
// Threads: control opens and closes while no worker runs; twin_rx() and twin_tx() of a queue belong
// to its worker, and touch nothing but what is the queue's own: its descriptor, its rings, its
// spare buffer. vhost-net's side of a ring is a thread of the kernel; twin_virtio.c has the order
// of loads and stores.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "dp_api.h"

enum {
	TWIN_MAX_QUEUES = 64,
	TWIN_RING = 512, // descriptors of a ring to or from vhost-net
};

struct twin_ring; // twin_virtio.c: the pair of rings of a queue

struct twin {
	char name[NFO_NAME_LEN];
	enum dp_twin kind;
	char why[64]; // of DP_TWIN_AUTO: why it is no better one; "" for the best
	unsigned int n_queues;
	int fd[TWIN_MAX_QUEUES];
	struct rte_mbuf *spare[TWIN_MAX_QUEUES]; // of a tap's queue: for its next packet
	struct twin_ring *ring[TWIN_MAX_QUEUES];
	struct rte_mempool *pool;
	int lock;     // held while open
	bool created; // the kernel device did not exist before
};

struct twin_conf {
	const char *name;
	enum dp_twin kind;
	const struct rte_ether_addr *mac;
	uint16_t mtu;
	unsigned int queues;
	bool persist;
	struct rte_mempool *pool; // its data room holds the longest frame
};

// Whether twins of that kind can be had here; if not, 'why' has some words.
bool twin_possible(enum dp_twin kind, char *why, size_t why_size);

// Makes or takes over the kernel device. Returns 0, or -1 with words in 'err' and nothing left
// behind: a device of another kind has that name, another process uses it, no permission.
int twin_open(struct twin *twin, const struct twin_conf *conf, char *err, size_t err_size);
// 'keep': the device stays, as it is but for its carrier; else it goes. Closed or zeroed is legal.
void twin_close(struct twin *twin, bool keep);
// The word of config.ini.
const char *twin_word(enum dp_twin kind);

// Up to 'n' frames that the kernel sends, each as it has to be on the wire. Of a tap a system call
// each, one more to find the end.
unsigned int twin_rx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
// How many frames of one buffer twin_tx() would take now; a tap does not tell, and says UINT_MAX.
unsigned int twin_room(struct twin *twin, unsigned int queue);
// Gives frames to the kernel and frees them. Returns how many it took; the others are lost.
unsigned int twin_tx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n);
