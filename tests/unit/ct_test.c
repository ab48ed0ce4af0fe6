// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/ct_decode.c ctrl/nl.c
// The messages of ctnetlink, decoded and written. ct_live_test.c has the rest.
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

#include "ct_msg.h"
#include "recorded/ct.h"

static void assert_addr(const union nfo_addr *addr, uint8_t family, const char *text)
{
	char buf[INET6_ADDRSTRLEN];

	assert_non_null(inet_ntop(family, addr->bytes, buf, sizeof(buf)));
	assert_string_equal(buf, text);
}

// "src sport dst dport"; a port of 0 is any.
static void assert_tuple(const struct nfo_tuple *t, uint8_t proto, const char *src, uint16_t sport,
	const char *dst, uint16_t dport)
{
	assert_int_equal(t->proto, proto);
	assert_addr(&t->src, t->family, src);
	assert_addr(&t->dst, t->family, dst);
	assert_true(!sport || sport == ntohs(t->sport_be));
	assert_true(!dport || dport == ntohs(t->dport_be));
}

static struct ct_conn decoded(const uint8_t *msg)
{
	struct ct_conn conn;

	memset(&conn, 0x55, sizeof(conn));
	assert_int_equal(ct_decode(recorded_msg(msg), &conn), 0);
	return conn;
}

static void tcp_events(void **state)
{
	struct ct_conn c = decoded(ct_new_tcp), u = decoded(ct_update_tcp_offload);
	struct ct_conn end = decoded(ct_destroy_offload);

	(void)state;
	assert_int_equal(c.tcp_state, TCP_CONNTRACK_SYN_SENT);
	assert_int_not_equal(c.id, 0);
	assert_int_equal(c.zone, 0);
	assert_false(c.has_helper);
	assert_tuple(&u.orig, NFO_TCP, "10.0.1.2", 0, "10.0.2.2", 5001);
	assert_tuple(&u.reply, NFO_TCP, "10.0.2.2", 5001, "10.0.1.2", 0);
	assert_int_equal(u.orig.sport_be, u.reply.dport_be);
	assert_true(u.status & IPS_OFFLOAD);
	assert_true(u.status & IPS_ASSURED);
	assert_int_equal(u.tcp_state, TCP_CONNTRACK_ESTABLISHED);
	assert_in_range(u.timeout_s, 431990, 432000); // events tell it although it is offloaded
	assert_true(end.status & IPS_OFFLOAD);
	assert_memory_equal(&end.orig, &u.orig, sizeof(u.orig));
	assert_int_equal(end.id, u.id);
}

static void udp_with_mark(void **state)
{
	struct ct_conn c = decoded(ct_update_udp_offload_mark);

	(void)state;
	assert_tuple(&c.orig, NFO_UDP, "10.0.1.2", 0, "10.0.2.2", 5002);
	assert_int_equal(c.mark, 42);
	assert_int_equal(c.tcp_state, CT_TCP_STATE_ABSENT);
	assert_true(c.status & IPS_SEEN_REPLY);
}

static void nat(void **state)
{
	struct ct_conn c = decoded(ct_update_nat), d = decoded(ct_dump_nat_offload);

	(void)state;
	assert_tuple(&c.orig, NFO_TCP, "10.0.1.2", 0, "10.0.1.1", 8080);
	assert_tuple(&c.reply, NFO_TCP, "10.0.2.2", 5001, "10.0.2.1", 0);
	assert_true(c.status & IPS_DST_NAT);
	assert_true(c.status & IPS_SRC_NAT);
	assert_memory_equal(&d.reply, &c.reply, sizeof(c.reply));
	assert_int_equal(d.id, c.id);
}

static void dumped(void **state)
{
	struct ct_conn off = decoded(ct_dump_tcp_offload), plain = decoded(ct_dump_tcp_state);

	(void)state;
	assert_true(off.status & IPS_OFFLOAD);
	assert_int_equal(off.timeout_s, 0);
	assert_int_equal(off.tcp_state, CT_TCP_STATE_ABSENT);
	assert_int_equal(plain.tcp_state, TCP_CONNTRACK_ESTABLISHED);
	assert_in_range(plain.timeout_s, 290, 300);
}

static void zones_and_ipv6(void **state)
{
	struct ct_conn zone = decoded(ct_new_zone), orig = decoded(ct_new_orig_zone);
	struct ct_conn six = decoded(ct_new_ipv6);

	(void)state;
	assert_int_equal(zone.zone, 7);
	assert_int_equal(orig.zone, 9); // of the original direction only
	assert_int_equal(six.orig.family, NFO_IPV6);
	assert_tuple(&six.orig, NFO_TCP, "2001:db8::1", 1000, "2001:db8::2", 80);
	assert_tuple(&six.reply, NFO_TCP, "2001:db8::2", 80, "2001:db8::1", 1000);
}

static void refused(void **state)
{
	struct ct_conn conn = {.mark = 77};
	char buf[CT_MSG_MAX] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = ct_put_dump(buf, NULL);
	struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);

	(void)state;
	assert_int_equal(ct_decode(recorded_msg(ct_new_icmp), &conn), -EPROTONOSUPPORT);
	assert_int_equal(ct_decode(recorded_msg(ct_new_sctp), &conn), -EPROTONOSUPPORT);
	assert_int_equal(ct_decode(nlh, &conn), -EAFNOSUPPORT);
	nfg->nfgen_family = NFO_IPV4;
	assert_int_equal(ct_decode(nlh, &conn), -EBADMSG);
	assert_int_equal(conn.mark, 77);
}

static void helper(void **state)
{
	struct ct_conn conn = decoded(ct_new_tcp);
	char buf[CT_MSG_MAX + 256] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;

	(void)state;
	memcpy(buf, ct_new_tcp, sizeof(ct_new_tcp));
	mnl_attr_put_strz(nlh, CTA_HELP, "nest in fact");
	assert_int_equal(ct_decode(nlh, &conn), 0);
	assert_true(conn.has_helper);
}

static void error_answer(void **state)
{
	struct nfo_tuple orig;
	uint16_t zone;

	(void)state;
	assert_int_equal(ct_decode_error(recorded_msg(ct_error_enoent), &orig, &zone), 0);
	assert_tuple(&orig, NFO_TCP, "192.0.2.1", 1000, "198.51.100.9", 80);
	assert_int_equal(zone, 8);
}

static void written_is_read(void **state)
{
	struct ct_conn six = decoded(ct_new_ipv6), zone = decoded(ct_new_zone);
	const struct ct_conn *all[] = {&six, &zone};
	char error[CT_MSG_MAX + 64] __attribute__((aligned(4)));

	(void)state;
	for (size_t i = 0; i < MNL_ARRAY_SIZE(all); i++) {
		struct nlmsghdr *e = mnl_nlmsg_put_header(error), *nlh;
		struct nlmsgerr *err = mnl_nlmsg_put_extra_header(e, sizeof(*err));
		struct nfo_tuple orig;
		uint16_t z;
		nlh = ct_put_liberal(&err->msg, all[i]);
		assert_in_range(nlh->nlmsg_len, 1, CT_MSG_MAX);
		assert_int_equal(nlh->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK), 0);
		e->nlmsg_len += nlh->nlmsg_len - sizeof(*nlh);
		assert_int_equal(ct_decode_error(e, &orig, &z), 0);
		assert_memory_equal(&orig, &all[i]->orig, sizeof(orig));
		assert_int_equal(z, all[i]->zone);
	}
}

static void cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < MNL_ARRAY_SIZE(recorded_ct); i++) {
		for (size_t n = sizeof(struct nlmsghdr); n < recorded_ct[i].bytes; n++) {
			struct nlmsghdr *nlh = recorded_cut(&recorded_ct[i], n);
			struct nfo_tuple orig;
			struct ct_conn conn;
			uint16_t zone;
			ct_decode(nlh, &conn);
			ct_decode_error(nlh, &orig, &zone);
			free(nlh);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_events),
		cmocka_unit_test(udp_with_mark),
		cmocka_unit_test(nat),
		cmocka_unit_test(dumped),
		cmocka_unit_test(zones_and_ipv6),
		cmocka_unit_test(refused),
		cmocka_unit_test(helper),
		cmocka_unit_test(error_answer),
		cmocka_unit_test(written_is_read),
		cmocka_unit_test(cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
