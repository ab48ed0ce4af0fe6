// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/cmd.c ctrl/record.c ctrl/loop.c dataplane/flow.c
// SOCKET_DOC is the path of docs/socket.md.
#include <stdio.h>

#include <linux/netfilter/nf_conntrack_common.h>

#include "cmd_fakes.h"

static void help(void **state)
{
	json_t *records = run("help");

	(void)state;
	assert_int_equal(json_array_size(records), 12);
	expect(json_array_get(records, 0), "{'cmd': 'help', 'help': 'this list'}");
	json_decref(records);
}

static void version(void **state)
{
	json_t *records = run("version");

	(void)state;
	expect(records, "[{'name': 'dpdk-nftoffload', 'version': '1.2'}]");
	json_decref(records);
}

static void refuse(const char *request_text, const char *want_error, const char *want_expected)
{
	json_t *request = json_loads(request_text, 0, NULL);
	const char *error = NULL, *expected = NULL;

	assert_null(cmd_request(&ctx, request, &error, &expected));
	assert_string_equal(error, want_error);
	assert_string_equal(expected, want_expected);
	json_decref(request);
}

static void unknown(void **state)
{
	(void)state;
	refuse("{\"cmd\": \"show\"}", "unknown command",
		"one of 'help' 'version' 'show flows' 'show reasons' 'why' "
		"'show problems' 'show flowtables' 'show ports' 'show workers' 'show stats' "
		"'show table' 'reload'");
	refuse("{\"cmd\": 1}", "no command in the request", "{\"cmd\": \"help\"}");
	refuse("{}", "no command in the request", "{\"cmd\": \"help\"}");
}

static void every_slot_once(void **state)
{
	json_t *records;

	(void)state;
	for (int i = 0; i < 3; i++)
		flows[i].conn.mark = (uint32_t)i;
	records = run("show flows");
	assert_int_equal(json_array_size(records), 3);
	for (size_t i = 0; i < 3; i++) {
		json_t *mark = json_object_get(json_array_get(records, i), "mark");

		assert_int_equal(json_integer_value(mark), i);
	}
	assert_in_range(most_a_step, 1, 64);
	json_decref(records);
}

static void set_path(struct mirror_flow *flow)
{
	flow->has_path = true;
	strcpy(flow->in, "lan");
	strcpy(flow->out, "wan");
	flow->reason = NFO_R_OFFLOADED;
	flow->dir[0] = (struct nfo_flow){.in_port = 0,
		.out_port = 1,
		.mtu = 1400,
		.eth_dst = {2, 0, 0, 0, 0, 1},
		.eth_src = {2, 0, 0, 0, 0, 2}};
	flow->dir[1] = (struct nfo_flow){.in_port = 1,
		.out_port = 0,
		.mtu = 1500,
		.eth_dst = {2, 0, 0, 0, 0, 3},
		.eth_src = {2, 0, 0, 0, 0, 4}};
	flow->counters[0] = (struct nfo_counters){10, 1000, 997 * second_ns};
	flow->counters[1] = (struct nfo_counters){0, 0, 0};
}

static void offloaded_flow(void **state)
{
	struct mirror_flow *flow = &flows[0];
	json_t *records;

	(void)state;
	set_path(flow);
	flow->conn.mark = 4294967295;
	flow->conn.zone = 7;
	flow->age_ns = 65 * second_ns;
	flow->idle_ns = 3 * second_ns + 1;
	flow->flowtable = &flowtables[0];
	records = run("show flows");
	expect(json_array_get(records, 0),
		"{'proto': 'tcp', 'family': 'ipv4', 'src': '10.0.1.2', 'sport': 40000,"
		"'dst': '10.0.2.2', 'dport': 5201, 'reply_src': '10.0.2.2', 'reply_sport': 5201,"
		"'reply_dst': '10.0.1.2', 'reply_dport': 40000, 'nat': 'none', 'in': 'lan',"
		"'out': 'wan', 'state': 'offloaded', 'reason': 'offloaded',"
		"'reason_text': 'forwarded by the workers', 'flowtable': 'inet filter f',"
		"'mark': 4294967295, 'zone': 7, 'age_s': 65, 'idle_s': 3,"
		"'original': {'packets': 10, 'bytes': 1000, 'idle_s': 3,"
		"  'eth_src': '02:00:00:00:00:02', 'eth_dst': '02:00:00:00:00:01',"
		"  'mtu_bytes': 1400},"
		"'reply': {'packets': 0, 'bytes': 0, 'eth_src': '02:00:00:00:00:04',"
		"  'eth_dst': '02:00:00:00:00:03', 'mtu_bytes': 1500}}");
	json_decref(records);
}

static void kernel_flow(void **state)
{
	struct mirror_flow *flow = &flows[0];
	json_t *records, *record;

	(void)state;
	flow->reason = NFO_R_BRIDGE;
	flow->conn.orig = tuple("fd00::1", 53, "fd00::2", 65535, NFO_UDP);
	flow->conn.reply = tuple("fd00::2", 65535, "fd00::1", 53, NFO_UDP);
	records = run("show flows");
	record = json_array_get(records, 0);
	expect_member(record, "proto", "['udp']");
	expect_member(record, "family", "['ipv6']");
	expect_member(record, "src", "['fd00::1']");
	expect_member(record, "dport", "[65535]");
	expect_member(record, "nat", "['none']");
	expect_member(record, "state", "['kernel']");
	expect_member(record, "reason", "['bridge']");
	expect_member(record, "in", NULL);
	expect_member(record, "flowtable", NULL);
	expect_member(record, "original", "[{'packets': 0, 'bytes': 0}]");
	json_decref(records);
}

static void stand_in_flowtable(void **state)
{
	json_t *records;

	(void)state;
	flows[0].flowtable = &flowtables[1];
	records = run("show flows");
	expect_member(json_array_get(records, 0), "flowtable", "['bypass']");
	json_decref(records);
}

static void nat(void **state)
{
	json_t *records, *record;

	(void)state;
	flows[0].conn.reply = tuple("10.0.2.2", 5201, "192.0.2.1", 1024, NFO_TCP); // source
	flows[1].conn.reply = tuple("10.9.9.9", 5201, "10.0.1.2", 40000, NFO_TCP); // destination
	flows[2].conn.reply = tuple("10.0.2.2", 80, "10.0.1.2", 40001, NFO_TCP);   // ports only
	records = run("show flows");
	record = json_array_get(records, 0);
	expect_member(record, "nat", "['snat']");
	expect_member(record, "nat_src", "['192.0.2.1']");
	expect_member(record, "nat_sport", "[1024]");
	expect_member(record, "nat_dst", NULL);
	record = json_array_get(records, 1);
	expect_member(record, "nat", "['dnat']");
	expect_member(record, "nat_src", NULL);
	expect_member(record, "nat_dst", "['10.9.9.9']");
	expect_member(record, "nat_dport", "[5201]");
	record = json_array_get(records, 2);
	expect_member(record, "nat", "['snat+dnat']");
	expect_member(record, "nat_sport", "[40001]");
	expect_member(record, "nat_dport", "[80]");
	json_decref(records);
}

static void show_reasons(void **state)
{
	json_t *records = run("show reasons");

	(void)state;
	expect(records, "[{'connections': 6, 'reason': 'offloaded',"
			"'reason_text': 'forwarded by the workers'},"
			"{'connections': 4, 'reason': 'no-route',"
			"'reason_text': 'the kernel has no unicast route for it'}]");
	json_decref(records);
}

static void show_problems(void **state)
{
	json_t *records = run("show problems");

	(void)state;
	expect(records, "[{'problem': 'twin-down', 'subject': 'lan', 'text': 'lan is down.'}]");
	json_decref(records);
}

static json_t *why_of(const char **error)
{
	return answer(json_pack("{s:s, s:s, s:s, s:i}", "cmd", "why", "proto", "tcp", "src",
			      "10.0.1.2", "sport", 40000),
		error);
}

static void why(void **state)
{
	const char *error;
	json_t *records, *record;

	(void)state;
	set_path(&flows[0]);
	flows[1].conn.status = IPS_OFFLOAD;
	flows[1].reason = NFO_R_NOT_OFFERED;
	records = why_of(&error);
	assert_null(error);
	assert_int_equal(finds_destroyed, 1);
	assert_int_equal(found_match.tuple.sport_be, htons(40000));
	assert_int_equal(json_array_size(records), 2);
	record = json_array_get(records, 0);
	expect_member(record, "where", "['dpdk']");
	expect_member(record, "reason", "['offloaded']");
	expect_member(record, "idle_s", "[0]");
	expect_member(record, "verdict", "['Well.']");
	expect_member(record, "steps",
		"[[{'step': 'tracked', 'answer': 'yes', 'text': 'it is'},"
		"{'step': 'offered', 'answer': 'no', 'text': 'nobody did'}]]");
	record = json_array_get(records, 1);
	expect_member(record, "where", "['kernel-flowtable']");
	expect_member(record, "reason", "['not-offered']");
	expect_member(record, "idle_s", NULL);
	expect_member(record, "original", NULL);
	json_decref(records);
}

static void why_of_many(void **state)
{
	const char *error;
	json_t *records;

	(void)state;
	find_results = 1000;
	records = why_of(&error);
	assert_null(error);
	assert_int_equal(json_array_size(records), 101);
	expect(json_array_get(records, 100),
		"{'notice': 'there are more; name more of the connection'}");
	json_decref(records);
}

static void why_of_none(void **state)
{
	const char *error;
	json_t *records, *record;

	(void)state;
	find_results = 0;
	records = why_of(&error);
	assert_null(error);
	assert_int_equal(json_array_size(records), 1);
	record = json_array_get(records, 0);
	expect_member(record, "src", "['10.0.1.2']");
	expect_member(record, "dst", NULL);
	expect_member(record, "reason", "['untracked']");
	expect_member(record, "where", "['kernel']");
	json_decref(records);
}

static void why_fails(void **state)
{
	static const char request[] =
		"{\"cmd\": \"why\", \"proto\": \"tcp\", \"src\": \"10.0.1.2\"}";
	const char *error, *expected = NULL;
	json_t *records, *json = json_loads(request, 0, NULL);

	(void)state;
	refuse("{\"cmd\": \"why\"}", "no 'proto'", "\"tcp\", \"udp\" or \"gre\"");
	find_error = -EIO;
	records = why_of(&error);
	assert_string_equal(error, "conntrack's list broke off");
	json_decref(records);
	find_error = -ENOMEM;
	assert_null(cmd_request(&ctx, json, &error, &expected));
	assert_string_equal(error, "conntrack cannot be asked");
	json_decref(json);
	has_ct = false;
	refuse(request, "conntrack is not followed",
		"a kernel with conntrack, and a daemon without --flows");
}

static void reload(void **state)
{
	json_t *records;

	(void)state;
	records = run("reload");
	expect(records, "[{'notice': 'nothing is different'}]");
	json_decref(records);
	reload_changes = 2;
	records = run("reload");
	expect(records, "[{'section': 'port wan', 'key': 'punt-new-pps', 'from': '200000', 'to': '100'},"
			"{'section': 'flowtable f', 'key': null, 'from': 'there', 'to': ''}]");
	json_decref(records);
}

static void reload_fails(void **state)
{
	json_t *request = json_pack("{s:s}", "cmd", "reload");
	const char *error = NULL, *expected = NULL;

	(void)state;
	reload_error = "c:3: mtu = 'x', expected a number";
	assert_null(cmd_request(&ctx, request, &error, &expected));
	assert_string_equal(error, reload_error);
	assert_null(expected);
	json_decref(request);
}

static void show_flowtables(void **state)
{
	json_t *records = run("show flowtables");

	(void)state;
	expect(records, "[{'source': 'kernel', 'family': 'inet', 'table': 'filter', 'name': 'f',"
			"'hook': 'ingress', 'priority': -5, 'devices': ['lan', 'wan'],"
			"'flags': ['offload', 'counter'], 'rules': 3},"
			"{'source': 'config', 'family': 'inet', 'table': '', 'name': 'bypass',"
			"'hook': 'ingress', 'priority': 0, 'devices': [], 'flags': [],"
			"'rules': 0, 'mark': '0x10/0xff'}]");
	json_decref(records);
}

static void no_flowtables(void **state)
{
	json_t *records;

	(void)state;
	n_flowtables = 0;
	unsupported = "the kernel has no flowtables";
	records = run("show flowtables");
	expect(records, "[{'notice': 'the kernel has no flowtables'}]");
	json_decref(records);
}

static void name_that_is_not_utf8(void **state)
{
	json_t *records;

	(void)state;
	strcpy(flowtables[0].name, "a\xff\"b");
	records = run("show flowtables");
	expect_member(json_array_get(records, 0), "name", "['a?\\'b']");
	json_decref(records);
}

static void show_ports(void **state)
{
	json_t *records = run("show ports");

	(void)state;
	assert_int_equal(json_array_size(records), 2);
	expect(json_array_get(records, 0),
		"{'name': 'lan', 'device': 'net_tap0', 'driver': 'net_tap',"
		"'twin_driver': 'virtio-user', 'mac': '02:00:00:00:00:aa', 'mtu_bytes': 1500,"
		"'link': 'up', 'link_mbps': 10000, 'rx_queues': 2, 'tx_queues': 3, 'rx_packets': 1,"
		"'rx_bytes': 2, 'rx_missed': 3, 'rx_errors': 4, 'rx_nombuf': 5, 'tx_packets': 6,"
		"'tx_bytes': 7, 'tx_errors': 8, 'offloaded_packets': 9, 'offloaded_bytes': 10,"
		"'punted_packets': 3, 'injected_packets': 12, 'tx_dropped': 13,"
		"'twin_dropped': 14, 'punted_control': 15, 'punted_new': 16, 'punted_rest': 17,"
		"'limited_control': 18, 'limited_new': 19, 'limited_rest': 20}");
	expect_member(json_array_get(records, 1), "name", "['wan']");
	expect_member(json_array_get(records, 1), "link", "['down']");
	json_decref(records);
}

static void show_workers(void **state)
{
	json_t *records = run("show workers");
	json_t *record = json_array_get(records, 1);

	(void)state;
	assert_int_equal(json_array_size(records), 2);
	expect_member(record, "lcore", "[2]");
	expect_member(record, "rx_queues", "[4]");
	expect_member(record, "busy_polls", "[5]");
	expect_member(record, "idle_polls", "[6]");
	expect_member(record, "packets", "[7]");
	expect_member(record, "offloaded_packets", "[8]");
	expect_member(record, "busy_cycles", "[9]");
	expect_member(json_object_get(record, "punts"), "miss", "[11]");
	assert_int_equal(json_object_size(json_object_get(record, "punts")), NFO_N_PUNTS);
	json_decref(records);
}

static void show_stats(void **state)
{
	json_t *records = run("show stats");
	json_t *record = json_array_get(records, 0);

	(void)state;
	assert_int_equal(json_array_size(records), 1);
	expect_member(record, "offloaded_share", "[0.75]"); // 18 of 24
	expect_member(json_object_get(record, "ports"), "twin_dropped", "[28]");
	expect_member(json_object_get(record, "ports"), "punted_new", "[32]");
	expect_member(json_object_get(record, "ports"), "limited_rest", "[40]");
	expect_member(json_object_get(record, "punts"), "miss", "[21]");
	expect_member(record, "table",
		"[{'capacity': 131072, 'used': 2, 'retired': 3, 'overflow_buckets': 4}]");
	expect_member(json_object_get(record, "mirror"), "connections", "[10]");
	expect_member(json_object_get(record, "mirror"), "refused", "[9]");
	expect_member(json_object_get(record, "mirror"), "rtnl_overruns", "[12]");
	expect_member(json_object_get(record, "mirror"), "nft_overruns", "[13]");
	expect_member(json_object_get(record, "mirror"), "xfrm_overruns", "[14]");
	expect_member(json_object_get(record, "mirror"), "hooks_overruns", "[15]");
	expect_member(
		json_object_get(json_object_get(record, "mirror"), "by_reason"), "no-route", "[4]");
	expect_member(json_object_get(record, "mirror"), "held", "[11]");
	expect_member(json_object_get(record, "routes"), "found", "[4]");
	expect_member(json_object_get(record, "ct"), "undecodable", "[7]");
	json_decref(records);
}

static void show_stats_of_nothing(void **state)
{
	json_t *records;

	(void)state;
	has_ct = false;
	offloaded_packets = 0;
	records = run("show stats");
	expect_member(json_array_get(records, 0), "offloaded_share", "[null]");
	expect_member(json_array_get(records, 0), "ct", "[null]");
	json_decref(records);
}

static void show_table(void **state)
{
	json_t *records = run("show table");

	(void)state;
	expect(records, "[{'capacity': 131072, 'used': 2, 'retired': 3, 'overflow_buckets': 4,"
			"'fault': null}]");
	json_decref(records);
	table_fault = "sibling";
	records = run("show table");
	expect_member(json_array_get(records, 0), "fault", "['sibling']");
	json_decref(records);
	table_fault = NULL;
}

static char doc[65536];

static void read_doc(const char *path)
{
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	doc[fread(doc, 1, sizeof(doc) - 1, file)] = '\0';
	fclose(file);
}

static void expect_row(const char *word, const char *text)
{
	char row[256];

	snprintf(row, sizeof(row), "| `%s` | %s", word, text);
	if (!strstr(doc, row))
		fail_msg("docs/socket.md has no row '%s'", row);
}

static void expect_members(const json_t *object)
{
	const char *key;
	json_t *value;
	char word[64];

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		snprintf(word, sizeof(word), "`%s`", key);
		if (!strstr(doc, word))
			fail_msg("docs/socket.md does not explain %s", word);
		if (json_is_object(value))
			expect_members(value);
	}
}

static void man_page_has_reasons(void **state)
{
	char entry[256];

	(void)state;
	read_doc(CTL_MAN);
	for (unsigned int r = 0; r < NFO_N_REASONS; r++) {
		snprintf(entry, sizeof(entry), "\n*%s*\n", nfo_reason_word(r));
		if (!strstr(doc, entry))
			fail_msg("docs/nftoffload-ctl.1.scd does not explain %s", entry);
	}
}

static void everything_is_documented(void **state)
{
	static const char *const commands[] = {"help", "version", "show flows", "show reasons",
		"show problems", "show flowtables", "show ports", "show workers", "show stats",
		"show table"};

	(void)state;
	read_doc(SOCKET_DOC);
	set_path(&flows[0]);
	flows[0].flowtable = &flowtables[1];
	flows[1].conn.reply = tuple("10.9.9.9", 80, "192.0.2.1", 1024, NFO_TCP);
	unsupported = "no";
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		json_t *records = run(commands[i]), *record;
		size_t n;

		json_array_foreach(records, n, record) expect_members(record);
		json_decref(records);
	}
	{
		const char *error;
		json_t *records = why_of(&error), *record;
		size_t n;

		json_array_foreach(records, n, record) expect_members(record);
		json_decref(records);
	}
#define X(name, word, text) expect_row(word, text);
	NFO_REASONS(X)
	NFO_PUNTS(X)
#undef X
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(help),
		TEST(version),
		TEST(unknown),
		TEST(every_slot_once),
		TEST(offloaded_flow),
		TEST(kernel_flow),
		TEST(stand_in_flowtable),
		TEST(nat),
		TEST(show_reasons),
		TEST(show_problems),
		TEST(why),
		TEST(why_of_many),
		TEST(why_of_none),
		TEST(why_fails),
		TEST(reload),
		TEST(reload_fails),
		TEST(show_flowtables),
		TEST(no_flowtables),
		TEST(name_that_is_not_utf8),
		TEST(show_ports),
		TEST(show_workers),
		TEST(show_stats),
		TEST(show_stats_of_nothing),
		TEST(show_table),
		TEST(man_page_has_reasons),
		TEST(everything_is_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
