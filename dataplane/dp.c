// SPDX-License-Identifier: BSD-3-Clause
#include "dp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

enum { EVENTS = 16384, TWIN_LOOK_US = 20 };

struct dataplane dp;

static void worker_init(
	struct worker *w, unsigned int id, unsigned int lcore, const struct dp_conf *conf)
{
	*w = (struct worker){
		.id = id,
		.lcore = lcore,
		.table = dp.table,
		.ports = &dp.ports,
		.events = dp.events,
		.stop = &dp.stop,
		.tick_cycles = dp.tick_cycles,
		.tick_start = dp.tick_start,
		.idle_sleep_us = conf->idle_sleep_us,
		.twin_cycles = dp.tick_cycles / 1000000 * TWIN_LOOK_US,
		.until_housekeep = WORKER_HOUSEKEEP,
	};
	for (unsigned int p = 0; p < conf->n_ports; p++)
		for (unsigned int c = 0; c < DP_N_PUNT_CLASSES; c++)
			punt_bucket_init(&w->bucket[p][c], conf->port[p].punt_pps[c], dp.n_workers,
				dp.tick_cycles);
}

// Queues are dealt round; the first of each port goes to another worker.
static void assign_queues(void)
{
	for (unsigned int p = 0; p < dp.ports.n; p++) {
		const struct port *port = &dp.ports.port[p];

		for (unsigned int q = 0; q < port->rx_queues; q++) {
			struct worker *w = &dp.workers[(p + q) % dp.n_workers];

			if (w->n_wire < WORKER_MAX_QUEUES)
				w->wire[w->n_wire++] =
					(struct worker_queue){port->wire, (uint16_t)q, (uint16_t)p};
		}
	}
}

static int workers_create(const struct dp_conf *conf, char *err, size_t size)
{
	unsigned int id = 0, lcore;

	dp.workers = rte_zmalloc("workers", dp.n_workers * sizeof(*dp.workers), 64);
	dp.table = table_create(2 * conf->max_connections, dp.n_workers);
	dp.events = rte_ring_create_elem(
		"events", sizeof(struct dp_event), EVENTS, (int)rte_socket_id(), RING_F_SC_DEQ);
	dp.ports.ifaces = ifaces_create();
	if (dp.workers == NULL || dp.table == NULL || dp.events == NULL
		|| dp.ports.ifaces == NULL) {
		snprintf(err, size,
			"%s: no memory for %u connections; expected more hugepages, or fewer "
			"'max-connections' in [global]",
			conf->file, conf->max_connections);
		return -1;
	}
	dp.tick_cycles = rte_get_tsc_hz();
	dp.tick_start = rte_rdtsc();
	if (dp.shared_lcore)
		worker_init(&dp.workers[0], 0, rte_get_main_lcore(), conf);
	else
		RTE_LCORE_FOREACH_WORKER(lcore)
		{
			if (id < dp.n_workers) {
				worker_init(&dp.workers[id], id, lcore, conf);
				id++;
			}
		}
	return 0;
}

static unsigned int choose_workers(void (*say)(const char *fmt, ...))
{
	const unsigned int lcores = rte_lcore_count() - 1;
	unsigned int n;

	dp.shared_lcore = lcores == 0;
	if (dp.shared_lcore) {
		say("one lcore: it is worker and control thread in turn");
		return 1;
	}
	n = ports_max_workers(&dp.ports, lcores);
	if (n < lcores)
		say("%u of %u worker lcores stay unused: a port or its twin has %u queues only",
			lcores - n, lcores, n);
	return n;
}

static void say_ports(void (*say)(const char *fmt, ...))
{
	for (unsigned int i = 0; i < dp.ports.n; i++) {
		const struct port *port = &dp.ports.port[i];
		const struct twin *twin = &port->twin;
		const bool why = twin->why[0] != '\0';

		say("port %s: %s (%s), MAC " RTE_ETHER_ADDR_PRT_FMT
		    ", MTU %u, %u receive queues; twin %s%s%s%s%s",
			port->conf->name, port->conf->device, port->driver,
			RTE_ETHER_ADDR_BYTES(&port->mac), port->mtu, port->rx_queues,
			twin_word(twin->kind), why ? " (" : "", twin->why, why ? ")" : "",
			port->conf->persist ? ", stays at exit" : "");
	}
	for (unsigned int i = 0; i < dp.n_workers; i++)
		say("worker %u: lcore %u, %u receive queues", i, dp.workers[i].lcore,
			dp.workers[i].n_wire);
}

static void dp_free(void)
{
	table_destroy(dp.table);
	rte_ring_free(dp.events);
	ifaces_destroy(dp.ports.ifaces);
	rte_free(dp.workers);
	dp.table = NULL;
	dp.events = NULL;
	dp.ports.ifaces = NULL;
	dp.workers = NULL;
}

int dp_start(const struct dp_conf *conf, void (*say)(const char *fmt, ...), char *err, size_t size)
{
	if (ports_probe(&dp.ports, conf, err, size) < 0)
		goto fail;
	dp.n_workers = choose_workers(say);
	if (dp.n_workers == 0) {
		snprintf(err, size, "%s: a port has no transmit queue", conf->file);
		goto fail;
	}
	if (workers_create(conf, err, size) < 0
		|| ports_start(&dp.ports, conf, dp.n_workers, err, size) < 0)
		goto fail;
	assign_queues();
	say_ports(say);
	tel_register();
	return 0;
fail:
	ports_stop(&dp.ports, false);
	dp_free();
	return -1;
}

void dp_launch(void)
{
	dp.launched = true;
	if (dp.shared_lcore) {
		worker_online(&dp.workers[0]);
		return;
	}
	for (unsigned int i = 0; i < dp.n_workers; i++)
		rte_eal_remote_launch(worker_main, &dp.workers[i], dp.workers[i].lcore);
}

void dp_stop(bool keep_twins)
{
	__atomic_store_n(&dp.stop, true, __ATOMIC_RELAXED);
	if (dp.launched && dp.shared_lcore)
		worker_offline(&dp.workers[0]);
	else
		rte_eal_mp_wait_lcore();
	// memory goes with the process: the telemetry thread may still read it
	ports_stop(&dp.ports, keep_twins);
}

int dp_poll_shared(void)
{
	struct worker *w = &dp.workers[0];

	if (worker_poll(w) != 0)
		return 0;
	worker_idle(w);
	return 1;
}
