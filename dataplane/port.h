// SPDX-License-Identifier: BSD-3-Clause
// Ports: each is a DPDK port (the wire) and its kernel twin. Written by the control
// thread before workers start; afterwards only 'mac', 'iface' and 'mtu' change, of which workers read
// the first two, each replaced in one store.
#pragma once

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "dp_api.h"
#include "iface.h"
#include "twin.h"

struct port {
	uint16_t wire; // ethdev id
	struct twin twin;
	union {
		struct rte_ether_addr mac;
		uint64_t mac_word; // to replace it in one store
	};
	uint16_t mtu;
	uint16_t device_mtu; // as it was found
	uint16_t iface; // of its untagged frames (iface.h): control changes it, workers read
	uint16_t rx_queues;
	bool probed;  // by us: to be closed at the end
	bool started; // the wire
	const struct dp_port_conf *conf;
	char driver[64];
};

struct ports {
	unsigned int n;
	struct port port[NFO_MAX_PORTS];
	struct ifaces *ifaces;
	struct rte_mempool *pool;
	uint16_t data_room;
};

// All of these return 0, or -1 with one line in 'err' that names the place in config.ini.

// Finds or probes the devices of all [port] sections; nothing is started yet.
int ports_probe(struct ports *ports, const struct dp_conf *conf, char *err, size_t err_size);
// The number of workers that every port has a transmit queue for.
unsigned int ports_max_workers(const struct ports *ports, unsigned int wanted);
// Makes the packet pool, configures the wires, makes the twins, starts all.
int ports_start(struct ports *ports, const struct dp_conf *conf, unsigned int workers, char *err,
	size_t err_size);
// Stops what was started. Persistent twins stay, if 'keep_twins', as they are; others go.
void ports_stop(struct ports *ports, bool keep_twins);

int port_set_promiscuous(struct port *port, bool on);
int port_set_mtu(struct ports *ports, struct port *port, uint16_t mtu);
int port_set_mac(struct port *port, const uint8_t mac[NFO_ETH_ALEN]);
