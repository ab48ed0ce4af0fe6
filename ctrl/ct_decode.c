// SPDX-License-Identifier: GPL-2.0-or-later
// libmnl alone reads and writes these messages: libnetfilter_conntrack allocates an object for
// each, which a dump of a million entries feels, and the few attributes in use are all here.
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "ct_msg.h"
#include "nl.h"

static bool get_v4(const struct nlattr **tb, struct nfo_tuple *t)
{
	t->family = NFO_IPV4;
	return nl_get(tb[CTA_IP_V4_SRC], t->src.bytes, 4)
	       && nl_get(tb[CTA_IP_V4_DST], t->dst.bytes, 4);
}

static bool get_v6(const struct nlattr **tb, struct nfo_tuple *t)
{
	t->family = NFO_IPV6;
	return nl_get(tb[CTA_IP_V6_SRC], t->src.bytes, 16)
	       && nl_get(tb[CTA_IP_V6_DST], t->dst.bytes, 16);
}

static int decode_addresses(const struct nlattr *nest, uint8_t family, struct nfo_tuple *t)
{
	const struct nlattr *tb[CTA_IP_MAX + 1];

	nl_parse_nested(nest, tb, CTA_IP_MAX);
	if (family == NFO_IPV4)
		return get_v4(tb, t) ? 0 : -EBADMSG;
	return get_v6(tb, t) ? 0 : -EBADMSG;
}

static int decode_ports(const struct nlattr *nest, struct nfo_tuple *t)
{
	const struct nlattr *tb[CTA_PROTO_MAX + 1];

	nl_parse_nested(nest, tb, CTA_PROTO_MAX);
	if (!nl_get(tb[CTA_PROTO_NUM], &t->proto, sizeof(t->proto)))
		return -EBADMSG;
	if (t->proto != NFO_TCP && t->proto != NFO_UDP && t->proto != NFO_GRE)
		return -EPROTONOSUPPORT;
	if (!nl_get(tb[CTA_PROTO_SRC_PORT], &t->sport_be, sizeof(t->sport_be))
		|| !nl_get(tb[CTA_PROTO_DST_PORT], &t->dport_be, sizeof(t->dport_be)))
		return -EBADMSG;
	return 0;
}

// '*zone' is left alone unless the tuple has one of its own.
static int decode_tuple(
	const struct nlattr *nest, uint8_t family, struct nfo_tuple *t, uint16_t *zone)
{
	const struct nlattr *tb[CTA_TUPLE_MAX + 1];
	int err;

	memset(t, 0, sizeof(*t));
	nl_parse_nested(nest, tb, CTA_TUPLE_MAX);
	err = decode_ports(tb[CTA_TUPLE_PROTO], t);
	if (err)
		return err;
	nl_get_be16(tb[CTA_TUPLE_ZONE], zone);
	return decode_addresses(tb[CTA_TUPLE_IP], family, t);
}

static int decode_family(const struct nlmsghdr *nlh, uint8_t *family)
{
	const struct nfgenmsg *nfg;

	if (!nl_has_header(nlh, sizeof(*nfg)))
		return -EBADMSG;
	nfg = mnl_nlmsg_get_payload(nlh);
	*family = nfg->nfgen_family;
	return *family == NFO_IPV4 || *family == NFO_IPV6 ? 0 : -EAFNOSUPPORT;
}

static uint8_t decode_tcp_state(const struct nlattr *protoinfo)
{
	const struct nlattr *info[CTA_PROTOINFO_MAX + 1];
	const struct nlattr *tcp[CTA_PROTOINFO_TCP_MAX + 1];
	uint8_t state = CT_TCP_STATE_ABSENT;

	nl_parse_nested(protoinfo, info, CTA_PROTOINFO_MAX);
	nl_parse_nested(info[CTA_PROTOINFO_TCP], tcp, CTA_PROTOINFO_TCP_MAX);
	nl_get(tcp[CTA_PROTOINFO_TCP_STATE], &state, sizeof(state));
	return state;
}

static void decode_rest(const struct nlattr **tb, struct ct_conn *conn)
{
	nl_get_be16(tb[CTA_ZONE], &conn->zone);
	nl_get_be32(tb[CTA_ID], &conn->id);
	nl_get_be32(tb[CTA_STATUS], &conn->status);
	nl_get_be32(tb[CTA_MARK], &conn->mark);
	nl_get_be32(tb[CTA_TIMEOUT], &conn->timeout_s);
	conn->tcp_state = decode_tcp_state(tb[CTA_PROTOINFO]);
	conn->has_helper = tb[CTA_HELP] || (conn->status & IPS_HELPER);
}

int ct_decode(const struct nlmsghdr *nlh, struct ct_conn *conn)
{
	const struct nlattr *tb[CTA_MAX + 1];
	struct ct_conn out = {0};
	uint16_t reply_zone;
	uint8_t family;
	int err = decode_family(nlh, &family);

	if (err)
		return err;
	nl_parse(nlh, sizeof(struct nfgenmsg), tb, CTA_MAX);
	err = decode_tuple(tb[CTA_TUPLE_ORIG], family, &out.orig, &out.zone);
	if (!err)
		err = decode_tuple(tb[CTA_TUPLE_REPLY], family, &out.reply, &reply_zone);
	if (err)
		return err;
	decode_rest(tb, &out);
	*conn = out;
	return 0;
}

int ct_decode_error(const struct nlmsghdr *nlh, struct nfo_tuple *orig, uint16_t *zone)
{
	const struct nlattr *tb[CTA_MAX + 1];
	const struct nlmsgerr *e;
	const size_t room = mnl_nlmsg_get_payload_len(nlh);
	uint8_t family;
	int err;

	if (!nl_has_header(nlh, sizeof(*e)))
		return -EBADMSG;
	e = mnl_nlmsg_get_payload(nlh);
	if (e->msg.nlmsg_len < sizeof(e->msg)
		|| e->msg.nlmsg_len > room - offsetof(struct nlmsgerr, msg))
		return -EBADMSG;
	err = decode_family(&e->msg, &family);
	if (err)
		return err;
	nl_parse(&e->msg, sizeof(struct nfgenmsg), tb, CTA_MAX);
	*zone = 0;
	nl_get_be16(tb[CTA_ZONE], zone);
	return decode_tuple(tb[CTA_TUPLE_ORIG], family, orig, zone);
}

static struct nlmsghdr *put_header(void *buf, uint8_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));

	nlh->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

struct nlmsghdr *ct_put_request(void *buf, uint8_t type)
{
	return put_header(buf, type, 0, 0);
}

struct nlmsghdr *ct_put_dump(void *buf, const struct ct_filter *filter)
{
	struct nlmsghdr *nlh = put_header(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 0);

	if (filter && filter->status_mask) {
		mnl_attr_put_u32(nlh, CTA_STATUS, htonl(filter->status_value));
		mnl_attr_put_u32(nlh, CTA_STATUS_MASK, htonl(filter->status_mask));
	}
	if (filter && filter->mark_mask) {
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(filter->mark_value));
		mnl_attr_put_u32(nlh, CTA_MARK_MASK, htonl(filter->mark_mask));
	}
	return nlh;
}

static void put_addresses(struct nlmsghdr *nlh, const struct nfo_tuple *t)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);

	if (t->family == NFO_IPV4) {
		mnl_attr_put(nlh, CTA_IP_V4_SRC, 4, t->src.bytes);
		mnl_attr_put(nlh, CTA_IP_V4_DST, 4, t->dst.bytes);
	} else {
		mnl_attr_put(nlh, CTA_IP_V6_SRC, 16, t->src.bytes);
		mnl_attr_put(nlh, CTA_IP_V6_DST, 16, t->dst.bytes);
	}
	mnl_attr_nest_end(nlh, nest);
}

static void put_ports(struct nlmsghdr *nlh, const struct nfo_tuple *t)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, t->proto);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, t->sport_be);
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, t->dport_be);
	mnl_attr_nest_end(nlh, nest);
}

// A request about one entry. Without NLM_F_CREATE: an entry that is gone is an error, not a new
// one.
static struct nlmsghdr *put_about(void *buf, const struct ct_conn *conn, unsigned int type)
{
	struct nlmsghdr *nlh = put_header(buf, type, 0, conn->orig.family);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_ORIG);

	put_addresses(nlh, &conn->orig);
	put_ports(nlh, &conn->orig);
	mnl_attr_nest_end(nlh, nest);
	if (conn->zone)
		mnl_attr_put_u16(nlh, CTA_ZONE, htons(conn->zone));
	return nlh;
}

struct nlmsghdr *ct_put_get(void *buf, const struct ct_conn *conn)
{
	return put_about(buf, conn, IPCTNL_MSG_CT_GET);
}

struct nlmsghdr *ct_put_liberal(void *buf, const struct ct_conn *conn)
{
	const struct nf_ct_tcp_flags liberal = {
		IP_CT_TCP_FLAG_BE_LIBERAL, IP_CT_TCP_FLAG_BE_LIBERAL};
	struct nlmsghdr *nlh = put_about(buf, conn, IPCTNL_MSG_CT_NEW);
	struct nlattr *info = mnl_attr_nest_start(nlh, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);

	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(liberal), &liberal);
	mnl_attr_put(nlh, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(liberal), &liberal);
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, info);
	return nlh;
}
