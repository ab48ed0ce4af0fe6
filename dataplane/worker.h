// SPDX-License-Identifier: BSD-3-Clause
// Workers: poll-mode threads that forward what the flow table knows and carry the rest between
// wire and twin. A worker shares with others only what it reads; everything it writes is its own,
// but for what table.h (6) names.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dp_api.h"
#include "port.h"
#include "punt.h"
#include "table.h"

enum {
	WORKER_BURST = 32,  // packets asked of one queue
	WORKER_VECTOR = 64, // packets looked up together, of several queues
	WORKER_MAX_QUEUES = 64,
	WORKER_HOUSEKEEP = 256, // polls between reports of a quiescent state
};

struct worker_queue {
	uint16_t ethdev;
	uint16_t queue;
	uint16_t port; // index of ours
};

struct worker_tx {
	uint16_t n;
	struct rte_mbuf *packets[WORKER_VECTOR];
};

// Counters of one port, of one worker.
struct worker_port {
	uint64_t offloaded_packets, offloaded_bytes;
	uint64_t punted_packets, injected_packets;
	uint64_t tx_dropped, twin_dropped;
	uint64_t punted[DP_N_PUNT_CLASSES], limited[DP_N_PUNT_CLASSES];
};

struct worker {
	// read only while running
	unsigned int id;
	unsigned int lcore;
	struct table *table;
	struct ports *ports;
	struct rte_ring *events; // of struct dp_event; many producers, control takes
	const bool *stop;
	unsigned int n_wire;
	struct worker_queue wire[WORKER_MAX_QUEUES];
	uint64_t tick_cycles; // TSC cycles of a second
	uint64_t tick_start;
	uint64_t idle_sleep_us; // control may change it
	uint64_t twin_cycles; // between looks at twins that have nothing
	// the worker writes, control reads
	uint16_t tick __rte_cache_aligned; // seconds since tick_start, wraps
	uint64_t busy_polls, idle_polls, packets, offloaded, busy_cycles, events_lost;
	uint64_t punts[NFO_N_PUNTS];
	struct worker_port count[NFO_MAX_PORTS];
	// the worker's own
	unsigned int until_housekeep;
	unsigned int idle_streak;
	uint64_t twin_due; // TSC of the next look
	struct worker_tx to_wire[NFO_MAX_PORTS];
	struct worker_tx to_twin[NFO_MAX_PORTS];
	uint64_t control[NFO_MAX_PORTS]; // which of to_twin's packets are control, a bit each
	uint64_t samples[NFO_MAX_PORTS]; // likewise, samples
	struct punt_bucket bucket[NFO_MAX_PORTS][DP_N_PUNT_CLASSES];
} __rte_cache_aligned;

// One round over all queues. Returns the number of packets handled.
unsigned int worker_poll(struct worker *w);
// Joins and leaves the table's readers; worker_poll() is legal in between.
void worker_online(struct worker *w);
void worker_offline(struct worker *w);
// The thread of an lcore: online, poll until '*stop', offline. 'arg' is the worker.
int worker_main(void *arg);
// A pause that grows with the time without packets, up to idle_sleep_us.
void worker_idle(struct worker *w);

// pipeline.c: looks up and rewrites 'n' packets of the wire (at most WORKER_VECTOR) and puts each
// into a transmit buffer; 'in_port' tells where each came from.
void pipeline_burst(
	struct worker *w, struct rte_mbuf **packets, const uint16_t *in_port, unsigned int n);

// There is room: buffers are sent after each vector.
static inline void worker_put(struct worker_tx *tx, struct rte_mbuf *m)
{
	tx->packets[tx->n++] = m;
}
