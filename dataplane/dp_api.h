// SPDX-License-Identifier: BSD-3-Clause
// What control may ask of the dataplane. Only values cross.
//
// Threads: every function here belongs to the control thread, the single writer of the flow table.
// Workers are reached by published memory only (table.h has the argument); nothing here waits for
// one, except dp_stop().
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

enum dp_twin {
	DP_TWIN_AUTO,
	DP_TWIN_TAP,
	DP_TWIN_VIRTIO_USER,
};

// punt.h says what is of which class.
enum dp_punt_class {
	DP_PUNT_CONTROL,
	DP_PUNT_NEW,
	DP_PUNT_REST,
	DP_N_PUNT_CLASSES
};

// One [port NAME] of config.ini. 'line' is where it stands, for messages.
struct dp_port_conf {
	char name[NFO_NAME_LEN]; // of the twin, and of the port in every listing
	char device[512];        // DPDK device with its arguments: 0000:03:00.0, net_tap0,iface=x
	enum dp_twin twin;
	bool persist; // the twin stays when the daemon ends
	bool promiscuous;
	uint16_t mtu; // 0: the device's own
	uint16_t rx_desc;
	uint16_t tx_desc;
	uint16_t rx_queues; // 0: one for each worker, as far as the device has them
	uint32_t punt_pps[DP_N_PUNT_CLASSES]; // to the twin, of all workers together; 0: no limit
	unsigned int line;
	unsigned int device_line;
	unsigned int twin_line; // 0: not given
};

struct dp_conf {
	const char *file; // config.ini's path as given, for messages
	unsigned int n_ports;
	struct dp_port_conf port[NFO_MAX_PORTS];
	uint32_t max_connections;
	uint32_t mbufs;         // in the packet pool; 0: enough for all queues
	uint32_t idle_sleep_us; // the longest sleep of a worker without packets; 0: never sleeps
};

struct dp_port_info {
	char name[NFO_NAME_LEN];
	char device[512];
	char driver[64];
	char twin_driver[64];
	uint8_t mac[NFO_ETH_ALEN];
	uint16_t mtu;
	uint16_t device_mtu; // that it had before this daemon
	uint16_t rx_queues;
	uint16_t tx_queues;
	bool link_up;
	uint32_t link_mbps; // 0: unknown
};

struct dp_port_stats {
	uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_nombuf;
	uint64_t tx_packets, tx_bytes, tx_errors;
	uint64_t offloaded_packets, offloaded_bytes; // received here and forwarded by a worker
	uint64_t punted_packets;                     // received here and given to the twin
	uint64_t injected_packets;                   // from the twin to the wire
	uint64_t tx_dropped;                         // the port's transmit queue was full
	uint64_t twin_dropped; // the twin's queue was full: the kernel did not get them
	uint64_t punted[DP_N_PUNT_CLASSES];  // of punted_packets
	uint64_t limited[DP_N_PUNT_CLASSES]; // above the rate of punt_pps: dropped
};

struct dp_worker_stats {
	unsigned int lcore;
	unsigned int rx_queues;
	uint64_t busy_polls, idle_polls;
	uint64_t packets;   // handled in either direction
	uint64_t offloaded; // forwarded without the kernel
	uint64_t busy_cycles;
	uint64_t punts[NFO_N_PUNTS];
};

struct dp_table_stats {
	uint32_t capacity; // directions of IPv4 connections; one of IPv6 counts for two
	uint32_t used;
	uint32_t retired; // removed, still waiting for the workers' grace period
	uint32_t overflow_buckets;
};

enum dp_event_kind {
	DP_EVENT_CLOSING, // a worker saw a packet that ends the connection
	DP_EVENT_AUDIT,   // the kernel sends direction 'idx' otherwise than the workers; it is held
};

// Of the connection of 'cookie'. The last four are of an audit: how the kernel sent it.
struct dp_event {
	uint32_t cookie;
	uint32_t idx;
	uint8_t kind; // enum dp_event_kind
	uint8_t port;
	uint8_t l2_bytes;
	uint8_t l2[2 * NFO_ETH_ALEN + 4 * NFO_MAX_VLANS]; // Ethernet header without the EtherType
	uint8_t spare;
};

// What became of a sample.
enum dp_sample {
	DP_SAMPLE_DONE,   // the kernel sent it, or there was none
	DP_SAMPLE_WAITS,  // no packet has come yet, or it is held or closing
	DP_SAMPLE_UNSEEN, // the kernel got it, and was not seen to send it
};

enum { DP_FLOW_NONE = UINT32_MAX };

unsigned int dp_ports(void);
int dp_port_info(unsigned int port, struct dp_port_info *info);
int dp_port_stats(unsigned int port, struct dp_port_stats *stats);
// These return 0 or a negative errno; the port keeps what it had when it refuses.
int dp_port_set_mtu(unsigned int port, uint16_t mtu);
int dp_port_set_mac(unsigned int port, const uint8_t mac[NFO_ETH_ALEN]);
// From now on frames of the port are those of 'group': flows whose 'in_port' is it. Its own number
// makes it a port by itself again; NFO_MAX_PORTS and above are for bonds. 0 or -EINVAL.
int dp_port_group(unsigned int port, unsigned int group);

int dp_port_set_promiscuous(unsigned int port, bool on);
// Packets a second to the twin, by class, as in struct dp_port_conf.
void dp_port_set_punt(unsigned int port, const uint32_t pps[DP_N_PUNT_CLASSES]);
// As in struct dp_conf.
void dp_set_idle_sleep(uint32_t us);

unsigned int dp_workers(void);
int dp_worker_stats(unsigned int worker, struct dp_worker_stats *stats);
void dp_table_stats(struct dp_table_stats *stats);
// An audit of the table: NULL, or a word for what is wrong (table_check.h). O(capacity).
const char *dp_table_check(void);

// Adds one direction. 'sibling' is the index of the other direction or DP_FLOW_NONE; 'cookie' comes
// back in events. '*idx' names the direction until dp_flow_del(). Returns 0, -EINVAL (neither TCP nor
// UDP nor GRE without NAT, unknown port, impossible tags), -EEXIST (the same match is in the table),
// -ENOSPC.
int dp_flow_add(const struct nfo_flow *flow, uint32_t sibling, uint32_t cookie, uint32_t *idx);
// Replaces the rewrite of direction '*idx' in one step: a packet meets the old or the new one,
// never a mixture. Match, 'in_port' and 'in_vlan' must be the same. '*idx' may change; counters go on.
int dp_flow_replace(uint32_t *idx, const struct nfo_flow *flow);
// From here on no new burst finds it; a burst in flight may still use it.
void dp_flow_del(uint32_t idx);
// Its packets go to the kernel until dp_flow_release() or dp_flow_replace(): where it has to leave is
// not known at the moment.
void dp_flow_hold(uint32_t idx);
void dp_flow_release(uint32_t idx);
// The neighbour 'via' has the MAC address 'mac' from now on, NULL: none that is known. One call for all
// flows that leave by it. Until the workers have all seen it (dp_settle()) and as long as there is none,
// their packets go to the kernel. A flow that is added with another address of it says the same.
void dp_neigh_set(const struct nfo_via *via, const uint8_t mac[NFO_ETH_ALEN]);
// To be called about every 10 ms: completes dp_neigh_set(). O(next hops) if one is under way.
void dp_settle(void);
// The next packet of it goes to the kernel, though it is known. Returns what became of the one before.
enum dp_sample dp_flow_sample(uint32_t idx);
void dp_flow_counters(uint32_t idx, struct nfo_counters *counters);

// Events of the workers since the last call, at most 'n'. Returns how many.
unsigned int dp_events(struct dp_event *events, unsigned int n);
// Housekeeping, to be called about every 100 ms: frees what the workers no longer see, folds
// counters. O(retired + flows / 64) a call.
void dp_housekeep(void);
