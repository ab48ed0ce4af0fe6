// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/nft.c ctrl/nft_decode.c ctrl/nl.c ctrl/loop.c ctrl/log.c
#include "nft.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "live.h"
#include "nl.h"
#include "recorded/nft.h"

static void two_devices(void **state)
{
	struct nft_flowtable ft;

	(void)state;
	assert_int_equal(nft_decode_flowtable(recorded_msg(nft_new_two_devices), &ft), 0);
	assert_string_equal(ft.table, "t");
	assert_string_equal(ft.name, "f");
	assert_int_equal(ft.family, 1); // NFPROTO_INET
	assert_int_equal(ft.priority, 0);
	assert_int_equal(ft.hook, 0);
	assert_int_equal(ft.flags, NFT_FLAG_COUNTER);
	assert_int_equal(ft.use, 0);
	assert_int_not_equal(ft.handle, 0);
	assert_int_equal(ft.n_devices, 2);
	assert_string_equal(ft.devices[0], "c0");
	assert_string_equal(ft.devices[1], "s0");
	assert_false(ft.from_config);
	nft_flowtable_fini(&ft);
	assert_null(ft.devices);
}

static void some_devices(void **state)
{
	struct nft_flowtable ft;

	(void)state;
	assert_int_equal(nft_decode_flowtable(recorded_msg(nft_del_one_device), &ft), 0);
	assert_int_equal(ft.n_devices, 1);
	assert_string_equal(ft.devices[0], "s0");
	nft_flowtable_fini(&ft);
	assert_int_equal(nft_decode_flowtable(recorded_msg(nft_dump_one_device), &ft), 0);
	assert_int_equal(ft.n_devices, 1);
	assert_string_equal(ft.devices[0], "c0");
	nft_flowtable_fini(&ft);
	assert_int_equal(nft_decode_flowtable(recorded_msg(nft_dump_no_device), &ft), 0);
	assert_int_equal(ft.n_devices, 0);
	assert_int_equal(ft.family, NFO_IPV4);
	assert_int_equal(ft.priority, -10);
	nft_flowtable_fini(&ft);
}

static void not_a_flowtable(void **state)
{
	struct nft_flowtable ft = {.use = 77};

	(void)state;
	assert_int_equal(nft_decode_flowtable(recorded_msg(nft_newgen), &ft), -EBADMSG);
	assert_int_equal(ft.use, 77);
}

// What no kernel at hand sends: prefixes, attributes yet to come, a name that is too long.
static void newer_kernel(void **state)
{
	char buf[512] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *hook, *devices;
	struct nft_flowtable ft;

	(void)state;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	mnl_attr_put_strz(nlh, NFTA_FLOWTABLE_TABLE, "t");
	mnl_attr_put_strz(nlh, NFTA_FLOWTABLE_NAME, "f");
	mnl_attr_put_u32(nlh, 4000, 1);
	hook = mnl_attr_nest_start(nlh, NFTA_FLOWTABLE_HOOK);
	devices = mnl_attr_nest_start(nlh, NFTA_FLOWTABLE_HOOK_DEVS);
	mnl_attr_put_strz(nlh, NFTA_DEVICE_NAME, "zz");
	mnl_attr_put_strz(nlh, 2, "wild"); // NFTA_DEVICE_PREFIX
	mnl_attr_put_strz(nlh, 3, "later");
	mnl_attr_put_strz(nlh, NFTA_DEVICE_NAME, "name-of-16-bytes");
	mnl_attr_put_strz(nlh, NFTA_DEVICE_NAME, "");
	mnl_attr_put_str(nlh, NFTA_DEVICE_NAME, "unterminated"); // legal: the length tells
	mnl_attr_nest_end(nlh, devices);
	mnl_attr_nest_end(nlh, hook);
	assert_int_equal(nft_decode_flowtable(nlh, &ft), 0);
	assert_int_equal(ft.n_devices, 3);
	assert_string_equal(ft.devices[0], "unterminated");
	assert_string_equal(ft.devices[1], "wild*");
	assert_string_equal(ft.devices[2], "zz");
	nft_flowtable_fini(&ft);
}

static void cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < MNL_ARRAY_SIZE(recorded_nft); i++) {
		for (size_t n = sizeof(struct nlmsghdr); n < recorded_nft[i].bytes; n++) {
			struct nlmsghdr *nlh = recorded_cut(&recorded_nft[i], n);
			struct nft_flowtable ft;
			if (!nft_decode_flowtable(nlh, &ft))
				nft_flowtable_fini(&ft);
			free(nlh);
		}
	}
}

static void count(void *arg)
{
	++*(unsigned int *)arg;
}

static void live_reason(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct nft *nft = nft_create(loop, count, &changes);

	assert_non_null(nft);
	assert_int_equal(nft_list(nft)->n, 0);
	print_message("nft_unsupported: %s\n", nft_unsupported(nft) ? nft_unsupported(nft) : "-");
	nft_kick(nft);
	live_turns(loop, 20);
	assert_int_equal(changes, 0); // nothing differs
	nft_destroy(nft);
}

static void add_tables(void)
{
	live_run("ip link add c0 type veth peer s0");
	live_run("nft 'add table inet t; add flowtable inet t f "
		 "{ hook ingress priority 0; devices = { c0, s0 }; }'");
}

static struct nft *create_or_skip(struct loop *loop, unsigned int *changes)
{
	struct nft *nft = nft_create(loop, count, changes);

	assert_non_null(nft);
	if (nft_unsupported(nft)) {
		print_message("no flowtables here: %s\n", nft_unsupported(nft));
		nft_destroy(nft);
		skip();
	}
	return nft;
}

static void live_events(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct nft *nft = create_or_skip(loop, &changes);
	uint32_t generation;

	add_tables();
	live_until(loop, nft_list(nft)->n == 1);
	assert_int_equal(nft_list(nft)->list[0].n_devices, 2);
	generation = nft_generation(nft);
	live_run("nft 'delete flowtable inet t f { hook ingress priority 0; devices = { s0 }; }'");
	live_until(loop, nft_list(nft)->list[0].n_devices == 1);
	assert_int_not_equal(nft_generation(nft), generation);
	changes = 0;
	live_run("nft add table inet other"); // a generation, and the same list
	live_until(loop, nft_generation(nft) != generation + 1);
	assert_int_equal(changes, 0);
	live_run("ip link del c0"); // no event: the caller kicks
	nft_kick(nft);
	live_until(loop, nft_list(nft)->list[0].n_devices == 0);
	assert_int_equal(changes, 1);
	live_run("nft delete table inet t");
	live_until(loop, nft_list(nft)->n == 0);
	nft_destroy(nft);
}

// Loaded anew in one transaction, it looks as before; its flows in the kernel are gone all the
// same.
static void live_reload(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct nft *nft = create_or_skip(loop, &changes);
	uint32_t epoch;

	add_tables();
	live_until(loop, nft_list(nft)->n == 1);
	live_turns(loop, 20);
	epoch = nft_epoch(nft);
	changes = 0;
	live_run("nft 'add table inet other; add chain inet other c; delete table inet other'");
	live_turns(loop, 20);
	assert_int_equal(nft_epoch(nft), epoch); // another's affair
	assert_int_equal(changes, 0);
	live_run("nft 'delete table inet t; add table inet t; add flowtable inet t f "
		 "{ hook ingress priority 0; devices = { c0, s0 }; }'");
	live_until(loop, changes != 0);
	assert_int_not_equal(nft_epoch(nft), epoch);
	assert_int_equal(nft_list(nft)->n, 1);
	nft_destroy(nft);
}

// Rules of every kind that speak of marks; only one that gives a connection's back counts.
static void live_marks(void **state)
{
	static const struct {
		const char *rule;
		bool restores;
	} rows[] = {
		{"meta mark set 1", false},
		{"ct mark set meta mark", false},
		{"ct mark 1 counter", false},
		{"ct mark 1 meta mark set 2", false}, // a comparison, not what is set
		{"meta mark set ct mark", true},
		{"meta mark set ct mark and 0xff", true},
		{"ip saddr 10.0.0.1 meta mark set ct mark", true},
	};
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct nft *nft = nft_create(loop, count, &changes);

	assert_non_null(nft);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char command[256];

		snprintf(command, sizeof(command),
			"nft 'flush ruleset; add table ip t; add chain ip t c { type filter hook "
			"prerouting priority -150; }; add rule ip t c %s'",
			rows[i].rule);
		live_run(command);
		live_turns(loop, 20);
		if (nft_restores_marks(nft) != rows[i].restores)
			fail_msg("%s", rows[i].rule);
	}
	live_run("nft flush ruleset");
	live_turns(loop, 20);
	assert_false(nft_restores_marks(nft));
	nft_destroy(nft);
}

static void live_at_start(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	struct nft *nft;

	live_run("ip link add c0 type veth peer s0");
	if (system("nft 'add table ip t; add flowtable ip t f "
		   "{ hook ingress priority 0; devices = { c0 }; }' 2>/dev/null")) {
		print_message("no flowtables here\n");
		skip();
	}
	nft = nft_create(loop, count, &changes);
	assert_non_null(nft);
	assert_null(nft_unsupported(nft));
	assert_int_equal(nft_list(nft)->n, 1); // at once
	assert_int_equal(changes, 0);          // told by the loop
	live_until(loop, changes == 1);
	nft_destroy(nft);
}

// More events than the buffer holds: counted, and as good as a deletion.
static void live_overrun(void **state)
{
	struct loop *loop = live_loop(state);
	unsigned int changes = 0;
	uint32_t epoch;
	struct nft *nft;

	nl_set_events_bytes(4096);
	nft = nft_create(loop, count, &changes);
	nl_set_events_bytes(0);
	assert_non_null(nft);
	epoch = nft_epoch(nft);
	live_run("i=0; while [ $i -lt 100 ]; do echo add table inet t$i; i=$((i + 1)); done | "
		 "nft -f -");
	live_until(loop, nft_overruns(nft) == 1);
	assert_int_not_equal(nft_epoch(nft), epoch);
	live_until(loop, changes != 0);
	nft_destroy(nft);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_devices),
		cmocka_unit_test(some_devices),
		cmocka_unit_test(not_a_flowtable),
		cmocka_unit_test(newer_kernel),
		cmocka_unit_test(cut_short),
		cmocka_unit_test_setup_teardown(live_reason, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_events, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_reload, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_marks, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_at_start, live_setup, live_teardown),
		cmocka_unit_test_setup_teardown(live_overrun, live_setup, live_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
