// SPDX-License-Identifier: GPL-2.0-or-later
// table_check.c: nothing to say of a table in any state that its functions leave, and the word for each
// thing that is broken by hand.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <string.h>

#include "eal.h"
#include "table_check.h"
#include "table_read.h"

enum { UNITS = 256, PAIRS = 40 };

static struct table *table;
static uint32_t idx[PAIRS][2]; // both directions

// Every other connection is of IPv6.
static struct table_content content_of(uint32_t i, unsigned int d)
{
	struct table_content c = {.entry = {.key = {.sport_be = (uint16_t)i, .proto = NFO_UDP}}};

	c.entry.key.iface = (uint16_t)d;
	if (i % 2 == 0) {
		c.entry.key.family = NFO_IPV4;
		c.entry.key.v4.src_be = i;
	} else {
		c.entry.key.family = NFO_IPV6;
		c.entry.key.v6.src[0] = 0x20;
	}
	return c;
}

static uint16_t next_hop(uint32_t i)
{
	const struct nfo_flow flow = {.eth_dst = {2, 0, 0, 0, 0, (uint8_t)(i % 3)}};

	return nexthop_get(table->nexthops, &flow);
}

static void add(uint32_t i)
{
	for (unsigned int d = 0; d < 2; d++) {
		struct table_content c = content_of(i, d);

		c.entry.nexthop = next_hop(i);
		assert_int_equal(
			table_add(table, &c, d == 0 ? DP_FLOW_NONE : idx[i][0], i, &idx[i][d]), 0);
	}
}

static void del(uint32_t i)
{
	table_del(table, idx[i][0]);
	table_del(table, idx[i][1]);
}

static void replace(uint32_t i, unsigned int d)
{
	struct table_content c = content_of(i, d);

	c.entry.nexthop = next_hop(i + 1);
	assert_int_equal(table_replace(table, &c, &idx[i][d]), 0);
}

static void sound(void)
{
	const char *fault = table_check(table);

	if (fault != NULL)
		fail_msg("%s", fault);
}

static void broken(const char *fault)
{
	const char *got = table_check(table);

	assert_non_null(got);
	assert_string_equal(got, fault);
}

// A bit of everything: entries of both families, replaced ones, retired ones, an overflow bucket, free
// single units and pairs.
static int set_up(void **state)
{
	(void)state;
	table = table_create(UNITS, 1);
	if (table == NULL)
		return -1;
	table->bucket_mask = 1; // all in two buckets, so that they overflow
	for (uint32_t i = 0; i < PAIRS; i++)
		add(i);
	for (uint32_t i = 30; i < PAIRS; i++)
		del(i);
	table_reclaim(table);
	table_reclaim(table);
	for (uint32_t i = 20; i < 30; i++)
		del(i);
	replace(0, 0);
	replace(1, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	table_destroy(table);
	return 0;
}

static void test_sound(void **state)
{
	struct dp_table_stats stats;

	(void)state;
	sound();
	table_stats(table, &stats);
	assert_in_range(stats.overflow_buckets, 1, 100);
	assert_in_range(stats.retired, 1, 100);
	table_reclaim(table);
	sound();
	for (uint32_t i = 0; i < 20; i++) {
		del(i);
		sound();
	}
	table_reclaim(table);
	table_reclaim(table);
	sound();
	table_stats(table, &stats);
	assert_int_equal(stats.used, 0);
	assert_int_equal(stats.retired, 0);
	assert_int_equal(stats.overflow_buckets, 0);
}

// The slot that holds an entry.
static struct table_bucket *bucket_of(uint32_t i, unsigned int *slot)
{
	struct table_bucket *b = &table->buckets[table_hash(table, &table->entries[i].key) & 1];

	for (;; b = &table->overflow[b->next])
		for (*slot = 0; *slot < TABLE_SLOTS; ++*slot)
			if (b->sig[*slot] != 0 && b->idx[*slot] == i)
				return b;
}

#define BREAK(lvalue, value, fault)              \
	do {                                     \
		const typeof(lvalue) was = lvalue; \
		lvalue = (value);                \
		broken(fault);                   \
		lvalue = was;                    \
		sound();                         \
	} while (0)

static void test_units(void **state)
{
	uint32_t *const oldest = &table->retired[table->retired_tail & table->retired_mask];
	const uint32_t four = idx[2][0], six = idx[3][0];
	struct table_bucket *b;
	unsigned int slot;

	(void)state;
	b = bucket_of(four, &slot);
	BREAK(b->idx[slot], UNITS, "unit-number");
	BREAK(b->sig[slot], 0, "unit-lost");
	BREAK(b->sig[slot], b->sig[slot] ^ 2, "slot-key");
	BREAK(table->entries[four].key.sport_be, 4711, "slot-key");
	BREAK(*oldest, four, "unit-twice");
	BREAK(*oldest, six | 1, "unit-pair");
	BREAK(*oldest, UNITS, "unit-number");
	BREAK(table->cold[four].used, false, "unit-state");
	BREAK(table->cold[four].retired, true, "unit-state");
	BREAK(table->cold[*oldest].retired, false, "unit-state");
	BREAK(table->cold[four].free, TABLE_FREE_SINGLE, "unit-state");
	BREAK(table->retired_head, table->retired_head - 1, "unit-lost");
	BREAK(table->used, table->used + 1, "used");
}

static struct table_bucket *first_with_overflow(void)
{
	return table->buckets[0].next != TABLE_NO_BUCKET ? &table->buckets[0] : &table->buckets[1];
}

static void test_buckets(void **state)
{
	struct table_bucket *home = first_with_overflow(), *last = home;
	uint32_t *const free_one = &table->free_overflow[0];

	(void)state;
	while (last->next != TABLE_NO_BUCKET)
		last = &table->overflow[last->next];
	BREAK(last->next, table->n_overflow, "bucket-number");
	BREAK(last->next, home->next, "bucket-twice"); // a circle
	BREAK(last->next, *free_one, "bucket-twice");
	BREAK(*free_one, TABLE_NO_BUCKET, "bucket-number");
	BREAK(*free_one, home->next, "bucket-twice");
	BREAK(table->n_free_overflow, table->n_free_overflow - 1, "bucket-lost");
}

static void test_free_lists(void **state)
{
	const uint32_t pair = table->free_units[TABLE_FREE_PAIR], next = table->cold[pair].newer;
	uint32_t single;

	(void)state;
	single = idx[2][0];
	table_del(table, single); // its buddy stays
	table_reclaim(table);
	table_reclaim(table);
	assert_int_equal(table->free_units[TABLE_FREE_SINGLE], single);
	sound();
	BREAK(table->cold[next].older, next, "free-link");
	BREAK(table->cold[pair].free, TABLE_FREE_NOT, "free-link");
	BREAK(table->cold[pair].used, true, "free-link");
	BREAK(table->cold[next].newer, pair, "unit-twice"); // a circle
	BREAK(table->cold[pair].newer, UNITS, "unit-number");
	BREAK(table->free_units[TABLE_FREE_SINGLE], DP_FLOW_NONE, "unit-lost");
	// both halves in the list of single units
	table->free_units[TABLE_FREE_PAIR] = next;
	table->cold[next].older = DP_FLOW_NONE;
	for (uint32_t i = pair; i < pair + 2; i++) {
		table->cold[i].free = TABLE_FREE_SINGLE;
		table->cold[i].older = i == pair ? single : pair;
		table->cold[i].newer = i == pair ? pair + 1 : DP_FLOW_NONE;
	}
	table->cold[single].newer = pair;
	broken("free-buddy");
}

static void test_relatives(void **state)
{
	const uint32_t one = idx[4][0], replaced = idx[0][0];

	(void)state;
	BREAK(table->cold[one].sibling, idx[5][0], "sibling");
	BREAK(table->cold[one].sibling, UNITS, "sibling");
	BREAK(table->cold[one].sibling, table->cold[replaced].older, "sibling"); // retired
	BREAK(table->cold[replaced].older, one, "replaced");
	BREAK(table->cold[table->cold[replaced].older].newer, one, "replaced");
	BREAK(table->nexthops->cold[1].refs, table->nexthops->cold[1].refs + 1, "next-hop");
	BREAK(table->entries[one].nexthop, NEXTHOP_NONE, "next-hop");
	BREAK(table->entries[one].nexthop, NEXTHOP_MAX - 1, "next-hop");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sound),
		TEST(test_units),
		TEST(test_buckets),
		TEST(test_free_lists),
		TEST(test_relatives),
	};

	if (eal_for_test("64") < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
