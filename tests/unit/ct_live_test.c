// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/ct.c ctrl/ct_decode.c ctrl/ct_find.c ctrl/nl.c ctrl/loop.c ctrl/log.c
// Events, dumps and updates against the running kernel.
#include "ct.h"

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
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "ct_find.h"
#include "ct_msg.h"
#include "live.h"
#include "nl.h"

enum { N_MANY = 3000 };

// What the live tests were told.
struct told {
	bool ended[UINT16_MAX + 1]; // by source port
	unsigned int late;          // dumped after its end
	unsigned int n[CT_EVENT_LOST + 1];
	struct ct_conn last[CT_EVENT_LOST + 1];
	unsigned int gone;
	struct nfo_tuple gone_orig;
	uint16_t gone_zone;
};

static void on_event(void *arg, enum ct_event event, const struct ct_conn *conn)
{
	struct told *told = arg;

	told->n[event]++;
	if (!conn)
		return;
	told->last[event] = *conn;
	if (event == CT_EVENT_DESTROY)
		told->ended[conn->orig.sport_be] = true;
	else if (event == CT_EVENT_DUMP)
		told->late += told->ended[conn->orig.sport_be];
}

static void on_gone(void *arg, const struct nfo_tuple *orig, uint16_t zone)
{
	struct told *told = arg;

	told->gone++;
	told->gone_orig = *orig;
	told->gone_zone = zone;
}

static struct ct *live_ct(struct loop *loop, size_t rcvbuf_bytes, struct told *told)
{
	struct ct *ct;

	memset(told, 0, sizeof(*told));
	live_run("echo 1 >/proc/sys/net/netfilter/nf_conntrack_events");
	ct = ct_create(loop, rcvbuf_bytes, on_event, told);
	if (!ct) {
		print_message("no conntrack: %s\n", strerror(errno));
		skip();
	}
	ct_on_gone(ct, on_gone, told);
	return ct;
}

// Entries 10.0.0.1:sport -> 10.0.0.2:80, as many as 'n', with one mark.
static void make_entries(unsigned int first_port, unsigned int n, unsigned int mark)
{
	char command[512];

	snprintf(command, sizeof(command),
		"i=0; while [ $i -lt %u ]; do echo -I -p tcp -s 10.0.0.1 -d 10.0.0.2 "
		"--sport $((%u + i)) --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED "
		"-t 300 -m %u; i=$((i + 1)); done | conntrack -R - >/dev/null",
		n, first_port, mark);
	live_run(command);
}

static void update_by_other(const struct ct_conn *conn)
{
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	struct nl nl;

	assert_int_equal(nl_open(&nl, NETLINK_NETFILTER, 0), 0);
	assert_int_equal(nl_request(&nl, ct_put_liberal(buf, conn), NULL, NULL), 0);
	nl_close(&nl);
}

static void live_events(void **state)
{
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 1 << 20, &told);
	struct ct_stats stats;

	make_entries(1000, 1, 5);
	live_until(loop, told.n[CT_EVENT_NEW] == 1);
	assert_int_equal(told.last[CT_EVENT_NEW].mark, 5);
	update_by_other(&told.last[CT_EVENT_NEW]);
	live_until(loop, told.n[CT_EVENT_UPDATE] == 1);
	assert_int_equal(told.last[CT_EVENT_UPDATE].id, told.last[CT_EVENT_NEW].id);
	live_run("conntrack -D -p tcp --orig-port-src 1000 >/dev/null 2>&1");
	live_until(loop, told.n[CT_EVENT_DESTROY] == 1);
	assert_int_equal(told.last[CT_EVENT_DESTROY].id, told.last[CT_EVENT_NEW].id);
	ct_stats(ct, &stats);
	assert_int_equal(stats.events, 3);
	assert_int_equal(stats.undecodable, 0);
	ct_destroy(ct);
}

static void live_dump(void **state)
{
	const struct ct_filter marked = {.mark_value = 0x10, .mark_mask = 0xf0};
	const struct ct_filter unassured = {.status_mask = IPS_ASSURED};
	const struct ct_filter all = {0};
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 1 << 20, &told);

	make_entries(1000, 300, 0x13);
	make_entries(2000, 200, 0x23);
	assert_int_equal(ct_dump(ct, &marked), 0);
	assert_int_equal(ct_dump(ct, &marked), -EBUSY);
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 1);
	assert_int_equal(told.n[CT_EVENT_DUMP], 300);
	assert_int_equal(told.last[CT_EVENT_DUMP].mark, 0x13);
	assert_int_equal(ct_dump(ct, &unassured), 0);
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 2);
	assert_int_equal(told.n[CT_EVENT_DUMP], 300);
	assert_int_equal(ct_dump(ct, &all), 0);
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 3);
	assert_int_equal(told.n[CT_EVENT_DUMP], 800);
	assert_int_equal(told.n[CT_EVENT_LOST], 0);
	ct_destroy(ct);
}

static void live_dump_in_turns(void **state)
{
	const struct ct_filter all = {0};
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 4 << 20, &told);

	make_entries(1000, N_MANY, 1);
	live_until(loop, told.n[CT_EVENT_NEW] == N_MANY);
	assert_int_equal(ct_dump(ct, &all), 0);
	while (!told.n[CT_EVENT_DUMP])
		live_turns(loop, 1);
	assert_in_range(told.n[CT_EVENT_DUMP], 1, N_MANY - 1);
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 1);
	assert_int_equal(told.n[CT_EVENT_DUMP], N_MANY);
	ct_destroy(ct);
}

// The kernel fills its answers ahead: an entry that ended meanwhile must not come after its end.
static void live_dump_after_end(void **state)
{
	const struct ct_filter all = {0};
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 4 << 20, &told);

	make_entries(1000, 50, 1);
	live_until(loop, told.n[CT_EVENT_NEW] == 50);
	// Of sockets that are readable the first one is read first: let that be the ends'.
	live_run("conntrack -D -p tcp --orig-port-src 1000 >/dev/null 2>&1");
	assert_int_equal(ct_dump(ct, &all), 0);
	live_run("conntrack -F >/dev/null 2>&1");
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 1);
	live_until(loop, told.n[CT_EVENT_DESTROY] == 50);
	assert_int_equal(told.late, 0);
	ct_destroy(ct);
}

static void live_updates(void **state)
{
	const struct ct_filter all = {0};
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 1 << 20, &told);
	struct ct_conn conn, missing;

	make_entries(1000, 1, 1);
	live_until(loop, told.n[CT_EVENT_NEW] == 1);
	conn = missing = told.last[CT_EVENT_NEW];
	missing.orig.sport_be = htons(999);
	assert_int_equal(ct_set_liberal(ct, &conn), 0);
	assert_int_equal(ct_check(ct, &missing), 0);
	missing.zone = 3;
	assert_int_equal(ct_set_liberal(ct, &missing), 0);
	live_turns(loop, 2);
	assert_int_equal(told.gone, 0); // queued only
	assert_int_equal(ct_flush(ct), 0);
	live_until(loop, told.gone == 2);
	assert_memory_equal(&told.gone_orig, &missing.orig, sizeof(missing.orig));
	assert_int_equal(told.gone_zone, 3);
	assert_int_equal(ct_dump(ct, &all), 0);
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 1);
	assert_int_equal(told.n[CT_EVENT_UPDATE], 0); // our own
	ct_destroy(ct);
}

static uint8_t flags_of(const struct nlattr *attr)
{
	struct nf_ct_tcp_flags flags = {0, 0};

	nl_get(attr, &flags, sizeof(flags));
	return flags.flags;
}

static void find_tcp(const struct nlmsghdr *nlh, const struct nlattr **tcp)
{
	const struct nlattr *tb[CTA_MAX + 1], *info[CTA_PROTOINFO_MAX + 1];

	nl_parse(nlh, sizeof(struct nfgenmsg), tb, CTA_MAX);
	nl_parse_nested(tb[CTA_PROTOINFO], info, CTA_PROTOINFO_MAX);
	nl_parse_nested(info[CTA_PROTOINFO_TCP], tcp, CTA_PROTOINFO_TCP_MAX);
}

// Counts the directions that are liberal.
static void count_liberal(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *tcp[CTA_PROTOINFO_TCP_MAX + 1];
	unsigned int *n = arg;

	find_tcp(nlh, tcp);
	*n += !!(flags_of(tcp[CTA_PROTOINFO_TCP_FLAGS_ORIGINAL]) & IP_CT_TCP_FLAG_BE_LIBERAL);
	*n += !!(flags_of(tcp[CTA_PROTOINFO_TCP_FLAGS_REPLY]) & IP_CT_TCP_FLAG_BE_LIBERAL);
}

// conntrack -I makes liberal entries.
static void make_strict(struct nl *nl, const struct ct_conn *conn)
{
	const struct nlattr *tcp[CTA_PROTOINFO_TCP_MAX + 1];
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = ct_put_liberal(buf, conn);

	find_tcp(nlh, tcp);
	*(uint8_t *)mnl_attr_get_payload(tcp[CTA_PROTOINFO_TCP_FLAGS_ORIGINAL]) = 0;
	*(uint8_t *)mnl_attr_get_payload(tcp[CTA_PROTOINFO_TCP_FLAGS_REPLY]) = 0;
	assert_int_equal(nl_request(nl, nlh, NULL, NULL), 0);
}

static void live_liberal(void **state)
{
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 1 << 20, &told);
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	unsigned int liberal = 0;
	struct nl nl;

	make_entries(1000, 1, 1);
	live_until(loop, told.n[CT_EVENT_NEW] == 1);
	assert_int_equal(nl_open(&nl, NETLINK_NETFILTER, 0), 0);
	make_strict(&nl, &told.last[CT_EVENT_NEW]);
	assert_int_equal(nl_request(&nl, ct_put_dump(buf, NULL), count_liberal, &liberal), 0);
	assert_int_equal(liberal, 0);
	assert_int_equal(ct_set_liberal(ct, &told.last[CT_EVENT_NEW]), 0);
	assert_int_equal(ct_flush(ct), 0);
	assert_int_equal(nl_request(&nl, ct_put_dump(buf, NULL), count_liberal, &liberal), 0);
	assert_int_equal(liberal, 2);
	nl_close(&nl);
	ct_destroy(ct);
}

// An entry that is asked for is told as it is now.
static void live_check(void **state)
{
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 1 << 20, &told);
	struct ct_conn conn;

	make_entries(1000, 1, 7);
	live_until(loop, told.n[CT_EVENT_NEW] == 1);
	conn = told.last[CT_EVENT_NEW];
	assert_int_equal(ct_check(ct, &conn), 0);
	assert_int_equal(ct_flush(ct), 0);
	live_until(loop, told.n[CT_EVENT_UPDATE] == 1);
	assert_int_equal(told.last[CT_EVENT_UPDATE].id, conn.id);
	assert_int_equal(told.last[CT_EVENT_UPDATE].mark, 7);
	assert_int_equal(told.gone, 0);
	ct_destroy(ct);
}

// More updates than a batch holds: they are sent on the way.
static void live_many_updates(void **state)
{
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 4 << 20, &told);
	struct ct_stats stats;
	struct ct_conn conn;

	make_entries(1000, 1, 1);
	live_until(loop, told.n[CT_EVENT_NEW] == 1);
	conn = told.last[CT_EVENT_NEW];
	for (uint16_t port = 2000; port < 3000; port++) {
		conn.orig.sport_be = htons(port);
		assert_int_equal(ct_check(ct, &conn), 0);
	}
	assert_int_equal(ct_flush(ct), 0);
	live_until(loop, told.gone == 1000);
	ct_stats(ct, &stats);
	assert_int_equal(stats.updates, 1000);
	assert_int_equal(stats.update_errors, 1000);
	ct_destroy(ct);
}

static void live_overrun(void **state)
{
	const struct ct_filter all = {0};
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 4096, &told);
	struct ct_stats stats;

	make_entries(1000, 200, 1);
	live_until(loop, told.n[CT_EVENT_LOST] > 0);
	live_until(loop, told.n[CT_EVENT_NEW] > 0);
	assert_in_range(told.n[CT_EVENT_NEW], 1, 199);
	ct_stats(ct, &stats);
	assert_int_equal(stats.overruns, told.n[CT_EVENT_LOST]);
	assert_int_equal(ct_dump(ct, &all), 0);
	live_until(loop, told.n[CT_EVENT_DUMP_END] == 1);
	assert_int_equal(told.n[CT_EVENT_DUMP], 200);
	// Ends are kept by the kernel while there is no room for them.
	live_run("conntrack -F >/dev/null 2>&1");
	live_until(loop, told.n[CT_EVENT_DESTROY] == 200);
	ct_destroy(ct);
}

// How many connections are found, and the last of them.
static unsigned int find(const struct ct_match *match, struct ct_conn *conn)
{
	struct ct_find *f = ct_find_create(match);
	unsigned int n = 0;
	int ret;

	assert_non_null(f);
	while ((ret = ct_find_next(f, conn)) >= 0)
		n += (unsigned int)ret;
	assert_int_equal(ret, -ENOENT);
	ct_find_destroy(f);
	return n;
}

static void live_find(void **state)
{
	struct ct_match whole = {.has_sport = true, .has_dst = true, .has_dport = true};
	struct ct_match source = {.has_sport = true};
	struct told told;
	struct loop *loop = live_loop(state);
	struct ct *ct = live_ct(loop, 4 << 20, &told);
	struct ct_conn conn;

	make_entries(1000, N_MANY, 1);
	live_until(loop, told.n[CT_EVENT_NEW] == N_MANY);
	conn = told.last[CT_EVENT_NEW];
	whole.tuple = conn.orig;
	assert_int_equal(find(&whole, &conn), 1);
	assert_int_equal(conn.id, told.last[CT_EVENT_NEW].id);
	assert_int_equal(conn.tcp_state, TCP_CONNTRACK_ESTABLISHED);
	whole.tuple = conn.reply;
	assert_int_equal(find(&whole, &conn), 1);
	assert_int_equal(conn.id, told.last[CT_EVENT_NEW].id);
	whole.tuple.sport_be = htons(81);
	assert_int_equal(find(&whole, &conn), 0);
	whole.tuple = conn.orig;
	whole.zone = 1;
	assert_int_equal(find(&whole, &conn), 0);
	source.tuple = conn.orig; // all are read, and compared
	assert_int_equal(find(&source, &conn), 1);
	assert_int_equal(conn.id, told.last[CT_EVENT_NEW].id);
	source.has_sport = false;
	assert_int_equal(find(&source, &conn), N_MANY);
	source.tuple.proto = NFO_UDP;
	assert_int_equal(find(&source, &conn), 0);
	ct_destroy(ct);
}

int main(void)
{
#define live(test) cmocka_unit_test_setup_teardown(test, live_setup, live_teardown)
	const struct CMUnitTest tests[] = {
		live(live_events),
		live(live_dump),
		live(live_dump_in_turns),
		live(live_dump_after_end),
		live(live_updates),
		live(live_liberal),
		live(live_check),
		live(live_many_updates),
		live(live_overrun),
		live(live_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
