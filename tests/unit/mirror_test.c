// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror's decisions about what conntrack and the workers tell, under a clock of the test's own
// (mirror_hands.h). What changes below a connection is in mirror_change_test.c.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "log.h"
#include "mirror_hands.h"

static void test_offered_and_ended(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(connections(), 0); // the kernel has not accepted it
	c.status |= IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.checks, 1);   // is it still there?
	assert_int_equal(k.liberals, 0); // the kernel has done so
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 2);
	tell(CT_EVENT_DESTROY, &c);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(connections(), 0);
}

static void test_destroy_of_another(void **state)
{
	struct ct_conn c = tcp(1), older = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	older.id = 5; // had the same tuple; its end comes late
	tell(CT_EVENT_DESTROY, &older);
	assert_int_equal(k.n_flows, 2);
	older.id = 500; // has the tuple now
	tell(CT_EVENT_UPDATE, &older);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(the_flow().conn.id, 500);
}

static void test_gone(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.ct_gone(k.ct_arg, &c.orig, 0);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(connections(), 0);
}

// The kernel's own entry starves and its bit clears; that is no end. Conntrack's states are.
static void test_bit_clears(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	c.tcp_state = CT_TCP_STATE_ABSENT;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 2);
	for (int i = 0; i < 20; i++) {
		traffic();
		dump_with(NULL);
	}
	assert_int_equal(k.n_flows, 2);
	c.tcp_state = TCP_CONNTRACK_FIN_WAIT;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0);
}

static void test_late_insertion_by_dump(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	c.tcp_state = CT_TCP_STATE_ABSENT; // as dumps of offloaded entries are
	dump_with(&c);
	assert_int_equal(k.filter.status_value, IPS_OFFLOAD);
	assert_int_equal(k.filter.status_mask, IPS_OFFLOAD);
	assert_int_equal(k.n_flows, 2);
}

static void test_closing(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.event.cookie = k.cookie[0];
	k.n_events = 1;
	pass_ms(10);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_CLOSING);
	// what was on its way then does not bring it back
	tell(CT_EVENT_UPDATE, &c);
	dump_with(&c);
	assert_int_equal(k.n_flows, 0);
	// a forged RST: the kernel goes on offering it
	for (int i = 0; i < 4; i++)
		dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

static void test_closed_is_forgotten(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.event.cookie = k.cookie[0];
	k.n_events = 1;
	pass_ms(10);
	for (int i = 0; i < 6; i++)
		dump_with(NULL);
	assert_int_equal(connections(), 0);
}

static void test_idle(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	traffic();
	pass_ms(29000);
	assert_int_equal(k.n_flows, 2);
	pass_ms(13000);
	assert_int_equal(k.n_flows, 0);
}

// In use: it lives on, and the kernel sees a packet of each direction now and then. In use or not,
// so that it sees every packet of a flow that has few.
static void test_sampled(void **state)
{
	struct ct_conn c = tcp(1);
	unsigned int samples, checks;

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	for (int i = 0; i < 10; i++) {
		samples = k.samples;
		checks = k.checks;
		traffic();
		pass_ms(13000);
		assert_int_equal(k.n_flows, 2);
		assert_true(k.samples >= samples + 2);
		assert_true(k.checks > checks);
	}
	samples = k.samples;
	pass_ms(13000);
	assert_true(k.samples >= samples + 2);
}

static void test_dataplane_full(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	k.add_error = -ENOSPC;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(the_flow().reason, NFO_R_TABLE_FULL);
	k.add_error = 0;
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

static void test_mirror_full(void **state)
{
	struct mirror_stats stats;

	(void)state;
	for (uint16_t i = 0; i < 10; i++) {
		struct ct_conn c = tcp(i);

		tell(CT_EVENT_UPDATE, &c);
	}
	mirror_stats(k.mirror, &stats);
	assert_int_equal(stats.connections, 8);
	assert_int_equal(stats.refused, 2);
	assert_int_equal(stats.by_reason[NFO_R_OFFLOADED], 8);
}

static void test_lost_messages(void **state)
{
	unsigned int before;

	(void)state;
	dump_with(NULL);
	before = k.dumps;
	tell(CT_EVENT_LOST, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, before + 1);
	tell(CT_EVENT_LOST, NULL); // while one is under way: another follows it
	pass_ms(300);
	assert_int_equal(k.dumps, before + 1);
	tell(CT_EVENT_DUMP_END, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, before + 2);
	k.dumping = false; // that one fails, which is all that is told
	tell(CT_EVENT_LOST, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, before + 3);
}

// An end may have been among them: what the dump that follows does not hold is asked for, once.
static void test_lost_end(void **state)
{
	struct ct_conn c = tcp(1), d = tcp(2);
	unsigned int checks;

	(void)state;
	dump_with(&c);
	tell(CT_EVENT_UPDATE, &d);
	pass_ms(100);
	checks = k.checks;
	tell(CT_EVENT_LOST, NULL);
	pass_ms(10);
	tell(CT_EVENT_UPDATE, &d); // it was in the queue already
	pass_ms(3000);
	assert_int_equal(k.checks, checks); // the dump under way will tell
	tell(CT_EVENT_DUMP, &c);
	tell(CT_EVENT_DUMP_END, NULL);
	pass_ms(300);
	tell(CT_EVENT_DUMP_END, NULL);
	for (int i = 0; i < 10; i++) {
		pass_ms(300);
		tell(CT_EVENT_DUMP_END, NULL);
	}
	assert_int_equal(k.checks, checks + 1);
}

static void test_stand_in(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	use_stand_in();
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0); // no mark
	c.mark = 0x1001;
	c.tcp_state = CT_TCP_STATE_ABSENT;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0); // not known to be established
	c.tcp_state = TCP_CONNTRACK_ESTABLISHED;
	c.status &= ~(uint32_t)IPS_ASSURED;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0); // not assured
	c.status |= IPS_ASSURED;
	dump_with(&c);
	assert_int_equal(k.filter.mark_value, 0x1000);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.liberals, 1);
	assert_int_equal(the_flow().conn.mark, 0x1001);
}

// A stand-in's mark never goes; after idleness a packet that conntrack saw brings the flow back.
static void test_stand_in_idle(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	use_stand_in();
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	c.mark = 0x1000;
	c.timeout_s = 400000;
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
	for (int i = 0; i < 45; i++) {
		c.timeout_s--;
		dump_with(&c);
	}
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_IDLE);
	c.timeout_s = 432000;
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

static void differ(int d, uint8_t mac5)
{
	const struct nfo_flow *flow = &k.flow[d];

	k.event = (struct dp_event){.kind = DP_EVENT_AUDIT,
		.cookie = k.cookie[d],
		.idx = (uint32_t)d,
		.port = (uint8_t)flow->out_port,
		.l2_bytes = 2 * NFO_ETH_ALEN};
	memcpy(k.event.l2, flow->eth_dst, NFO_ETH_ALEN);
	memcpy(k.event.l2 + NFO_ETH_ALEN, flow->eth_src, NFO_ETH_ALEN);
	k.event.l2[5] = mac5;
	k.held[d] = true; // by the worker
	k.n_events = 1;
}

static struct mirror_stats stats_now(void)
{
	struct mirror_stats stats;

	mirror_stats(k.mirror, &stats);
	return stats;
}

// The kernel sends otherwise, and a moment later tells why: it was right, and the flow goes on so.
static void test_audit_corrects(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	differ(0, 99);
	pass_ms(20);
	assert_true(k.held[0]);
	k.neigh[WAN].mac[5] = 99;
	tell_neigh(WAN);
	pass_ms(30);
	assert_int_equal(k.n_flows, 2);
	assert_false(k.held[0]);
	assert_int_equal(k.flow[0].eth_dst[5], 99);
	assert_int_equal(stats_now().differed, 1);
	assert_int_equal(stats_now().corrected, 1);
}

// Nothing tells why, but the kernel answers otherwise when it is asked: another MTU.
static void test_audit_asks(void **state)
{
	struct ct_conn c = tcp(1);
	const unsigned int before = k.queries;

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	differ(1, k.flow[1].eth_dst[5]); // as the workers do, by now
	pass_ms(50);
	assert_true(k.queries > before + 3);
	assert_int_equal(k.n_flows, 2);
	assert_false(k.held[1]);
	assert_int_equal(stats_now().corrected, 1);
}

// A change that came in between has replaced the entry. It explains what the kernel sent, or that is older.
static void test_audit_replaced(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	k.moves = true;
	tell(CT_EVENT_UPDATE, &c);
	for (unsigned int i = 0; i < 2; i++) {
		const unsigned int before = k.replaced;

		pass_ms(100);
		for (int d = 0; d < FLOWS; d++)
			if (k.in[d] && k.flow[d].out_port == 1) {
				differ(d, i == 0 ? k.flow[d].eth_dst[5] : 99);
				k.held[d] = false; // by control instead, soon
			}
		pass_ms(10);
		k.link[WAN].mtu--;
		tell_link(WAN);
		pass_ms(100);
		assert_true(k.replaced > before);
		assert_int_equal(k.n_flows, 2);
		assert_int_equal(stats_now().differed, i + 1);
		assert_int_equal(stats_now().corrected, 1);
	}
}

// What cannot be explained is the kernel's until it is offered again, much later.
static void test_audit_withdraws(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	log_set_level(LOG_ERROR);
	tell(CT_EVENT_UPDATE, &c);
	differ(0, 99);
	pass_ms(50);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_AUDIT);
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0);
	for (int i = 0; i < 4; i++)
		dump_with(&c);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(stats_now().corrected, 0);
}

// An event about a flow that is gone or replaced is about nothing.
static void test_audit_late(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	differ(0, 99);
	k.event.idx = 40;
	pass_ms(50);
	differ(0, 99);
	k.event.cookie = 7;
	pass_ms(50);
	assert_int_equal(stats_now().differed, 0);
	differ(0, 99);
	pass_ms(10);
	tell(CT_EVENT_DESTROY, &c);
	pass_ms(50);
	assert_int_equal(connections(), 0);
}

// One sample may be lost; two in a row say that the kernel does not forward it.
static void test_unseen(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	for (int i = 0; i < 4; i++) {
		k.sample[1] = i % 2 == 0 ? DP_SAMPLE_UNSEEN : DP_SAMPLE_DONE;
		traffic();
		pass_ms(12000);
		assert_int_equal(k.n_flows, 2);
	}
	k.sample[1] = DP_SAMPLE_UNSEEN;
	for (int i = 0; i < 2; i++) {
		traffic();
		pass_ms(12000);
	}
	assert_int_equal(the_flow().reason, NFO_R_AUDIT);
	assert_int_equal(stats_now().unseen, 4);
}

// Rounds of dumps with 'c' and traffic, a second each, while it is in the dataplane or while it is not.
static unsigned int rounds_while(bool in, const struct ct_conn *c)
{
	unsigned int n;

	for (n = 0; (k.n_flows != 0) == in; n++) {
		assert_true(n < 300);
		traffic();
		dump_with(c);
	}
	return n;
}

// What is offered again and again, as by a stand-in's mark, is tried ever more seldom, and for a moment only.
static void test_unseen_again(void **state)
{
	struct ct_conn c = tcp(1);
	unsigned int first, pause = 0;

	(void)state;
	log_set_level(LOG_ERROR);
	dump_with(&c);
	k.sample[0] = k.sample[1] = DP_SAMPLE_UNSEEN;
	first = rounds_while(true, &c);
	for (int i = 0; i < 9; i++) {
		const unsigned int before = pause, samples = k.samples;

		assert_int_equal(the_flow().reason, NFO_R_AUDIT);
		pause = rounds_while(false, &c);
		assert_true(i == 8 ? pause < before + before / 4 : pause > before);
		assert_int_equal(k.samples, samples + 2); // at once
		assert_true(rounds_while(true, &c) < first / 3);
	}
	assert_in_range(pause, 200, 270);
	rounds_while(false, &c);
	k.sample[0] = k.sample[1] = DP_SAMPLE_DONE;
	for (int i = 0; i < 5; i++)
		dump_with(&c);
	k.sample[0] = DP_SAMPLE_UNSEEN; // one, now that it is trusted again
	for (int i = 0; i < 11; i++) {
		traffic();
		dump_with(&c);
	}
	assert_int_equal(k.n_flows, 2);
	assert_true(rounds_while(true, &c) > 3);
	assert_true(rounds_while(false, &c) < 5); // as at the beginning
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(offered_and_ended),
		TEST(destroy_of_another),
		TEST(gone),
		TEST(bit_clears),
		TEST(late_insertion_by_dump),
		TEST(closing),
		TEST(closed_is_forgotten),
		TEST(idle),
		TEST(sampled),
		TEST(dataplane_full),
		TEST(mirror_full),
		TEST(lost_messages),
		TEST(lost_end),
		TEST(audit_corrects),
		TEST(audit_asks),
		TEST(audit_replaced),
		TEST(audit_withdraws),
		TEST(audit_late),
		TEST(unseen),
		TEST(unseen_again),
		TEST(stand_in),
		TEST(stand_in_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
