// SPDX-License-Identifier: BSD-3-Clause
// The burst: parse and hash -> compare signatures -> verify keys -> rewrite, each stage over all
// packets so that the cache misses of one stage overlap.
#include <rte_cycles.h>

#include "parse.h"
#include "rewrite.h"
#include "table_read.h"
#include "worker.h"

struct burst {
	unsigned int n_lookups;
	uint8_t lookup[WORKER_VECTOR];       // packets to look up, in order
	uint8_t verdict[WORKER_VECTOR];      // enum nfo_punt or PARSE_OK, by packet
	uint16_t l3[WORKER_VECTOR];          // offset of the IP header, by packet
	struct table_key key[WORKER_VECTOR]; // these by lookup
	const struct table_bucket *bucket[WORKER_VECTOR];
	uint16_t sig[WORKER_VECTOR];
	uint32_t hits[WORKER_VECTOR];
	uint32_t idx[WORKER_VECTOR];
};

// Samples have a rate of their own, and the kernel would forget the flow without them.
static bool may_pass(struct worker *w, uint16_t port, enum dp_punt_class class, enum nfo_punt reason)
{
	struct punt_bucket *bucket = &w->bucket[port][class];

	return __atomic_load_n(&bucket->cost, __ATOMIC_RELAXED) == 0 || reason == NFO_P_SAMPLE
	       || punt_bucket_take(bucket, rte_rdtsc());
}

static void punt(struct worker *w, struct rte_mbuf *m, uint16_t port, enum nfo_punt reason)
{
	const enum dp_punt_class class = punt_classify(m, reason);
	struct worker_port *count = &w->count[port];

	if (!may_pass(w, port, class, reason)) {
		count->limited[class]++;
		rte_pktmbuf_free(m);
		return;
	}
	w->punts[reason]++;
	count->punted_packets++;
	count->punted[class]++;
	w->control[port] |= (uint64_t)(class == DP_PUNT_CONTROL) << w->to_twin[port].n;
	w->samples[port] |= (uint64_t)(reason == NFO_P_SAMPLE) << w->to_twin[port].n;
	worker_put(&w->to_twin[port], m);
}

static inline void stage_parse(struct worker *w, struct burst *b, struct rte_mbuf **packets,
	const uint16_t *in_port, unsigned int n)
{
	enum { AHEAD = 4 };

	b->n_lookups = 0;
	for (unsigned int i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(packets[i], void *));
	for (unsigned int i = 0; i < n; i++) {
		const unsigned int l = b->n_lookups;
		const struct port *port = &w->ports->port[in_port[i]];
		struct parse p = {
			.ifaces = w->ports->ifaces,
			.mac = &port->mac,
			.iface = __atomic_load_n(&port->iface, __ATOMIC_RELAXED),
			.key = &b->key[l],
		};
		uint64_t hash;

		if (i + AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(packets[i + AHEAD], void *));
		b->verdict[i] = parse_frame(packets[i], &p);
		b->l3[i] = p.l3;
		if (unlikely(b->verdict[i] != PARSE_OK && b->verdict[i] != NFO_P_TCP_FLAGS))
			continue;
		hash = table_hash(w->table, &b->key[l]);
		b->sig[l] = table_sig(hash);
		b->bucket[l] = table_bucket(w->table, hash);
		rte_prefetch0(b->bucket[l]);
		b->lookup[l] = (uint8_t)i;
		b->n_lookups++;
	}
}

static inline void stage_candidates(const struct worker *w, struct burst *b)
{
	for (unsigned int l = 0; l < b->n_lookups; l++) {
		const uint32_t hits = table_candidates(b->bucket[l], b->sig[l]);

		b->hits[l] = hits;
		if (likely(hits != 0)) {
			const unsigned int slot = (unsigned int)__builtin_ctz(hits);
			const struct table_entry *e =
				&w->table->entries[table_slot_idx(b->bucket[l], slot)];

			rte_prefetch0(e);
			if (b->key[l].family != NFO_IPV4)
				rte_prefetch0(table_second(e));
		}
	}
}

static inline void stage_verify(const struct worker *w, struct burst *b)
{
	for (unsigned int l = 0; l < b->n_lookups; l++) {
		const uint32_t idx = table_verify(
			w->table, b->bucket[l], b->hits[l], b->sig[l], &b->key[l]);

		b->idx[l] = idx;
		if (likely(idx != DP_FLOW_NONE))
			rte_prefetch0(&w->table->nexthops->hop[w->table->entries[idx].nexthop]);
	}
}

// The connection ends: both directions go to the kernel from this packet on, and control is told.
static void flow_close(struct worker *w, uint32_t idx)
{
	struct table *t = w->table;
	const uint32_t sibling = __atomic_load_n(&t->cold[idx].sibling, __ATOMIC_ACQUIRE);
	struct dp_event event = {.kind = DP_EVENT_CLOSING, .cookie = t->cold[idx].cookie, .idx = idx};

	if (t->entries[idx].state == FLOW_CLOSING)
		return;
	__atomic_store_n(&t->entries[idx].state, FLOW_CLOSING, __ATOMIC_RELEASE);
	if (sibling != DP_FLOW_NONE)
		__atomic_store_n(&t->entries[sibling].state, FLOW_CLOSING, __ATOMIC_RELEASE);
	if (rte_ring_enqueue_elem(w->events, &event, sizeof(event)) != 0)
		w->events_lost++; // table_fold() finds it
}

static inline void use(const struct worker *w, struct table_entry *e)
{
	if (unlikely(e->used_tick != w->tick))
		e->used_tick = w->tick;
}

static inline void count(struct worker *w, struct table_entry *e, uint32_t idx, uint32_t bytes)
{
	const uint8_t me = (uint8_t)(w->id + 1);
	uint8_t nobody = 0;

	use(w, e);
	if (unlikely(e->owner != me)
		&& !(e->owner == nobody
			&& __atomic_compare_exchange_n(&e->owner, &nobody, me, false,
				__ATOMIC_RELAXED, __ATOMIC_RELAXED))) {
		w->table->foreign[w->id][idx].packets++;
		w->table->foreign[w->id][idx].bytes += bytes;
		return;
	}
	e->packets++;
	e->bytes += bytes;
}

// The flow is not simply forwarded. Several workers may meet FLOW_SAMPLE; one packet is taken. It is a use
// of the flow too: of one with few packets each may be a sample.
static enum nfo_punt special_verdict(const struct worker *w, struct table_entry *e, uint8_t state)
{
	if (state == FLOW_SAMPLE) {
		if (table_state(e, FLOW_SAMPLE, FLOW_SAMPLED)) {
			use(w, e);
			return NFO_P_SAMPLE;
		}
		state = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
	}
	if (state == FLOW_CLOSING)
		return NFO_P_CLOSING;
	return state == FLOW_HELD ? NFO_P_HELD : PARSE_OK;
}

static inline enum nfo_punt flow_verdict(
	struct worker *w, const struct rte_mbuf *m, uint16_t l3, uint32_t idx, enum nfo_punt parsed)
{
	struct table_entry *e = &w->table->entries[idx];
	const uint8_t state = __atomic_load_n(&e->state, __ATOMIC_RELAXED);

	if (unlikely(parsed == NFO_P_TCP_FLAGS)) {
		if (parse_tcp_ends(m, &e->key, l3))
			flow_close(w, idx);
		return NFO_P_TCP_FLAGS;
	}
	if (unlikely(state > FLOW_SAMPLED)) {
		const enum nfo_punt verdict = special_verdict(w, e, state);

		if (verdict != PARSE_OK)
			return verdict;
	}
	if (unlikely(m->pkt_len - l3 > e->mtu))
		return NFO_P_MTU;
	return PARSE_OK;
}

// PARSE_OK, or why the packet cannot be what it has to become.
static inline enum nfo_punt forward(
	struct worker *w, struct rte_mbuf *m, uint16_t port, uint16_t l3, uint32_t idx)
{
	struct table_entry *e = &w->table->entries[idx];
	const struct nexthop *hop = &w->table->nexthops->hop[e->nexthop];
	const uint32_t bytes = m->pkt_len - l3;
	const enum nfo_punt verdict = rewrite_frame(m, l3, e, hop);

	if (unlikely(verdict != PARSE_OK))
		return verdict;
	count(w, e, idx, bytes);
	w->count[port].offloaded_packets++;
	w->count[port].offloaded_bytes += bytes;
	w->offloaded++;
	worker_put(&w->to_wire[hop->out_port], m);
	return PARSE_OK;
}

void pipeline_burst(
	struct worker *w, struct rte_mbuf **packets, const uint16_t *in_port, unsigned int n)
{
	struct burst b;
	unsigned int l = 0;

	stage_parse(w, &b, packets, in_port, n);
	stage_candidates(w, &b);
	stage_verify(w, &b);
	for (unsigned int i = 0; i < n; i++) {
		enum nfo_punt verdict = b.verdict[i];
		uint32_t idx = DP_FLOW_NONE;

		if (likely(l < b.n_lookups && b.lookup[l] == i)) {
			idx = b.idx[l++];
			if (idx != DP_FLOW_NONE)
				verdict = flow_verdict(w, packets[i], b.l3[i], idx, verdict);
			else if (verdict == PARSE_OK)
				verdict = NFO_P_MISS;
		}
		if (likely(verdict == PARSE_OK))
			verdict = forward(w, packets[i], in_port[i], b.l3[i], idx);
		if (unlikely(verdict != PARSE_OK))
			punt(w, packets[i], in_port[i], verdict);
	}
}
