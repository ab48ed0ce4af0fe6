// SPDX-License-Identifier: BSD-3-Clause
#include "worker.h"

#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "audit.h"

// Sends a buffer; what the queue does not take is dropped and counted.
static void tx_flush(struct worker_tx *tx, uint16_t ethdev, unsigned int queue, uint64_t *dropped)
{
	unsigned int sent = 0;

	// a second try: a queue may take a part first
	for (unsigned int try = 0; try < 2 && sent < tx->n; try++)
		sent += rte_eth_tx_burst(
			ethdev, (uint16_t)queue, tx->packets + sent, (uint16_t)(tx->n - sent));
	if (unlikely(sent < tx->n)) {
		*dropped += tx->n - sent;
		rte_pktmbuf_free_bulk(tx->packets + sent, tx->n - sent);
	}
	tx->n = 0;
}

_Static_assert(WORKER_VECTOR <= 64, "a bit of 'control' and 'samples' for each packet");

// Control before samples, and these before the others, each in their order: a flow whose samples are
// lost goes to the kernel, which would make room scarcer.
static void sort_by_need(struct worker_tx *tx, uint64_t control, uint64_t samples)
{
	const uint64_t rank[] = {control, samples & ~control, ~(control | samples)};
	struct rte_mbuf *packets[WORKER_VECTOR];
	uint16_t n = 0;

	memcpy(packets, tx->packets, tx->n * sizeof(packets[0]));
	for (unsigned int r = 0; r < RTE_DIM(rank); r++)
		for (uint16_t i = 0; i < tx->n; i++)
			if (rank[r] >> i & 1)
				tx->packets[n++] = packets[i];
}

static void twin_flush(struct worker *w, unsigned int port)
{
	struct worker_tx *tx = &w->to_twin[port];
	struct twin *twin = &w->ports->port[port].twin;

	if (unlikely(tx->n > twin_room(twin, w->id)))
		sort_by_need(tx, w->control[port], w->samples[port]);
	w->count[port].twin_dropped += tx->n - twin_tx(twin, w->id, tx->packets, tx->n);
	tx->n = 0;
	w->control[port] = 0;
	w->samples[port] = 0;
}

static void flush_all(struct worker *w)
{
	for (unsigned int i = 0; i < w->ports->n; i++) {
		if (w->to_wire[i].n != 0)
			tx_flush(&w->to_wire[i], w->ports->port[i].wire, w->id,
				&w->count[i].tx_dropped);
		if (w->to_twin[i].n != 0)
			twin_flush(w, i);
	}
}

// From all wires, in vectors as long as they come: a lookup of few packets costs three times one
// of many.
static unsigned int poll_wires(struct worker *w)
{
	struct rte_mbuf *packets[WORKER_VECTOR];
	uint16_t in_port[WORKER_VECTOR];
	unsigned int n = 0, total = 0;

	for (unsigned int q = 0; q < w->n_wire; q++) {
		const struct worker_queue *rx = &w->wire[q];
		const unsigned int got =
			rte_eth_rx_burst(rx->ethdev, rx->queue, packets + n, WORKER_BURST);

		for (unsigned int i = 0; i < got; i++)
			in_port[n + i] = rx->port;
		n += got;
		total += got;
		if (n > WORKER_VECTOR - WORKER_BURST) {
			pipeline_burst(w, packets, in_port, n);
			flush_all(w);
			n = 0;
		}
	}
	if (n != 0) {
		pipeline_burst(w, packets, in_port, n);
		flush_all(w);
	}
	return total;
}

static unsigned int poll_twin(struct worker *w, unsigned int port)
{
	struct worker_tx *tx = &w->to_wire[port];
	const unsigned int got =
		twin_rx(&w->ports->port[port].twin, w->id, tx->packets, WORKER_BURST);

	if (got == 0)
		return 0;
	audit_frames(w, port, tx->packets, got);
	tx->n = (uint16_t)got;
	w->count[port].injected_packets += got;
	tx_flush(tx, w->ports->port[port].wire, w->id, &w->count[port].tx_dropped);
	return got;
}

// A look costs a system call for each twin, so that those with nothing to say are asked seldom.
static unsigned int poll_twins(struct worker *w, uint64_t now)
{
	unsigned int total = 0;

	if (now < w->twin_due)
		return 0;
	for (unsigned int i = 0; i < w->ports->n; i++)
		total += poll_twin(w, i);
	if (total == 0)
		w->twin_due = now + w->twin_cycles;
	return total;
}

static void housekeep(struct worker *w)
{
	w->until_housekeep = WORKER_HOUSEKEEP;
	rte_rcu_qsbr_quiescent(w->table->qsbr, w->id);
	w->tick = (uint16_t)((rte_rdtsc() - w->tick_start) / w->tick_cycles);
}

unsigned int worker_poll(struct worker *w)
{
	const uint64_t start = rte_rdtsc();
	const unsigned int n = poll_wires(w) + poll_twins(w, start);

	if (n != 0) {
		w->packets += n;
		w->busy_polls++;
		w->busy_cycles += rte_rdtsc() - start;
		w->idle_streak = 0;
	} else {
		w->idle_polls++;
		w->idle_streak++;
	}
	if (--w->until_housekeep == 0)
		housekeep(w);
	return n;
}

void worker_idle(struct worker *w)
{
	enum { SPIN = 2000 }; // empty polls before the first sleep
	struct timespec pause = {0, 0};
	const uint64_t longest_us = __atomic_load_n(&w->idle_sleep_us, __ATOMIC_RELAXED);
	uint64_t us;

	if (longest_us == 0 || w->idle_streak < SPIN) {
		rte_pause();
		return;
	}
	us = (w->idle_streak - SPIN) / 16 + 1;
	pause.tv_nsec = (long)(us < longest_us ? us : longest_us) * 1000;
	housekeep(w); // nobody shall wait for a sleeper
	nanosleep(&pause, NULL);
}

void worker_online(struct worker *w)
{
	w->until_housekeep = WORKER_HOUSEKEEP;
	rte_rcu_qsbr_thread_register(w->table->qsbr, w->id);
	rte_rcu_qsbr_thread_online(w->table->qsbr, w->id);
}

void worker_offline(struct worker *w)
{
	rte_rcu_qsbr_thread_offline(w->table->qsbr, w->id);
	rte_rcu_qsbr_thread_unregister(w->table->qsbr, w->id);
}

int worker_main(void *arg)
{
	struct worker *w = arg;

	worker_online(w);
	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED))
		if (worker_poll(w) == 0)
			worker_idle(w);
	worker_offline(w);
	return 0;
}
