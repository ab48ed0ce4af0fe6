// SPDX-License-Identifier: BSD-3-Clause
// The dataplane as a whole: ports, table, workers. Control thread (the EAL main lcore) only.
#pragma once

#include "dp_api.h"
#include "port.h"
#include "table.h"
#include "worker.h"

struct dataplane {
	struct ports ports;
	struct table *table;
	struct worker *workers; // n_workers
	unsigned int n_workers;
	bool shared_lcore; // one worker, polled by the control thread itself
	bool launched;
	bool stop;
	struct rte_ring *events;
	uint64_t tick_start; // TSC
	uint64_t tick_cycles;
	uint32_t fold_next;
};

extern struct dataplane dp;

// Everything but the workers: flows may be added, twins exist. Returns 0, or -1 with one line in
// 'err'; then nothing is left behind. Lines that tell of the set-up go to 'say'.
int dp_start(
	const struct dp_conf *conf, void (*say)(const char *fmt, ...), char *err, size_t err_size);
// After dp_start(): workers begin to poll, so that what has to be there for the first packet comes
// before.
void dp_launch(void);
// Stops the workers, if they were launched, and the ports. 'keep_twins': persistent ones stay; otherwise what this run has
// made goes.
void dp_stop(bool keep_twins);
// With a single lcore the control thread polls in between; 1 if there was nothing to do.
int dp_poll_shared(void);

// tel.c: the endpoints of DPDK's telemetry socket.
void tel_register(void);
