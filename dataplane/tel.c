// SPDX-License-Identifier: BSD-3-Clause
// Endpoints of DPDK's telemetry socket (dpdk-telemetry.py): ports, workers, table. Called by the
// telemetry thread: it reads counters that others write, each a naturally aligned word.
#include <stdlib.h>

#include <rte_telemetry.h>

#include "dp.h"

static int by_number(const char *params, unsigned int n)
{
	const long i = params != NULL ? strtol(params, NULL, 10) : -1;

	return i >= 0 && i < (long)n ? (int)i : -1;
}

static int tel_list(unsigned int n, struct rte_tel_data *d)
{
	rte_tel_data_start_array(d, RTE_TEL_INT_VAL);
	for (unsigned int i = 0; i < n; i++)
		rte_tel_data_add_array_int(d, (int)i);
	return 0;
}

static int tel_port(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const int i = by_number(params, dp.ports.n);
	struct dp_port_stats s;

	(void)cmd;
	if (i < 0)
		return tel_list(dp.ports.n, d);
	if (dp_port_stats((unsigned int)i, &s) != 0)
		return -1;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", dp.ports.port[i].conf->name);
	rte_tel_data_add_dict_u64(d, "rx_packets", s.rx_packets);
	rte_tel_data_add_dict_u64(d, "tx_packets", s.tx_packets);
	rte_tel_data_add_dict_u64(d, "offloaded_packets", s.offloaded_packets);
	rte_tel_data_add_dict_u64(d, "offloaded_bytes", s.offloaded_bytes);
	rte_tel_data_add_dict_u64(d, "punted_packets", s.punted_packets);
	rte_tel_data_add_dict_u64(d, "punted_control", s.punted[DP_PUNT_CONTROL]);
	rte_tel_data_add_dict_u64(d, "punted_new", s.punted[DP_PUNT_NEW]);
	rte_tel_data_add_dict_u64(d, "punted_rest", s.punted[DP_PUNT_REST]);
	rte_tel_data_add_dict_u64(d, "limited_control", s.limited[DP_PUNT_CONTROL]);
	rte_tel_data_add_dict_u64(d, "limited_new", s.limited[DP_PUNT_NEW]);
	rte_tel_data_add_dict_u64(d, "limited_rest", s.limited[DP_PUNT_REST]);
	rte_tel_data_add_dict_u64(d, "injected_packets", s.injected_packets);
	rte_tel_data_add_dict_u64(d, "tx_dropped", s.tx_dropped);
	rte_tel_data_add_dict_u64(d, "twin_dropped", s.twin_dropped);
	return 0;
}

static int tel_worker(const char *cmd, const char *params, struct rte_tel_data *d)
{
	const int i = by_number(params, dp.n_workers);
	struct dp_worker_stats s;

	(void)cmd;
	if (i < 0)
		return tel_list(dp.n_workers, d);
	dp_worker_stats((unsigned int)i, &s);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_int(d, "lcore", (int)s.lcore);
	rte_tel_data_add_dict_u64(d, "packets", s.packets);
	rte_tel_data_add_dict_u64(d, "offloaded", s.offloaded);
	rte_tel_data_add_dict_u64(d, "busy_polls", s.busy_polls);
	rte_tel_data_add_dict_u64(d, "idle_polls", s.idle_polls);
	rte_tel_data_add_dict_u64(d, "busy_cycles", s.busy_cycles);
	for (unsigned int p = 0; p < NFO_N_PUNTS; p++)
		rte_tel_data_add_dict_u64(d, nfo_punt_word(p), s.punts[p]);
	return 0;
}

static int tel_table(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct dp_table_stats s;

	(void)cmd;
	(void)params;
	dp_table_stats(&s);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_u64(d, "capacity", s.capacity);
	rte_tel_data_add_dict_u64(d, "used", s.used);
	rte_tel_data_add_dict_u64(d, "retired", s.retired);
	rte_tel_data_add_dict_u64(d, "overflow_buckets", s.overflow_buckets);
	return 0;
}

void tel_register(void)
{
	rte_telemetry_register_cmd("/nftoffload/port", tel_port,
		"Counters of a port. Parameter: its number; none: lists them");
	rte_telemetry_register_cmd("/nftoffload/worker", tel_worker,
		"Counters of a worker. Parameter: its number; none: lists them");
	rte_telemetry_register_cmd(
		"/nftoffload/table", tel_table, "Use of the flow table. No parameters");
}
