// SPDX-License-Identifier: GPL-2.0-or-later
// For cmd_test.c: fakes of the mirror, the dataplane and the socket, and helpers to run a command
// and compare its records.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd.h"
#include "ctrl.h"
#include "ct_find.h"
#include "dp_api.h"
#include "loop.h"
#include "mirror.h"
#include "problems.h"
#include "why.h"

enum { SLOTS = 200 };

static const uint64_t second_ns = 1000000000;

static struct mirror_flow flows[3]; // in slots 0, 100 and 199
static struct nft_flowtable flowtables[2];
static unsigned int n_flowtables;
static const char *unsupported;
static bool has_ct;
static uint64_t offloaded_packets;
static unsigned int most_a_step, this_step;
static struct ct_match found_match;
static unsigned int find_calls, find_results, finds_destroyed;
static int find_error;

uint32_t mirror_slots(const struct mirror *mirror)
{
	(void)mirror;
	return SLOTS;
}

bool mirror_get(const struct mirror *mirror, uint32_t slot, struct mirror_flow *flow)
{
	(void)mirror;
	assert_in_range(slot, 0, SLOTS - 1);
	if (++this_step > most_a_step)
		most_a_step = this_step;
	if (slot != 0 && slot != 100 && slot != 199)
		return false;
	*flow = flows[slot / 99];
	return true;
}

void mirror_stats(const struct mirror *mirror, struct mirror_stats *stats)
{
	(void)mirror;
	*stats = (struct mirror_stats){.offered = 1,
		.installed = 2,
		.replaced = 3,
		.ended = 4,
		.closed = 5,
		.idled = 6,
		.withdrawn = 7,
		.sampled = 8,
		.held = 11,
		.refused = 9,
		.rtnl_overruns = 12,
		.nft_overruns = 13,
		.xfrm_overruns = 14,
		.hooks_overruns = 15,
		.connections = 10};
	stats->by_reason[NFO_R_OFFLOADED] = 6;
	stats->by_reason[NFO_R_NO_ROUTE] = 4;
}

unsigned int mirror_flowtables(const struct mirror *mirror)
{
	(void)mirror;
	return n_flowtables;
}

const struct nft_flowtable *mirror_flowtable(const struct mirror *mirror, unsigned int i)
{
	(void)mirror;
	assert_in_range(i, 0, n_flowtables - 1);
	return &flowtables[i];
}

const char *mirror_nft_unsupported(const struct mirror *mirror)
{
	(void)mirror;
	return unsupported;
}

void mirror_routes_stats(const struct mirror *mirror, struct routes_stats *stats)
{
	(void)mirror;
	*stats = (struct routes_stats){.answers = 3, .found = 4};
}

bool mirror_ct_stats(const struct mirror *mirror, struct ct_stats *stats)
{
	(void)mirror;
	*stats = (struct ct_stats){.events = 1, .undecodable = 7};
	return has_ct;
}

// 'why' of the first two flows; the mirror knows the first.
bool mirror_why(const struct mirror *mirror, const struct ct_conn *conn, struct mirror_flow *flow,
	struct why *why)
{
	const bool known = conn->id == 0;

	(void)mirror;
	*flow = flows[conn->id];
	*why = (struct why){.reason = flow->reason, .n = 2};
	why->step[0] = (struct why_step){"tracked", WHY_YES, NFO_R_OFFLOADED, "it is"};
	why->step[1] = (struct why_step){"offered", WHY_NO, NFO_R_NOT_OFFERED, "nobody did"};
	strcpy(why->verdict, "Well.");
	return known;
}

struct ct_find *ct_find_create(const struct ct_match *match)
{
	found_match = *match;
	errno = ENOMEM;
	return find_error == -ENOMEM ? NULL : (void *)&flows;
}

void ct_find_destroy(struct ct_find *find)
{
	finds_destroyed += find != NULL;
}

// Each second time nothing.
int ct_find_next(struct ct_find *find, struct ct_conn *conn)
{
	assert_ptr_equal(find, &flows);
	if (find_calls++ % 2 == 0)
		return 0;
	if (find_calls / 2 > find_results)
		return find_error;
	*conn = flows[0].conn;
	conn->id = find_calls / 2 == 2; // the second one is not known
	return 1;
}

void problems_find(const struct problems *problems, struct diag *diag)
{
	(void)problems;
	*diag = (struct diag){.n = 1, .list = {{"twin-down", "lan", "lan is down."}}};
}

static const char *reload_error;
static unsigned int reload_changes;

int ctrl_reload(struct ctrl *ctrl, conf_change_fn tell, void *arg, char *err, size_t err_size)
{
	const struct conf_change changes[] = {
		{.section = "port wan", .key = "punt-new-pps", .from = "200000", .to = "100"},
		{.section = "flowtable f", .from = "there"},
	};

	(void)ctrl;
	for (unsigned int i = 0; i < reload_changes; i++)
		tell(arg, &changes[i]);
	snprintf(err, err_size, "%s", reload_error != NULL ? reload_error : "");
	return reload_error != NULL ? -1 : 0;
}

unsigned int dp_ports(void)
{
	return 2;
}

int dp_port_info(unsigned int port, struct dp_port_info *info)
{
	static const struct dp_port_info infos[] = {
		{.name = "lan",
			.device = "net_tap0",
			.driver = "net_tap",
			.twin_driver = "virtio-user",
			.mac = {2, 0, 0, 0, 0, 0xaa},
			.mtu = 1500,
			.rx_queues = 2,
			.tx_queues = 3,
			.link_up = true,
			.link_mbps = 10000},
		{.name = "wan"},
	};

	if (port >= 2)
		return -EINVAL;
	*info = infos[port];
	return 0;
}

int dp_port_stats(unsigned int port, struct dp_port_stats *stats)
{
	if (port >= 2)
		return -EINVAL;
	*stats = (struct dp_port_stats){
		1, 2, 3, 4, 5, 6, 7, 8, offloaded_packets, 10, offloaded_packets / 3, 12, 13, 14,
		{15, 16, 17}, {18, 19, 20}};
	return 0;
}

unsigned int dp_workers(void)
{
	return 2;
}

int dp_worker_stats(unsigned int worker, struct dp_worker_stats *stats)
{
	*stats = (struct dp_worker_stats){.lcore = worker + 1,
		.rx_queues = 4,
		.busy_polls = 5,
		.idle_polls = 6,
		.packets = 7,
		.offloaded = 8,
		.busy_cycles = 9};
	stats->punts[NFO_P_MISS] = 10 + worker;
	return 0;
}

void dp_table_stats(struct dp_table_stats *stats)
{
	*stats = (struct dp_table_stats){131072, 2, 3, 4};
}

static const char *table_fault;

const char *dp_table_check(void)
{
	return table_fault;
}

// 'client' is the array of records.
void sock_emit(struct sock *sock, void *client, json_t *record)
{
	(void)sock;
	assert_non_null(record);
	json_array_append_new(client, record);
}

static struct nfo_tuple tuple(
	const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto)
{
	uint8_t family = strchr(src, ':') ? NFO_IPV6 : NFO_IPV4;
	struct nfo_tuple t = {.family = family,
		.proto = proto,
		.sport_be = htons(sport),
		.dport_be = htons(dport)};

	assert_int_equal(inet_pton(family, src, t.src.bytes), 1);
	assert_int_equal(inet_pton(family, dst, t.dst.bytes), 1);
	return t;
}

static uint64_t fake_clock(void *arg)
{
	(void)arg;
	return 1000 * second_ns;
}

static struct cmd_ctx ctx = {.version = "1.2"};
static struct loop *loop;

static int set_up(void **state)
{
	static char devices[2][NFO_NAME_LEN] = {"lan", "wan"};

	(void)state;
	loop = loop_create();
	loop_set_clock(loop, fake_clock, NULL);
	ctx.loop = loop;
	unsupported = NULL;
	has_ct = true;
	offloaded_packets = 9;
	most_a_step = 0;
	find_calls = finds_destroyed = 0;
	find_results = 2;
	find_error = -ENOENT;
	memset(flows, 0, sizeof(flows));
	for (int i = 0; i < 3; i++) {
		flows[i].conn.orig = tuple("10.0.1.2", 40000, "10.0.2.2", 5201, NFO_TCP);
		flows[i].conn.reply = tuple("10.0.2.2", 5201, "10.0.1.2", 40000, NFO_TCP);
	}
	n_flowtables = 2;
	memset(flowtables, 0, sizeof(flowtables));
	flowtables[0] = (struct nft_flowtable){.table = "filter",
		.name = "f",
		.family = 1,
		.priority = -5,
		.flags = NFT_FLAG_OFFLOAD | NFT_FLAG_COUNTER,
		.use = 3,
		.n_devices = 2,
		.devices = devices};
	flowtables[1] = (struct nft_flowtable){.name = "bypass",
		.family = 1,
		.from_config = true,
		.mark_value = 16,
		.mark_mask = 255};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	loop_destroy(loop);
	return 0;
}

// The records of a request, without the end; the caller's to free. Takes the request. '*error' is
// NULL or what the answer ends with.
static json_t *answer(json_t *request, const char **error)
{
	const char *refused = NULL, *expected = NULL;
	json_t *records = json_array();
	struct sock_reply *reply;
	int ret;

	reply = cmd_request(&ctx, request, &refused, &expected);
	json_decref(request);
	assert_non_null(reply);
	do {
		this_step = 0;
		ret = reply->step(reply, NULL, records);
	} while (ret > 0);
	*error = ret < 0 ? reply->error : NULL;
	reply->done(reply);
	return records;
}

static json_t *run(const char *cmd)
{
	const char *error;
	json_t *records = answer(json_pack("{s:s}", "cmd", cmd), &error);

	assert_null(error);
	return records;
}

// Compares with JSON where ' stands for ".
static void expect(const json_t *got, const char *text)
{
	char *json = strdup(text), *dump;
	json_t *want;

	for (char *p = json; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	want = json_loads(json, 0, NULL);
	assert_non_null(want);
	dump = json_dumps(got, 0);
	if (!json_equal(got, want))
		fail_msg("got %s", dump);
	free(dump);
	free(json);
	json_decref(want);
}

static void expect_member(const json_t *record, const char *key, const char *text)
{
	json_t *member = json_object_get(record, key), *wrapped;

	if (!member) {
		assert_null(text);
		return;
	}
	assert_non_null(text);
	wrapped = json_pack("[O]", member);
	expect(wrapped, text);
	json_decref(wrapped);
}
