// SPDX-License-Identifier: BSD-3-Clause
// dp_api.h: the control thread's view.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "dp.h"
#include "rewrite.h"
#include "table_check.h"

unsigned int dp_ports(void)
{
	return dp.ports.n;
}

int dp_port_info(unsigned int i, struct dp_port_info *info)
{
	const struct port *port = &dp.ports.port[i];
	struct rte_eth_link link = {0};

	if (i >= dp.ports.n)
		return -ENOENT;
	*info = (struct dp_port_info){
		.mtu = port->mtu,
		.device_mtu = port->device_mtu,
		.rx_queues = port->rx_queues,
		.tx_queues = (uint16_t)dp.n_workers,
	};
	snprintf(info->name, sizeof(info->name), "%s", port->conf->name);
	snprintf(info->device, sizeof(info->device), "%s", port->conf->device);
	snprintf(info->driver, sizeof(info->driver), "%s", port->driver);
	snprintf(info->twin_driver, sizeof(info->twin_driver), "%s", twin_word(port->twin.kind));
	memcpy(info->mac, &port->mac, sizeof(info->mac));
	if (rte_eth_link_get_nowait(port->wire, &link) == 0) {
		info->link_up = link.link_status == RTE_ETH_LINK_UP;
		info->link_mbps =
			link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	}
	return 0;
}

static void add_worker_port(const struct worker_port *count, struct dp_port_stats *stats)
{
	stats->offloaded_packets += count->offloaded_packets;
	stats->offloaded_bytes += count->offloaded_bytes;
	stats->punted_packets += count->punted_packets;
	for (unsigned int c = 0; c < DP_N_PUNT_CLASSES; c++) {
		stats->punted[c] += count->punted[c];
		stats->limited[c] += count->limited[c];
	}
	stats->injected_packets += count->injected_packets;
	stats->tx_dropped += count->tx_dropped;
	stats->twin_dropped += count->twin_dropped;
}

int dp_port_stats(unsigned int i, struct dp_port_stats *stats)
{
	struct rte_eth_stats eth;
	int ret;

	if (i >= dp.ports.n)
		return -ENOENT;
	ret = rte_eth_stats_get(dp.ports.port[i].wire, &eth);
	if (ret != 0)
		return ret;
	*stats = (struct dp_port_stats){
		.rx_packets = eth.ipackets,
		.rx_bytes = eth.ibytes,
		.rx_missed = eth.imissed,
		.rx_errors = eth.ierrors,
		.rx_nombuf = eth.rx_nombuf,
		.tx_packets = eth.opackets,
		.tx_bytes = eth.obytes,
		.tx_errors = eth.oerrors,
	};
	for (unsigned int w = 0; w < dp.n_workers; w++)
		add_worker_port(&dp.workers[w].count[i], stats);
	return 0;
}

int dp_port_set_mtu(unsigned int i, uint16_t mtu)
{
	return i < dp.ports.n ? port_set_mtu(&dp.ports, &dp.ports.port[i], mtu) : -ENOENT;
}

int dp_port_set_mac(unsigned int i, const uint8_t mac[NFO_ETH_ALEN])
{
	return i < dp.ports.n ? port_set_mac(&dp.ports.port[i], mac) : -ENOENT;
}

int dp_port_set_promiscuous(unsigned int i, bool on)
{
	return i < dp.ports.n ? port_set_promiscuous(&dp.ports.port[i], on) : -ENOENT;
}

void dp_port_set_punt(unsigned int i, const uint32_t pps[DP_N_PUNT_CLASSES])
{
	for (unsigned int w = 0; w < dp.n_workers; w++)
		for (unsigned int c = 0; c < DP_N_PUNT_CLASSES; c++)
			punt_bucket_set(&dp.workers[w].bucket[i][c], pps[c], dp.n_workers,
				dp.tick_cycles);
}

void dp_set_idle_sleep(uint32_t us)
{
	for (unsigned int w = 0; w < dp.n_workers; w++)
		__atomic_store_n(&dp.workers[w].idle_sleep_us, us, __ATOMIC_RELAXED);
}

unsigned int dp_workers(void)
{
	return dp.n_workers;
}

int dp_worker_stats(unsigned int i, struct dp_worker_stats *stats)
{
	const struct worker *w = &dp.workers[i];

	if (i >= dp.n_workers)
		return -ENOENT;
	*stats = (struct dp_worker_stats){
		.lcore = w->lcore,
		.rx_queues = w->n_wire,
		.busy_polls = w->busy_polls,
		.idle_polls = w->idle_polls,
		.packets = w->packets,
		.offloaded = w->offloaded,
		.busy_cycles = w->busy_cycles,
	};
	memcpy(stats->punts, w->punts, sizeof(stats->punts));
	return 0;
}

void dp_table_stats(struct dp_table_stats *stats)
{
	table_stats(dp.table, stats);
}

const char *dp_table_check(void)
{
	return table_check(dp.table);
}

int dp_port_group(unsigned int i, unsigned int group)
{
	if (i >= dp.ports.n || group >= NFO_MAX_GROUPS)
		return -EINVAL;
	__atomic_store_n(
		&dp.ports.port[i].iface, iface_of_group((uint16_t)group), __ATOMIC_RELAXED);
	return 0;
}

static bool vlans_valid(const struct nfo_vlan vlan[NFO_MAX_VLANS])
{
	for (unsigned int i = 0; i < NFO_MAX_VLANS; i++) {
		if (vlan[i].tpid_be == 0)
			continue;
		if (iface_tpid(vlan[i].tpid_be) < 0 || vlan[i].vid == 0
			|| vlan[i].vid >= IFACE_VIDS || (i > 0 && vlan[i - 1].tpid_be == 0))
			return false;
	}
	return true;
}

static bool flow_valid(const struct nfo_flow *flow)
{
	const struct nfo_tuple *t = &flow->match;

	if (t->family != NFO_IPV4 && t->family != NFO_IPV6)
		return false;
	if (t->proto == NFO_GRE ? rewrite_is_nat(t, &flow->out)
				: t->proto != NFO_TCP && t->proto != NFO_UDP)
		return false;
	return flow->in_port < NFO_MAX_GROUPS && flow->out_port < dp.ports.n
	       && vlans_valid(flow->in_vlan) && vlans_valid(flow->out_vlan);
}

// The reference to the next hop is the caller's until the table has taken 'content'.
static int make_content(const struct nfo_flow *flow, struct table_content *content)
{
	uint16_t iface, nexthop;

	if (!flow_valid(flow))
		return -EINVAL;
	iface = iface_get(dp.ports.ifaces, flow->in_port, flow->in_vlan);
	nexthop = nexthop_get(dp.table->nexthops, flow);
	if (iface == IFACE_NONE || nexthop == NEXTHOP_NONE) {
		nexthop_put(dp.table->nexthops, nexthop);
		return -ENOSPC;
	}
	rewrite_content(flow, iface, nexthop, content);
	return 0;
}

static int taken(const struct table_content *content, int ret)
{
	if (ret != 0)
		nexthop_put(dp.table->nexthops, content->entry.nexthop);
	return ret;
}

int dp_flow_add(const struct nfo_flow *flow, uint32_t sibling, uint32_t cookie, uint32_t *idx)
{
	struct table_content content;
	const int ret = make_content(flow, &content);

	return ret != 0 ? ret : taken(&content, table_add(dp.table, &content, sibling, cookie, idx));
}

int dp_flow_replace(uint32_t *idx, const struct nfo_flow *flow)
{
	struct table_content content;
	const int ret = make_content(flow, &content);

	return ret != 0 ? ret : taken(&content, table_replace(dp.table, &content, idx));
}

void dp_flow_del(uint32_t idx)
{
	table_del(dp.table, idx);
}

void dp_flow_hold(uint32_t idx)
{
	table_hold(dp.table, idx);
}

void dp_flow_release(uint32_t idx)
{
	table_release(dp.table, idx);
}

void dp_neigh_set(const struct nfo_via *via, const uint8_t mac[NFO_ETH_ALEN])
{
	nexthops_neigh(dp.table->nexthops, via, mac);
}

void dp_settle(void)
{
	nexthops_settle(dp.table->nexthops);
}

enum dp_sample dp_flow_sample(uint32_t idx)
{
	return table_sample(dp.table, idx);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void dp_flow_counters(uint32_t idx, struct nfo_counters *counters)
{
	const uint16_t now = (uint16_t)((rte_rdtsc() - dp.tick_start) / dp.tick_cycles);
	uint16_t tick, age_s;

	table_counters(dp.table, idx, &counters->packets, &counters->bytes, &tick);
	// a worker may be a tick ahead of this reading
	age_s = (uint16_t)(now - tick) == UINT16_MAX ? 0 : (uint16_t)(now - tick);
	// samples are uses that are not counted; a tick of 0 may be none
	counters->used_ns =
		counters->packets != 0 || tick != 0 ? now_ns() - (uint64_t)age_s * NS_PER_S : 0;
}

unsigned int dp_events(struct dp_event *events, unsigned int n)
{
	unsigned int got = 0;

	while (got < n && rte_ring_dequeue_elem(dp.events, &events[got], sizeof(events[0])) == 0)
		got++;
	return got;
}

static void report_closing(uint32_t cookie)
{
	struct dp_event event = {.kind = DP_EVENT_CLOSING, .cookie = cookie};

	rte_ring_enqueue_elem(dp.events, &event, sizeof(event));
}

void dp_housekeep(void)
{
	const uint32_t n = dp.table->n_entries, step = n / 64 + 1;

	table_reclaim(dp.table);
	table_fold(dp.table, dp.fold_next, dp.fold_next + step, report_closing);
	dp.fold_next = dp.fold_next + step < n ? dp.fold_next + step : 0;
}
