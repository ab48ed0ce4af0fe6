// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/ct_decode.c ctrl/nl.c
// What is decoded is written as an update, whose echo must name the same connection.
#include "ct_msg.h"
#include "fuzz_nl.h"

static void echo(const struct ct_conn *conn)
{
	char buf[CT_MSG_MAX + 64] __attribute__((aligned(4)));
	struct nlmsghdr *e = mnl_nlmsg_put_header(buf), *nlh;
	struct nlmsgerr *err = mnl_nlmsg_put_extra_header(e, sizeof(*err));
	struct nfo_tuple orig;
	uint16_t zone;

	nlh = ct_put_get(&err->msg, conn);
	e->nlmsg_len += nlh->nlmsg_len - sizeof(*nlh);
	if (nlh->nlmsg_len > CT_MSG_MAX || ct_decode_error(e, &orig, &zone))
		abort();
	if (memcmp(&orig, &conn->orig, sizeof(orig)) || zone != conn->zone)
		abort();
}

static void one(void *arg, const struct nlmsghdr *nlh)
{
	struct ct_conn conn;
	struct nfo_tuple orig;
	uint16_t zone;

	(void)arg;
	if (!ct_decode(nlh, &conn))
		echo(&conn);
	ct_decode_error(nlh, &orig, &zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_messages(data, size, one);
	return 0;
}
