// SPDX-License-Identifier: GPL-2.0-or-later
// table.c and table_read.h: against rte_hash as the oracle, under churn with a reader beside.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_hash.h>
#include <rte_hash_crc.h>

#include "eal.h"
#include "sigcmp_generic.h"
#include "table_check.h"
#define sigcmp sigcmp_leaf // the leaf that table_read.h chooses, beside the generic one
#include "table_read.h"
#undef sigcmp

enum { FLOWS = 4096, KEYS = 3 * FLOWS, OPERATIONS = 400000 };

static struct table *table;

static int set_up(void **state)
{
	(void)state;
	table = table_create(FLOWS, 2);
	return table != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	table_destroy(table);
	return 0;
}

static bool mixed; // every third key is of IPv6

// Key 'i' of many that share addresses and ports.
static struct table_key key_of(uint32_t i)
{
	struct table_key key = {
		.sport_be = (uint16_t)((i >> 6) & 63),
		.dport_be = 80,
		.iface = (uint16_t)(i & 1),
		.proto = (uint8_t)(i & 2 ? NFO_TCP : NFO_UDP),
		.family = NFO_IPV4,
	};

	if (mixed && i % 3 == 0) {
		key.family = NFO_IPV6;
		key.v6.src[0] = key.v6.dst[0] = 0x20;
		key.v6.src[15] = i & 63;
		key.v6.dst[(i >> 12) % 16] = 1;
	} else {
		key.v4.src_be = i & 63;
		key.v4.dst_be = i >> 12;
	}
	return key;
}

static struct table_content entry_of(uint32_t i)
{
	// 'mtu' tells a reader whose entry it is
	return (struct table_content){.entry = {.key = key_of(i), .mtu = (uint16_t)i}};
}

static unsigned int units_of(uint32_t i)
{
	return mixed && i % 3 == 0 ? 2 : 1;
}

static uint32_t add(uint32_t i)
{
	const struct table_content e = entry_of(i);
	uint32_t idx = DP_FLOW_NONE;

	assert_int_equal(table_add(table, &e, DP_FLOW_NONE, i, &idx), 0);
	return idx;
}

static uint32_t find(uint32_t i)
{
	const struct table_key key = key_of(i);

	return table_find(table, &key);
}

// No reader is registered: whatever waits is free after two turns.
static void reclaim(void)
{
	table_reclaim(table);
	table_reclaim(table);
}

static void test_add_find_del(void **state)
{
	const struct table_content e = entry_of(7);
	uint32_t idx, again;

	(void)state;
	assert_int_equal(find(7), DP_FLOW_NONE);
	idx = add(7);
	assert_int_equal(find(7), idx);
	assert_int_equal(find(8), DP_FLOW_NONE);
	assert_int_equal(table_add(table, &e, DP_FLOW_NONE, 0, &again), -EEXIST);
	table_del(table, idx);
	assert_int_equal(find(7), DP_FLOW_NONE);
}

static void test_full(void **state)
{
	struct dp_table_stats stats;
	uint32_t idx[FLOWS], more;
	struct table_content e = entry_of(FLOWS);

	(void)state;
	for (uint32_t i = 0; i < FLOWS; i++)
		idx[i] = add(i);
	assert_int_equal(table_add(table, &e, DP_FLOW_NONE, 0, &more), -ENOSPC);
	assert_int_equal(find(FLOWS), DP_FLOW_NONE);
	for (uint32_t i = 0; i < FLOWS; i++)
		assert_int_equal(find(i), idx[i]);
	for (uint32_t i = 0; i < FLOWS; i++)
		table_del(table, idx[i]);
	reclaim();
	table_stats(table, &stats);
	assert_int_equal(stats.used, 0);
	assert_int_equal(stats.retired, 0);
	// what overflowed is given back, or churn would eat the pool
	assert_int_equal(stats.overflow_buckets, 0);
	assert_int_equal(table_add(table, &e, DP_FLOW_NONE, 0, &more), 0);
}

static void check_oracle(void)
{
	const struct rte_hash_parameters params = {
		.name = "oracle",
		.entries = 2 * KEYS,
		.key_len = sizeof(struct table_key),
		.hash_func = rte_hash_crc,
	};
	struct rte_hash *oracle = rte_hash_create(&params);
	struct dp_table_stats stats;
	unsigned int units = 0;

	assert_non_null(oracle);
	srand(1);
	for (int n = 0; n < OPERATIONS; n++) {
		const uint32_t i = (uint32_t)rand() % KEYS;
		const struct table_key key = key_of(i);
		const struct table_content e = entry_of(i);
		void *data = NULL;
		const bool known = rte_hash_lookup_data(oracle, &key, &data) >= 0;
		uint32_t idx = (uint32_t)(uintptr_t)data;

		assert_int_equal(table_find(table, &key), known ? idx : DP_FLOW_NONE);
		switch (rand() % 4) {
		case 0:
			if (known) {
				table_del(table, idx);
				rte_hash_del_key(oracle, &key);
				units -= units_of(i);
			}
			break;
		case 1:
			if (known && table_replace(table, &e, &idx) == 0)
				rte_hash_add_key_data(oracle, &key, (void *)(uintptr_t)idx);
			break;
		default:
			if (!known && table_add(table, &e, DP_FLOW_NONE, i, &idx) == 0) {
				rte_hash_add_key_data(oracle, &key, (void *)(uintptr_t)idx);
				units += units_of(i);
			}
		}
		if (n % 100 == 0)
			table_reclaim(table);
		if (n % 2000 == 0)
			assert_null(table_check(table));
	}
	assert_null(table_check(table));
	table_stats(table, &stats);
	assert_int_equal(stats.used, units);
	rte_hash_free(oracle);
}

static void test_oracle(void **state)
{
	(void)state;
	check_oracle();
}

static void test_oracle_mixed(void **state)
{
	(void)state;
	mixed = true;
	check_oracle();
	mixed = false;
}

static uint32_t add_next(uint32_t *i, bool v6)
{
	while ((*i % 3 == 0) != v6)
		++*i;
	return add((*i)++);
}

// Units of IPv4 flows join into pairs again, in whichever order they come free, and a full table of
// one family becomes a full table of the other.
static void test_units_join(void **state)
{
	struct dp_table_stats stats;
	struct table_content e;
	uint32_t idx[FLOWS], i = 0;

	(void)state;
	mixed = true;
	for (uint32_t n = 0; n < FLOWS; n++)
		idx[n] = add_next(&i, false);
	e = entry_of(3 * FLOWS); // of IPv6
	assert_int_equal(table_add(table, &e, DP_FLOW_NONE, 0, &i), -ENOSPC);
	for (uint32_t n = 0; n < FLOWS; n++)
		table_del(table, idx[n * 2731u % FLOWS]); // odd: each of them once
	reclaim();
	i = 0;
	for (uint32_t n = 0; n < FLOWS / 2; n++) {
		idx[n] = add_next(&i, true);
		assert_int_equal(idx[n] % 2, 0);
	}
	table_stats(table, &stats);
	assert_int_equal(stats.used, FLOWS);
	assert_int_equal(table_add(table, &e, DP_FLOW_NONE, 0, &i), -ENOSPC);
	for (uint32_t n = 0; n < FLOWS / 2; n++)
		table_del(table, idx[n]);
	reclaim();
	i = 0;
	for (uint32_t n = 0; n < FLOWS; n++)
		add_next(&i, false);
	mixed = false;
}

// A pair of units whose one half an IPv4 flow holds is not a pair.
static void test_units_half_free(void **state)
{
	uint32_t i = 0, first, second, six;

	(void)state;
	mixed = true;
	first = add_next(&i, false);
	second = add_next(&i, false);
	assert_int_equal(first ^ second, 1);
	table_del(table, first);
	reclaim();
	six = add_next(&i, true);
	assert_int_not_equal(six & ~1u, first & ~1u);
	mixed = false;
}

static void test_replace_keeps_counters(void **state)
{
	struct table_content e = entry_of(5);
	uint32_t idx = add(5), old = idx;
	uint64_t packets, bytes;
	uint16_t tick;

	(void)state;
	table->entries[idx].packets = 10;
	table->entries[idx].bytes = 1000;
	e.entry.mtu = 99;
	assert_int_equal(table_replace(table, &e, &idx), 0);
	assert_int_not_equal(idx, old);
	assert_int_equal(find(5), idx);
	table->entries[old].packets++; // a worker that still had the old one
	table->entries[old].bytes += 100;
	table->entries[idx].packets = 1;
	table->entries[idx].bytes = 50;
	table_counters(table, idx, &packets, &bytes, &tick);
	assert_int_equal(packets, 12);
	assert_int_equal(bytes, 1150);
	reclaim();
	table_counters(table, idx, &packets, &bytes, &tick);
	assert_int_equal(packets, 12);
	assert_int_equal(bytes, 1150);
}

static void test_counters_wrap_and_foreign(void **state)
{
	uint64_t packets, bytes;
	uint32_t idx = add(1);
	uint16_t tick;

	(void)state;
	table->entries[idx].packets = UINT32_MAX;
	table_fold(table, 0, FLOWS, NULL);
	table->entries[idx].packets = 4; // five more
	table->foreign[1][idx] = (struct table_foreign){3, 300};
	table_counters(table, idx, &packets, &bytes, &tick);
	assert_int_equal(packets, (uint64_t)UINT32_MAX + 5 + 3);
	assert_int_equal(bytes, 300);
	table_del(table, idx);
	reclaim();
	for (uint32_t i = 2; i < FLOWS + 2; i++) { // its place is used again
		idx = add(i);
		table_counters(table, idx, &packets, &bytes, &tick);
		assert_int_equal(packets, 0);
		assert_int_equal(bytes, 0);
	}
}

static unsigned int closings;

static void on_closing(uint32_t cookie)
{
	assert_int_equal(cookie, 3);
	closings++;
}

static void test_fold_reports_closing(void **state)
{
	const uint32_t idx = add(3);

	(void)state;
	closings = 0;
	table_fold(table, 0, FLOWS, on_closing);
	assert_int_equal(closings, 0);
	table->entries[idx].state = FLOW_CLOSING;
	table_fold(table, 0, FLOWS, on_closing);
	assert_int_equal(closings, 1);
	table_del(table, idx);
	table_fold(table, 0, FLOWS, on_closing);
	assert_int_equal(closings, 1);
}

// Nothing is used again before every online reader has passed a quiescent state.
static void test_grace(void **state)
{
	struct dp_table_stats stats;
	const uint32_t idx = add(1);

	(void)state;
	rte_rcu_qsbr_thread_register(table->qsbr, 0);
	rte_rcu_qsbr_thread_online(table->qsbr, 0);
	table_del(table, idx);
	for (int i = 0; i < 5; i++)
		table_reclaim(table);
	table_stats(table, &stats);
	assert_int_equal(stats.retired, 1);
	assert_true(table->cold[idx].used);
	rte_rcu_qsbr_quiescent(table->qsbr, 0);
	table_reclaim(table);
	table_stats(table, &stats);
	assert_int_equal(stats.retired, 0);
	rte_rcu_qsbr_thread_offline(table->qsbr, 0);
	rte_rcu_qsbr_thread_unregister(table->qsbr, 0);
}

enum { STABLE = 512 };

static struct {
	bool stop;
	uint64_t lookups, missing, wrong;
} reader;

static void *read_stable(void *arg)
{
	(void)arg;
	rte_rcu_qsbr_thread_register(table->qsbr, 1);
	rte_rcu_qsbr_thread_online(table->qsbr, 1);
	while (!__atomic_load_n(&reader.stop, __ATOMIC_RELAXED)) {
		for (uint32_t i = 0; i < STABLE; i++) {
			const uint32_t idx = find(i);

			reader.lookups++;
			if (idx == DP_FLOW_NONE)
				reader.missing++;
			else if (table->entries[idx].mtu != i)
				reader.wrong++;
		}
		for (uint32_t i = STABLE; i < KEYS; i += 37) { // these come and go
			const uint32_t idx = find(i);

			if (idx != DP_FLOW_NONE && table->entries[idx].mtu != i)
				reader.wrong++;
		}
		rte_rcu_qsbr_quiescent(table->qsbr, 1);
	}
	rte_rcu_qsbr_thread_offline(table->qsbr, 1);
	rte_rcu_qsbr_thread_unregister(table->qsbr, 1);
	return NULL;
}

// Flows of both families that stay are found at every moment, with their own content, while others come and go and
// while they themselves are replaced.
static void test_reader_beside_writer(void **state)
{
	uint32_t idx[KEYS];
	pthread_t thread;

	(void)state;
	mixed = true;
	memset(idx, 0xff, sizeof(idx));
	memset(&reader, 0, sizeof(reader));
	for (uint32_t i = 0; i < STABLE; i++)
		idx[i] = add(i);
	assert_int_equal(pthread_create(&thread, NULL, read_stable, NULL), 0);
	srand(2);
	for (int n = 0; n < OPERATIONS; n++) {
		const uint32_t i = (uint32_t)rand() % KEYS;
		const struct table_content e = entry_of(i);

		if (i < STABLE) {
			table_replace(table, &e, &idx[i]);
		} else if (idx[i] == DP_FLOW_NONE) {
			table_add(table, &e, DP_FLOW_NONE, i, &idx[i]);
		} else {
			table_del(table, idx[i]);
			idx[i] = DP_FLOW_NONE;
		}
		if (n % 16 == 0)
			table_reclaim(table);
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	mixed = false;
	assert_int_not_equal(reader.lookups, 0);
	assert_int_equal(reader.missing, 0);
	assert_int_equal(reader.wrong, 0);
}

static void test_sigcmp_leaves(void **state)
{
	uint16_t sigs[8] __attribute__((aligned(16)));

	(void)state;
	srand(3);
	for (int n = 0; n < 10000; n++) {
		const uint16_t sig = (uint16_t)(rand() % 5 * 0x4001);

		for (int i = 0; i < 8; i++)
			sigs[i] = (uint16_t)(rand() % 5 * 0x4001);
		assert_int_equal(sigcmp_leaf(sigs, sig), sigcmp(sigs, sig));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add_find_del, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oracle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oracle_mixed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_units_join, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_units_half_free, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replace_keeps_counters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_counters_wrap_and_foreign, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fold_reports_closing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_grace, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reader_beside_writer, set_up, tear_down),
		cmocka_unit_test(test_sigcmp_leaves),
	};

	if (eal_for_test("64") < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
