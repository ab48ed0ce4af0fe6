// SPDX-License-Identifier: BSD-3-Clause
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_pause.h>

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

static void flush_all(struct worker *w)
{
	for (unsigned int i = 0; i < w->ports->n; i++) {
		const struct port *port = &w->ports->port[i];

		if (w->to_wire[i].n != 0)
			tx_flush(&w->to_wire[i], port->wire, w->id, &w->count[i].tx_dropped);
		if (w->to_twin[i].n != 0)
			tx_flush(&w->to_twin[i], port->twin, w->id, &w->count[i].twin_dropped);
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

static unsigned int poll_twins(struct worker *w)
{
	struct rte_mbuf *packets[WORKER_BURST];
	unsigned int total = 0;

	for (unsigned int q = 0; q < w->n_twin; q++) {
		const struct worker_queue *rx = &w->twin[q];
		const unsigned int got =
			rte_eth_rx_burst(rx->ethdev, rx->queue, packets, WORKER_BURST);

		if (got == 0)
			continue;
		for (unsigned int i = 0; i < got; i++)
			worker_put(&w->to_wire[rx->port], packets[i]);
		w->count[rx->port].injected_packets += got;
		tx_flush(&w->to_wire[rx->port], w->ports->port[rx->port].wire, w->id,
			&w->count[rx->port].tx_dropped);
		total += got;
	}
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
	const unsigned int n = poll_wires(w) + poll_twins(w);

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
	uint64_t us;

	if (w->idle_sleep_us == 0 || w->idle_streak < SPIN) {
		rte_pause();
		return;
	}
	us = (w->idle_streak - SPIN) / 16 + 1;
	pause.tv_nsec = (long)(us < w->idle_sleep_us ? us : w->idle_sleep_us) * 1000;
	housekeep(w); // nobody shall wait for a sleeper
	nanosleep(&pause, NULL);
}

// The tap driver tells of packets by real-time signals. main() blocks them in all threads so that
// the control thread's system calls are not interrupted; those who poll take them.
static void take_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
		sigaddset(&set, s);
	pthread_sigmask(how, &set, NULL);
}

void worker_online(struct worker *w)
{
	take_signals(SIG_UNBLOCK);
	w->until_housekeep = WORKER_HOUSEKEEP;
	rte_rcu_qsbr_thread_register(w->table->qsbr, w->id);
	rte_rcu_qsbr_thread_online(w->table->qsbr, w->id);
}

void worker_offline(struct worker *w)
{
	rte_rcu_qsbr_thread_offline(w->table->qsbr, w->id);
	rte_rcu_qsbr_thread_unregister(w->table->qsbr, w->id);
	take_signals(SIG_BLOCK);
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
