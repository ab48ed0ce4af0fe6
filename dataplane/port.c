// SPDX-License-Identifier: BSD-3-Clause
#include "port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

enum {
	FRAME_EXTRA = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * RTE_VLAN_HLEN,
	MIN_ROOM = 2048 - FRAME_EXTRA,
	MAX_MTU = UINT16_MAX - FRAME_EXTRA - RTE_PKTMBUF_HEADROOM,
	POOL_CACHE = 256,
	DRIVER_HELD = 512, // packets that a driver may keep besides its descriptors
};

#define fail(conf, at, err, size, ...) \
	(fail_at(conf, at, err, size), fail_why(err, size, __VA_ARGS__))

static void fail_at(const struct dp_conf *conf, unsigned int line, char *err, size_t size)
{
	snprintf(err, size, "%s:%u: ", conf->file, line);
}

static int __rte_format_printf(3, 4) fail_why(char *err, size_t size, const char *fmt, ...)
{
	const size_t used = strlen(err);
	va_list args;

	va_start(args, fmt);
	vsnprintf(err + used, size - used, fmt, args);
	va_end(args);
	return -1;
}

// The device's name: its arguments up to the first comma, without "bus:".
static void device_name(const char *device, char *name, size_t size)
{
	snprintf(name, size, "%.*s", (int)strcspn(device, ","), device);
	if (strncmp(name, "vdev:", 5) == 0 || strncmp(name, "pci:", 4) == 0)
		memmove(name, strchr(name, ':') + 1, strlen(strchr(name, ':')));
}

static int wire_find(const char *device, uint16_t *ethdev)
{
	struct rte_dev_iterator it;
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t id;

	device_name(device, name, sizeof(name));
	if (rte_eth_dev_get_port_by_name(name, ethdev) == 0)
		return 0;
	// a device may have ports of other names: representors, "0000:03:00.0_port0"
	RTE_ETH_FOREACH_MATCHING_DEV(id, device, &it)
	{
		rte_eth_iterator_cleanup(&it);
		*ethdev = id;
		return 0;
	}
	return -ENODEV;
}

static int port_probe(struct port *port, const struct dp_conf *conf, char *err, size_t size)
{
	const struct dp_port_conf *pc = port->conf;
	struct rte_eth_dev_info info;
	int ret = 0;

	if (wire_find(pc->device, &port->wire) < 0) {
		ret = rte_dev_probe(pc->device);
		if (ret == 0)
			ret = wire_find(pc->device, &port->wire);
		port->probed = ret == 0;
	}
	if (ret != 0)
		return fail(conf, pc->device_line, err, size,
			"device \"%s\" of port \"%s\" is not usable (%s), expected a PCI address "
			"bound "
			"to a DPDK driver or a virtual device such as net_af_packet0,iface=eth1",
			pc->device, pc->name,
			ret == -EFAULT ? "no driver knows it" : strerror(-ret));
	ret = rte_eth_dev_info_get(port->wire, &info);
	if (ret == 0)
		ret = rte_eth_macaddr_get(port->wire, &port->mac);
	if (ret == 0)
		ret = rte_eth_dev_get_mtu(port->wire, &port->mtu);
	if (ret != 0)
		return fail(conf, pc->device_line, err, size, "device \"%s\": %s", pc->device,
			strerror(-ret));
	snprintf(port->driver, sizeof(port->driver), "%s", info.driver_name);
	port->device_mtu = port->mtu;
	if (pc->mtu != 0)
		port->mtu = pc->mtu;
	return 0;
}

static int check_twin(
	const struct dp_port_conf *pc, const struct dp_conf *conf, char *err, size_t size)
{
	char why[64];

	if (twin_possible(pc->twin, why, sizeof(why)))
		return 0;
	return fail(conf, pc->twin_line, err, size,
		"twin = %s is not possible (%s), expected a kernel with the module vhost_net, or "
		"'tap' or 'auto'",
		twin_word(pc->twin), why);
}

int ports_probe(struct ports *ports, const struct dp_conf *conf, char *err, size_t size)
{
	for (unsigned int i = 0; i < conf->n_ports; i++) {
		struct port *port = &ports->port[i];

		*port = (struct port){
			.conf = &conf->port[i],
			.iface = iface_of_group((uint16_t)i),
		};
		ports->n = i + 1; // ports_stop() closes what is open of it
		if (check_twin(port->conf, conf, err, size) < 0
			|| port_probe(port, conf, err, size) < 0)
			return -1;
		for (unsigned int other = 0; other < i; other++)
			if (ports->port[other].wire == port->wire)
				return fail(conf, port->conf->device_line, err, size,
					"device \"%s\" is port \"%s\" already, expected one for "
					"each",
					port->conf->device, ports->port[other].conf->name);
	}
	return 0;
}

unsigned int ports_max_workers(const struct ports *ports, unsigned int wanted)
{
	struct rte_eth_dev_info info;

	wanted = RTE_MIN(wanted, (unsigned int)TWIN_MAX_QUEUES);
	for (unsigned int i = 0; i < ports->n; i++)
		if (rte_eth_dev_info_get(ports->port[i].wire, &info) == 0)
			wanted = RTE_MIN(wanted, info.max_tx_queues);
	return wanted;
}

static int pool_create(struct ports *ports, const struct dp_conf *conf, unsigned int workers,
	char *err, size_t size)
{
	unsigned int mtu = MIN_ROOM, n = 0;

	for (unsigned int i = 0; i < ports->n; i++) {
		const struct dp_port_conf *pc = ports->port[i].conf;

		mtu = RTE_MAX(mtu, ports->port[i].mtu);
		// wire and twin, each with receive and transmit queues
		n += workers * (pc->rx_desc + pc->tx_desc + 2 * TWIN_RING) + DRIVER_HELD;
	}
	mtu = RTE_MIN(mtu, (unsigned int)MAX_MTU);
	ports->data_room = (uint16_t)(mtu + FRAME_EXTRA + RTE_PKTMBUF_HEADROOM);
	n += workers * (POOL_CACHE + 2 * 64);
	if (conf->mbufs != 0)
		n = conf->mbufs;
	ports->pool = rte_pktmbuf_pool_create(
		"packets", n, POOL_CACHE, 0, ports->data_room, (int)rte_socket_id());
	if (ports->pool != NULL)
		return 0;
	snprintf(err, size,
		"%s: no memory for %u packets of %u bytes: %s; expected more hugepages, or fewer "
		"'mbufs' in [global]",
		conf->file, n, ports->data_room, rte_strerror(rte_errno));
	return -1;
}

static void eth_conf(
	const struct port *port, const struct rte_eth_dev_info *info, struct rte_eth_conf *eth)
{
	const uint64_t checksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM
				   | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;

	*eth = (struct rte_eth_conf){
		.rxmode = {.mtu = port->mtu, .offloads = checksums & info->rx_offload_capa},
	};
	if (port->rx_queues > 1) {
		eth->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		eth->rx_adv_conf.rss_conf.rss_hf =
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)
			& info->flow_type_rss_offloads;
	}
}

static int setup_queues(const struct ports *ports, uint16_t ethdev, const struct dp_port_conf *pc,
	uint16_t n_rx, uint16_t n_tx)
{
	uint16_t rx_desc = pc->rx_desc, tx_desc = pc->tx_desc;
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(ethdev, &rx_desc, &tx_desc);

	for (uint16_t q = 0; ret == 0 && q < n_rx; q++)
		ret = rte_eth_rx_queue_setup(ethdev, q, rx_desc,
			(unsigned int)rte_eth_dev_socket_id(ethdev), NULL, ports->pool);
	for (uint16_t q = 0; ret == 0 && q < n_tx; q++)
		ret = rte_eth_tx_queue_setup(
			ethdev, q, tx_desc, (unsigned int)rte_eth_dev_socket_id(ethdev), NULL);
	return ret;
}

int port_set_promiscuous(struct port *port, bool on)
{
	if (on)
		return rte_eth_promiscuous_enable(port->wire);
	rte_eth_allmulticast_enable(port->wire);
	return rte_eth_promiscuous_disable(port->wire);
}

static int wire_start(struct ports *ports, struct port *port, unsigned int workers)
{
	const struct dp_port_conf *pc = port->conf;
	struct rte_eth_dev_info info;
	struct rte_eth_conf eth;
	uint16_t mtu;
	int ret = rte_eth_dev_info_get(port->wire, &info);

	if (ret != 0)
		return ret;
	port->rx_queues =
		(uint16_t)RTE_MIN(pc->rx_queues != 0 ? pc->rx_queues : workers, info.max_rx_queues);
	eth_conf(port, &info, &eth);
	ret = rte_eth_dev_configure(port->wire, port->rx_queues, (uint16_t)workers, &eth);
	// some drivers take the MTU from rxmode, others from this call only
	if (ret == 0 && rte_eth_dev_get_mtu(port->wire, &mtu) == 0 && mtu != port->mtu)
		ret = rte_eth_dev_set_mtu(port->wire, port->mtu);
	if (ret == 0)
		ret = setup_queues(ports, port->wire, pc, port->rx_queues, (uint16_t)workers);
	if (ret == 0)
		ret = rte_eth_dev_start(port->wire);
	if (ret != 0)
		return ret;
	port->started = true;
	port_set_promiscuous(port, pc->promiscuous); // a device may have no choice
	return 0;
}

static int twin_start(
	struct ports *ports, struct port *port, unsigned int workers, char *err, size_t size)
{
	const struct twin_conf conf = {
		.name = port->conf->name,
		.kind = port->conf->twin,
		.mac = &port->mac,
		.mtu = port->mtu,
		.queues = workers,
		.persist = port->conf->persist,
		.pool = ports->pool,
	};

	return twin_open(&port->twin, &conf, err, size);
}

int ports_start(struct ports *ports, const struct dp_conf *conf, unsigned int workers, char *err,
	size_t size)
{
	if (pool_create(ports, conf, workers, err, size) < 0)
		return -1;
	for (unsigned int i = 0; i < ports->n; i++) {
		struct port *port = &ports->port[i];
		const int ret = wire_start(ports, port, workers);

		if (ret != 0)
			return fail(conf, port->conf->line, err, size,
				"port \"%s\" (%s) does not start with %u workers and MTU %u: %s",
				port->conf->name, port->driver, workers, port->mtu, strerror(-ret));
	}
	for (unsigned int i = 0; i < ports->n; i++) {
		fail_at(conf, ports->port[i].conf->line, err, size);
		if (twin_start(
			    ports, &ports->port[i], workers, err + strlen(err), size - strlen(err))
			< 0)
			return -1;
	}
	return 0;
}

// Drivers of kernel devices leave them promiscuous.
static void wire_stop(const struct port *port)
{
	rte_eth_promiscuous_disable(port->wire);
	rte_eth_allmulticast_disable(port->wire);
	rte_eth_dev_stop(port->wire);
}

void ports_stop(struct ports *ports, bool keep_twins)
{
	for (unsigned int i = 0; i < ports->n; i++) {
		struct port *port = &ports->port[i];

		// after a failed start, what this run has made goes; what it found stays
		twin_close(&port->twin, keep_twins ? port->conf->persist : !port->twin.created);
		if (port->started)
			wire_stop(port);
		if (port->probed)
			rte_eth_dev_close(port->wire);
		port->started = port->probed = false;
	}
}

int port_set_mtu(struct ports *ports, struct port *port, uint16_t mtu)
{
	int ret;

	if (mtu + FRAME_EXTRA + RTE_PKTMBUF_HEADROOM > ports->data_room)
		return -EMSGSIZE;
	ret = rte_eth_dev_set_mtu(port->wire, mtu);
	if (ret == 0)
		port->mtu = mtu;
	return ret;
}

int port_set_mac(struct port *port, const uint8_t mac[NFO_ETH_ALEN])
{
	struct port new = {.mac_word = 0};
	int ret;

	memcpy(&new.mac, mac, NFO_ETH_ALEN);
	ret = rte_eth_dev_default_mac_addr_set(port->wire, &new.mac);
	if (ret == 0)
		__atomic_store_n(&port->mac_word, new.mac_word, __ATOMIC_RELEASE);
	return ret;
}
