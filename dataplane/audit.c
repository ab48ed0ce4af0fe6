// SPDX-License-Identifier: BSD-3-Clause
#include "audit.h"

#include <string.h>

#include "parse.h"

// 'ports_be' as they lie in a packet, the other way round.
static uint32_t swap_ports(uint32_t ports_be)
{
	return ports_be << 16 | ports_be >> 16;
}

// Completes the key; 'l4' has 'bytes' in the first segment.
static bool put_ports(const void *l4, uint32_t bytes, uint16_t iface, uint8_t proto,
	uint8_t family, struct table_key *key)
{
	uint32_t ports_be = 0;

	if (!parse_l4_known(proto) || bytes < sizeof(ports_be))
		return false;
	if (proto != IPPROTO_GRE)
		memcpy(&ports_be, l4, sizeof(ports_be));
	key->word[0] = table_key_head(swap_ports(ports_be), iface, proto, family);
	return true;
}

static bool ipv4_key(const void *l3, uint32_t bytes, uint16_t iface, struct table_key *key)
{
	const struct rte_ipv4_hdr *ip = l3;

	if (bytes < sizeof(*ip) || ip->version_ihl != RTE_IPV4_VHL_DEF
		|| (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK)))
		return false;
	key->v4.src_be = ip->dst_addr;
	key->v4.dst_be = ip->src_addr;
	return put_ports(ip + 1, bytes - (uint32_t)sizeof(*ip), iface, ip->next_proto_id, NFO_IPV4,
		key);
}

static bool ipv6_key(const void *l3, uint32_t bytes, uint16_t iface, struct table_key *key)
{
	const struct rte_ipv6_hdr *ip = l3;

	if (bytes < sizeof(*ip))
		return false;
	memcpy(key->v6.src, ip->dst_addr, sizeof(key->v6.src));
	memcpy(key->v6.dst, ip->src_addr, sizeof(key->v6.dst));
	return put_ports(
		ip + 1, bytes - (uint32_t)sizeof(*ip), iface, ip->proto, NFO_IPV6, key);
}

bool audit_key(const struct rte_mbuf *m, const struct ifaces *ifaces, uint16_t iface,
	struct table_key *key, uint16_t *l3)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct parse p = {.ifaces = ifaces, .iface = iface, .l3 = sizeof(*eth)};
	uint16_t type_be;
	const void *ip;

	if (m->data_len < sizeof(*eth))
		return false;
	type_be = eth->ether_type;
	if (parse_vlans(m, &p, &type_be) != PARSE_OK)
		return false;
	*l3 = p.l3;
	ip = rte_pktmbuf_mtod_offset(m, const void *, p.l3);
	if (type_be == RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return ipv4_key(ip, m->data_len - p.l3, p.iface, key);
	return type_be == RTE_BE16(RTE_ETHER_TYPE_IPV6)
	       && ipv6_key(ip, m->data_len - p.l3, p.iface, key);
}

// Both without the EtherType at the end, of 'bytes'. A tag's priority is nobody's.
static bool same_l2(const uint8_t *frame, const uint8_t *l2, unsigned int bytes)
{
	if (memcmp(frame, l2, 2 * NFO_ETH_ALEN) != 0)
		return false;
	for (unsigned int at = 2 * NFO_ETH_ALEN; at < bytes; at += 4)
		if (memcmp(frame + at, l2 + at, 2) != 0 || (frame[at + 2] & 0x0f) != l2[at + 2]
			|| frame[at + 3] != l2[at + 3])
			return false;
	return true;
}

// A bond's ports are one.
static bool same_port(const struct worker *w, unsigned int a, unsigned int b)
{
	return __atomic_load_n(&w->ports->port[a].iface, __ATOMIC_RELAXED)
	       == __atomic_load_n(&w->ports->port[b].iface, __ATOMIC_RELAXED);
}

// Held, so that nothing more goes the wrong way and it is told once. If that cannot be told it is closed: control
// may hold it as well by now, so that letting go of it is not for a worker.
static void tell(struct worker *w, unsigned int port, const uint8_t *frame, unsigned int l2_bytes,
	uint32_t idx, uint8_t state)
{
	struct table_entry *e = &w->table->entries[idx];
	struct dp_event event = {
		.kind = DP_EVENT_AUDIT,
		.cookie = w->table->cold[idx].cookie,
		.idx = idx,
		.port = (uint8_t)port,
		.l2_bytes = (uint8_t)l2_bytes,
	};

	memcpy(event.l2, frame, RTE_MIN(l2_bytes, (unsigned int)sizeof(event.l2)));
	if (!table_state(e, state, FLOW_HELD))
		return;
	if (rte_ring_enqueue_elem(w->events, &event, sizeof(event)) == 0)
		return;
	w->events_lost++;
	__atomic_store_n(&e->state, FLOW_CLOSING, __ATOMIC_RELEASE); // table_fold() finds it
}

// The kernel has sent a packet of flow 'idx' as 'm' is.
static void compare(
	struct worker *w, unsigned int port, const struct rte_mbuf *m, uint16_t l3, uint32_t idx)
{
	struct table_entry *e = &w->table->entries[idx];
	const uint8_t state = __atomic_load_n(&e->state, __ATOMIC_RELAXED);
	const struct nexthop *hop = &w->table->nexthops->hop[e->nexthop];
	const uint8_t l2_bytes = nexthop_l2_bytes(hop);
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	if (state >= FLOW_HELD || l2_bytes == 0)
		return; // its way is in doubt anyhow
	if (l2_bytes + 2 != l3 || !same_port(w, hop->out_port, port)
		|| !same_l2(frame, hop->l2, l2_bytes))
		tell(w, port, frame, l3 - 2u, idx, state);
	else if (state == FLOW_SAMPLED)
		table_state(e, FLOW_SAMPLED, FLOW_FORWARD);
}

void audit_frames(struct worker *w, unsigned int port, struct rte_mbuf *const *frames, unsigned int n)
{
	const uint16_t iface = __atomic_load_n(&w->ports->port[port].iface, __ATOMIC_RELAXED);
	const struct table_bucket *bucket[WORKER_BURST];
	struct table_key key[WORKER_BURST];
	uint16_t l3[WORKER_BURST], sig[WORKER_BURST];

	for (unsigned int i = 0; i < n; i++) {
		uint64_t hash;

		bucket[i] = NULL;
		if (!audit_key(frames[i], w->ports->ifaces, iface, &key[i], &l3[i]))
			continue;
		hash = table_hash(w->table, &key[i]);
		sig[i] = table_sig(hash);
		bucket[i] = table_bucket(w->table, hash);
		rte_prefetch0(bucket[i]);
	}
	for (unsigned int i = 0; i < n; i++) {
		uint32_t other, idx;

		if (bucket[i] == NULL)
			continue;
		other = table_verify(w->table, bucket[i], table_candidates(bucket[i], sig[i]),
			sig[i], &key[i]);
		if (other == DP_FLOW_NONE)
			continue;
		idx = __atomic_load_n(&w->table->cold[other].sibling, __ATOMIC_ACQUIRE);
		if (idx != DP_FLOW_NONE)
			compare(w, port, frames[i], l3[i], idx);
	}
}
